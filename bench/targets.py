"""What the issues ask of the benchmarks: numbers of one case, or ratios of two."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Target:
    """A number of the issue: of one case, or the ratio of two."""

    benchmark: str
    text: str
    case: str
    base: str | tuple[str, ...] | None  # several: the highest of each round
    sense: Literal["<=", ">="]
    limit: float | None  # None: there is no aim, the number is wanted
    required: bool = True


DPDK_AIMS: dict[tuple[str, str], tuple[Literal["<=", ">="], float]] = {
    ("requests", "requests/s of 64 connections"): (">=", 7),
    ("cpu", "CPU for a request"): ("<=", 0.12),
    ("connect", "connections/s"): (">=", 10),
    ("bulk", "bulk at MTU 1500"): (">=", 3),
}
DISCOVERY = (
    Target("discovery", "cached look-up in Python, ns", "lookup/view, ns", None, "<=", 2000),
    Target(
        "discovery",
        "the same / a dictionary of Python",
        "lookup/view, ns",
        "lookup/dict, ns",
        "<=",
        None,
    ),
    Target(
        "discovery",
        "cached look-up by eastwest's provider, ns",
        "lookup/provider, ns",
        None,
        "<=",
        2000,
        False,
    ),
    Target(
        "discovery",
        "look-up of a connect: runtime directory and registry, ns",
        "lookup/connect, ns",
        None,
        "<=",
        None,
    ),
    Target(
        "discovery",
        "round trip of the registry's protocol / bare pyzmq",
        "trip/registry, ns",
        "trip/bare, ns",
        "<=",
        2,
    ),
    Target(
        "discovery",
        "uncached look-up by a client / bare pyzmq",
        "trip/client, ns",
        "trip/bare, ns",
        "<=",
        2,
    ),
    *(
        Target(
            "discovery", f"polls of one server, {text}, 1/s", f"polls/{case}, 1/s", None, ">=", 10e3
        )
        for case, text in (
            ("unchanged", "nothing new"),
            ("snapshot", "10 instances"),
            ("waited", "waited for nothing"),
            ("keys", "nothing new, with keys"),
        )
    ),
    *(
        Target(
            "discovery",
            f"CPU of a bare pyzmq ROUTER / of a poll, {text}",
            f"polls/{case}, 1/s of one CPU",
            f"polls/{base}, 1/s of one CPU",
            ">=",
            None,
        )
        for case, base, text in (
            ("unchanged", "bare", "nothing new"),
            ("snapshot", "bare/snapshot", "10 instances"),
        )
    ),
    Target(
        "discovery",
        "registered until seen by all of 1,000 watchers, ns",
        "seen/registry, the last, ns",
        None,
        "<=",
        150e6,
    ),
    Target(
        "discovery",
        "the same / a bare pyzmq ROUTER that tells 1,000",
        "seen/registry, the last, ns",
        "seen/bare, the last, ns",
        "<=",
        None,
    ),
    Target(
        "discovery",
        "10,000 instances, 20 connections, MiB",
        "memory/shared, MiB",
        None,
        "<=",
        100,
    ),
    Target(
        "discovery", "10,000 instances, a connection each, MiB", "memory/each, MiB", None, "<=", 100
    ),
    Target(
        "discovery",
        "the same / 10,000 connections of a bare pyzmq ROUTER",
        "memory/each, MiB",
        "memory/bare, MiB",
        "<=",
        None,
    ),
    Target(
        "discovery",
        "a used connection, KiB",
        "memory/of a used connection/each, KiB",
        None,
        "<=",
        None,
    ),
    Target(
        "discovery",
        "the same / of a bare pyzmq ROUTER",
        "memory/of a used connection/each, KiB",
        "memory/of a used connection/bare, KiB",
        "<=",
        None,
    ),
    *(
        Target(
            "discovery",
            f"renewals of 10,000 instances, {what}, {text}",
            f"renew/{case}, {what}",
            None,
            "<=",
            None,
        )
        for case, text in (("each", "a connection each"), ("keys", "with keys"))
        for what in ("% of a CPU", "bytes/s")
    ),
    Target(
        "discovery",
        "the same CPU / that of a bare pyzmq ROUTER",
        "renew/each, % of a CPU",
        "renew/bare, % of a CPU",
        "<=",
        None,
    ),
)
TARGETS = (
    *DISCOVERY,
    Target("pingpong", "ring / bare cache line, 64 B", "ring", "line", "<=", 1.25),
    Target("pingpong", "ew_channel / bare cache line, 64 B", "channel", "line", "<=", 1.5),
    Target("pingpong", "ring / the two lines of a record", "ring", "lines", "<=", 1.25, False),
    Target(
        "pingpong", "ew_channel / the two lines of a record", "channel", "lines", "<=", 1.5, False
    ),
    Target("oneway", "ew_channel / Unix stream, 64 B messages", "channel/64", "unix/64", ">=", 50),
    Target("oneway", "send_many / Unix stream, 64 B messages", "many/64", "unix/64", ">=", 50),
    Target("oneway", "ew_channel / memcpy, 32 KiB", "channel/32768", "memcpy/32768", ">=", 0.8),
    Target(
        "oneway",
        "ew_channel / memcpy in and out, 32 KiB",
        "channel/32768",
        "memcpy2/32768",
        ">=",
        0.8,
        False,
    ),
    Target("tcp", "our TCP / raw TCP, both spin", "ours-spin", "raw-spin", "<=", 1.15),
    Target("tcp", "our TCP / raw TCP, both block", "ours-block", "raw-block", "<=", 1.15),
    Target("idle", "idle over shm, % CPU", "shm", None, "<=", 0.5),
    Target("idle", "idle over tcp, % CPU", "tcp", None, "<=", 0.5),
    Target("net-wire", "net, 64 B round trips/s, 64 connections", "rtt 64", None, ">=", 2e6),
    Target("net-wire", "net, 64 B round trips/s, 1 connection", "rtt 1", None, ">=", 2e6, False),
    Target("net-wire", "net, connect + exchange + close, 1/s", "open", None, ">=", 250e3),
    Target("net-wire", "net, bulk at MTU 1500, bit/s", "bulk 1500", None, ">=", 20e9),
    Target("net-wire", "net, bulk at MTU 9000, bit/s", "bulk 9000", None, ">=", 50e9),
    Target("net-wire", "net, bytes of an idle connection", "bytes", None, "<=", 512),
    Target("net-million", "net, connections open", "connections", None, ">=", 1 << 20),
    Target("python-roundtrip", "Python / polled Unix socket", "eastwest", "poll", "<=", 1 / 8),
    Target("python-roundtrip", "Python / blocking Unix socket", "eastwest", "block", "<=", 1 / 50),
    Target(
        "python-roundtrip", "Python / iceoryx2's Python package", "eastwest", "iceoryx2", "<=", 0.2
    ),
    Target("python-roundtrip", "Python round trip, ns (goal)", "eastwest", None, "<=", 1000, False),
    Target("python-gil", "try_send beside a busy thread, p99.9 ns", "busy", None, "<=", 20_000),
    Target("python-switching", "busy switch shm -> tcp, s", "busy-tcp", None, "<=", 0.005),
    Target("python-switching", "busy switch tcp -> shm, s", "busy-shm", None, "<=", 0.005),
    Target("python-switching", "pause seen in shm -> tcp, s", "gap-tcp", None, "<=", 0.005),
    Target("python-switching", "pause seen in tcp -> shm, s", "gap-shm", None, "<=", 0.005),
    Target("python-far", "grown channel / raw TCP at 40 ms", "grown", "raw", ">=", 0.9, False),
    Target(
        "python-far", "new channel, 48 MiB / raw TCP at 40 ms", "fresh", "raw", ">=", 0.5, False
    ),
    Target("python-far", "without growth / raw TCP at 40 ms", "fixed", "raw", ">=", 0.1, False),
    *(
        Target(
            "python-oneway",
            f"Python send / best of pyzmq ipc and Unix stream, {size} B",
            f"send/{size}",
            (f"unix/{size}", f"zmq/{size}"),
            ">=",
            2,
        )
        for size in (64, 1024, 65536, 1048576)
    ),
    *(
        Target(
            "python-oneway",
            f"Python recv_into / two copies by one core, {size >> 20} MiB",
            f"into/{size}",
            f"copies/{size}",
            ">=",
            1,
        )
        for size in (1 << 20, 4 << 20, 16 << 20, 64 << 20)
    ),
    *(
        Target(
            "python-oneway",
            f"Python recv_into / one copy, {size >> 20} MiB",
            f"into/{size}",
            f"copy/{size}",
            ">=",
            0.8,
            False,
        )
        for size in (1 << 20, 4 << 20, 16 << 20, 64 << 20)
    ),
    *(
        Target(
            "python-tcp-into",
            f"Python recv_into over TCP / raw socket, {size >> 10} KiB",
            f"into/{size}",
            f"raw/{size}",
            ">=",
            1,
            False,
        )
        for size in (64 << 10, 1 << 20, 16 << 20)
    ),
    Target("python-oneway", "send_many in Python, 64 B, messages/s", "many/64", None, ">=", 10e6),
    *(
        Target(
            "python-waiting",
            f"adaptive / {base}, {where}",
            f"adaptive/{where}",
            f"{base}/{where}",
            "<=",
            limit,
            False,
        )
        for where, base, limit in (
            ("unpinned", "block", 1.1),
            ("apart", "spin", 2),
            ("together", "block", 1.1),
            ("quota", "block", 1.1),
        )
    ),
    Target("python-idle", "idle in Python, % CPU", "recv", None, "<=", 0.5),
    Target(
        "python-scale", "bytes touched by an idle channel", "touched/used", None, "<=", 16 << 10
    ),
    Target(
        "aio-roundtrip",
        "asyncio / asyncio streams over a Unix socket, hot",
        "hot",
        "hot-streams",
        "<=",
        0.1,
    ),
    Target(
        "aio-roundtrip",
        "asyncio / asyncio streams over a Unix socket, idle",
        "idle",
        "hot-streams",
        "<=",
        1.0,
    ),
    *(
        Target(
            "dpdk", f"{text}, {wire} / kernel over veth", f"{case}/{wire}", f"{case}/kernel", *at
        )
        for wire in ("virtio", "virtio-tso", "memif")
        for (case, text), at in DPDK_AIMS.items()
        if (case == "bulk") == (wire == "virtio-tso")  # who wants bulk gives tso=1
    ),
    Target(
        "dpdk",
        "bulk at MTU 1500, virtio-tso / kernel over loopback",
        "bulk/virtio-tso",
        "bulk/loopback",
        ">=",
        1,
    ),
    Target("dpdk", "64 B round trip, virtio / kernel", "rtt/virtio", "rtt/kernel", "<=", 0.25),
    Target("dpdk", "64 B round trip, memif / kernel", "rtt/memif", "rtt/kernel", "<=", 0.35),
    Target(
        "net-goodput",
        "goodput of our TCP / the kernel's, 1 % loss, 10 ms",
        "ours/1%/10ms",
        "kernel/1%/10ms",
        ">=",
        1,
    ),
)
