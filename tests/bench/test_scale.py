"""The curves of scale: their points, how documents of programs are read, and short real ones."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench import aims
from bench.compare import harness, programs, scale
from bench.compare.harness import measure
from bench.compare.pairs import PROGRAM as PAIR
from bench.compare.pairs import Pair
from bench.compare.programs import Document, Program, measure_programs, values_of
from bench.compare.results import Series
from bench.compare.specs import Language, PairSpec
from bench.net_goodput import RELAY, name_of
from tests.net.kernel import PROGRAM

TINY = replace(
    scale.QUICK,
    seconds=0.01,
    channels=(100,),
    idle=(20,),
    connections=(64,),
    of_kernel=(50,),
    in_flight=(8,),
    loss_percent=(0.0,),
    loss_seconds=0.2,
)


@pytest.fixture(autouse=True)
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for an idle machine, and what others take meanwhile is not looked at."""
    monkeypatch.setattr(harness, "wait_for_idle", lambda: True)
    monkeypatch.setattr(programs, "wait_for_idle", lambda: True)
    monkeypatch.setattr(harness, "FOREIGN_SHARE", 2.0)


def quiet(_: str) -> None:
    """No progress."""


# ------------------------------------------------------------------ documents


def document(**cases: list[float]) -> Document:
    made = [{"case": name, "values": values} for name, values in cases.items()]
    return {"schema": "eastwest-bench-1", "name": "any", "rounds": 1, "cases": made}


def program(name: str = "any", rounds_max: int = 9) -> Program:
    series = Series("scale", "ours", "c", "", "work", 0, at={"n": 1.0}, unit="B", note="a note")
    return Program(name, (name, "--seed", programs.ROUND), {"case": series}, rounds_max)


def test_values_are_taken_by_their_names() -> None:
    assert values_of(document(one=[1.5], two=[2.0], three=[3.0]), ["two", "one"]) == {
        "two": 2.0,
        "one": 1.5,
    }


@pytest.mark.parametrize("cases", [{}, {"case": []}, {"case": [1.0, 2.0]}])
def test_a_case_without_its_value_is_an_error(cases: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="'case': want one value"):
        values_of(document(**cases), ["case"])


def test_each_round_gives_a_value_and_knows_its_number() -> None:
    asked: list[str] = []

    def finish(command: Sequence[str]) -> Document | str:
        asked.append(" ".join(command))
        return document(case=[float(command[-1]) * 10])

    section = measure_programs([program()], 3, quiet, finish=finish)
    assert asked == ["any --seed 1", "any --seed 2", "any --seed 3"]
    (found,) = section.series
    assert (found.values, found.at, found.note) == ([10.0, 20.0, 30.0], {"n": 1.0}, "a note")
    assert (section.rounds, section.missing) == (3, [])


def test_rounds_have_another_order_each_and_the_same_with_the_same_seed() -> None:
    def order(seed: int) -> list[str]:
        asked: list[str] = []

        def finish(command: Sequence[str]) -> Document | str:
            asked.append(command[0])
            return document(case=[1.0])

        measure_programs([program(each) for each in "abcdefgh"], 2, quiet, seed, finish)
        return asked

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)[:8]) == list("abcdefgh")
    assert order(1)[:8] != order(1)[8:]


def test_a_program_runs_no_oftener_than_it_may() -> None:
    section = measure_programs(
        [program("once", 1), program("often")], 3, quiet, finish=lambda _: document(case=[1.0])
    )
    assert [len(each.values) for each in section.series] == [1, 3]


@pytest.mark.parametrize(
    ("answer", "why"),
    [("ended with 1: no root", "no root"), (document(other=[1.0]), "'case': want one value")],
)
def test_a_program_that_fails_is_missing_and_is_not_asked_again(
    answer: Document | str, why: str
) -> None:
    asked: list[str] = []

    def finish(command: Sequence[str]) -> Document | str:
        asked.append(command[0])
        return answer if command[0] == "broken" else document(case=[1.0])

    section = measure_programs([program("broken"), program()], 2, quiet, finish=finish)
    assert asked.count("broken") == 1
    ((missing),) = section.missing
    assert missing.what == "broken"
    assert why in missing.why
    assert [each.values for each in section.series] == [[1.0, 1.0]]


def test_rounds_that_began_on_a_busy_machine_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = iter([True, False, True])
    monkeypatch.setattr(programs, "wait_for_idle", lambda: next(idle))
    section = measure_programs([program()], 3, quiet, finish=lambda _: document(case=[1.0]))
    assert section.series[0].note == "a note; 1 of 3 rounds began on a busy machine"


def test_what_is_no_document_is_said() -> None:
    assert isinstance(programs.finish([sys.executable, "-c", "print('no JSON')"]), str)
    assert isinstance(programs.finish(["/nowhere/program"]), str)


