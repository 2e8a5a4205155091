"""Rounds: every case of a section once in each, interleaved, on an idle machine.

Whatever the machine does meanwhile hits all systems of a round, so ratios are formed round by
round. Before a round the machine must be idle; a round in which others took more than FOREIGN_SHARE
of the processors, or the host of a virtual machine did, is dropped, counted and repeated.
"""

import random
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from hdrh.histogram import HdrHistogram

from .machine import Load, wait_for_idle
from .pairs import Done, MissingPair, Pair, PairError
from .results import Missing, Series, packed
from .specs import PairSpec

FOREIGN_SHARE = 0.05
REPEATS_MAX = 1.0  # of the rounds wanted may be repeated
NS_MAX = 10**11
DIGITS = 3
KERNEL_SHARE = 0.05  # more than that beyond the processes is work of the kernel's threads
Progress = Callable[[str], None]
Start = Callable[[PairSpec], Pair]


@dataclass(frozen=True, slots=True)
class Case:
    """One work of one pair.

    Attributes:
        more: further numbers of the work, as the rate of "paced".
        at: for a curve, see ``Series``.
    """

    spec: PairSpec
    work: str
    bytes: int
    seconds: float
    more: tuple[float, ...] = ()
    at: Mapping[str, float | str] = field(default_factory=dict, hash=False)


@dataclass(slots=True)
class Found:
    """What the kept rounds of one case came to."""

    values: list[float] = field(default_factory=list)
    histogram: HdrHistogram = field(default_factory=lambda: HdrHistogram(1, NS_MAX, DIGITS))
    samples: int = 0
    raw: list[str] = field(default_factory=list)
    raw_step: list[int] = field(default_factory=list)
    count: int = 0
    cpu_ns: float = 0
    switches: int = 0
    busy_ns: int = 0  # the machine, from when a case was told until it was done
    own_ns: int = 0  # ... and its processes

    @property
    def kernel_share(self) -> float:
        """What the machine did beyond the processes; of all rounds, as its clock ticks slowly."""
        more = self.busy_ns - self.own_ns
        return more / self.own_ns if more > KERNEL_SHARE * self.own_ns > 0 else 0.0

    def add(self, work: str, done: Done, busy_ns: int, own_ns: int) -> None:
        """Take one round."""
        self.values.append(value_of(work, done))
        self.count += done.count
        self.cpu_ns += done.cpu_ns
        self.busy_ns += busy_ns
        self.own_ns += own_ns
        self.switches += done.switches
        if done.samples:
            record(self.histogram, done.samples)
            self.samples += len(done.samples)
            text, step = packed(done.samples)
            self.raw.append(text)
            self.raw_step.append(step)


@dataclass(slots=True)
class Section:
    """What a section came to.

    Attributes:
        rounds: kept.
        dropped: because of foreign load, or as the machine did not become idle.
        disturbed: kept all the same, as too many were dropped.
        versions: of the systems.
    """

    series: list[Series] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    rounds: int = 0
    dropped: int = 0
    disturbed: int = 0


def value_of(work: str, done: Done) -> float:
    """Return the number of a round: messages a second one way, else ns for a message."""
    if work == "flow":
        return done.count * 1e9 / max(1, done.ns)
    return float(median(done.samples)) if done.samples else done.ns / max(1, done.count)


