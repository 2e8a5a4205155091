"""Section "sweep": round trips over message sizes as NetPIPE takes them, on every path.

Each size stands beside its neighbours three bytes away: what depends on alignment, or on a full
buffer or segment, shows as a step there. The throughput of a size is what NetPIPE calls so: its
bits in half a round trip, one message under way. Sizes and paths come in another order in each
round.

    python -m bench.compare.sweep [--quick]     a table: microseconds, and Gbit/s
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from statistics import median

from . import alone, plan
from .harness import Case, Progress, Section, measure
from .networks import Unavailable
from .pairs import Pair
from .remote import PATHS
from .results import Missing, Series
from .specs import Language, PairSpec, Wait
from .still import StillPair

SECTION = "sweep"
AROUND_BYTES = 3
MOST_BYTES = 16 << 20
FACTOR, FACTOR_QUICK = 2, 16
ROUNDS = 3
SECONDS, SECONDS_QUICK = 0.012, 0.006  # of a size; large ones take as long as a few round trips do
LOCAL: tuple[tuple[str, Language, Wait, str], ...] = (
    ("eastwest-shm", "c", "spin", ""),
    ("eastwest-tcp", "c", "spin", "loopback"),
    ("unix-stream", "c", "spin", ""),
    ("tcp", "c", "spin", "loopback"),
    ("zmq-ipc", "python", "block", ""),
)
DEVICES = ("virtio", "virtio-tso", "memif")
POLLED = ("memif",)  # nothing wakes its sleepers: who is not measured is stopped


def sizes(most: int, factor: int, around: int) -> list[int]:
    """Return 1, *factor*, its square, ... up to *most*, each with the sizes *around* bytes away."""
    bases = [1]
    while bases[-1] * factor <= most:
        bases.append(bases[-1] * factor)
    near = (base + each for base in bases for each in (-around, 0, around))
    return sorted({each for each in near if each > 0})


def bits_per_s(size: int, trip_ns: float) -> float:
    """Return the throughput of a message that goes one way in half of a round trip."""
    return size * 8 / (trip_ns / 2) * 1e9


def cases(specs: Sequence[PairSpec], *, is_quick: bool) -> list[Case]:
    """Return every size on every path."""
    factor, seconds = (FACTOR_QUICK, SECONDS_QUICK) if is_quick else (FACTOR, SECONDS)
    every = sizes(MOST_BYTES, factor, AROUND_BYTES)
    return [Case(spec, "trip", size, seconds) for spec in specs for size in every]


def start(spec: PairSpec) -> Pair:
    """Start a pair that leaves the processors to the others between its works."""
    return StillPair(spec) if spec.path in POLLED else Pair(spec)


def run(budget: plan.Budget, is_quick: bool, progress: Progress) -> Section:
    """Measure all paths that are there."""
    missing: list[Missing] = []
    with ExitStack() as stack:
        specs = [
            PairSpec(SECTION, system, language, wait, path=path)
            for system, language, wait, path in LOCAL
        ]
        for path in DEVICES:
            try:
                options = stack.enter_context(PATHS[path]())
            except Unavailable as error:
                missing.append(replace(error.missing, what=f"eastwest-dpdk {path}"))
            else:
                specs.append(
                    PairSpec(SECTION, "eastwest-dpdk", "c", "spin", options=options, path=path)
                )
        rounds = 1 if is_quick else min(ROUNDS, budget.rounds)
        section = measure(cases(specs, is_quick=is_quick), rounds, progress, start=start)
    section.missing += missing
    for each in section.series:  # too many for their samples, too short for a clock that ticks
        each.histogram, each.raw, each.raw_step, each.cpu_ns = "", [], [], None
    return section


def table(series: Sequence[Series]) -> str:
    """Return a line for each size: round trip and throughput of each path."""
    systems = sorted({each.system for each in series})
    found = {(each.system, each.bytes): median(each.values) for each in series}
    lines = ["     bytes" + "".join(f"{each:>24}" for each in systems)]
    for size in sorted({each.bytes for each in series}):
        cells = [
            f"{trip / 1e3:12.2f} us {bits_per_s(size, trip) / 1e9:7.3f}G"
            if (trip := found.get((each, size)))
            else f"{'':>24}"
            for each in systems
        ]
        lines.append(f"{size:10}" + "".join(cells))
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table."""
    section = alone.measured(SECTION, __doc__, run, "few sizes, one round")
    print(table(section.series))
    for each in section.missing:
        print(f"missing: {each.what}: {each.why}. {each.fix}")


if __name__ == "__main__":
    main()