def test_who_is_interrupted_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []

    def shown(process: subprocess.Popen[str]) -> str:
        started.append(process)
        assert process.stderr is not None
        process.stderr.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(aims, "shown", shown)
    with pytest.raises(KeyboardInterrupt):
        programs.finish([sys.executable, "-c", "import time; time.sleep(60)"])
    assert started[0].returncode == -signal.SIGKILL


# ------------------------------------------------------------------ points


@pytest.mark.parametrize("extent", [scale.FULL, scale.QUICK])
def test_every_curve_has_its_points_once(extent: scale.Extent) -> None:
    cases = scale.cases(extent)
    points = [
        (each.spec.label, each.spec.language, each.work, each.bytes, tuple(each.at.items()))
        for each in cases
    ]
    assert len(points) == len(set(points))
    varied = {name for each in cases for name in each.at}
    series = [each for one in scale.programs(extent) for each in one.series.values()]
    varied |= {name for each in series for name in each.at}
    assert varied == {"channels", "in_flight", "outbox_bytes", "connections", "loss_percent"}


def test_goodput_is_found_under_the_names_that_its_program_gives() -> None:
    losses = scale.programs(scale.FULL)[-1]
    names = {
        name_of(who, loss, scale.ROUND_TRIP_MS)
        for who in ("kernel", "both")
        for loss in scale.FULL.loss_percent
    }
    assert set(losses.series) == names


def test_a_window_is_told_as_a_rate() -> None:
    series = Series("scale", "any", "c", "", "window", 64, values=[500.0, 1000.0])
    scale.as_rate(series)
    assert (series.values, series.unit) == ([2e6, 1e6], "1/s")


# ------------------------------------------------------------------ real ones


def window(pair: Pair, in_flight: int) -> None:
    done = pair.do("window", 64, 0.01, in_flight)
    assert done is not None
    assert done.count >= 3
    assert not done.samples


@pytest.fixture(params=["c", "python"])
def language(request: pytest.FixtureRequest) -> Language:
    """Of the pair program; C if it is built."""
    if request.param == "c" and not PAIR.exists():
        pytest.skip(f"{PAIR.name} is not built")
    found: Language = request.param
    return found


def test_a_socket_has_a_thousand_requests_under_way_at_once(language: Language) -> None:
    with Pair(PairSpec("scale", "unix-stream", language, "block")) as pair:
        window(pair, 1)
        window(pair, 1024)  # more than its buffers hold as they are


def test_a_channel_has_as_many_and_refuses_what_no_outbox_holds(language: Language) -> None:
    with Pair(PairSpec("scale", "eastwest-shm", language, "adaptive")) as pair:
        window(pair, 1)
        window(pair, 1024)
        assert pair.do("window", 65536, 0.01, 1024) is None
        assert "answers need" in next(iter(pair.cannot.values()))
        assert pair.do("trip", 64, 0.01) is not None


def test_a_hundred_channels_in_small_outboxes() -> None:
    cases = [each for each in scale.cases(TINY) if each.work == "fan"]
    section = measure(cases, 1, quiet)
    assert section.missing == []
    assert {(each.system, each.links) for each in section.series} == {
        ("eastwest-shm", 100),
        ("unix-stream", 100),
    }


def test_the_programs_tell_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = [Path(each) for each in (scale.NET_WIRE, RELAY, PROGRAM)]
    if lacking := [each.name for each in needed if not each.exists()]:
        pytest.skip(f"{lacking[0]} is not built")
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    section = measure_programs(scale.programs(TINY), 1, quiet)
    assert section.missing == []
    works = {(each.system, each.work): each.values[0] for each in section.series}
    assert set(works) == {
        ("eastwest-shm", "memory, idle"),
        ("eastwest-shm", "descriptors, idle"),
        ("eastwest-shm", "connect"),
        ("eastwest-net", "memory, idle"),
        ("eastwest-net", "trip, on one"),
        ("eastwest-net", "trip, on any"),
        ("tcp", "memory, idle"),
        ("eastwest-net", "goodput"),
        ("tcp", "goodput"),
    }
    assert all(value > 0 for name, value in works.items() if name[0] != "tcp")


def test_the_table_has_a_line_for_a_point() -> None:
    at: dict[str, float | str] = {"channels": 10_000}
    series = Series("scale", "ours", "c", "", "fan", 64, at=at, unit="ns", values=[3.0, 1.0, 2.0])
    line = " ".join(scale.line_of(series)).split()
    assert line == ["fan", "ours,", "c", "64", "channels", "10,000", "2", "ns"]


def test_the_limit_of_files_is_raised_and_put_back() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft - 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        with scale.more_files(few + 1):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == few + 1
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == few
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
