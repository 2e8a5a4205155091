"""What things are called on the page, and which belong together.

A system is named by its own name and kind, and after a space by the way that it takes, as
"eastwest-tcp veth"; one that is not known here is shown as it is. A family of systems has a colour,
so that it says something; within a family the shape of the marker tells systems apart.
"""

import re

from bench.compare.page import figures
from bench.compare.results import Series

OURS = "eastwest"
FAMILIES = {  # name of the family -> begins of its systems
    "Eastwest": (OURS,),
    "kernel": ("unix", "tcp", "kernel", "raw", "bridge", "asyncio", "udp", "epoll"),
    "kernel, other": ("pipe", "posix", "mq", "mp", "multiprocessing", "fifo", "socketpair"),
    "messaging": ("zmq", "pyzmq", "nng", "pynng"),
    "shared memory": ("iceoryx", "ecal", "aeron", "lcm"),
    "framework": ("zenoh", "grpc"),
    "limit": ("line", "lines", "memcpy", "memcpy2", "frames"),
}
LEGEND = {
    "Eastwest": "Eastwest",
    "kernel": "sockets of the kernel",
    "kernel, other": "pipes and queues",
    "messaging": "ZeroMQ, nng",
    "shared memory": "iceoryx2, eCAL",
    "framework": "zenoh, gRPC",
    "limit": "what the machine can do",
    "other": "others",
}
LIMITS = {
    "line": "a bare cache line",
    "lines": "the two lines of a record",
    "memcpy": "memcpy",
    "memcpy2": "memcpy in and out",
}
SECTIONS = {
    "local": "On one host",
    "async": "In asyncio",
    "calls": "One call",
    "many": "A hundred links",
    "remote": "Between hosts",
    "ovs": "Through a switch, and without",
    "sweep": "Sweep over sizes, every path",
    "scale": "Scale",
    "limits": "What the machine can do",
}
LANGUAGES = {"c": "C", "python": "Python"}
WORKS = {
    "trip": "round trip",
    "paced": "paced round trip",
    "fan": "round trip on all links",
    "call": "send and receive in one process",
    "flow": "one way",
    "window": "round trips, several under way",
}
WAYS = {"spin": "spinning", "adaptive": "adaptive", "block": "blocking", "": "not spinning"}
VARIED = {
    "channels": "channels",
    "connections": "connections",
    "loss_percent": "% of packets lost",
    "in_flight": "messages in flight",
    "outbox_bytes": "bytes of outbox",
    "rate": "a second",
}


def own_name(series: Series) -> str:
    """Return a system without the way that it takes."""
    return series.system.partition(" ")[0]


def way(series: Series) -> str:
    """Return "spin" for who is told to, "" for all others: they have plots of their own."""
    return "spin" if series.wait == "spin" else ""


def contests(series: Series) -> tuple[str, ...]:
    """Return the contests that a system takes part in.

    Adaptive waiting spins as long as that pays, so ours that blocks has a contest of its own; who
    neither spins nor adapts takes part in both.
    """
    if series.wait in ("spin", "adaptive"):
        return (series.wait,)
    return ("block", "adaptive")


def is_limit(series: Series) -> bool:
    """What no system can be better than; a measure, not a rival."""
    return series.section == "limits" or family(series.system) == "limit"


def is_ours(series: Series) -> bool:
    """Eastwest, on whatever path."""
    return own_name(series) == OURS or series.system.startswith(f"{OURS}-")


def path_of(series: Series) -> str:
    """Return the path of one of ours: "shm"; "" where it is not named."""
    return own_name(series).partition("-")[2].partition("-")[0]


def place(series: Series) -> str:
    """Return the way between the two ends, or what else is no number: "veth"."""
    way = series.system.partition(" ")[2]
    named = [str(value) for value in series.at.values() if isinstance(value, str)]
    return ", ".join(word for word in (way, *named) if word)


def numbers(series: Series) -> dict[str, float]:
    """Return what of ``at`` is a number: what a curve varies."""
    return {key: value for key, value in series.at.items() if not isinstance(value, str)}


def family(system: str) -> str:
    """Return the family of a system."""
    begin = re.split(r"[-_ ,]", system.lower())[0]
    for name, begins in FAMILIES.items():
        if begin in begins:
            return name
    return next(
        (name for name, begins in FAMILIES.items() if system.lower().startswith(begins)), "other"
    )


def language(name: str) -> str:
    """Return a language as it is written."""
    return LANGUAGES.get(name, name)


def work(name: str) -> str:
    """Return a work in words."""
    return WORKS.get(name, name)


def full(series: Series, *, with_wait: bool = True) -> str:
    """Return a system with its way and its wait: "tcp veth, block"."""
    name = LIMITS.get(series.system, series.system)
    named = [str(value) for value in series.at.values() if isinstance(value, str)]
    return ", ".join(word for word in (name, *named, series.wait if with_wait else "") if word)


def varied(key: str, value: float) -> str:
    """Return a place on a curve in words: "100 channels"."""
    if key.endswith("_bytes"):
        return f"{figures.size(value)} of {key.removesuffix('_bytes')}"
    return f"{figures.count(value)} {VARIED.get(key, key)}"


def spot(series: Series) -> str:
    """Return the size, and what else a curve varies: "64 B, 3 packets lost, %"."""
    words = [figures.size(series.bytes)] if series.bytes else []
    words += [varied(key, value) for key, value in numbers(series).items()]
    return ", ".join(words)


def case(series: Series) -> str:
    """Return what was done, in words: "64 B round trip, 100 links"."""
    size = f"{figures.size(series.bytes)} " if series.bytes else ""
    words = [f"{size}{work(series.work)}"]
    if series.links > 1:
        words.append(f"{series.links:,} links")
    words += [varied(key, value) for key, value in numbers(series).items()]
    return ", ".join(words)
