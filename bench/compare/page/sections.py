"""The sections of the page: for each, its plots and tables from its series."""

from collections.abc import Callable, Iterable, Sequence

from bench.compare.page import curves, figures, naming, quantiles, scales, spans, tables
from bench.compare.page.curves import Curve, Point
from bench.compare.page.drawing import Words
from bench.compare.page.markup import Markup, tag
from bench.compare.page.ratios import value_of
from bench.compare.page.verdicts import leaders
from bench.compare.results import Results, Series

SMALL = 64
LIMIT_SECTIONS = ("local", "async", "sweep")
LINES_MOST = 4  # sentences above a plot
SIZES_LEAST = 3  # fewer are no curve: each has a figure of its own
Content = list[Markup]


def groups(members: Sequence[Series]) -> list[tuple[str, str, list[Series]]]:
    """Return the contests of a section: (language, way of waiting, series), each for itself."""
    found: dict[tuple[str, str], list[Series]] = {}
    for each in members:
        found.setdefault((each.language, naming.way(each)), []).append(each)
    order = sorted(found, key=lambda key: (key[0] != "python", key[1] != "spin"))
    return [(*key, found[key]) for key in order]


def name_in(group: Sequence[Series]) -> Callable[[Series], str]:
    """Return what names a series in a figure: with its wait and language if there are several."""
    kinds: dict[tuple[str, str], set[str]] = {}
    for each in group:
        kinds.setdefault((each.system, each.language), set()).add(each.wait)
    has_languages = len({each.language for each in group}) > 1

    def name(each: Series) -> str:
        words = naming.full(each, with_wait=len(kinds[each.system, each.language]) > 1)
        return f"{words}, {naming.language(each.language)}" if has_languages else words

    return name


def of_work(members: Iterable[Series], *works: str) -> list[Series]:
    """Return the series of some works that have a value."""
    return [each for each in members if each.work in works and (value_of(each) or 0.0) > 0]


# ------------------------------------------------------------------ over sizes


def over_sizes(group: Sequence[Series], limits: Sequence[Series], title: str) -> Content:
    """Return latency and throughput over the size of a message, side by side."""
    made = [
        _latency(of_work(group, "trip"), limits, title),
        _latency(of_work(group, "call"), (), title),
        _throughput(of_work(group, "flow"), limits, title),
    ]
    drawn = [each for each in made if each is not None]
    return [tag("div", drawn, class_="pair")] if drawn else []


def _latency(members: Sequence[Series], limits: Sequence[Series], title: str) -> Markup | None:
    if len({each.bytes for each in members}) < SIZES_LEAST:
        return None
    made = by_system(members, lambda each: (each.bytes, spread_of(each)))
    low, high = min(each.bytes for each in members), max(each.bytes for each in members)
    made += _floors(limits, low, high)
    values = [point.y for each in made for point in each.points]
    work = naming.work(members[0].work)
    return curves.chart(
        made,
        scales.sizes("size of a message", (low, high)),
        scales.decades(work, values, figures.ns),
        Words(
            f"{work.capitalize()} over size",
            title,
            _says(made, "less is better"),
            f"Less is better. {_best(members)}",
        ),
    )


def _throughput(members: Sequence[Series], limits: Sequence[Series], title: str) -> Markup | None:
    if len({each.bytes for each in members}) < SIZES_LEAST:
        return None
    made = by_system(members, lambda each: (each.bytes, in_bytes(each)))
    made += by_system(
        [each for each in limits if each.work != "trip"], lambda each: (each.bytes, in_bytes(each))
    )
    values = [point.y for each in made for point in each.points]
    return curves.chart(
        made,
        scales.sizes("size of a message", [each.bytes for each in members]),
        scales.decades("bytes a second", values, figures.bandwidth),
        Words(
            "One way over size",
            title,
            _says(made, "more is better"),
            f"More is better. {_best(members)}",
        ),
    )


def spread_of(series: Series) -> tuple[float, float, float]:
    """Return the value, the least and the largest of the rounds."""
    value = value_of(series) or 0.0
    values = series.values or [value]
    return value, min(values), max(values)


def in_bytes(series: Series) -> tuple[float, float, float]:
    """Return the same in bytes a second."""
    value, low, high = spread_of(series)
    if series.unit == "1/s":
        return value * series.bytes, low * series.bytes, high * series.bytes
    if series.unit == "ns":
        return tuple(series.bytes * 1e9 / each if each else 0.0 for each in (value, high, low))  # type: ignore[return-value]
    return value, low, high


def by_system(
    members: Sequence[Series], at: Callable[[Series], tuple[float, tuple[float, float, float]]]
) -> list[Curve]:
    """Return a curve for each system (and wait)."""
    name = name_in(members)
    found: dict[str, list[Point]] = {}
    for each in members:
        x, (y, low, high) = at(each)
        found.setdefault(name(each), []).append(Point(x, y, low, high))
    return [
        Curve(each, each, tuple(sorted(points, key=lambda point: point.x)))
        for each, points in found.items()
    ]


