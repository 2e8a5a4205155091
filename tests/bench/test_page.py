"""The page of the comparison: right ratios, every loss listed, whole and harmless HTML."""

import dataclasses
import re
from array import array
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.compare.page import figures, naming, quantiles, report, scales, summary
from bench.compare.page.__main__ import main
from bench.compare.page.headlines import headlines
from bench.compare.page.markup import EMPTY, tag
from bench.compare.page.ratios import Ratio, limits, ratios
from bench.compare.page.verdicts import leaders, losses
from bench.compare.results import Missing, Results, Series, packed
from tests.bench import made_up

HOSTILE = "<script>alert('x')</script>&\"|`]"
VOID = EMPTY | {"!doctype"}


def run(*series: Series, **more: Any) -> Results:
    return Results({"cpu": "x"}, "2026-01-02T03:04:05+00:00", False, series=list(series), **more)


def trip(system: str, *values: float, wait: str = "spin", **more: Any) -> Series:
    case: dict[str, Any] = {"section": "local", "language": "python", "work": "trip", "bytes": 64}
    return Series(system=system, wait=wait, values=list(values), **(case | more))


def flow(system: str, *values: float, **more: Any) -> Series:
    return trip(system, *values, work="flow", unit="1/s", **more)


@pytest.fixture(scope="module")
def whole() -> Results:
    return made_up.results()


@pytest.fixture(scope="module")
def page(whole: Results) -> str:
    return report(whole)


# ------------------------------------------------------------------ ratios


def only(results: Results) -> Ratio:
    (one,) = ratios(results)
    return one


def test_ratio_is_formed_round_by_round() -> None:
    """catches: a ratio of medians, which is 200 / 400 here, or of means."""
    one = only(run(trip("eastwest-shm", 100, 200, 300), trip("pipe", 400, 1000, 300)))
    assert (one.value, one.low, one.high, one.rounds) == (0.25, 0.2, 1.0, 3)
    assert one.factor == 4.0
    assert one.verdict == "even"  # as fast in the third round


def test_ratio_of_rates_turns_round() -> None:
    one = only(run(flow("eastwest-shm", 30.0, 10.0), flow("pipe", 10.0, 5.0)))
    assert (one.value, one.factor, one.verdict) == (2.5, 2.5, "faster")
    one = only(run(flow("eastwest-shm", 10.0, 5.0), flow("pipe", 30.0, 10.0)))
    assert one.verdict == "slower"
    assert one.factor == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_rounds_that_are_not_shared_give_a_ratio_of_medians() -> None:
    one = only(run(trip("eastwest-shm", 100, 200, 300), trip("pipe", 400, 600)))
    assert (one.value, one.low, one.high, one.rounds) == (0.4, 0.4, 0.4, 0)


@pytest.mark.parametrize("values", [(), (0.0,), (0.0, 0.0)])
def test_no_ratio_without_a_number(values: tuple[float, ...]) -> None:
    assert ratios(run(trip("eastwest-shm", *values), trip("pipe", 5.0))) == []
    assert ratios(run(trip("eastwest-shm", 5.0), trip("pipe", *values))) == []


def test_one_round_is_a_ratio() -> None:
    assert only(run(trip("eastwest-shm", 1.0), trip("pipe", 4.0))).rounds == 1


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("spin", ["spin"]),
        ("block", ["block", "adaptive"]),
        ("epoll", ["block", "adaptive"]),
        ("", ["adaptive"]),
    ],
)
def test_systems_that_wait_alike_are_compared(theirs: str, ours: list[str]) -> None:
    """catches: a default that meets nobody, so that where it loses is not listed"""
    mine = [trip("eastwest-shm", 1.0, wait=wait) for wait in ("block", "spin", "adaptive")]
    found = ratios(run(*mine, trip("pipe", 4.0, wait=theirs)))
    assert [each.ours.wait for each in found] == ours


def test_who_spins_is_no_match_for_who_sleeps() -> None:
    assert ratios(run(trip("eastwest-shm", 1.0), trip("pipe", 4.0, wait="block"))) == []


@pytest.mark.parametrize(
    "other",
    [{"bytes": 65}, {"links": 2}, {"language": "c"}, {"section": "async"}, {"at": {"rate": 1.0}}],
)
def test_another_case_is_not_compared(other: dict[str, Any]) -> None:
    assert ratios(run(trip("eastwest-shm", 1.0), trip("pipe", 4.0, **other))) == []


def test_tcp_path_on_one_host_stands_beside_tcp_only() -> None:
    found = ratios(run(trip("eastwest-tcp", 1.0), trip("pipe", 4.0), trip("tcp", 4.0)))
    assert [each.other.system for each in found] == ["tcp"]


