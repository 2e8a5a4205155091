"""What is printed after a run: the ratios, where Eastwest loses, what is missing."""

import textwrap
from collections.abc import Sequence

from bench.compare.page import figures, naming, tables
from bench.compare.page.headlines import Headline, headlines
from bench.compare.page.ratios import Ratio, ratios, value_of
from bench.compare.page.verdicts import losses
from bench.compare.results import Results, Series

LOSSES_MOST = 20
WIDE = 100


def summary(results: Results) -> str:
    """Return the summary of a run: the ratios at the top of the page, what nobody must miss."""
    found = ratios(results)
    rows = headlines(results)
    parts = []
    for section, title in naming.SECTIONS.items():
        cases = [_case(each) for each in rows if each.ours.section == section]
        parts += [f"{title}\n{'-' * len(title)}", *cases, ""] if cases else []
    counts = [each.verdict for each in found]
    parts.append(
        "Above: Eastwest / other, the median of the rounds (least to largest). "
        f"Of {len(found)} comparisons Eastwest is faster in {counts.count('faster')}, "
        f"slower in {counts.count('slower')}, in {counts.count('even')} the rounds disagree."
    )
    parts += _losses(found)
    for what, reasons, fix in tables.missing(results):
        more = f"; and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        parts.append(f"missing: {what}: {reasons[0]}{more}" + (f" ({fix})" if fix else ""))
    if dropped := {name: count for name, count in results.dropped.items() if count}:
        listed = ", ".join(f"{name} {count}" for name, count in dropped.items())
        parts.append(f"rounds dropped because of foreign load: {listed}")
    if results.is_quick:
        parts.append("A quick run: it shows that everything works, and roughly how fast.")
    return "\n".join(parts) + "\n"


def _case(each: Headline) -> str:
    """Return a line for ours and, below it, its ratio to each other, the best of them first."""
    others = [_beside(one) for one in each.ratios]
    first = f"{each.title}: {naming.full(each.ours)} {_worth(each.ours)}"
    below = textwrap.wrap("; ".join(others), WIDE, break_long_words=False, break_on_hyphens=False)
    return "\n".join([first, *(f"    {line}" for line in below)])


def _beside(each: Ratio) -> str:
    spread = figures.between(each.low, each.high) if each.rounds else "of medians"
    name = naming.full(each.other, with_wait=False)
    return f"{name} {figures.digits(each.value)} ({spread})"


def _worth(series: Series) -> str:
    return figures.worth(value_of(series), series.unit)


def _losses(found: Sequence[Ratio]) -> list[str]:
    listed = [each for each in losses(found) if each.measure == "speed"]
    if not listed:
        return ["No other system was faster in any case."]
    made = ["Where Eastwest loses (tails and CPU time: see the page):"]
    made += [f"  {each.sentence} Why: {each.why}." for each in listed[:LOSSES_MOST]]
    if len(listed) > LOSSES_MOST:
        made.append(f"  and {len(listed) - LOSSES_MOST} more on the page")
    return made