def record(histogram: HdrHistogram, samples: "array[int]") -> None:
    """Add samples, ns."""
    values, counts = np.unique(np.frombuffer(samples, np.uint32), return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(max(1, value), count)


def measure(
    cases: Sequence[Case],
    rounds: int,
    progress: Progress,
    seed: int = 1,
    start: Start | None = None,
) -> Section:
    """Run all cases in so many rounds, in another order each time.

    A pair that ends is missing from then on; the others go on.

    Args:
        start: starts what does the works of a specification; default: a pair.
    """
    section = Section()
    found: dict[Case, Found] = {}
    with ExitStack() as stack:
        pairs = opened({each.spec: None for each in cases}, section, stack, start or Pair)
        left = int(rounds * (1 + REPEATS_MAX))
        rng = random.Random(seed)
        while section.rounds < rounds and left > 0:
            left -= 1
            progress(f"round {section.rounds + 1} of {rounds}, {section.dropped} dropped")
            order = [each for each in cases if each.spec in pairs]
            rng.shuffle(order)
            is_last = left < rounds - section.rounds  # a busy machine: better than nothing
            if one_round(order, pairs, found, section, is_kept_anyway=is_last):
                section.rounds += 1
            else:
                section.dropped += 1
        section.missing += [
            Missing(pair.name, f"{work}, {size} B{''.join(f', {each:g}' for each in more)}: {why}")
            for pair in pairs.values()
            for (work, size, *more), why in pair.cannot.items()
        ]
    if section.disturbed:
        of = f"{section.disturbed} of {section.rounds} rounds"
        why = f"{of} were kept although others used the machine, as it did not become idle"
        section.missing.append(Missing(f"{cases[0].spec.section}, quiet rounds", why, "repeat it"))
    section.series = [series_of(case, each) for case, each in found.items()]
    return section


def opened(
    specs: Iterable[PairSpec], section: Section, stack: ExitStack, start: Start
) -> dict[PairSpec, Pair]:
    """Start the pairs; what is missing is noted."""
    pairs = {}
    for spec in specs:
        try:
            pair = stack.enter_context(start(spec))
        except MissingPair as error:
            section.missing.append(error.missing)
        except PairError as error:
            section.missing.append(Missing(spec.label, str(error)))
        else:
            pairs[spec] = pair
            section.versions[spec.label] = pair.version
    return pairs


def one_round(
    cases: Sequence[Case],
    pairs: dict[PairSpec, Pair],
    found: dict[Case, Found],
    section: Section,
    *,
    is_kept_anyway: bool,
) -> bool:
    """Do every case once; keep what came of it if the machine did nothing else."""
    was_idle = wait_for_idle()
    everyone = list(pairs.values())
    before, ours = Load.now(), cpu_of(everyone)
    done: dict[Case, tuple[Done, int, int]] = {}
    for case in cases:
        pair = pairs.get(case.spec)
        if pair is None:
            continue
        try:
            result = timed(pair, case)
        except PairError as error:
            section.missing.append(Missing(pair.name, f"while it was measured: {error}"))
            pair.close()  # at once: one that hangs may spin
            del pairs[case.spec]
            continue
        if result is not None:
            done[case] = result
    load = Load.now().since(before)
    foreign = load.busy + load.stolen - (cpu_of(everyone) - ours)
    is_quiet = was_idle and foreign <= FOREIGN_SHARE * load.total
    if is_quiet or is_kept_anyway:
        for case, (each, busy, own) in done.items():
            found.setdefault(case, Found()).add(case.work, each, busy, own)
        section.disturbed += not is_quiet
    return is_quiet or is_kept_anyway


def timed(pair: Pair, case: Case) -> tuple[Done, int, int] | None:
    """Do one case; with it, how long the machine was busy, and its processes, ns."""
    before, ours = Load.now(), pair.cpu_ns()
    done = pair.do(case.work, case.bytes, case.seconds, *case.more)
    if done is None:
        return None
    return done, Load.now().since(before).busy, pair.cpu_ns() - ours


def cpu_of(pairs: Sequence[Pair]) -> int:
    """Return the CPU time of so many pairs, and ours, ns."""
    return sum(each.cpu_ns() for each in pairs) + time.process_time_ns()


def series_of(case: Case, found: Found) -> Series:
    """Return the case as the results have it."""
    spec, histogram = case.spec, found.histogram
    is_busy = found.count > 0 and case.work != "paced"  # whose client looks at the clock between
    made = Series(
        section=spec.section,
        system=spec.label,
        language=spec.language,
        wait=spec.wait,
        work=case.work,
        bytes=case.bytes,
        links=spec.links,
        at=dict(case.at),
        unit="1/s" if case.work == "flow" else "ns",
        values=found.values,
        cpu_ns=found.cpu_ns * (1 + found.kernel_share) / found.count if is_busy else None,
        switches=found.switches / found.count if is_busy else None,
        note=spec.note,
    )
    if found.samples:
        made.samples = found.samples
        made.p50, made.p99, made.p999 = (
            float(histogram.get_value_at_percentile(each)) for each in (50, 99, 99.9)
        )
        made.max = float(histogram.get_max_value())
        made.histogram = histogram.encode().decode()
        made.raw, made.raw_step = found.raw, found.raw_step
    return made