def test_same_way_between_hosts_comes_first() -> None:
    """A way that nobody else takes stands beside all; raw frames are a measure, not a rival."""
    systems = ("eastwest-tcp veth", "eastwest-dpdk memif", "tcp veth", "tcp bridge", "frames memif")
    found = ratios(run(*(trip(each, 2.0, section="remote") for each in systems)))
    assert [(each.ours.system, each.other.system) for each in found] == [
        ("eastwest-tcp veth", "tcp veth"),
        ("eastwest-dpdk memif", "tcp veth"),
        ("eastwest-dpdk memif", "tcp bridge"),
    ]


def test_limits_stand_beside_ours_of_the_same_work_and_size() -> None:
    line = trip("line", 80.0, 90.0, section="limits", language="c", wait="")
    (one,) = limits(run(trip("eastwest-shm", 170.0), trip("eastwest-shm", 170.0, bytes=8), line))
    assert (one.value, one.rounds) == (2.0, 0)


# ------------------------------------------------------------------ verdicts


def test_loss_is_listed_with_its_reason() -> None:
    ours = [flow("eastwest-tcp", 10.0, 10.0, bytes=size) for size in (64, 1 << 20)]
    theirs = [flow("tcp", 5.0, 4.0, bytes=64), flow("tcp", 30.0, 15.0, bytes=1 << 20)]
    (loss,) = losses(ratios(run(*ours, *theirs)))
    assert loss.sentence.startswith("On one host, Python, one way: eastwest-tcp is slower than")
    assert "tcp (spin) 2.0×, 1 MiB (1 of 2)" in loss.sentence
    assert "inbox is small" in loss.why


def test_loss_without_a_reason_says_so() -> None:
    (loss,) = losses(ratios(run(trip("eastwest-shm", 2.0, 3.0), trip("novel", 1.0, 4.0))))
    assert loss.why == "not explained"
    assert "not in every round" in loss.sentence


def test_even_a_small_loss_is_listed_and_a_win_is_not() -> None:
    found = losses(ratios(run(trip("eastwest-shm", 100.0), trip("a", 99.9), trip("b", 100.1))))
    assert [[each.name for each in loss.others] for loss in found] == [["a (spin)"]]


def test_tail_and_cpu_are_losses_of_their_own() -> None:
    ours = trip("eastwest-shm", 1.0, wait="adaptive", p999=90.0, samples=10_000, cpu_ns=9.0)
    other = trip("pipe", 2.0, wait="block", p999=30.0, samples=10_000, cpu_ns=3.0)
    found = {each.measure: each for each in losses(ratios(run(ours, other)))}
    assert set(found) == {"p99.9", "CPU"}
    assert all(each.others[0].worst == 3.0 for each in found.values())
    assert "spins for a moment" in found["CPU"].why


def test_tail_of_few_samples_is_none() -> None:
    ours = trip("eastwest-shm", 1.0, p999=90.0, samples=9_999)
    assert losses(ratios(run(ours, trip("pipe", 2.0, p999=30.0, samples=10_000)))) == []


@pytest.mark.parametrize(
    ("rounds", "says"),
    [
        ([90, 90, 90], "pipe (spin) 3.0×, 64 B."),
        ([90, 90, 20], "pipe (spin) 3.0×, 64 B, not in every round."),
        ([20, 20, 9000], None),  # a pause of the machine
    ],
)
def test_tail_of_few_samples_is_taken_round_by_round(rounds: list[int], says: str | None) -> None:
    def raw(p99s: list[int]) -> list[str]:
        return [packed(array("I", [1] * 980 + [each] * 20))[0] for each in p99s]

    ours = trip("eastwest-shm", 1.0, samples=3_000, raw=raw(rounds))
    theirs = trip("pipe", 2.0, samples=3_000, raw=raw([30, 30, 30]))
    results = run(ours, theirs)
    found = losses(ratios(results))
    assert [each.measure for each in found] == (["p99"] if says else [])
    assert says is None or found[0].sentence.endswith(says)
    assert ("A longer tail (99th percentile): 1 lines" in report(results)) == (says is not None)


def test_leader_is_the_fastest_of_all() -> None:
    fast, slow = trip("pipe", 1.0), trip("eastwest-shm", 3.0)
    (leader,) = leaders([slow, fast, trip("tcp", 9.0)])
    assert (leader.first, leader.ours) == (fast, slow)
    assert leader.factor == pytest.approx(1 / 3)
    assert "3.0 times as fast as the best of Eastwest" in leader.sentence
    (leader,) = leaders([flow("pipe", 1.0), flow("eastwest-shm", 3.0)])
    assert "3.0 times as fast as the next, pipe" in leader.sentence


