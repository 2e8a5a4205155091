"""report.html: one page that holds everything, its look and its drawings included."""

from collections.abc import Sequence
from pathlib import Path

from bench.compare.page import dots, drawing, figures, naming, sections, tables, words
from bench.compare.page.drawing import Words
from bench.compare.page.headlines import Headline, headlines
from bench.compare.page.markup import Markup, table, tag
from bench.compare.page.ratios import Ratio, limits, ordered, ratios
from bench.compare.page.reasons import Measure
from bench.compare.page.verdicts import TITLES, Leader, Loss, leaders, losses
from bench.compare.results import Results

STYLE = Path(__file__).with_name("page.css")
COMMAND = "./dev bench"
ABOUT = {
    "local": "Two processes on one host, one link. Eastwest takes shared memory by itself.",
    "async": "The same in asyncio: the event loop is part of what is measured.",
    "calls": "Both ends in one process, so nobody is waited for and no core talks to another: what "
    "a library takes by itself, its binding and its copy included. Measured by pytest-benchmark.",
    "many": "A message on each of a hundred links, then the answers of all; time for one of them.",
    "remote": "Two network namespaces stand for two hosts: the kernel over a veth pair, a Linux "
    "bridge or loopback; Eastwest over the kernel, and over its own TCP/IP on pairs of virtual "
    "devices of DPDK. There is no network card in it.",
    "ovs": "What traffic between two endpoints of one host costs through a switch and without it. "
    "A core that a switch polls with is counted in full. The datapath of OVS in the kernel is "
    "another thing and not measured here.",
    "sweep": "As NetPIPE does it: sizes up to the largest, each also a few bytes smaller and "
    "larger, so that no alignment is flattered.",
    "scale": "What happens with more: channels, connections, lost packets, messages under way.",
    "limits": "The floor under everything: a cache line that goes to and fro between the two "
    "cores, and memory that is copied. Drawn as dotted lines in the plots.",
}


