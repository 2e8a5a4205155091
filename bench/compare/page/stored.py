"""The results in the documents: docs/benchmarks.json, and the tables that are made from it.

A full run is stored as a small file in the repository; the tables of README.md and
docs/benchmarks.md stand between markers and are made from that file alone. A test makes them again
and compares, so that nobody can change one of the three by hand without being told.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.compare.page import figures, naming, tables
from bench.compare.page.headlines import Headline, headlines
from bench.compare.page.ratios import limits, ordered, ratios, value_of
from bench.compare.page.verdicts import TITLES, losses
from bench.compare.results import Results, Series

SCHEMA = "eastwest-benchmarks-1"
STORED = Path("docs/benchmarks.json")
DOCUMENTS = {"README.md": "readme", "docs/benchmarks.md": "benchmarks"}
BEGIN, END = "<!-- compare:begin -->", "<!-- compare:end -->"
NONE_YET = "No full run yet: `./dev bench` makes one."
COMMAND = "./dev bench"
VERSION = "version of "
FACTS = ("cpu", "cpus", "kernel", "huge pages", "python", "compiler", "commit")
IN_README = (  # section, work, contest
    ("local", "trip", "spin"),
    ("local", "trip", "adaptive"),
    ("local", "trip", "block"),
    ("local", "paced", "adaptive"),
    ("local", "flow", "adaptive"),
    ("local", "flow", "block"),
    ("async", "trip", "adaptive"),
    ("remote", "trip", "spin"),
    ("remote", "flow", "block"),
    ("ovs", "trip", "spin"),
    ("ovs", "flow", "spin"),
)
AS_FAST = (0.95, 1.05)  # where rounds say both
ONLY_IN_BENCHMARKS = (
    "uvloop",
    " bridge",
    " loopback",
    " memif",
    " virtio-tso",
    " af_packet",
)  # paths


@dataclass(frozen=True, slots=True)
class Row:
    """A case: Eastwest, the best other system, and their ratio.

    Attributes:
        section, work, contest: where it belongs.
        case: in words.
        ours, other: the systems, and how they wait.
        ours_value, other_value: medians, as they are written.
        ratio: Eastwest / other, the median of the rounds.
        low, high: the least and largest of a round; None: rounds are not shared.
        factor: how many times as fast Eastwest is.
        others: with how many systems it was compared.
        cpu: time of processors for a message, Eastwest's and the other's; "": not known.
    """

    section: str
    work: str
    contest: str
    case: str
    ours: str
    ours_value: str
    other: str
    other_value: str
    ratio: float
    low: float | None
    high: float | None
    factor: float
    others: int
    cpu: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the documents say about a run."""

    started: str
    is_quick: bool
    seconds: float
    facts: dict[str, str]
    versions: dict[str, str]
    rounds: dict[str, int]
    dropped: dict[str, int]
    comparisons: dict[str, int]
    rows: list[Row] = field(default_factory=list)
    limits: list[list[str]] = field(default_factory=list)
    losses: list[list[str]] = field(default_factory=list)
    missing: list[list[str]] = field(default_factory=list)


def stored(results: Results) -> Stored:
    """Return what is kept of a run."""
    results = ordered(results)
    found = ratios(results)
    verdicts = [each.verdict for each in found]
    return Stored(
        results.started,
        results.is_quick,
        round(results.seconds, 1),
        {name: results.environment[name] for name in FACTS if name in results.environment},
        {
            name.removeprefix(VERSION): value
            for name, value in results.environment.items()
            if name.startswith(VERSION)
        },
        results.rounds,
        results.dropped,
        {which: verdicts.count(which) for which in ("faster", "even", "slower")},
        [_row(each) for each in headlines(results)],
        [
            _limit(each.ours, each.other, each.value)
            for each in limits(results)
            if _is_kept(each.ours)
        ],
        [[each.measure, each.sentence, each.why] for each in losses(found)],
        [[what, "; ".join(reasons), fix] for what, reasons, fix in tables.missing(results)],
    )


def _row(each: Headline) -> Row:
    best = each.best
    return Row(
        each.ours.section,
        each.ours.work,
        each.contest,
        each.title,
        _named(each.ours),
        figures.worth(value_of(each.ours), each.ours.unit),
        _named(best.other),
        figures.worth(value_of(best.other), best.other.unit),
        _short(best.value),
        _short(best.low) if best.rounds else None,
        _short(best.high) if best.rounds else None,
        _short(best.factor),
        len(each.ratios),
        _cpu(each.ours, best.other),
    )


def _named(series: Series) -> str:
    note = f"; {series.note}" if series.note else ""
    return naming.full(series) + note


def _cpu(*both: Series) -> str:
    if any(each.cpu_ns is None for each in both):
        return ""
    return " / ".join(figures.worth(each.cpu_ns, "ns") for each in both)


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _is_kept(ours: Series) -> bool:
    return ours.bytes in (64, 32 << 10, 1 << 20, 16 << 20)


def _limit(ours: Series, limit: Series, ratio: float) -> list[str]:
    case = f"{naming.language(ours.language)}, {naming.case(ours)}"
    name = naming.full(limit, with_wait=False)
    values = [figures.worth(value_of(each), each.unit) for each in (ours, limit)]
    return [case, values[0], name, values[1], figures.digits(ratio)]


# ------------------------------------------------------------------ the file