def test_who_blocks_meets_the_default_and_who_blocks() -> None:
    """catches: a comparison with the default only, which spins as long as that pays."""
    waits = [
        trip("eastwest-shm", each, wait=wait) for each, wait in ((1, "adaptive"), (9, "block"))
    ]
    found = {each.contest: each for each in leaders([*waits, trip("pipe", 5.0, wait="block")])}
    assert {name: each.first.system for name, each in found.items()} == {
        "adaptive": "eastwest-shm",
        "block": "pipe",
    }


def test_headlines_are_of_each_wait_beside_the_best_other() -> None:
    waits = [trip("eastwest-shm", 2.0, wait=wait) for wait in ("block", "adaptive")]
    others = [trip("pipe", 6.0, wait="block"), trip("posix-mq", 4.0, wait="block")]
    spinning = [trip("pipe", 1.0)]  # is no match for either
    found = headlines(run(*waits, *others, *spinning))
    assert [(each.contest, each.ours.wait, each.best.other.system) for each in found] == [
        ("adaptive", "adaptive", "posix-mq"),
        ("block", "block", "posix-mq"),
    ]


# ------------------------------------------------------------------ drawings


def test_percentiles_come_from_the_stored_histogram() -> None:
    series = trip("pipe", 1.0, histogram=made_up.HISTOGRAM)  # 1 .. 99 us, a hundred times 100
    found = dict(quantiles.percentiles(series))
    assert set(found) == {50.0, 75.0, 90.0}  # of 199, less than ten are beyond 95 %
    assert found[50.0] == pytest.approx(100_000, rel=0.001)


@pytest.mark.parametrize("text", ["x", "AAAA", "HISTFAAAAFh4nJNp", "é"])
def test_broken_histogram_is_told(text: str) -> None:
    made, unread = quantiles.curves_of([("pipe", trip("pipe", 1.0, histogram=text))])
    assert (made, len(unread)) == ([], 1)
    assert "Not drawn: pipe: " in report(run(trip("pipe", 1.0, histogram=text)))


def test_labels_keep_apart_and_inside() -> None:
    places = scales.apart([50.0, 50.0, 51.0, 10.0, 100.0], 10.0, 0.0, 100.0)
    ordered = sorted(places)
    assert all(b - a >= 9.999 for a, b in pairwise(ordered))
    assert ordered[0] >= 0 and ordered[-1] <= 100
    assert places[3] == 10.0 and places[4] == 100.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.500 ns"), (82.4, "82.4 ns"), (999.7, "1.00 µs"), (9997, "10.0 µs"), (3e9, "3.00 s")],
)
def test_times_have_three_digits(value: float, text: str) -> None:
    assert figures.ns(value) == text


def test_sizes_are_exact() -> None:
    assert [figures.size(each) for each in (8, 4096, 4097, 16 << 20)] == [
        "8 B",
        "4 KiB",
        "4,097 B",
        "16 MiB",
    ]


# ------------------------------------------------------------------ HTML


