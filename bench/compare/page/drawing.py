"""What all drawings share: the frame that a reader and a screen reader see, marks, families.

A drawing is 440 units wide and is scaled to the column it stands in, so that it can be read on a
phone. Colours come from page.css by the class of a family; a mark is told from others of its
family by its shape, a curve by its dashes as well.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.compare.page import naming
from bench.compare.page.markup import Markup, tag

WIDTH = 440.0
CHARACTER = 6.0  # units that a letter of a label takes, about
LABEL_MOST, LABEL_END = 30, 10  # letters
ROW = 13.0  # units between two labels, at least
_numbers = itertools.count(1)

CLASSES = {name: f"f{index}" for index, name in enumerate(naming.LEGEND)}
DASHES = (None, "7 3", "2 3", "10 3 2 3", "4 2", "1 4")


@dataclass(frozen=True, slots=True)
class Words:
    """What is said about a figure.

    Attributes:
        title: its name, a few words.
        about: what it is a part of, for those who do not see where it stands.
        says: what can be seen in it, for those who do not see it.
        caption: what everybody reads above it.
    """

    title: str
    about: str
    says: str
    caption: str


def frame(body: object, height: float, words: Words) -> Markup:
    """Return a figure: the drawing with its name and description, and a caption."""
    number = next(_numbers)
    drawn = tag(
        "svg",
        tag("title", f"{words.title}: {words.about}", id=f"t{number}"),
        tag("desc", words.says, id=f"d{number}"),
        body,
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_labelledby=f"t{number} d{number}",
    )
    return tag("figure", tag("figcaption", tag("strong", words.title), " ", words.caption), drawn)


def class_of(system: str) -> str:
    """Return the class of a system's family."""
    return CLASSES[naming.family(system)]


def mark(shape: int, x: float, y: float, size: float = 3.2) -> Markup:
    """Return one of eight marks: filled and open circle, square, triangle, diamond."""
    kind, is_open = shape % 4, shape % 8 >= 4
    css = "mark open" if is_open else "mark"
    if kind == 0:
        return tag("circle", cx=x, cy=y, r=size, class_=css)
    if kind == 1:
        side = size * 1.8
        return tag("rect", x=x - side / 2, y=y - side / 2, width=side, height=side, class_=css)
    reach = size * 1.35
    corners = (
        [(x, y - reach), (x + reach, y + reach * 0.8), (x - reach, y + reach * 0.8)]
        if kind == 2
        else [(x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y)]
    )
    return tag("polygon", points=pairs(corners), class_=css)


def pairs(points: Sequence[tuple[float, float]]) -> str:
    """Return points as SVG wants them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def text(content: object, x: float, y: float, css: str = "", anchor: str = "start") -> Markup:
    """Return a line of text."""
    return tag("text", content, x=x, y=y, class_=css or None, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    """Return a straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=css)


def short(name: str) -> str:
    """Return a name that fits beside a plot: without its middle, as its end says how it waits."""
    if len(name) <= LABEL_MOST:
        return name
    return f"{name[: LABEL_MOST - LABEL_END - 1]}…{name[-LABEL_END:]}"


def width_of(words: str) -> float:
    """Return about how wide a label is."""
    return len(words) * CHARACTER


def shapes(systems: Sequence[str]) -> Callable[[str], int]:
    """Return what gives each system a number of its own within its family."""
    seen: dict[str, dict[str, int]] = {}
    for system in systems:
        members = seen.setdefault(naming.family(system), {})
        members.setdefault(system, len(members))
    return lambda system: seen[naming.family(system)][system]
