"""Axes: from numbers to places in a drawing, with round ticks."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.compare.page import figures

TICKS_MOST = 9


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        title: what it shows.
        low, high: its ends, in units of the numbers.
        ticks: numbers that have a line.
        text: what is written at a tick.
        is_log: distances are ratios.
        short: what is written at a tick where that is less; None: the same.
    """

    title: str
    low: float
    high: float
    ticks: tuple[float, ...]
    text: Callable[[float], str]
    is_log: bool = True
    short: Callable[[float], str] | None = None

    def tick(self, value: float) -> str:
        """Return what is written at a tick."""
        return self.short(value) if self.short else self.text(value)

    def share(self, value: float) -> float:
        """Return where a number is: 0 at the low end, 1 at the high end."""
        if not self.is_log:
            return (value - self.low) / (self.high - self.low)
        return math.log(value / self.low) / math.log(self.high / self.low)


def trimmed(text: str) -> str:
    """Return "1 µs" for "1.00 µs"."""
    number, space, unit = text.partition(" ")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return number + space + unit


def decades(title: str, values: Iterable[float], text: Callable[[float], str]) -> Axis:
    """Return a logarithmic axis from one power of ten to another around the values."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(_log10(min(positive))), math.ceil(_log10(max(positive)))
    high = max(high, low + 1)
    step = max(1, math.ceil((high - low) / TICKS_MOST))
    ticks = tuple(10.0**power for power in range(low, high + 1, step))
    return Axis(title, 10.0**low, 10.0**high, ticks, lambda value: trimmed(text(value)))


def _log10(value: float) -> float:
    return round(math.log10(value), 9)


def sizes(title: str, values: Iterable[float]) -> Axis:
    """Return a logarithmic axis of sizes: ticks at powers of eight bytes."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = min(positive), max(positive)
    if low == high:
        low, high = low / 2, high * 2
    ticks = tuple(8.0**power for power in range(12) if low <= 8.0**power * 1.01 <= high * 1.02)
    return Axis(f"{title}, bytes", low, high, ticks or (low, high), _size, short=_bytes)


def _size(value: float) -> str:
    return figures.size(round(value))


def _bytes(value: float) -> str:
    """Return "4K" for 4096."""
    return _size(value).replace("iB", "").replace(" ", "").removesuffix("B")


def varied(
    title: str, values: Iterable[float], text: Callable[[float], str] = figures.count
) -> Axis:
    """Return an axis for what a curve varies: linear where there is a zero or little range."""
    found = sorted(set(values)) or [0.0, 1.0]
    low, high = found[0], found[-1]
    if low == high:
        low, high = low - 1, high + 1
    is_log = low > 0 and high / low >= 20
    ticks = tuple(found) if not is_log else _spread(found, low, high)
    return Axis(title, low, high, ticks, text, is_log)


def _spread(found: Sequence[float], low: float, high: float) -> tuple[float, ...]:
    """Return as many of the values as there is room for."""
    chosen = [found[0]]
    for value in found[1:]:
        if math.log(value / chosen[-1]) / math.log(high / low) > 0.1:
            chosen.append(value)
    return tuple(chosen)


def apart(wanted: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Return places near the wanted ones (in their order), *least* apart and between the ends.

    Labels that would lie on each other are pushed away from their middle; the order stays.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    groups: list[list[float]] = []  # sum of (wanted - offset), count
    for index in order:
        groups.append([wanted[index], 1.0])
        while len(groups) > 1 and _begin(groups[-2], least) + groups[-2][1] * least > _begin(
            groups[-1], least
        ):
            total, number = groups.pop()
            groups[-1][0] += total - groups[-1][1] * least * number
            groups[-1][1] += number
    places: list[float] = []
    for group in groups:
        begin = _begin(group, least)
        places += [begin + step * least for step in range(int(group[1]))]
    return _within(order, places, least, low, high)


def _begin(group: list[float], least: float) -> float:
    """Return where the first of a group goes so that the group is around what it wants.

    ``group[0]`` is the sum of what its members want, each less its offset from the first.
    """
    return group[0] / group[1]


def _within(
    order: Sequence[int], places: list[float], least: float, low: float, high: float
) -> list[float]:
    """Move what is beyond an end back, and what is in its way with it."""
    for index in range(len(places)):
        floor = low if index == 0 else places[index - 1] + least
        places[index] = max(places[index], floor)
    for index in reversed(range(len(places))):
        ceiling = high if index == len(places) - 1 else places[index + 1] - least
        places[index] = min(places[index], ceiling)
    found = [0.0] * len(places)
    for index, place in zip(order, places, strict=True):
        found[index] = place
    return found
