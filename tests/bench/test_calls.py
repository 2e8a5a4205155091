"""Section "calls": what pytest-benchmark measured becomes series, each with all its cases."""

import re
from pathlib import Path

import pytest

from bench.compare import calls, harness, plan, programs
from bench.compare.page import ratios
from bench.compare.results import Missing, Results, Series
from bench.python import calls as program
from bench.python.test_bench_peers import PEERS

ROOT = Path(__file__).resolve().parents[2]


def quiet(_text: str) -> None:
    pass


def test_every_peer_of_the_program_is_in_the_section() -> None:
    assert list(calls.PEERS) == list(PEERS)


def test_every_own_case_is_a_test() -> None:
    # catches: a case that was renamed, so that the whole section is missing
    text = (ROOT / "bench" / "python" / "test_bench_calls.py").read_text()
    there = set(re.findall(r"def test_bench_(\w+)", text))
    assert there == {"send_and_recv", *calls.OWN}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "wait_for_idle", lambda: True)


def test_a_median_becomes_nanoseconds() -> None:
    stats = {"median": 1.5e-7, "rounds": 7}
    made = program.document({"benchmarks": [{"name": "test_bench_x[64]", "stats": stats}]})
    assert made["cases"] == [{"case": "x[64]", "values": [pytest.approx(150)], "samples": 7}]


@pytest.mark.usefixtures("short")
def test_a_quick_section_has_every_case_and_is_compared() -> None:
    section = calls.run(plan.QUICK, is_quick=True, progress=quiet)
    assert [each for each in section.missing if each.what == "calls"] == []
    there = {each.system for each in section.series}
    assert {"eastwest-shm", "unix-stream", "unix-seqpacket", "pipe", "mp-pipe"} <= there
    missing = {each.what.partition(",")[0] for each in section.missing}
    assert there | missing == {calls.OURS, *calls.PEERS}
    assert all(len(each.values) == 1 and each.values[0] > 0 for each in section.series)
    results = Results({}, "", is_quick=True, series=section.series)
    assert len(ratios(results)) == len(program.SIZES) * (len(there) - 1)


@pytest.mark.usefixtures("short")
def test_a_peer_that_is_not_installed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        calls, "PEERS", {"pipe": ("os", ""), "nowhere": ("eastwest_nowhere", "nowhere-py")}
    )
    monkeypatch.setattr(
        calls, "measure_programs", lambda *_: harness.Section(series=list(calls.cases().values()))
    )
    section = calls.run(plan.FULL, is_quick=False, progress=quiet)
    assert {each.system for each in section.series} == {calls.OURS, "pipe"}
    assert section.missing == [
        Missing("nowhere, calls", "no module eastwest_nowhere", "pip install nowhere-py")
    ]


def test_series_are_of_the_section() -> None:
    made: Series = calls.series_of("pipe", calls.WORK, 64)
    assert (made.section, made.language, made.unit) == ("calls", "python", "ns")