def _floors(limits: Sequence[Series], low: float, high: float) -> list[Curve]:
    """Return what no round trip can be faster than: a line that moves, memory that is copied."""
    made: list[Curve] = []
    copies: list[Point] = []
    for each in limits:
        value, least, largest = spread_of(each)
        if each.work == "trip" and each.unit == "ns" and value > 0:
            name = naming.full(each, with_wait=False)
            ends = tuple(Point(x, value, least, largest) for x in (low, high))
            made.append(Curve(each.system, name, ends))
        elif each.system == "memcpy2" and in_bytes(each)[0] > 0 and low <= each.bytes <= high:
            both = 2e9 * each.bytes / in_bytes(each)[0]
            copies.append(Point(each.bytes, both, both, both))
    least = min((curve.points[0].y for curve in made), default=0.0)
    copies = sorted((each for each in copies if each.y >= least), key=lambda point: point.x)
    if copies:
        made.append(Curve("memcpy2", "copied, to and fro", tuple(copies)))
    return made


def _says(made: Sequence[Curve], sense: str) -> str:
    names = ", ".join(each.name for each in made)
    return f"{len(made)} curves: {names}. {sense.capitalize()}. The numbers are in a table below."


def _best(members: Sequence[Series]) -> str:
    """Return who is fastest at 64 B, or the smallest size, and at the largest."""
    sizes = sorted({each.bytes for each in members})
    ends = [SMALL if SMALL in sizes else sizes[0], sizes[-1]]
    found = leaders([each for each in members if each.bytes in ends])
    found.sort(key=lambda leader: (leader.first.bytes, leader.contest))
    chosen = [leader for leader in found if leader.of > 1][:LINES_MOST]
    return " ".join(
        f"{figures.size(each.first.bytes)}, {naming.WAYS[each.contest]}: {each.sentence}"
        for each in chosen
    )


# ------------------------------------------------------------------ one size


PACES = {
    "trip": "round trips, one after the other",
    "paced": "round trips, at a fixed rate",
    "fan": "round trips, on all links",
    "flow": "one way",
}


def at_one_size(members: Sequence[Series], about: str) -> Content:
    """Return the spans of one size (or a few), and below them their percentiles."""
    above: Content = []
    below: Content = []
    for work, what in PACES.items():
        rows = of_work(members, work)
        sizes = sorted({each.bytes for each in rows})
        if len(sizes) >= SIZES_LEAST:
            sizes = [] if work == "flow" else [SMALL if SMALL in sizes else sizes[0]]
        for size in sizes:
            alike = [each for each in rows if each.bytes == size]
            title = f"{figures.size(size)} {what}"
            above.append(_spans(alike, title, about))
            below += _quantiles(alike, title, about)
    return [tag("div", each, class_="pair") for each in (above, below) if each]


def _spans(rows: Sequence[Series], title: str, about: str) -> Markup:
    name = name_in(rows)
    rates = {each.at["rate"] for each in rows if isinstance(each.at.get("rate"), int | float)}
    paced = f" {figures.count(float(rates.pop()))} a second." if len(rates) == 1 else ""
    caption = "From the median to the slowest; below it CPU time of both cores for a message."
    if rows[0].work == "flow":
        caption = "Messages a second, and CPU time of both cores for one; more is better."
    words = Words(title, about, _says_spans(rows), caption + paced)
    several = {each.system for each in rows if name(each) != naming.full(each, with_wait=False)}
    named = [
        spans.Row(
            naming.full(each, with_wait=False), each.wait if each.system in several else "", each
        )
        for each in rows
    ]
    return spans.chart(named, words)


def _says_spans(rows: Sequence[Series]) -> str:
    ordered = sorted(rows, key=spans.order)
    parts = [f"{naming.full(each)} {tables.worth(each)}" for each in ordered]
    return "Medians, the fastest first: " + ", ".join(parts) + "."


def _quantiles(rows: Sequence[Series], title: str, about: str) -> Content:
    name = name_in(rows)
    kept = [(name(each), each) for each in rows if each.histogram]
    if not kept:
        return []
    made, unread = quantiles.curves_of(kept)
    notes = [tag("p", f"Not drawn: {each}", class_="facts") for each in unread]
    if not made:
        return notes
    says = f"Percentiles of {len(made)} systems, from the median to as far as ten samples reach."
    caption = "To the right ever rarer round trips: a flat curve can be relied on."
    words = Words(f"The slowest of many: {title}", about, says, caption)
    return [quantiles.chart(made, words), *notes]


# ------------------------------------------------------------------ the sections


