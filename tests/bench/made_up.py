"""Made-up results: every section, every kind of work, with numbers that a machine could have.

The numbers come from rules and a seed, never from a measurement; some systems are ahead of Eastwest
on purpose, so that the page has to say it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from hdrh.histogram import HdrHistogram

from bench.compare.results import Missing, Results, Series

SIZES = tuple(8 << (3 * step) for step in range(8))  # 8 B .. 16 MiB


@dataclass(frozen=True, slots=True)
class Model:
    """A system: what a message costs, ns, and how many bytes a ns it moves.

    Attributes:
        spin, block: ns of a round trip of an empty message; 0: it has no such wait.
        bytes_per_ns: of one direction.
        own: ns of a round trip in its own way of waiting; 0: it can be told how to wait.
        most: bytes of its largest message.
    """

    name: str
    spin: float
    block: float
    bytes_per_ns: float
    own: float = 0.0
    most: int = 1 << 30

    def waits(self) -> Iterator[tuple[str, float]]:
        """Yield how it waits and what a round trip costs then."""
        if self.own:
            yield "", self.own
        if self.spin:
            yield "spin", self.spin
        if self.name.startswith("eastwest"):
            yield "adaptive", (self.spin * 2 + self.block) / 3
        if self.block:
            yield "block", self.block


IN_C = (
    Model("eastwest-shm", 170, 7600, 24.0),
    Model("eastwest-tcp", 10800, 16500, 3.1),
    Model("unix-stream", 3600, 8200, 4.0),
    Model("unix-seqpacket", 3500, 8100, 3.5, most=128 << 10),
    Model("pipe", 0, 7400, 3.2),
    Model("tcp", 9600, 15500, 3.6),
    Model("posix-mq", 0, 7900, 1.2, most=64 << 10),
)
IN_PYTHON = (
    Model("eastwest-shm", 290, 9400, 21.0),
    Model("eastwest-tcp", 12900, 19500, 2.8),
    Model("unix-stream", 5200, 11200, 3.6),
    Model("unix-seqpacket", 5100, 10900, 3.1, most=128 << 10),
    Model("pipe", 0, 11800, 2.9),
    Model("tcp", 11600, 18400, 3.2),
    Model("posix-mq", 0, 11100, 1.1, most=64 << 10),
    Model("mp-pipe", 0, 17500, 2.2),
    Model("mp-queue", 0, 46000, 0.9),
    Model("zmq-ipc", 0, 61000, 2.6),
    Model("zmq-tcp", 0, 70500, 1.9),
    Model("nng-ipc", 0, 55200, 1.4),
    Model("iceoryx2", 9100, 15100, 27.0),
    Model("zenoh", 0, 0, 1.1, own=118000),
    Model("ecal", 0, 0, 3.3, own=141000),
    Model("grpc-uds", 0, 0, 0.35, own=388000),
)
IN_ASYNCIO = (
    Model("eastwest-shm-aio", 520, 27000, 20.0),
    Model("eastwest-tcp-aio", 15000, 52000, 2.0),
    Model("unix-stream-aio", 0, 41000, 2.0),
    Model("zmq-ipc-aio", 0, 132000, 2.2),
    Model("grpc-uds-aio", 0, 0, 0.3, own=450000),
)
REMOTE = (
    Model("eastwest-tcp veth", 12100, 21500, 2.2),
    Model("eastwest-tcp bridge", 16100, 25500, 1.9),
    Model("eastwest-dpdk virtio", 2900, 9600, 3.9),
    Model("eastwest-dpdk virtio-tso", 3000, 0, 12.0),
    Model("eastwest-dpdk memif", 2500, 0, 2.4),
    Model("eastwest-dpdk af_packet", 29000, 41000, 0.6),
    Model("tcp veth", 10600, 19400, 3.9),
    Model("tcp bridge", 14800, 24800, 2.9),
    Model("tcp loopback", 9800, 17800, 4.3),
    Model("zmq-tcp veth", 0, 71000, 1.7),
    Model("grpc-tcp veth", 0, 402000, 0.3),
    Model("zenoh veth", 0, 131000, 0.9),
)
HISTOGRAM = (  # made by hdrhistogram of 1, 2 ... 99 us, and 100 times 100 us
    "HISTFAAAAFh4nJNpmSzMwMBwiwECmKE0IxDz/nCPYLD/ABE4z890lp9pKgfTU3amhSxMH5mhaDkT03dGLGglI1M1"
    "UyUenM1kDYS2YJI8WpdJmkkWCBEkGfwTjABLkShV"
)


def results(*, is_quick: bool = False, seed: int = 7) -> Results:
    """Return a run with everything in it."""
    chance = random.Random(seed)
    rounds = 2 if is_quick else 10
    made = Results(
        environment={
            "cpu": "Example Processor 9000 @ 2.60GHz",
            "cpus": "2",
            "kernel": "6.1.0-25-amd64",
            "governor": "not visible",
            "huge pages": "64 free of 64",
            "python": "3.11.2",
            "compiler": "cc (Debian 12.2.0-14) 12.2.0",
            "flags": "-O2 -g -std=c11",
            "commit": "0123abc",
            "version of eastwest-shm": "0.0.1 adaptive, path shm",
            "version of zmq-ipc": "27.1.0, libzmq 4.3.5",
        },
        started="2026-01-02T03:04:05+00:00",
        is_quick=is_quick,
        seconds=874.5,
        rounds=dict.fromkeys(("local", "async", "many", "remote", "ovs", "sweep"), rounds),
        dropped={"local": 3, "remote": 1},
        missing=[
            Missing("ecal, C", "no headers", "apt-get install libecal-dev"),
            Missing("OVS, kernel datapath", "this kernel has no module openvswitch"),
        ],
    )
    made.series += limits(chance, rounds)
    for language, models in (("c", IN_C), ("python", IN_PYTHON)):
        made.series += sized("local", language, models, SIZES, chance, rounds)
        made.series += paced(language, models, chance, rounds)
        made.series += many(language, models, chance, rounds)
    made.series += sized("async", "python", IN_ASYNCIO, SIZES, chance, rounds)
    made.series += calls(chance, rounds)
    for language in ("c", "python"):
        made.series += sized("remote", language, REMOTE, (64, 256 << 10), chance, rounds)
    made.series += switched(chance, rounds)
    made.series += sweep(chance, rounds)
    made.series += scale(chance, rounds)
    return made


def around(value: float, chance: random.Random, rounds: int) -> list[float]:
    """Return values of rounds."""
    return [value * chance.lognormvariate(0, 0.05) for _ in range(rounds)]


def with_samples(series: Series, typical: float, chance: random.Random) -> Series:
    """Add what a series of times has: percentiles and a histogram."""
    series.p50 = typical
    series.p99 = typical * chance.uniform(1.3, 2.2)
    series.p999 = series.p99 * chance.uniform(1.5, 6)
    series.max = series.p999 + chance.uniform(20_000, 2_000_000)
    series.samples = 200_000
    series.histogram = histogram(typical, series.max, chance.randrange(1 << 30))
    series.switches = 0.0 if series.wait == "spin" else 2.0
    return series


@cache
def histogram(typical: float, longest: float, seed: int) -> str:
    """Return an encoded histogram."""
    chance = random.Random(seed)
    made = HdrHistogram(1, 60_000_000_000, 3)
    for _ in range(300):
        made.record_value(int(typical * chance.lognormvariate(0, 0.12)), 660)
    for step in range(30):
        made.record_value(int(typical * (1 + step / 12)), 66)
        made.record_value(int(typical * 2 + (longest - typical * 2) * (step / 29) ** 3), 2)
    return str(made.encode(), "ascii")


def limits(chance: random.Random, rounds: int) -> Iterator[Series]:
    """Yield what the machine can do."""
    for name, trip in (("line", 82.0), ("lines", 139.0)):
        yield Series("limits", name, "c", "spin", "trip", 64, values=around(trip, chance, rounds))
    for name, bytes_per_ns in (("memcpy", 52.0), ("memcpy2", 27.0)):
        for size in SIZES:
            speed = bytes_per_ns / (1 + (size > 4 << 20))
            rate = 1e9 / (8 + size / speed)
            yield Series(
                "limits",
                name,
                "c",
                "",
                "flow",
                size,
                unit="1/s",
                values=around(rate, chance, rounds),
            )


def sized(
    section: str,
    language: str,
    models: tuple[Model, ...],
    sizes: tuple[int, ...],
    chance: random.Random,
    rounds: int,
) -> Iterator[Series]:
    """Yield round trips and one way over the sizes."""
    for model in models:
        for wait, empty in model.waits():
            for size in sizes:
                if size > model.most:
                    continue
                trip = empty + 2 * size / model.bytes_per_ns
                values = around(trip, chance, rounds)
                one = Series(section, model.name, language, wait, "trip", size, values=values)
                one.cpu_ns = trip * (1.98 if wait == "spin" else chance.uniform(0.9, 1.4))
                yield with_samples(one, trip, chance)
                each = empty / (12 if "shm" in model.name else 5) + size / model.bytes_per_ns
                values = around(1e9 / each, chance, rounds)
                two = Series(section, model.name, language, wait, "flow", size, unit="1/s")
                two.values, two.cpu_ns = values, each * 1.9
                yield two


def paced(
    language: str, models: tuple[Model, ...], chance: random.Random, rounds: int
) -> Iterator[Series]:
    """Yield round trips at a rate."""
    for model in models:
        for wait, empty in model.waits():
            one = Series("local", model.name, language, wait, "paced", 64, at={"rate": 1000.0})
            one.values, one.cpu_ns = around(empty * 1.4, chance, rounds), empty * 1.5
            yield with_samples(one, empty * 1.4, chance)


def many(
    language: str, models: tuple[Model, ...], chance: random.Random, rounds: int
) -> Iterator[Series]:
    """Yield messages on a hundred links."""
    for model in models:
        for wait, empty in model.waits():
            one = Series("many", model.name, language, wait, "fan", 64, links=100)
            one.values = around(empty / 4, chance, rounds)
            one.cpu_ns, one.switches = empty / 2, 0.1
            yield one


def calls(chance: random.Random, rounds: int) -> Iterator[Series]:
    """Yield sends and receives in one process, and a call that only we have."""
    for name, typical in (("eastwest-shm", 140.0), ("pipe", 1100.0), ("zmq-inproc", 900.0)):
        for size in (8, 64, 4096, 32 << 10):
            values = around(typical + size / 15, chance, rounds)
            yield Series("calls", name, "python", "", "call", size, values=values)
    values = around(95.0, chance, rounds)
    yield Series("calls", "eastwest-shm", "python", "", "try_recv of nothing", 0, values=values)


def switched(chance: random.Random, rounds: int) -> Iterator[Series]:
    """Yield what goes through a switch, and what does not."""
    polled, thread = "; the switch's core counted as 100 %", "both ends in one thread"
    rows = (
        ("eastwest-dpdk ovs", "spin", 9500.0, thread + polled),
        ("frames ovs", "spin", 7100.0, thread + polled),
        ("eastwest-dpdk virtio", "spin", 1400.0, thread),
        ("frames virtio", "spin", 280.0, thread),
        ("tcp bridge", "spin", 14500.0, ""),
        ("tcp bridge", "block", 27000.0, ""),
        ("tcp ovs-veth", "block", 230000.0, "nobody's tuned deployment"),
        ("eastwest-shm", "spin", 170.0, ""),
        ("eastwest-shm", "block", 7700.0, ""),
    )
    for name, wait, trip, note in rows:
        one = Series("ovs", name, "c", wait, "trip", 64, cpu_ns=trip * 2, note=note)
        one.values = around(trip, chance, rounds)
        yield with_samples(one, trip, chance)
        for size in (64, 1400):
            two = Series("ovs", name, "c", wait, "flow", size, unit="1/s", note=note)
            two.values = around(5e9 / (trip + size / 4), chance, rounds)
            two.cpu_ns = trip / 3
            yield two


def sweep(chance: random.Random, rounds: int) -> Iterator[Series]:
    """Yield NetPIPE's sizes: powers of two, and three bytes below and above."""
    paths = (
        Model("eastwest-shm", 170, 0, 24.0),
        Model("eastwest-tcp loopback", 10800, 0, 3.1),
        Model("eastwest-dpdk memif", 2500, 0, 2.4),
        Model("unix-stream", 3600, 0, 4.0),
        Model("tcp loopback", 9600, 0, 3.6),
        Model("zmq-ipc", 0, 61000, 2.6),
    )
    for model in paths:
        language = "python" if model.name == "zmq-ipc" else "c"
        (wait, empty), *_ = model.waits()
        for power in range(25):
            for off in (-3, 0, 3):
                if (size := (1 << power) + off) > 0:
                    trip = empty + 2 * size / model.bytes_per_ns + (80 if off else 0)
                    values = around(trip, chance, rounds)
                    yield Series("sweep", model.name, language, wait, "trip", size, values=values)


