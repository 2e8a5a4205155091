"""Curves: one line for each system, named at its end; Eastwest's are thick, limits are dotted."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.compare.page import drawing, naming
from bench.compare.page.drawing import Words, line, mark, text
from bench.compare.page.markup import Markup, tag
from bench.compare.page.scales import Axis, apart

LEFT_LEAST, TOP, BOTTOM = 46.0, 22.0, 40.0
HEIGHT_LEAST = 320.0
GAP = 13.0  # from the last point to the labels
MARKS_MOST = 14  # points; more are a line without marks


@dataclass(frozen=True, slots=True)
class Point:
    """A number at a place, and the least and largest of its rounds."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """What one system did over what is varied.

    Attributes:
        system: decides on colour, mark and dashes.
        name: written at its end.
    """

    system: str
    name: str
    points: tuple[Point, ...]


def chart(curves: Sequence[Curve], x: Axis, y: Axis, words: Words) -> Markup:
    """Return the figure of some curves; those without a point that can be drawn are not in it."""
    curves = [each for each in curves if _drawable(each, x, y)]
    longest = max((_width(each) for each in curves), default=0.0)
    right = drawing.WIDTH - GAP - 4 - longest
    height = max(HEIGHT_LEAST, TOP + BOTTOM + len(curves) * drawing.ROW)
    left = max([LEFT_LEAST, *(drawing.width_of(y.text(tick)) + 8 for tick in y.ticks)])
    place = _Place(x, y, left, right, height - BOTTOM)
    shape = drawing.shapes([each.system for each in curves])
    ends = [_drawable(each, x, y)[-1] for each in curves]
    wanted = [place.y(end.y) for end in ends]
    heights = apart(wanted, drawing.ROW, TOP, height - BOTTOM)
    order = sorted(
        range(len(curves)), key=lambda index: naming.family(curves[index].system) == "Eastwest"
    )
    lines = [
        _curve(curves[index], place, heights[index], shape(curves[index].system))
        for index in order  # ours last, on top
    ]
    return drawing.frame([_grid(place), lines], height, words)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where numbers are in the drawing."""

    across: Axis
    up: Axis
    left: float
    right: float
    floor: float

    def x(self, value: float) -> float:
        return self.left + self.across.share(value) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.floor - self.up.share(value) * (self.floor - TOP)


def _drawable(curve: Curve, x: Axis, y: Axis) -> list[Point]:
    return [
        each
        for each in curve.points
        if (each.x > 0 or not x.is_log) and (each.y > 0 or not y.is_log)
    ]


def _width(curve: Curve) -> float:
    bold = 1.1 if naming.family(curve.system) == "Eastwest" else 1.0
    return drawing.width_of(drawing.short(curve.name)) * bold


def _grid(place: _Place) -> list[Markup]:
    across, up = place.across, place.up
    made = []
    for tick in up.ticks:
        y = place.y(tick)
        made += [
            line(place.left, y, place.right, y, "grid"),
            text(up.text(tick), place.left - 6, y + 4, "tick", "end"),
        ]
    end = -GAP
    for tick in across.ticks:
        x, half = place.x(tick), drawing.width_of(across.tick(tick)) / 2
        made.append(line(x, TOP, x, place.floor, "grid"))
        if x - half >= end:  # else it would lie on the one before
            end = x + half + 3
            made.append(text(across.tick(tick), x, place.floor + 15, "tick", "middle"))
    middle = (place.left + place.right) / 2
    made.append(text(across.title, middle, place.floor + 33, "axis", "middle"))
    made.append(text(up.title, 2, 12, "axis"))
    return made


def _curve(curve: Curve, place: _Place, label_y: float, shape: int) -> Markup:
    points = _drawable(curve, place.across, place.up)
    places = [(place.x(each.x), place.y(each.y)) for each in points]
    family = naming.family(curve.system)
    is_dashed = family in ("Eastwest", "kernel, other")
    dashes = "1 3" if family == "limit" else drawing.DASHES[shape % 6] if is_dashed else None
    path = drawing.pairs(places)
    marks = None
    if len(points) <= MARKS_MOST and family != "limit":
        marks = [
            tag("g", tag("title", _tip(curve, place, each)), mark(shape, *at))
            for each, at in zip(points, places, strict=True)
        ]
    x, y = places[-1]
    leader = [(x + 4, y), (place.right + GAP / 2, label_y), (place.right + GAP - 2, label_y)]
    return tag(
        "g",
        tag("title", curve.name),
        tag("polyline", points=path, class_="reach"),
        _spread(points, place) if family == "Eastwest" else None,
        tag("polyline", points=path, class_="curve", stroke_dasharray=dashes)
        if len(places) > 1
        else None,
        marks,
        tag("polyline", points=drawing.pairs(leader), class_="leader"),
        text(drawing.short(curve.name), place.right + GAP, label_y + 4, "label"),
        class_=f"series {drawing.class_of(curve.system)}",
    )


def _spread(points: Sequence[Point], place: _Place) -> Markup | None:
    """Return the area between the least and the largest of the rounds."""
    if len(points) < 2:
        return None
    over = [(place.x(each.x), place.y(each.high)) for each in points]
    under = [(place.x(each.x), place.y(each.low)) for each in points if each.low > 0]
    return tag("polygon", points=drawing.pairs([*over, *reversed(under)]), class_="spread")


def _tip(curve: Curve, place: _Place, each: Point) -> str:
    text_of, at = place.up.text, place.across.text
    spread = "" if each.low == each.high else f" ({text_of(each.low)} to {text_of(each.high)})"
    return f"{curve.name}: {at(each.x)}, {text_of(each.y)}{spread}"