def load(root: Path) -> Stored | None:
    """Return what is stored in a checkout; None: no full run yet.

    Raises:
        ValueError: the file holds something else.
    """
    path = root / STORED
    if not path.exists():
        return None
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        if (schema := document.pop("schema", None)) != SCHEMA:
            raise ValueError(f"schema {schema!r}; want {SCHEMA!r}")
        rows = [Row(**each) for each in document.pop("rows")]
        return Stored(**document, rows=rows)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is no summary of this version: {error}") from error


def publish(results: Results, root: Path) -> list[Path]:
    """Store a run in a checkout and make its tables; return what was written.

    Raises:
        ValueError: a document has no markers; nothing was written.
    """
    made = stored(results)
    texts = {root / name: rewritten(root / name, made) for name in DOCUMENTS}
    document = {"schema": SCHEMA, **asdict(made)}
    texts[root / STORED] = (
        json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    )
    for path, text in texts.items():
        path.write_text(text)
    return list(texts)


def rewritten(path: Path, what: Stored | None) -> str:
    """Return a document with its tables made anew.

    Raises:
        ValueError: it has not exactly one pair of markers.
    """
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{path}: want {BEGIN} and {END}, once each")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    kind = next(kind for name, kind in DOCUMENTS.items() if path.as_posix().endswith(name))
    return f"{before}{BEGIN}\n{between(what, kind)}\n{END}{after}"


# ------------------------------------------------------------------ the tables


def between(what: Stored | None, kind: str) -> str:
    """Return what stands between the markers of a document."""
    if what is None:
        return NONE_YET
    rows = what.rows
    if kind == "readme":
        rows = [
            row
            for row in rows
            if (row.section, row.work, row.contest) in IN_README
            and not any(path in row.ours for path in ONLY_IN_BENCHMARKS)
            and "without a switch" not in row.case
        ]
        return "\n".join([*_cases(rows), "", _source(what)])
    parts = [_source(what), "", *_cases(rows)]
    parts += ["", "### Beside what the machine can do", ""]
    parts += _table(("case", "Eastwest", "limit", "", "Eastwest / limit"), what.limits)
    parts += ["", "### Where Eastwest loses", ""]
    parts += _losses(what)
    parts += ["", "### What was missing", ""]
    parts += _table(("what", "why", "what would help"), what.missing) or ["Nothing."]
    parts += ["", "### Rounds and versions", ""]
    counts = [
        [name, str(kept), str(what.dropped.get(name, 0))] for name, kept in what.rounds.items()
    ]
    parts += _table(("section", "rounds kept", "dropped"), counts)
    parts += ["", *_table(("", "version"), [list(each) for each in what.versions.items()])]
    return "\n".join(parts).rstrip()


def _source(what: Stored) -> str:
    facts = [f"{name} {what.facts[name]}" for name in FACTS if name in what.facts and name != "cpu"]
    cpu = what.facts.get("cpu", "an unknown processor")
    quick = "a quick run of " if what.is_quick else ""
    compared = what.comparisons
    counts = {which: compared.get(which, 0) for which in ("faster", "slower", "even")}
    facts_said = _cell(", ".join(facts))
    return (
        f"Medians of {quick}`{COMMAND}`, {what.started[:10]}, on {_cell(cpu)} ({facts_said}). "
        "Ratio: Eastwest / the best of the others, round by round, least to largest. "
        f"Of {sum(counts.values())} comparisons Eastwest is faster in {counts['faster']}, slower "
        f"in {counts['slower']}; in {counts['even']} the rounds disagree."
    )


def _cases(rows: Sequence[Row]) -> list[str]:
    head = ("case", "Eastwest", "best other system", "ratio", "Eastwest is", "CPU of each")
    return _table(
        head,
        [
            [
                row.case,
                f"{row.ours_value} ({row.ours})",
                f"{row.other_value} ({row.other}, best of {row.others})",
                figures.digits(row.ratio) + _range(row),
                _verdict(row),
                row.cpu,
            ]
            for row in rows
        ],
    )


def _range(row: Row) -> str:
    if row.low is None or row.high is None:
        return ", medians"
    return f" ({figures.between(row.low, row.high)})"


def _verdict(row: Row) -> str:
    if row.low is not None and row.high is not None and row.low <= 1 <= row.high:
        if AS_FAST[0] <= row.factor <= AS_FAST[1]:
            return "as fast"
        return f"{_times(row)}, not in every round"
    return _times(row)


def _times(row: Row) -> str:
    if row.factor >= 1:
        return f"{figures.times(row.factor)} times as fast"
    return f"slower, {figures.times(1 / row.factor)} times"


def _losses(what: Stored) -> list[str]:
    if not what.losses:
        return ["Nowhere in this run."]
    made = []
    for measure, name in TITLES.items():
        listed = [
            f"* {_cell(says)} Why: {_cell(why)}."
            for each, says, why in what.losses
            if each == measure
        ]
        made += [f"{name}:", "", *listed, ""] if listed else []
    return made[:-1]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    made = [f"| {' | '.join(head)} |", "| " + " | ".join("---" for _ in head) + " |"]
    return made + [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]


def _cell(text: str) -> str:
    """Return text that Markdown takes as it is: no markup, no cell or line of its own."""
    text = " ".join(text.split())
    for character in "\\`*[]<>|":
        text = text.replace(character, f"\\{character}")
    return text
