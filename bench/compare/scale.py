"""Section "scale": what grows with what, a curve each; ``Series.at`` names it.

channels       from one process to another over shared memory: a message on each and its answer,
               beside sockets; and what an idle one costs
in_flight      round trips of which so many are under way
outbox_bytes   one way through outboxes of so many bytes
connections    of our TCP/IP, both ends in one thread without a device: memory of an idle one, and
               a round trip on one or on any of them; memory of the kernel's beside it
loss_percent   goodput of our TCP and of the kernel's over 10 ms and 200 Mbit/s that lose packets

    python -m bench.compare.scale [--quick]     the numbers, a line each
"""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from statistics import median

from bench import aims

from . import alone, plan
from .harness import Case, Progress, Section, measure
from .pairs import ROOT
from .programs import ROUND, Program, measure_programs
from .results import Series
from .specs import Language, PairSpec, Wait

SECTION = "scale"
SMALL, LARGE = 64, 64 << 10
ROUNDS = 3
FILES = 16_000  # ten thousand channels or sockets in a process, and all else
SMALL_CHANNELS = {  # memory for ten thousand, as the test of as many has it
    "outbox_bytes": "16384",
    "pages": "small",
    "memory_bytes_max": str(8 << 30),
    "peer_bytes_max": str(8 << 30),
}
OF_CHANNELS: tuple[tuple[str, Language, Wait], ...] = (
    ("eastwest-shm", "python", "adaptive"),
    ("unix-stream", "python", "block"),
)
OF_WINDOWS: tuple[tuple[str, Language, Wait], ...] = (
    ("eastwest-shm", "c", "adaptive"),
    ("unix-stream", "c", "block"),
    *OF_CHANNELS,
    ("zmq-ipc", "python", "block"),
)
NET_WIRE = str(ROOT / "build" / "dev" / "bench" / "bench_net_wire")
NET, KERNEL = "eastwest-net", "tcp"
ROUND_TRIP_MS = 10


@dataclass(frozen=True, slots=True)
class Extent:
    """How far each curve goes, and how long a point takes."""

    rounds: int
    seconds: float
    channels: tuple[int, ...]
    idle: tuple[int, ...]
    in_flight: tuple[int, ...]
    outboxes: tuple[int, ...]
    connections: tuple[int, ...]
    of_kernel: tuple[int, ...]
    loss_percent: tuple[float, ...]
    loss_seconds: float


FULL = Extent(
    rounds=ROUNDS,
    seconds=0.1,
    channels=(1, 10, 100, 1000, 10_000),
    idle=(100, 1000, 10_000),
    in_flight=tuple(4**each for each in range(6)),
    outboxes=tuple(4**each << 10 for each in range(2, 7)),
    connections=(1 << 10, 10 << 10, 100 << 10, 1 << 20),
    of_kernel=(1 << 10, 10 << 10, 100 << 10),
    loss_percent=(0.0, 0.1, 1.0, 3.0, 10.0),
    loss_seconds=1.0,
)
QUICK = Extent(
    rounds=1,
    seconds=0.03,
    channels=(1, 10, 100),
    idle=(100,),
    in_flight=(1, 16, 256),
    outboxes=(16 << 10, 256 << 10),
    connections=(1 << 10, 100 << 10),
    of_kernel=(10 << 10,),
    loss_percent=(0.0, 1.0),
    loss_seconds=0.7,
)

# ------------------------------------------------------------------ pairs


def cases(extent: Extent) -> list[Case]:
    """Return the points of the curves that pairs measure."""
    return [*_channels(extent), *_windows(extent), *_outboxes(extent)]


def _channels(extent: Extent) -> Iterator[Case]:
    for count in extent.channels:
        for system, language, wait in OF_CHANNELS:
            options = SMALL_CHANNELS if system.startswith("eastwest") else {}
            spec = PairSpec(SECTION, system, language, wait, count, options)
            yield Case(spec, "fan", SMALL, extent.seconds, at={"channels": count})


def _windows(extent: Extent) -> Iterator[Case]:
    for system, language, wait in OF_WINDOWS:
        spec = PairSpec(SECTION, system, language, wait, note="the client takes and sends by turns")
        for count in extent.in_flight:
            more, at = (float(count),), {"in_flight": count}
            yield Case(spec, "window", SMALL, extent.seconds, more, at)


def _outboxes(extent: Extent) -> Iterator[Case]:
    for room in extent.outboxes:
        options = {"outbox_bytes": str(room), "pages": "small"}  # a huge page is 2 MiB at least
        spec = PairSpec(SECTION, "eastwest-shm", "c", "adaptive", options=options)
        for size in (SMALL, LARGE):
            yield Case(spec, "flow", size, extent.seconds, at={"outbox_bytes": room})