class Balanced(HTMLParser):
    """Checks nesting, and keeps what a test asks about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.names: list[str] = []
        self.ids: list[str] = []
        self.wanted: list[str] = []
        self.tables: list[list[int]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        found = dict(attrs)
        assert len(found) == len(attrs), f"an attribute twice: {attrs}"
        self.links += [str(found[each]) for each in ("href", "src", "xlink:href") if each in found]
        self.ids += [str(found["id"])] if "id" in found else []
        self.wanted += str(found.get("aria-labelledby", "")).split()
        assert not any(each.startswith("on") for each in found)
        if tag == "tr":
            self.tables[-1].append(0)
        elif tag == "table":
            self.tables.append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_balanced_and_needs_nothing_from_outside(page: str) -> None:
    """catches: an element left open, an image, a script, a font or a style of another place."""
    found = Balanced(page)
    assert not {"script", "img", "link", "iframe", "object", "use", "image"} & set(found.names)
    assert found.links and all(each.startswith("#s-") for each in found.links)
    assert {each[1:] for each in found.links} <= set(found.ids)
    assert not re.search(r"https?:|url\(|@import|@font-face", page)
    assert "prefers-color-scheme: dark" in page and "@media print" in page


def test_page_can_be_heard(page: str) -> None:
    """Every drawing has a name and a description, ids are unique, tables are whole."""
    found = Balanced(page)
    assert found.names.count("svg") == len(found.wanted) / 2 > 30
    assert set(found.wanted) <= set(found.ids)
    assert len(set(found.ids)) == len(found.ids)
    assert all(len(set(widths)) == 1 for widths in found.tables)
    assert found.names.count("caption") == found.names.count("table") > 20
    assert re.search(r'<html lang="en">', page)


def test_no_drawing_has_a_number_that_is_none(page: str) -> None:
    assert not re.search(r'="[^"]*\b(nan|inf|None)\b', page)
    for points in re.findall(r' points="([^"]*)"', page):
        assert re.fullmatch(r"(-?[\d.]+,-?[\d.]+ ?)+", points)


def test_page_shows_all_sections(page: str, whole: Results) -> None:
    for section in {each.section for each in whole.series}:
        assert f'id="s-{section}"' in page
    assert page.count("Not measured in this run.") == 0
    for each in whole.missing:
        assert each.what in page and each.why in page


def test_page_lists_every_loss(page: str, whole: Results) -> None:
    found = losses(ratios(whole))
    assert len(found) > 10
    for loss in found:
        for each in loss.others:
            assert each.text in page


def test_hostile_names_are_text() -> None:
    """catches: one place where a text of the results is taken for markup."""
    text = {"system": HOSTILE, "language": HOSTILE, "work": HOSTILE, "note": HOSTILE}
    others = [
        dataclasses.replace(trip("pipe", 1.0, 2.0), **{name: value})  # type: ignore[arg-type]
        for name, value in text.items()
    ]
    others += [trip(f"pipe {HOSTILE}", 1.0, 2.0, bytes=size) for size in (8, 64, 512)]
    others += [trip("pipe", 1.0, at={HOSTILE: 1.0, "b": HOSTILE}, section=HOSTILE)]
    others += [trip("pipe", float(at), at={HOSTILE: at}, section="scale") for at in (1, 2)]
    others += [trip(HOSTILE, 1.0, section=each) for each in naming.SECTIONS]
    others += [trip("eastwest-shm", 9.0, 9.0, wait=HOSTILE), trip("eastwest-shm", 9.0, 9.0)]
    results = run(*others, missing=[Missing(HOSTILE, HOSTILE, HOSTILE)], rounds={HOSTILE: 1})
    results.environment = {HOSTILE: HOSTILE, "commit": HOSTILE, "cpu": HOSTILE}
    results.started = HOSTILE
    page = report(results)
    Balanced(page)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert summary(results)


def test_odd_values_are_drawn_or_left_out() -> None:
    """No values, one round, zero, a system alone, an unknown unit, an empty run."""
    odd = [
        trip("eastwest-shm"),
        trip("pipe", 0.0, 0.0),
        trip("tcp", 5.0),
        trip("tcp", 5.0, bytes=0, unit="things"),
        trip("unix-stream", 5.0, p50=5.0, samples=1, cpu_ns=0.0),
        *(flow("memcpy2", 0.0, bytes=size, section="limits") for size in (8, 64)),
        *(trip("pipe", 0.0, bytes=size) for size in (1, 2, 4)),
        *(flow("pipe", 3.0, bytes=size) for size in (1, 2, 4)),  # drawn beside a limit of 0
        trip("eastwest-net", -1.0, section="scale", at={"loss_percent": 0.0}),
        trip("eastwest-net", 3.0, section="sweep"),
        trip("eastwest-shm", 3.0, section="ovs", wait="", unit="1/s"),
    ]
    for results in (run(), run(*odd), *(run(each) for each in odd)):
        Balanced(report(results))
        assert summary(results)
    assert report(run()).count("Not measured in this run.") >= 7


def test_quick_run_warns() -> None:
    assert "Quick run." in report(made_up.results(is_quick=True))


def test_markup_escapes_what_is_no_markup() -> None:
    made = tag("p", "<b>", tag("i", "&"), None, ["a", tag("br")], title='"<', hidden=True, id=None)
    assert made == '<p title="&quot;&lt;" hidden>&lt;b&gt;<i>&amp;</i>a<br></p>'
    with pytest.raises(TypeError):
        tag("p", 3)


# ------------------------------------------------------------------ terminal and command line


def test_summary_has_ratios_losses_and_what_is_missing(whole: Results) -> None:
    text = summary(whole)
    shm = next(line for line in text.splitlines() if line.startswith("Python, 64 B round trip, sp"))
    assert "eastwest-shm, spin" in shm
    assert "Where Eastwest loses" in text and "iceoryx2" in text
    assert "missing: ecal, C: no headers (apt-get install libecal-dev)" in text
    assert "local 3, remote 1" in text
    assert max(len(line) for line in text.splitlines() if line.startswith("    ")) <= 104


def test_command_writes_the_page_beside_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    run(trip("eastwest-shm", 1.0), trip("pipe", 2.0)).write(results)
    assert main([str(results)]) == 0
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert main([str(results), "--html", str(tmp_path / "a.html"), "--terminal"]) == 0
    assert (tmp_path / "a.html").exists()
    assert "pipe 0.500" in capsys.readouterr().out


@pytest.mark.parametrize("text", [None, "no JSON", "{}", '{"schema": "other"}', "[]"])
def test_command_tells_what_is_no_results(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    assert main([str(path)]) == 1
    assert str(path) in capsys.readouterr().err
