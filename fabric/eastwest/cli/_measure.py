"""Round trips as numbers: order statistics, and times and sizes as a reader wants them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

P50, P99 = 0.50, 0.99


@dataclass(frozen=True, slots=True)
class Times:
    """What a series of round trips came to, in seconds; a mean would hide what matters."""

    count: int
    min: float
    p50: float
    p99: float
    max: float

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers with their unit in the name."""
        return {
            "count": self.count,
            "min_seconds": self.min,
            "p50_seconds": self.p50,
            "p99_seconds": self.p99,
            "max_seconds": self.max,
        }

    def __str__(self) -> str:
        names = ("min", "p50", "p99", "max")
        values = (self.min, self.p50, self.p99, self.max)
        return "  ".join(f"{n} {span(v)}" for n, v in zip(names, values, strict=True))


def summarise(seconds: Sequence[float]) -> Times | None:
    """Return the order statistics of a series, None of an empty one."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return Times(
        count=len(ordered),
        min=ordered[0],
        p50=ordered[int(last * P50)],
        p99=ordered[int(last * P99)],
        max=ordered[last],
    )


def span(seconds: float) -> str:
    """Return a time with three digits and its unit: "1.23 us", "45.6 ms", "7.89 s"."""
    for unit, scale in (("us", 1e6), ("ms", 1e3)):
        if seconds * scale < 999.5:
            return f"{_three_digits(seconds * scale)} {unit}"
    return f"{_three_digits(seconds)} s"


def _three_digits(value: float) -> str:
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def size(count: int) -> str:
    """Return a number of bytes, exactly: "64 B", "256 KiB", "1 MiB", "1000 B"."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count and count % scale == 0:
            return f"{count // scale} {unit}"
    return f"{count} B"
