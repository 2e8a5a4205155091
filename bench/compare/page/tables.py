"""Tables: every number that is drawn, and those that are not."""

from collections.abc import Sequence

from bench.compare.page import figures, naming
from bench.compare.page.markup import Markup, table, tag
from bench.compare.page.ratios import Ratio, value_of
from bench.compare.results import Results, Series

Content = list[Markup]


def axis_of(work: str, unit: str) -> str:
    """Return the title of an axis."""
    return {"ns": "time", "1/s": "messages a second", "B/s": "bytes a second"}.get(
        unit, f"{work}, {unit}"
    )


def worth(series: Series) -> str:
    """Return a value with its unit."""
    return figures.worth(value_of(series), series.unit)


def spread(series: Series) -> str:
    """Return the least and the largest of the rounds."""
    if len(series.values) < 2:
        return ""
    low, high = (figures.worth(each(series.values), series.unit) for each in (min, max))
    return f"{low} – {high}"


def folded(summary: str, content: object, *, is_open: bool = False) -> Markup:
    """Return something that is shown when one asks for it, and on paper."""
    return tag("details", tag("summary", summary), content, open=is_open)


def all_numbers(members: Sequence[Series], title: str, *, is_open: bool = False) -> Content:
    """Return the tables of a group: over sizes for each work, then everything about each series."""
    made: list[Markup] = []
    for work in dict.fromkeys(each.work for each in members):
        rows = [each for each in members if each.work == work]
        sizes = sorted({each.bytes for each in rows})
        if len(sizes) > 1 and len(sizes) <= 40:
            made.append(
                _over_sizes(rows, sizes, f"{naming.work(work).capitalize()}, medians: {title}")
            )
    made += points(
        [each for each in members if not _is_in_grid(each, members)], title, is_folded=False
    )
    return [folded(f"The numbers: {title}", made, is_open=is_open)] if made else []


def _is_in_grid(series: Series, members: Sequence[Series]) -> bool:
    """Its value is in a table over sizes and there is nothing else to tell of it."""
    sizes = {each.bytes for each in members if each.work == series.work}
    return 1 < len(sizes) <= 40 and series.bytes != 64


def beside_limits(found: Sequence[Ratio]) -> Content:
    """Return ours / the limits: a row for each pair, a column for each size."""
    if not found:
        return []
    sizes = sorted({each.ours.bytes for each in found})
    cells: dict[str, dict[int, str]] = {}
    for each in found:
        work, language = naming.work(each.ours.work), naming.language(each.ours.language)
        limit = naming.full(each.other, with_wait=False)
        name = f"{work}: {naming.full(each.ours)}, {language} / {limit}"
        cells.setdefault(name, {})[each.ours.bytes] = figures.digits(each.value)
    return [
        table(
            ["", *(figures.size(size) for size in sizes)],
            [
                [name, *(row.get(size, figures.NONE) for size in sizes)]
                for name, row in cells.items()
            ],
            "Eastwest / limit, ratios of medians: 1 is as good as the machine itself",
        )
    ]


def _over_sizes(rows: Sequence[Series], sizes: Sequence[int], title: str) -> Markup:
    cells: dict[str, dict[int, str]] = {}
    for each in rows:
        cells.setdefault(naming.full(each), {})[each.bytes] = worth(each)
    return table(
        ["", *(figures.size(size) for size in sizes)],
        [[name, *(row.get(size, figures.NONE) for size in sizes)] for name, row in cells.items()],
        title,
    )


HEAD = (
    "system",
    "what",
    "median",
    "rounds",
    "p50",
    "p99",
    "p99.9",
    "max",
    "samples",
    "CPU",
    "switches",
    "note",
)


def points(members: Sequence[Series], title: str, *, is_folded: bool = True) -> Content:
    """Return everything about each series, a row each."""
    if not members:
        return []
    rows = [
        (
            naming.full(each),
            naming.case(each),
            worth(each),
            spread(each),
            figures.ns(each.p50),
            figures.ns(each.p99),
            figures.ns(each.p999),
            figures.ns(each.max),
            f"{each.samples:,}" if each.samples else figures.NONE,
            figures.ns(each.cpu_ns),
            figures.NONE if each.switches is None else figures.digits(each.switches),
            tag("span", each.note),
        )
        for each in members
    ]
    made = table(HEAD, rows, f"Everything measured: {title}")
    return [folded(f"The numbers: {title}", made)] if is_folded else [made]


def missing(results: Results) -> list[tuple[str, list[str], str]]:
    """Return what could not be measured, the reasons, what would help: once for each thing."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in results.missing:
        reasons = found.setdefault((each.what, each.fix), [])
        if each.why not in reasons:
            reasons.append(each.why)
    return [(what, reasons, fix) for (what, fix), reasons in found.items()]


def side_by_side(members: Sequence[Series], title: str) -> Markup:
    """Return a row for each system: messages a second and CPU time of each, for each work."""
    works = list(dict.fromkeys((each.work, each.bytes, each.unit) for each in members))
    cells: dict[tuple[str, str], dict[tuple[str, int, str], Series]] = {}
    for each in members:
        cells.setdefault((each.language, naming.full(each)), {})[
            each.work, each.bytes, each.unit
        ] = each
    head = ["way"]
    for work, size, _ in works:
        head += [f"{figures.size(size)} {naming.work(work)}", "CPU"]
    has_languages = len({language for language, _ in cells}) > 1
    rows = []
    for (language, name), found in cells.items():
        row: list[object] = [f"{name}, {naming.language(language)}" if has_languages else name]
        for key in works:
            one = found.get(key)
            row += [worth(one) if one else figures.NONE, figures.ns(one.cpu_ns if one else None)]
        notes = dict.fromkeys(each.note for each in found.values() if each.note)
        rows.append([*row, tag("span", "; ".join(notes), class_="note")])
    return table([*head, "note"], rows, title)