def as_rate(series: Series) -> None:
    """Turn ns for a message into messages a second: what a window is for."""
    series.values = [1e9 / each for each in series.values]
    series.unit = "1/s"


@contextmanager
def more_files(wanted: int) -> Iterator[None]:
    """Let processes that are started meanwhile open so many files, if that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    try:
        yield
    finally:
        now_hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, now_hard))


# ------------------------------------------------------------------ programs


def programs(extent: Extent) -> list[Program]:
    """Return what measures the other curves."""
    return [
        *(_idle(each) for each in extent.idle),
        *(_connections(each) for each in extent.connections),
        *(_of_kernel(each) for each in extent.of_kernel),
        _losses(extent),
    ]


def _point(
    system: str, language: str, work: str, unit: str, at: tuple[str, float], size: int, note: str
) -> Series:
    return Series(SECTION, system, language, "", work, size, at=dict([at]), unit=unit, note=note)


def _idle(count: int) -> Program:
    def point(work: str, unit: str, note: str = "") -> Series:
        return _point("eastwest-shm", "python", work, unit, ("channels", count), 0, note)

    share = "of the end that connected; what both processes map counts half; outboxes of 16 KiB"
    return Program(
        f"{count:,} idle channels",
        (sys.executable, "-m", "bench.python.scale", "--idle", str(count)),
        {
            "pss/used": point("memory, idle", "B", share),
            "descriptors": point("descriptors, idle", ""),
            "connects": point("connect", "1/s", "one after the other"),
        },
        rounds_max=1 if count >= 10_000 else ROUNDS,
    )


def _connections(count: int) -> Program:
    def point(work: str, unit: str, size: int, note: str) -> Series:
        return _point(NET, "c", work, unit, ("connections", count), size, note)

    alone = "CPU time; both ends in one thread, no device and no system call"
    return Program(
        f"{count:,} connections of our TCP/IP",
        (NET_WIRE, "--million", str(count)),
        {
            "resident bytes of one end": point("memory, idle", "B", 0, "resident, of one end"),
            "rtt of one, ns": point("trip, on one", "ns", SMALL, alone),
            "rtt of any, ns": point("trip, on any", "ns", SMALL, alone),
        },
    )


def _of_kernel(count: int) -> Program:
    note = "slab of the kernel, of one end: socket, inode, file; without tables of descriptors"
    return Program(
        f"{count:,} connections of the kernel's TCP",
        (sys.executable, "-m", "bench.python.kernel_connections", str(count)),
        {"slab": _point(KERNEL, "c", "memory, idle", "B", ("connections", count), 0, note)},
        rounds_max=1,
    )


def _losses(extent: Extent) -> Program:
    command = [sys.executable, "-m", "bench.net_goodput", "--rounds", "1", "--seed", ROUND]
    command += ["--rtt", str(ROUND_TRIP_MS), "--seconds", str(extent.loss_seconds)]
    note = f"{ROUND_TRIP_MS} ms, 200 Mbit/s, CUBIC, the first {extent.loss_seconds:g} s"
    series = {}
    for who, system in (("kernel", KERNEL), ("both", NET)):
        command += ["--who", who]
        for loss in extent.loss_percent:
            at = ("loss_percent", loss)
            made = _point(system, "c", "goodput", "Mbit/s", at, 0, note)
            series[f"{who}/{loss:g}%/{ROUND_TRIP_MS}ms"] = made
    command += [word for loss in extent.loss_percent for word in ("--loss", f"{loss:g}")]
    return Program("goodput over loss", tuple(command), series)


# ------------------------------------------------------------------ all


def run(budget: plan.Budget, is_quick: bool, progress: Progress) -> Section:
    """Measure all curves."""
    extent = QUICK if is_quick else FULL
    rounds = min(extent.rounds, budget.rounds)
    with more_files(FILES):
        section = measure(cases(extent), rounds, progress)
    for each in section.series:
        if each.work == "window":
            as_rate(each)
    others = measure_programs(programs(extent), rounds, progress)
    section.series += others.series
    section.missing += others.missing
    return section


def line_of(series: Series) -> tuple[str, ...]:
    """Return a line of the table, in columns."""
    ((name, value),) = series.at.items()
    system = f"{series.system}, {series.language}"
    return (
        f"{series.work:18}",
        f"{system:22}",
        f"{series.bytes or '':>6}",
        f"{name:>14} {value:>12,}",
        f"{aims.number(median(series.values)):>14} {series.unit}",
    )


def main() -> None:
    """Measure and print."""
    section = alone.measured(SECTION, __doc__, run, "few points, one round")
    for line in sorted(map(line_of, section.series)):
        print(*line)
    for missing in section.missing:
        print(f"missing: {missing.what}: {missing.why}. {missing.fix}")


if __name__ == "__main__":
    main()
