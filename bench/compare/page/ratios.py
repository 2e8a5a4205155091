"""Ratios: Eastwest / another system that did the same work.

The same work is the same section, language, work, size, links and place on a curve. Both wait in
the same way, spinning or not; one that leaves no choice stands beside our ``adaptive``. A path of
ours that nobody takes on one host, where there is shared memory, stands beside what uses TCP.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.compare.page import naming
from bench.compare.results import Results, Series

Case = tuple[str, str, str, int, int, tuple[tuple[str, float], ...]]
ON_ONE_HOST = ("local", "async", "calls", "many", "sweep", "scale")
WAITS = ("adaptive", "", "block", "spin")  # ours beside a system that leaves no choice
OVER_NETWORK = ("tcp", "zenoh")


@dataclass(frozen=True, slots=True)
class Ratio:
    """How two systems compare.

    Attributes:
        value: ours / theirs, the median of the rounds.
        low, high: the least and the largest of the rounds; *value* where rounds are not shared.
        rounds: how many ratios; 0: the rounds are not the same ones, this is a ratio of medians.
    """

    ours: Series
    other: Series
    value: float
    low: float
    high: float
    rounds: int

    @property
    def is_less_better(self) -> bool:
        """A time, not a rate."""
        return is_less_better(self.ours)

    @property
    def factor(self) -> float:
        """How many times as fast ours is: above 1 it is faster."""
        return 1 / self.value if self.is_less_better else self.value

    @property
    def verdict(self) -> str:
        """ "faster", "slower", or "even" where some rounds say this and some that."""
        if self.low <= 1 <= self.high:
            return "even"
        return "faster" if self.factor > 1 else "slower"


def is_less_better(series: Series) -> bool:
    """A time or a cost: everything that is not so much a second."""
    return not series.unit.endswith("/s")


def value_of(series: Series) -> float | None:
    """Return the number of a series: the median of its rounds, else of its samples."""
    found = median(series.values) if series.values else series.p50
    return found if found is not None and math.isfinite(found) else None


def case_of(series: Series) -> Case:
    """Return what has to be the same for two systems to be compared."""
    varied = tuple(sorted(naming.numbers(series).items()))
    return (
        series.section,
        series.language,
        series.work,
        series.bytes,
        series.links,
        varied,
    )


def ratio(ours: Series, other: Series) -> Ratio | None:
    """Return the ratio of two series; None where there is none to form."""
    if ours.unit != other.unit:
        return None
    is_shared = ours.section == other.section and len(ours.values) == len(other.values) > 0
    if is_shared and min(*ours.values, *other.values) > 0:
        each = [one / two for one, two in zip(ours.values, other.values, strict=True)]
        return Ratio(ours, other, median(each), min(each), max(each), len(each))
    one, two = value_of(ours), value_of(other)
    if one is None or two is None or one <= 0 or two <= 0:
        return None
    return Ratio(ours, other, one / two, one / two, one / two, 0)


def ordered(results: Results) -> Results:
    """Return the same results, the series in an order for readers; rounds leave them in any."""

    def place(each: Series) -> tuple[object, ...]:
        numbers = sorted(naming.numbers(each).items())
        name = (not naming.is_ours(each), each.language, each.system, each.wait)
        return (each.section, *name, each.work, each.links, each.bytes, numbers)

    return replace(results, series=sorted(results.series, key=place))


def ratios(results: Results) -> list[Ratio]:
    """Return every ratio, in the order of the series."""
    cases: defaultdict[Case, list[Series]] = defaultdict(list)
    for each in results.series:
        cases[case_of(each)].append(each)
    found = []
    for members in cases.values():
        for ours, other in pairs(members):
            if (made := ratio(ours, other)) is not None:
                found.append(made)
    return found


def pairs(members: Sequence[Series]) -> Iterator[tuple[Series, Series]]:
    """Yield who of a case is compared with whom."""
    ours = [each for each in members if naming.is_ours(each)]
    for name in dict.fromkeys((each.system, naming.place(each)) for each in ours):
        kinds = [each for each in ours if (each.system, naming.place(each)) == name]
        for other in rivals(kinds[0], members):
            alike = [each for each in kinds if naming.way(each) == naming.way(other)]
            if not alike:  # who spins is no match for who sleeps
                continue
            chosen = partner(alike, other)
            yield chosen, other
            for each in alike:  # the default stands beside all that do not spin
                if each.wait == "adaptive" and each is not chosen:
                    yield each, other


def rivals(ours: Series, members: Sequence[Series]) -> list[Series]:
    """Return the others that one of ours stands beside: on the same way, if somebody is there."""
    others = [each for each in members if not naming.is_ours(each) and _is_rival(ours, each)]
    near = [each for each in others if naming.place(each) == naming.place(ours)]
    return near or others


def partner(kinds: Sequence[Series], other: Series) -> Series:
    """Return which of ours waits as the other one does."""
    same = {"": "adaptive", "epoll": "block"}.get(other.wait, other.wait)
    order = (other.wait, same, "adaptive", "", "block", "spin") if other.wait else WAITS
    return min(kinds, key=lambda each: order.index(each.wait) if each.wait in order else len(order))


def _is_rival(ours: Series, other: Series) -> bool:
    if naming.is_limit(other):
        return False
    if ours.section not in ON_ONE_HOST or naming.path_of(ours) in ("", "shm"):
        return True
    return any(word in other.system for word in OVER_NETWORK)


def limits(results: Results) -> list[Ratio]:
    """Return ours on this host beside what the machine can do: ratios of medians."""
    found = []
    for limit in results.series:
        if limit.section != "limits" or naming.is_ours(limit):
            continue
        for ours in results.series:
            is_same = (ours.section, ours.work, ours.bytes) == ("local", limit.work, limit.bytes)
            is_spinning = ours.wait in ("spin", "")
            if not (is_same and is_spinning and naming.is_ours(ours)):
                continue
            if naming.path_of(ours) in ("", "shm") and (made := ratio(ours, limit)) is not None:
                found.append(made)
    return found
