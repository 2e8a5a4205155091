"""Who is fastest where, where Eastwest is not, and why: sentences made from the numbers.

Nothing here knows a result. reasons.py says why a system may be ahead in some work; a loss that
nothing there explains is called not explained.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median

from bench.compare.page import figures, naming
from bench.compare.page.ratios import Ratio, case_of, is_less_better, value_of
from bench.compare.page.reasons import Measure, reason
from bench.compare.results import Series, unpacked

TAIL_LEAST = 10_000  # samples: with fewer p99.9 stands on less than ten of them,
P99_LEAST = 1_000  # ... and p99


@dataclass(frozen=True, slots=True)
class Behind:
    """Another system that is ahead of one of ours.

    Attributes:
        cases: where, by size.
        factors: how many times as good it is in each.
        compared: cases of these two and this work.
        is_clear: it is ahead in every round of at least one case, or rounds have no part in it.
    """

    cases: tuple[Ratio, ...]
    factors: tuple[float, ...]
    compared: int
    is_clear: bool

    @property
    def worst(self) -> float:
        """How many times as good at most."""
        return max(self.factors)

    @property
    def name(self) -> str:
        """The other system, and how ours waits where it is ahead."""
        waits = "/".join(sorted({each.ours.wait for each in self.cases if each.ours.wait}))
        return naming.full(self.cases[0].other, with_wait=False) + (f" ({waits})" if waits else "")

    @property
    def places(self) -> str:
        """Where: "1 MiB, 16 MiB (2 of 8)"."""
        named = list(dict.fromkeys(naming.spot(each.ours) for each in self.cases))
        if len(named) > 3:
            named = [f"{named[0]} to {named[-1]}"]
        count = f" ({len(self.cases)} of {self.compared})" if self.compared > 1 else ""
        return ", ".join(named) + count

    @property
    def text(self) -> str:
        """All of it in words."""
        doubt = "" if self.is_clear else ", not in every round"
        return f"{self.name} {figures.times(self.worst)}×, {self.places}{doubt}"


@dataclass(frozen=True, slots=True)
class Loss:
    """Others are ahead of one of ours in one work, for one reason.

    Attributes:
        ours: a series of it.
        measure: in what.
        others: who, the farthest ahead first.
        why: the reason.
    """

    ours: Series
    measure: Measure
    others: tuple[Behind, ...]
    why: str

    @property
    def where(self) -> str:
        """The work in words."""
        section = naming.SECTIONS.get(self.ours.section, self.ours.section)
        words = [section, naming.language(self.ours.language), naming.work(self.ours.work)]
        words += [f"{self.ours.links:,} links"] if self.ours.links > 1 else []
        return ", ".join(words)

    @property
    def sentence(self) -> str:
        """The loss in words."""
        what = {
            "speed": "is slower than",
            "p99.9": "has a longer 99.9th percentile than",
            "p99": "has a longer 99th percentile than",
            "CPU": "takes more CPU for a message than",
        }[self.measure]
        others = "; ".join(each.text for each in self.others)
        ours = naming.full(self.ours, with_wait=False)
        return f"{self.where}: {ours} {what} {others}."


def speed(each: Ratio) -> float | None:
    """Return how many times as fast the other one is."""
    return 1 / each.factor


def tail(each: Ratio) -> float | None:
    """Return how many times as short its 99.9th percentile is, where both have the samples for it.

    None also where it is faster anyway.
    """
    one, two = each.ours, each.other
    if one.p999 is None or not two.p999 or min(one.samples, two.samples) < TAIL_LEAST:
        return None
    return one.p999 / two.p999 if each.factor >= 1 else None


def short_tail(each: Ratio) -> float | None:
    """The same of the 99th percentile, round by round, where there are too few samples for more."""
    samples = min(each.ours.samples, each.other.samples)
    rounds = p99_ratios(each)
    if not rounds or samples < P99_LEAST or samples >= TAIL_LEAST:
        return None
    return median(rounds) if each.factor >= 1 else None


def p99_ratios(each: Ratio) -> list[float]:
    """Return ours / theirs of every round: one pause of the machine is the p99 of a whole round."""
    one, two = each.ours.raw, each.other.raw
    if each.ours.section != each.other.section or len(one) != len(two):
        return []
    return [p99_of(mine) / max(1, p99_of(theirs)) for mine, theirs in zip(one, two, strict=True)]


@cache
def p99_of(raw: str) -> int:
    """Return the 99th percentile of the samples of a round, ns."""
    samples = sorted(unpacked(raw))
    return samples[len(samples) * 99 // 100]


def cpu(each: Ratio) -> float | None:
    """Return how many times less CPU it takes for a message.

    None where both spin: a core that spins is busy all the time, so that CPU says what speed does.
    """
    one, two = each.ours, each.other
    if one.cpu_ns is None or not two.cpu_ns or one.wait == two.wait == "spin":
        return None
    return one.cpu_ns / two.cpu_ns


MEASURES: dict[Measure, Callable[[Ratio], float | None]] = {
    "speed": speed,
    "p99.9": tail,
    "p99": short_tail,
    "CPU": cpu,
}
TITLES: dict[Measure, str] = {
    "speed": "Slower",
    "p99.9": "A longer tail",
    "p99": "A longer tail (99th percentile)",
    "CPU": "More CPU for a message",
}
Key = tuple[str, str, str, int, str]


def losses(found: Sequence[Ratio]) -> list[Loss]:
    """Return where another system is ahead of ours, most first; nothing is left out."""
    made = [loss for measure in MEASURES for loss in _losses(found, measure)]
    return sorted(made, key=lambda loss: -loss.others[0].worst)


def _losses(found: Sequence[Ratio], measure: Measure) -> Iterator[Loss]:
    compared: Counter[tuple[Key, str]] = Counter()
    groups: defaultdict[tuple[Key, str], defaultdict[str, list[tuple[Ratio, float]]]]
    groups = defaultdict(lambda: defaultdict(list))
    for each in found:
        if (factor := MEASURES[measure](each)) is None:
            continue
        one, other = each.ours, naming.full(each.other, with_wait=False)
        key = (one.section, one.language, one.work, one.links, naming.full(one, with_wait=False))
        compared[key, other] += 1
        if factor > 1:
            groups[key, reason(each, measure)][other].append((each, factor))
    for (key, why), rivals in groups.items():
        others = [_behind(cases, compared[key, name], measure) for name, cases in rivals.items()]
        others.sort(key=lambda behind: -behind.worst)
        yield Loss(others[0].cases[0].ours, measure, tuple(others), why)


def _behind(cases: list[tuple[Ratio, float]], compared: int, measure: Measure) -> Behind:
    cases = sorted(cases, key=lambda case: (case[0].ours.bytes, naming.spot(case[0].ours)))
    ratios, factors = zip(*cases, strict=True)
    is_clear = measure not in ("speed", "p99")
    if measure == "speed":
        is_clear = any(each.verdict == "slower" for each in ratios)
    elif measure == "p99":
        is_clear = any(min(p99_ratios(each)) > 1 for each in ratios)
    return Behind(ratios, factors, compared, is_clear)


# ------------------------------------------------------------------ who is fastest


@dataclass(frozen=True, slots=True)
class Leader:
    """Who is fastest in a case, and the best of ours.

    Attributes:
        contest: "spin", "adaptive" or "block"; "" where nobody is waited for.
        first: the fastest of all.
        ours: the fastest of Eastwest's; None: it was not in this case.
        second: the fastest of the others; None: nobody else was.
        of: how many systems there were.
        factor: how many times as fast ours is as the fastest other one; below 1 it is slower.
    """

    contest: str
    first: Series
    ours: Series | None
    second: Series | None
    of: int
    factor: float | None

    @property
    def title(self) -> str:
        """The case in words."""
        return f"{naming.language(self.first.language)}, {naming.case(self.first)}"

    @property
    def sentence(self) -> str:
        """The case in a sentence."""
        first = f"{naming.full(self.first)} is fastest of {self.of}, {shown(self.first)}"
        if self.of == 1:
            return f"{naming.full(self.first)} stands alone, {shown(self.first)}."
        if self.factor is None or self.ours is None or self.second is None:
            return f"{first}."
        if self.factor >= 1:
            much = f"{figures.times(self.factor)} times as fast as the next, "
            return f"{first}: {much}{naming.full(self.second)}, {shown(self.second)}."
        much = f"{figures.times(1 / self.factor)} times as fast as the best of Eastwest, "
        return f"{first}: {much}{naming.full(self.ours)}, {shown(self.ours)}."


def shown(series: Series) -> str:
    """Return a series' number in words."""
    return figures.worth(value_of(series), series.unit)


def leaders(members: Sequence[Series]) -> list[Leader]:
    """Return who is fastest in each contest of each case of some series."""
    cases: defaultdict[tuple[object, ...], list[Series]] = defaultdict(list)
    for each in members:
        if (value_of(each) or 0.0) > 0 and not naming.is_limit(each):
            for contest in naming.contests(each):
                cases[(*case_of(each), each.unit, contest)].append(each)
    return [
        _leader(case, str(key[-1]))
        for key, case in cases.items()
        if key[-1] != "adaptive" or any(each.wait == "adaptive" for each in case)
    ]


def _leader(case: list[Series], contest: str) -> Leader:
    sign = 1 if is_less_better(case[0]) else -1
    case = sorted(case, key=lambda each: sign * (value_of(each) or 0.0))
    ours = next((each for each in case if naming.is_ours(each)), None)
    second = next((each for each in case if not naming.is_ours(each)), None)
    factor = None
    if ours is not None and second is not None:
        quotient = (value_of(second) or 1.0) / (value_of(ours) or 1.0)
        factor = quotient if sign == 1 else 1 / quotient
    if not any(each.wait for each in case):
        contest = ""  # nobody is waited for
    return Leader(contest, case[0], ours, second, len(case), factor)
