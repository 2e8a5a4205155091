"""The handful of cases that stand at the top: Eastwest as one would use it, and every other system.

A case that a run did not measure is not there; which system is the best of the others comes from
the numbers.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.compare.page import naming
from bench.compare.page.ratios import ON_ONE_HOST, Ratio, is_less_better, ratio, rivals, value_of
from bench.compare.results import Results, Series

SMALL, LARGE = 64, 1 << 20
SPIN, ADAPTIVE, BLOCK = WAITS = "spin", "adaptive", "block"  # the contests


@dataclass(frozen=True, slots=True)
class Wanted:
    """A case that is wanted at the top."""

    section: str
    work: str
    bytes: int
    contest: str


WANTED = (
    *(Wanted("local", "trip", SMALL, each) for each in (SPIN, ADAPTIVE, BLOCK)),
    *(Wanted("local", "paced", SMALL, each) for each in (SPIN, ADAPTIVE, BLOCK)),
    *(Wanted("local", "flow", SMALL, each) for each in (SPIN, ADAPTIVE, BLOCK)),
    *(Wanted("local", "flow", LARGE, each) for each in (SPIN, ADAPTIVE, BLOCK)),
    *(Wanted("async", each, SMALL, ADAPTIVE) for each in ("trip", "flow")),
    *(Wanted("many", "fan", SMALL, each) for each in (SPIN, ADAPTIVE, BLOCK)),
    *(Wanted("remote", "trip", SMALL, each) for each in (SPIN, ADAPTIVE, BLOCK)),
    *(Wanted("remote", "flow", SMALL, each) for each in (SPIN, ADAPTIVE, BLOCK)),
    *(Wanted("remote", "flow", LARGE, each) for each in (SPIN, ADAPTIVE, BLOCK)),
    *(Wanted("ovs", each, SMALL, SPIN) for each in ("trip", "flow")),
)
LANGUAGES = ("python", "c")


@dataclass(frozen=True, slots=True)
class Headline:
    """One case.

    Attributes:
        ours: Eastwest.
        contest: "spin", "adaptive" or "block".
        ratios: beside each other system, the best of them first.
    """

    ours: Series
    contest: str
    ratios: tuple[Ratio, ...]

    @property
    def best(self) -> Ratio:
        """Beside the best of the others."""
        return self.ratios[0]

    @property
    def title(self) -> str:
        """The case in words: "Python, 64 B round trip, spinning"."""
        return f"{naming.language(self.ours.language)}, {self.short}"

    @property
    def short(self) -> str:
        """The same without the language."""
        path = naming.path_of(self.ours)
        place = naming.place(self.ours)
        switch = "a switch" if place == "ovs" else "without a switch"
        section = {"async": "asyncio", "ovs": switch}.get(self.ours.section, "")
        wire = "" if self.ours.section in ON_ONE_HOST else f"{path} {place}".strip()
        words = (section, naming.case(self.ours), wire, naming.WAYS[self.contest])
        return ", ".join(word for word in words if word)


def headlines(results: Results) -> list[Headline]:
    """Return those cases of ``WANTED`` that were measured for Eastwest and somebody else."""
    found = []
    for language in LANGUAGES:
        for wanted in WANTED:
            members = [
                each
                for each in results.series
                if (each.section, each.language) == (wanted.section, language)
                and each.work == wanted.work
                and wanted.contest in naming.contests(each)
                and (value_of(each) or 0.0) > 0
                and (wanted.work == "paced" or not naming.numbers(each))  # its rate
            ]
            size = nearest({each.bytes for each in members}, wanted.bytes)
            found += list(
                _headlines([each for each in members if each.bytes == size], wanted.contest)
            )
    return found


def nearest(sizes: Iterable[int], wanted: int) -> int | None:
    """Return the size that is nearest to the wanted one; None: none is within a factor of four."""
    found = min(sizes, key=lambda size: abs(math.log((size or 1) / wanted)), default=0)
    return found if wanted / 4 <= found <= wanted * 4 else None


def _headlines(members: Sequence[Series], contest: str) -> Iterator[Headline]:
    for ours in _chosen([each for each in members if _takes_part(each, contest)]):
        others = rivals(ours, [each for each in members if each.links == ours.links])
        made = [one for each in others if (one := ratio(ours, each)) is not None]
        made.sort(
            key=lambda one: (value_of(one.other) or 0.0) * (1 if is_less_better(ours) else -1)
        )
        if made:
            yield Headline(ours, contest, tuple(made))


def _takes_part(series: Series, contest: str) -> bool:
    """Ours, in the wait that the contest is named after, or in its only one."""
    return naming.is_ours(series) and (series.wait == contest or series.wait not in WAITS)


def _chosen(ours: Sequence[Series]) -> list[Series]:
    """Return one for each path (on one host: shared memory) and number of links."""
    chosen: dict[tuple[str, int], Series] = {}
    for each in ours:
        if each.section not in ON_ONE_HOST or naming.path_of(each) in ("", "shm"):
            chosen.setdefault((each.system, each.links), each)
    return list(chosen.values())
