"""How long the slowest of many took: percentiles from the stored histograms (HdrHistogram)."""

import zlib
from collections.abc import Sequence

from hdrh.codec import HdrCookieException, HdrLengthException
from hdrh.histogram import HdrHistogram

from bench.compare.page import curves, figures, naming, scales
from bench.compare.page.curves import Curve, Point
from bench.compare.page.drawing import Words
from bench.compare.page.markup import Markup
from bench.compare.results import Series

STEPS = (50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999)
LINES = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
LEAST = 10  # samples beyond a percentile, or it is an accident
WRONG = (HdrCookieException, HdrLengthException, ValueError, RuntimeError, IndexError, zlib.error)


def percentiles(series: Series) -> list[tuple[float, float]]:
    """Return (percentile, ns) of a stored histogram, as far as there are samples for it.

    Raises:
        ValueError: what is stored is no histogram.
    """
    if not series.histogram:
        return []
    try:
        found = HdrHistogram.decode(series.histogram)
    except WRONG as error:
        raise ValueError(f"{series.system}: no histogram: {error}") from error
    count = found.get_total_count()
    steps = [step for step in STEPS if step == STEPS[0] or count * (1 - step / 100) >= LEAST]
    values = found.get_percentile_to_value_dict(steps) if count else {}
    return [(step, float(value)) for step, value in values.items()]


def rarity(percentile: float) -> float:
    """Return one in how many is beyond a percentile: 2 for 50, 1000 for 99.9."""
    return 100 / (100 - percentile)


def curves_of(rows: Sequence[tuple[str, Series]]) -> tuple[list[Curve], list[str]]:
    """Return the curves of some histograms, ("name", series) each, and what could not be read."""
    made, unread = [], []
    for name, series in rows:
        try:
            found = percentiles(series)
        except ValueError as error:
            unread.append(str(error))
            continue
        if found:
            points = tuple(Point(rarity(each), value, value, value) for each, value in found)
            made.append(Curve(naming.full(series), name, points))
    return made, unread


def chart(made: Sequence[Curve], words: Words) -> Markup:
    """Return the figure of some curves of percentiles."""
    values = [point.y for each in made for point in each.points]
    last = max((point.x for each in made for point in each.points), default=2.0)
    ticks = tuple(rarity(each) for each in LINES if rarity(each) <= last * 1.01)
    across = scales.Axis(
        "percentile of all samples",
        ticks[0],
        max(last, ticks[0] * 2),
        ticks,
        lambda value: scales.trimmed(f"{100 - 100 / value:.4f} %").replace(" ", ""),
    )
    up = scales.decades("round trip", values, figures.ns)
    return curves.chart(made, across, up, words)