def report(results: Results) -> str:
    """Return the whole page."""
    results = ordered(results)
    found = ratios(results)
    parts: list[tuple[str, str, object]] = [
        ("short", "In short", _short(results, found)),
        ("wins", "What wins where", _wins(results)),
        ("loses", "Where Eastwest loses", _loses(losses(found))),
        ("how", "How it was measured", [*words.method(results), *_rounds(results)]),
        (
            "limits",
            naming.SECTIONS["limits"],
            [*tables.beside_limits(limits(results)), *sections.limits(results)],
        ),
    ]
    for name in ("local", "async", "calls", "many", "remote"):
        parts.append((name, naming.SECTIONS[name], sections.contests(results, name)))
    parts += [
        ("ovs", naming.SECTIONS["ovs"], sections.switched(results)),
        ("sweep", naming.SECTIONS["sweep"], sections.sweep(results)),
        ("scale", naming.SECTIONS["scale"], sections.scale(results)),
    ]
    known = {name for name, _, _ in parts}
    for name in dict.fromkeys(each.section for each in results.series):
        if name not in known:
            parts.append((name, name, sections.contests(results, name)))
    parts += [
        ("missing", "What is missing, and why", _missing(results)),
        ("machine", "The machine", _machine(results)),
    ]
    body = tag(
        "body",
        _header(results, parts),
        tag("main", [_section(*each) for each in parts]),
        tag(
            "footer",
            f"Made by {COMMAND} from results.json, which has every number of this page and more.",
        ),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", "Eastwest compared"),
        tag("style", Markup(STYLE.read_text())),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _section(name: str, title: str, content: object) -> Markup:
    nothing = tag("p", "Not measured in this run.", class_="facts")
    about = tag("p", ABOUT[name]) if name in ABOUT else None
    return tag("section", tag("h2", title), about, content or nothing, id=f"s-{name}")


def _header(results: Results, parts: Sequence[tuple[str, str, object]]) -> Markup:
    facts = [
        f"Measured {results.started}, {words.duration(results.seconds)}",
        results.environment.get("cpu", ""),
        f"commit {results.environment['commit']}" if "commit" in results.environment else "",
    ]
    links = [tag("li", tag("a", title, href=f"#s-{name}")) for name, title, _ in parts]
    return tag(
        "header",
        tag("h1", "Eastwest, compared"),
        tag(
            "p",
            "One channel API for processes on one host and on several, measured beside what people "
            "would pick instead, in one run on one machine.",
            class_="lead",
        ),
        tag("p", " · ".join(fact for fact in facts if fact), class_="facts"),
        words.quick(results),
        tag("nav", tag("ul", links), aria_label="Sections"),
    )


# ------------------------------------------------------------------ the begin


def _short(results: Results, found: Sequence[Ratio]) -> list[Markup]:
    verdicts = [each.verdict for each in found]
    boxes = [
        tag("li", tag("b", f"{verdicts.count(which):,}"), tag("span", says))
        for which, says in (
            ("faster", "comparisons in which Eastwest is faster in every round"),
            ("even", "in which some rounds say this and some that"),
            ("slower", "in which Eastwest is slower in every round"),
        )
    ]
    made = [
        tag(
            "p",
            "A comparison is one other system doing the same work as Eastwest: same language, "
            "size, number of links and way of waiting.",
        ),
        tag("ul", boxes, class_="tally"),
    ]
    rows = headlines(results)
    panels = [_dots(rows, *panel) for panel in PANELS]
    made.append(tag("div", panels, class_="pair"))
    made += [tables.folded("The same in numbers", headline_table(rows))] if rows else []
    return made


ONE_HOST = ("local", "async", "calls", "many")
PANELS = (
    ("On one host, Python", "python", ONE_HOST),
    ("On one host, C", "c", ONE_HOST),
    ("Between hosts, Python", "python", ("remote",)),
    ("Between hosts, C", "c", ("remote",)),
    ("Through a switch, Python", "python", ("ovs",)),
    ("Through a switch, C", "c", ("ovs",)),
)


def _dots(
    rows: Sequence[Headline], title: str, language: str, which: tuple[str, ...]
) -> Markup | None:
    rows = [row for row in rows if row.ours.section in which and row.ours.language == language]
    if not rows:
        return None
    says = "; ".join(
        f"{row.title}: {figures.times(row.best.factor)} times as fast as the best other system, "
        f"{naming.full(row.best.other)}"
        for row in rows
    )
    caption = "Each mark is another system doing the same work; the best of them is named first."
    return dots.chart(rows, Words(title, "Eastwest beside every other system", f"{says}.", caption))


def headline_table(rows: Sequence[Headline]) -> Markup:
    """Return the table of the cases at the top."""
    return table(
        ("case", "Eastwest", "", "best other", "", "Eastwest / other", "rounds"),
        [
            (
                row.title,
                naming.full(row.ours),
                tables.worth(row.ours),
                naming.full(row.best.other),
                tables.worth(row.best.other),
                figures.digits(row.best.value),
                figures.between(row.best.low, row.best.high) if row.best.rounds else "not shared",
            )
            for row in rows
        ],
        "Medians, the ratio to the best other system, and the least and largest ratio of a round",
    )


def _wins(results: Results) -> list[Markup]:
    made: list[Markup] = [
        tag(
            "p",
            "The fastest of each case, and whom it leaves behind: the next system, or the best of "
            "Eastwest. From the medians. Who spins meets who spins; Eastwest by default "
            "(adaptive), and Eastwest blocking, each meet all that do not spin.",
        )
    ]
    for section in naming.SECTIONS:
        members = [each for each in results.series if each.section == section]
        if section in ("limits", "scale", "sweep"):
            continue
        rows = [_row(each) for each in leaders(members) if _is_shown(each, results)]
        if rows:
            head = ("case", "wait", "fastest", "", "of", "ahead of", "", "times as fast")
            made += [tag("h3", naming.SECTIONS[section]), table(head, rows, "Who is fastest")]
    return made


def _row(each: Leader) -> tuple[object, ...]:
    behind = each.second if each.ours is each.first else each.ours
    factor = None if each.factor is None else max(each.factor, 1 / each.factor)
    return (
        each.title,
        naming.WAYS[each.contest],
        tag("span", naming.full(each.first), class_=f"name {drawing.class_of(each.first.system)}"),
        tables.worth(each.first),
        str(each.of),
        ""
        if behind is None
        else tag("span", naming.full(behind), class_=f"name {drawing.class_of(behind.system)}"),
        figures.NONE if behind is None else tables.worth(behind),
        figures.NONE if factor is None else figures.times(factor),
    )


def _is_shown(leader: Leader, results: Results) -> bool:
    """64 B, 4 KiB and the largest size stand for all others, which are in the plots."""
    if leader.of < 2:
        return False
    sizes = sorted(
        {
            each.bytes
            for each in results.series
            if (each.section, each.work) == (leader.first.section, leader.first.work)
        }
    )
    return len(sizes) <= 3 or leader.first.bytes in (64, 4096, sizes[-1])


def _loses(found: Sequence[Loss]) -> list[Markup]:
    if not found:
        return [tag("p", "Nowhere in this run: no other system was ahead in any case.")]
    made = [
        tag(
            "p",
            "Every case in which another system is ahead of the Eastwest that does the same work, "
            "the largest distance first. “Not explained” means that nobody has found out yet.",
        ),
    ]
    captions: dict[Measure, str] = {
        "speed": "times as fast as Eastwest, at most, and where",
        "p99.9": "times as short a 99.9th percentile, at most; only where Eastwest is not slower "
        "anyway, and both have 10,000 samples",
        "p99": "the same of the 99th percentile, round by round, where there are fewer samples: a "
        "pause of the machine is the p99 of a whole round",
        "CPU": "times less CPU, at most; only where not both spin, as a core that spins is always "
        "full",
    }
    for measure, title in TITLES.items():
        rows = [
            (
                loss.where,
                naming.full(loss.ours, with_wait=False),
                _others(loss),
                tag("span", loss.why, class_="why"),
            )
            for loss in found
            if loss.measure == measure
        ]
        listed = (
            table(("where", "Eastwest", "behind", "why"), rows, captions[measure])
            if rows
            else tag("p", "Nowhere.")
        )
        if measure == "speed":
            made += [tag("h3", title), listed]
        else:
            made.append(tables.folded(f"{title}: {len(rows)} lines", listed))
    return made


def _others(loss: Loss) -> Markup:
    return tag("span", [[each.text, tag("br")] for each in loss.others], class_="words")


# ------------------------------------------------------------------ the end


def _rounds(results: Results) -> list[Markup]:
    if not results.rounds:
        return []
    rows = [
        (naming.SECTIONS.get(name, name), str(kept), str(results.dropped.get(name, 0)))
        for name, kept in results.rounds.items()
    ]
    return [
        tag("h3", "Rounds of this run"),
        table(("section", "kept", "dropped because of foreign load"), rows, "Rounds"),
    ]


def _missing(results: Results) -> list[Markup]:
    if not results.missing:
        return [tag("p", "Nothing: every system could be measured here.")]
    rows = [
        (what, [[why, tag("br")] for why in reasons], tag("code", fix) if fix else "")
        for what, reasons, fix in tables.missing(results)
    ]
    return [table(("what", "why", "what would help"), rows, "Not measured here")]


def _machine(results: Results) -> list[Markup]:
    rows = [(name, value) for name, value in results.environment.items()]
    return [
        table(("fact", "value"), rows, "The machine and the versions of everything"),
        tag(
            "p",
            "Two cores, a virtual machine and virtual devices say nothing about other machines: "
            "what carries over are ratios, and not all of them. Repeat with ",
            tag("code", COMMAND),
            ".",
        ),
    ]