def scale(chance: random.Random, rounds: int) -> Iterator[Series]:
    """Yield the curves."""

    def point(
        system: str, work: str, at: tuple[str, float], value: float, unit: str, size: int = 0
    ) -> Series:
        values = around(value, chance, rounds)
        return Series("scale", system, "c", "", work, size, at=dict([at]), unit=unit, values=values)

    for channels in (1, 10, 100, 1000, 10000):
        for name, each in (("eastwest-shm", 150.0), ("unix-stream", 1600.0)):
            made = point(
                name, "fan", ("channels", channels), each * (1 + channels / 8000), "ns", 64
            )
            made.links = channels
            yield made
        yield point("eastwest-shm", "memory, idle", ("channels", channels), 9100, "B")
        yield point("eastwest-shm", "descriptors, idle", ("channels", channels), 1, "")
    for connections in (1 << 10, 1 << 14, 1 << 18, 1 << 20):
        at = ("connections", connections)
        yield point("eastwest-net", "memory, idle", at, 525, "B")
        yield point("tcp", "memory, idle", at, 9500, "B")
    for loss in (0.0, 0.1, 1.0, 3.0, 10.0):
        for name, bend in (("eastwest-net", 1.0), ("tcp", 1.9)):
            yield point(name, "goodput", ("loss_percent", loss), 190 / (1 + bend * loss), "Mbit/s")
    for flight in (1, 4, 16, 64, 256, 1024):
        for name, trip in (("eastwest-shm", 170.0), ("unix-stream", 3600.0)):
            speed = flight * 1e9 / (trip + flight * trip / 3)
            yield point(name, "window", ("in_flight", flight), speed, "1/s", 64)
    for room in (16 << 10, 256 << 10, 4 << 20):
        for size in (64, 64 << 10):
            speed = 2e10 / (size + 300) / (1 + (64 << 10) / room)
            yield point("eastwest-shm", "flow", ("outbox_bytes", room), speed, "1/s", size)
