"""Dots: how many times as fast Eastwest is as each other system, a row for each case."""

from collections.abc import Callable, Sequence

from bench.compare.page import drawing, figures, naming, scales
from bench.compare.page.drawing import Words, line, mark, text
from bench.compare.page.headlines import Headline
from bench.compare.page.markup import Markup, tag
from bench.compare.page.ratios import Ratio

TOP, ROW, BOTTOM = 46.0, 44.0, 36.0
LEFT, RIGHT = 14.0, drawing.WIDTH - 14.0


def chart(rows: Sequence[Headline], words: Words) -> Markup:
    """Return the figure: to the right of the line Eastwest is faster, to the left slower."""
    factors = [each.factor for row in rows for each in row.ratios]
    axis = scales.decades("", [*factors, 0.8, 2.0], _times)
    height = TOP + ROW * len(rows) + BOTTOM
    floor = height - BOTTOM
    shape = drawing.shapes([each.other.system for row in rows for each in row.ratios])

    def x(value: float) -> float:
        return LEFT + axis.share(value) * (RIGHT - LEFT)

    body: list[object] = [
        tag(
            "rect", x=LEFT, y=TOP - 14, width=x(1) - LEFT, height=floor - TOP + 14, class_="behind"
        ),
        text("Eastwest slower", x(1) - 8, 18, "axis", "end"),
        text("Eastwest faster", x(1) + 8, 18, "axis"),
    ]
    for tick in axis.ticks:
        css = "one" if tick == 1 else "grid"
        body += [line(x(tick), TOP - 14, x(tick), floor, css)]
        body += [
            text(axis.text(tick), x(tick), y, "tick", "middle") for y in (TOP - 18, floor + 15)
        ]
    body.append(
        text("times as fast as the other system", (LEFT + RIGHT) / 2, floor + 33, "axis", "middle")
    )
    one_language = len({row.ours.language for row in rows}) == 1
    for index, row in enumerate(rows):
        y = TOP + ROW * index
        body += [
            line(LEFT, y + 22, RIGHT, y + 22, "grid"),
            text(row.short if one_language else row.title, LEFT, y + 9, "label strong"),
            [
                _dot(each, x(each.factor), y + 22, shape(each.other.system))
                for each in reversed(row.ratios)
            ],
            _names(row, x, y + 35),
        ]
    return drawing.frame(body, height, words)


def _times(value: float) -> str:
    if value >= 1:
        return f"{value:,.0f}×"
    return f"1/{1 / value:,.0f}"


def _dot(each: Ratio, x: float, y: float, shape: int) -> Markup:
    name = naming.full(each.other)
    tip = f"{name}: Eastwest is {figures.times(each.factor)} times as fast"
    if each.factor < 1:
        tip = f"{name} is {figures.times(1 / each.factor)} times as fast as Eastwest"
    return tag(
        "g", tag("title", tip), mark(shape, x, y, 3.6), class_=drawing.class_of(each.other.system)
    )


def _names(row: Headline, x: Callable[[float], float], y: float) -> list[Markup]:
    """Name the best of the others, and as many more as there is room for."""
    made: list[Markup] = []
    taken: list[tuple[float, float]] = []
    for each in row.ratios:
        name = each.other.system
        half = drawing.width_of(name) * 0.42 + 5
        middle = min(max(x(each.factor), LEFT + half), RIGHT - half)
        if all(middle - half > high or middle + half < low for low, high in taken):
            taken.append((middle - half, middle + half))
            css = f"tick named {drawing.class_of(name)}"
            made.append(text(name, middle, y, css, "middle"))
    return made
