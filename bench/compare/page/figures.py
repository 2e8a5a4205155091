"""Numbers as people read them: three digits and a unit."""

import math

NS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns"))
RATE = ((1e9, "G/s"), (1e6, "M/s"), (1e3, "k/s"), (1, "/s"))
BANDWIDTH = ((1e12, "TB/s"), (1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1, "B/s"))
BYTES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
MEMORY = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))
COUNT = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
NONE = "–"
Units = tuple[tuple[float, str], ...]


def digits(value: float) -> str:
    """Return three significant digits without an exponent: 1,234, 12.3, 0.0123."""
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    rounded = abs(float(f"{value:.3g}"))
    places = max(0, 2 - math.floor(math.log10(rounded)))
    return f"{value:.{min(places, 6)}f}"


def scaled(value: float | None, units: Units) -> str:
    """Return a number in the largest unit that leaves at least one of it."""
    if value is None:
        return NONE
    size, unit = next((each for each in units if abs(value) >= each[0] * 0.9995), units[-1])
    space = "" if unit.startswith("/") else " "
    return f"{digits(value / size)}{space}{unit}".strip()


def ns(value: float | None) -> str:
    """Return a time: "1.23 µs"."""
    return scaled(value, NS)


def rate(value: float | None) -> str:
    """Return messages a second: "1.23 M/s"."""
    return scaled(value, RATE)


def bandwidth(value: float | None) -> str:
    """Return bytes a second: "1.23 GB/s"."""
    return scaled(value, BANDWIDTH)


def memory(value: float | None) -> str:
    """Return an amount of memory: "9.1 kB"."""
    return scaled(value, MEMORY)


def count(value: float | None) -> str:
    """Return a number of things: whole ones as they are, "1.05 M" from 100,000 on."""
    if value is not None and value == int(value) and abs(value) < 100_000:
        return f"{int(value):,}"
    return scaled(value, COUNT)


def size(value: float) -> str:
    """Return a size in bytes: "64 KiB"; sizes that are no whole number of a unit in bytes."""
    for unit, name in BYTES:
        if value >= unit and value % unit == 0:
            return f"{int(value // unit):,} {name}"
    return f"{value:,.0f} B"


def worth(value: float | None, unit: str) -> str:
    """Return the value of a series in its unit."""
    known = {"ns": ns, "1/s": rate, "B/s": bandwidth, "B": memory}
    if value is None or unit in known:
        return known.get(unit, ns)(value)
    return f"{digits(value)} {unit}".strip()


def times(factor: float) -> str:
    """Return how many times: "19", "1.3", "1.04"."""
    return (
        f"{factor:,.0f}"
        if factor >= 9.95
        else f"{factor:.1f}"
        if factor >= 1.095
        else f"{factor:.2f}"
    )


def between(low: float, high: float) -> str:
    """Return a range of ratios."""
    one, other = digits(low), digits(high)
    return one if one == other else f"{one} to {other}"