def contests(results: Results, section: str) -> Content:
    """Return all of a section: for each language and way of waiting its plots, then the tables."""
    members = [each for each in results.series if each.section == section]
    limits = (
        [each for each in results.series if each.section == "limits"]
        if section in LIMIT_SECTIONS
        else []
    )
    made: Content = []
    for language, which, group in groups(members):
        title = f"{naming.language(language)}, {naming.WAYS[which]}"
        drawn = at_one_size(group, title) + over_sizes(group, limits, title)
        if drawn:
            made += [tag("h3", title), *drawn]
        made += tables.all_numbers(group, title)
    return made


def sweep(results: Results) -> Content:
    """Return the sweep: every path in one plot."""
    members = [each for each in results.series if each.section == "sweep"]
    trips = of_work(members, "trip")
    limits = [each for each in results.series if each.section == "limits"]
    drawn = [
        _latency(trips, limits, "all paths"),
        _throughput(of_work(members, "flow"), limits, "all paths"),
    ]
    drawn.insert(1, _in_half_a_trip(trips))
    shown = [each for each in drawn if each is not None]
    if not shown:
        return []
    whole = [each for each in members if each.bytes & (each.bytes - 1) == 0]
    return [
        tag("div", shown, class_="pair"),
        *tables.all_numbers(whole, "all paths, powers of two; the others are in results.json"),
    ]


def _in_half_a_trip(trips: Sequence[Series]) -> Markup | None:
    """Return NetPIPE's throughput: the bytes of a message in half of its round trip."""
    if len({each.bytes for each in trips}) < SIZES_LEAST:
        return None

    def at(each: Series) -> tuple[float, tuple[float, float, float]]:
        value, low, high = spread_of(each)
        return each.bytes, (
            2e9 * each.bytes / value,
            2e9 * each.bytes / high,
            2e9 * each.bytes / low,
        )

    made = by_system(trips, at)
    says = _says(made, "more is better")
    caption = "Bytes in half of a round trip, one message under way; more is better."
    values = [point.y for each in made for point in each.points]
    return curves.chart(
        made,
        scales.sizes("size of a message", [each.bytes for each in trips]),
        scales.decades("bytes a second", values, figures.bandwidth),
        Words("Throughput as NetPIPE has it", "all paths", says, caption),
    )


def scale(results: Results) -> Content:
    """Return a plot for each thing that is varied and each unit."""
    found: dict[tuple[str, str, str, str], list[Series]] = {}
    for each in results.series:
        varied = naming.numbers(each)
        if each.section == "scale" and varied:
            key = next((key for key in naming.VARIED if key in varied), min(varied))
            found.setdefault((key, each.work, each.unit, each.language), []).append(each)
    made = [_scale(*key, members) for key, members in found.items()]
    listed = [each for each in results.series if each.section == "scale"]
    drawn = [each for each in made if each is not None]
    return [tag("div", drawn, class_="pair"), *tables.points(listed, "Scale")] if listed else []


def _scale(
    key: str, work: str, unit: str, language: str, members: Sequence[Series]
) -> Markup | None:
    name = name_in(members)
    lines: dict[str, list[Point]] = {}
    for each in members:
        others = {other: value for other, value in naming.numbers(each).items() if other != key}
        words = [name(each), *(naming.varied(other, value) for other, value in others.items())]
        if len({each.bytes for each in members}) > 1:
            words.append(figures.size(each.bytes))
        lines.setdefault(", ".join(words), []).append(
            Point(naming.numbers(each)[key], *spread_of(each))
        )
    made = [
        Curve(each, each, tuple(sorted(points, key=lambda point: point.x)))
        for each, points in lines.items()
    ]
    values = [point.y for each in made for point in each.points]
    if not any(value > 0 for value in values):
        return None
    what = naming.VARIED.get(key, key)
    sense = "more is better" if unit.endswith("/s") else "less is better"
    return curves.chart(
        made,
        scales.varied(
            what,
            [point.x for each in made for point in each.points],
            figures.size if key.endswith("_bytes") else figures.count,
        ),
        scales.decades(
            tables.axis_of(work, unit), values, lambda value: figures.worth(value, unit)
        ),
        Words(
            f"{naming.work(work).capitalize()}, over {what}",
            naming.language(language),
            _says(made, sense),
            sense.capitalize() + ".",
        ),
    )


def switched(results: Results) -> Content:
    """Return what a message costs through a switch and without one."""
    members = [each for each in results.series if each.section == "ovs"]
    if not members:
        return []
    made: Content = [
        tables.side_by_side(
            members, "Time or messages a second, and CPU time of both cores for a message"
        )
    ]
    for language, which, group in groups(members):
        title = f"{naming.language(language)}, {naming.WAYS[which]}"
        if drawn := at_one_size(group, title):
            made += [tag("h3", title), *drawn]
    return [*made, *tables.all_numbers(members, "through a switch, and without")]


def limits(results: Results) -> Content:
    """Return what the machine can do, as a table."""
    members = [each for each in results.series if each.section == "limits"]
    return tables.all_numbers(members, "what the machine can do", is_open=True) if members else []
