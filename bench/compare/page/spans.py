"""Spans: for each system, where its samples lie (p50, p99, p99.9, max), and CPU time of a message.

Both are times, on one logarithmic axis: the upper track of a row is how long a message took, the
lower one how long the processors worked for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.compare.page import drawing, figures, scales
from bench.compare.page.drawing import Words, line, text
from bench.compare.page.markup import Markup, tag
from bench.compare.page.ratios import is_less_better, value_of
from bench.compare.results import Series

TOP, TOP_OF_RATES, ROW, BOTTOM = 40.0, 12.0, 31.0, 22.0
LEFT_MOST = 172.0
NAMES = ("p50", "p99", "p99.9", "max", "CPU, both cores")
RIGHT = drawing.WIDTH - 52.0


@dataclass(frozen=True, slots=True)
class Row:
    """A system, its name in this figure, and how it waits where that has to be said."""

    name: str
    wait: str
    series: Series


def chart(rows: Sequence[Row], words: Words) -> Markup:
    """Return the figure, the fastest first."""
    rows = sorted(
        (row for row in rows if (value_of(row.series) or 0.0) > 0),
        key=lambda row: order(row.series),
    )
    values = [value for row in rows for value in _values(row.series)]
    unit = rows[0].series.unit if rows else "ns"
    axis = scales.decades("", values, lambda value: figures.worth(value, unit))
    longest = max((drawing.width_of(row.name) for row in rows), default=0.0)
    left = min(LEFT_MOST, max(92.0, longest * 1.03 + 8))
    top = TOP if unit == "ns" else TOP_OF_RATES
    height = top + ROW * len(rows) + BOTTOM

    def x(value: float) -> float:
        return left + axis.share(value) * (RIGHT - left)

    floor = height - BOTTOM
    ticks = [
        [
            line(x(tick), top - 6, x(tick), floor, "grid"),
            text(axis.text(tick), x(tick), floor + 14, "tick", "middle"),
        ]
        for tick in axis.ticks
    ]
    body: list[object] = [_key(left) if unit == "ns" else None, ticks]
    for index, row in enumerate(rows):
        body.append(_row(row, x, top + ROW * index, index % 2 == 1))
    return drawing.frame(body, height, words)


def order(series: Series) -> float:
    """Return what the fastest has least of."""
    if not is_less_better(series):
        return -(value_of(series) or 0.0)
    return series.p50 or value_of(series) or 0.0


def _values(series: Series) -> list[float]:
    if series.unit != "ns":
        return [value_of(series) or 0.0]
    found = (series.p50, series.p99, series.p999, series.max, series.cpu_ns, value_of(series))
    return [value for value in found if value]


def _key(left: float) -> Markup:
    """Return what the marks mean, in the place of a legend."""
    y = 14.0
    x = left
    parts: list[object] = []
    for draw, name in zip((_p50, _p99, _p999, _max, _cpu), NAMES, strict=True):
        parts += [draw(x + 6, y), text(name, x + 14, y + 4, "tick")]
        x += 26 + drawing.width_of(name)
    return tag("g", parts, class_="key")


def _p50(x: float, y: float) -> Markup:
    return tag("circle", cx=x, cy=y, r=4.2, class_="mark")


def _p99(x: float, y: float) -> Markup:
    return tag("rect", x=x - 1.3, y=y - 5, width=2.6, height=10.0, class_="mark")


def _p999(x: float, y: float) -> Markup:
    points = drawing.pairs([(x, y - 4.6), (x + 4.6, y), (x, y + 4.6), (x - 4.6, y)])
    return tag("polygon", points=points, class_="mark open")


def _max(x: float, y: float) -> Markup:
    return tag("circle", cx=x, cy=y, r=2.6, class_="mark open")


def _cpu(x: float, y: float) -> Markup:
    return tag("rect", x=x - 3, y=y - 3, width=6.0, height=6.0, class_="cpu")


def _row(row: Row, x: Callable[[float], float], y: float, is_odd: bool) -> Markup:
    series = row.series
    is_time = series.unit == "ns"
    first = (series.p50 if is_time else None) or value_of(series) or 0.0
    worth = figures.worth(first, series.unit)
    return tag(
        "g",
        tag("title", f"{row.name} {row.wait}: {_tip(series) or worth}"),
        tag("rect", x=0, y=y - 3, width=drawing.WIDTH, height=ROW, class_="band")
        if is_odd
        else None,
        text(drawing.short(row.name), 4, y + 10, "label"),
        text(f"{row.wait} {worth}".lstrip(), 4, y + 23, "tick"),
        _track(series, first, x, y + 9) if is_time else _rate(series, first, x, y + 9),
        class_=f"row {drawing.class_of(series.system)}",
    )


def _tip(series: Series) -> str:
    named = zip(
        NAMES, (series.p50, series.p99, series.p999, series.max, series.cpu_ns), strict=True
    )
    return ", ".join(f"{name} {figures.ns(value)}" for name, value in named if value is not None)


def _track(series: Series, first: float, x: Callable[[float], float], y: float) -> list[Markup]:
    """Return the upper track, from the median to the maximum, and the lower one, CPU time."""
    last = max(value for value in (first, series.p99, series.p999, series.max) if value)
    marks = [line(x(first), y, x(last), y, "span")]
    drawn = ((_max, series.max), (_p999, series.p999), (_p99, series.p99), (_p50, first))
    marks += [draw(x(value), y) for draw, value in drawn if value]
    if series.cpu_ns:
        at, below = x(series.cpu_ns), y + 13
        marks += [
            line(x(first), below, at, below, "cpu-line"),
            _cpu(at, below),
            text(f"{figures.ns(series.cpu_ns)} CPU", at + 8, below + 4, "tick"),
        ]
    if last > first:
        marks.append(text(figures.ns(last), x(last) + 8, y + 4, "tick"))
    return marks


def _rate(series: Series, value: float, x: Callable[[float], float], y: float) -> list[Markup]:
    """Return a mark for a rate, with the CPU time in words, as it is on no axis of rates."""
    marks = [_p50(x(value), y)]
    if series.cpu_ns:
        is_right = x(value) < (RIGHT + LEFT_MOST) / 2
        at, anchor = (x(value) + 9, "start") if is_right else (x(value) - 9, "end")
        marks.append(text(f"{figures.ns(series.cpu_ns)} CPU", at, y + 4, "tick", anchor))
    return marks
