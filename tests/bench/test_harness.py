"""The rounds of the comparison: what is kept, what is dropped, what the numbers are."""

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram

from bench.compare import __main__ as command
from bench.compare import harness, machine
from bench.compare.harness import Case, measure
from bench.compare.pairs import Done, MissingPair, PairError
from bench.compare.plan import QUICK
from bench.compare.results import RAW_MOST, Missing, Results, Series, packed, read, unpacked
from bench.compare.sections import QUESTIONS, Question
from bench.compare.specs import PairSpec

SECOND = 10**9


class Machine:
    """A machine and its pairs, whose clocks the test moves."""

    def __init__(self) -> None:
        self.busy = self.total = self.stolen = 0
        self.ours: dict[str, int] = {}
        self.log: list[tuple[str, str, int]] = []
        self.does: Callable[[PairSpec, str, int], Done | None] = lambda *_: done()
        self.foreign = 0  # that each work has beside it, ns
        self.is_idle = True

    def now(self) -> machine.Load:
        return machine.Load(self.busy, self.stolen, self.total)


def done(count: int = 4, samples: tuple[int, ...] = (10, 20, 30, 1000)) -> Done:
    return Done(count, 400, 100, 2, array("I", samples))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    here = Machine()

    class Pair:
        def __init__(self, spec: PairSpec) -> None:
            if spec.system == "absent":
                raise MissingPair(Missing("absent", "not installed", "pip install absent"))
            if spec.system == "broken":
                raise PairError("broken: ended; no such thing")
            self.spec, self.name, self.version = spec, spec.label, "1.2"
            self.cannot: dict[tuple[str, int], str] = {}
            here.ours[spec.label] = 0

        def __enter__(self) -> "Pair":
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def close(self) -> None:
            here.log.append((self.name, "closed", 0))

        def cpu_ns(self) -> int:
            return here.ours[self.name]

        def do(self, work: str, size: int, _seconds: float, *_more: float) -> Done | None:
            here.log.append((self.name, work, size))
            found = here.does(self.spec, work, size)
            if found is None:
                self.cannot[work, size] = "too large"
            here.ours[self.name] += SECOND
            here.busy += SECOND + here.foreign
            here.total += 2 * SECOND
            return found

    monkeypatch.setattr(harness, "Pair", Pair)
    monkeypatch.setattr(harness, "wait_for_idle", lambda: here.is_idle)
    monkeypatch.setattr(machine.Load, "now", here.now)
    monkeypatch.setattr("time.process_time_ns", lambda: 0)
    yield here


def case(system: str = "a", work: str = "trip", size: int = 64) -> Case:
    return Case(PairSpec("local", system, "c", "spin"), work, size, 0.01)


def quiet(_text: str) -> None:
    pass


def test_numbers_of_a_case(here: Machine) -> None:
    found = measure([case(), case(work="flow")], 3, quiet)
    trip, flow = sorted(found.series, key=lambda each: each.work, reverse=True)
    assert (trip.work, trip.unit, trip.values) == ("trip", "ns", [25.0] * 3)
    assert (trip.samples, trip.p50, trip.max) == (12, 20.0, 1000.0)
    assert (trip.cpu_ns, trip.switches) == (25.0, 0.5)
    decoded = HdrHistogram.decode(trip.histogram.encode())
    assert decoded.get_total_count() == 12
    assert [list(unpacked(each)) for each in trip.raw] == [[10, 20, 30, 1000]] * 3
    assert trip.raw_step == [1] * 3
    assert (flow.unit, flow.values) == ("1/s", [4 / 400 * SECOND] * 3)
    assert (found.rounds, found.dropped, found.versions) == (3, 0, {"a": "1.2"})


def test_paced_client_looks_at_the_clock_and_its_cpu_means_nothing(here: Machine) -> None:
    (series,) = measure([case(work="paced")], 1, quiet).series
    assert series.cpu_ns is None and series.switches is None
    assert series.p99 is not None


def test_every_case_is_in_every_round_in_another_order(here: Machine) -> None:
    cases = [case(system) for system in "abcdefgh"]
    measure(cases, 4, quiet)
    works = [name for name, work, _ in here.log if work == "trip"]
    rounds = [works[at : at + 8] for at in range(0, 32, 8)]
    assert all(sorted(each) == list("abcdefgh") for each in rounds)
    assert len({tuple(each) for each in rounds}) == 4
    assert len([work for _, work, _ in here.log if work == "closed"]) == 8


def test_round_with_foreign_load_is_dropped_and_repeated(here: Machine) -> None:
    # catches: foreign load that is not noticed, or that is counted as ours
    loads = iter([0, SECOND // 2, 0, 0])

    def does(*_: object) -> Done:
        here.foreign = next(loads)
        return done()

    here.does = does
    found = measure([case()], 3, quiet)
    assert (found.rounds, found.dropped) == (3, 1)
    assert len(found.series[0].values) == 3


def test_time_that_the_host_gave_to_others_is_foreign(here: Machine) -> None:
    stolen = iter([SECOND, 0])

    def does(*_: object) -> Done:
        here.stolen += next(stolen)
        return done()

    here.does = does
    found = measure([case()], 1, quiet)
    assert (found.rounds, found.dropped) == (1, 1)


def test_machine_that_is_never_idle_is_measured_in_the_end_and_says_so(here: Machine) -> None:
    here.is_idle = False
    found = measure([case()], 2, quiet)
    assert (found.rounds, found.dropped) == (2, 2)
    assert "2 of 2 rounds were kept although" in found.missing[-1].why


def test_work_of_the_kernel_s_threads_is_added(here: Machine) -> None:
    here.foreign = SECOND // 2  # as a softirq of its own thread: half as much again
    here.is_idle = True
    (series,) = measure([case()], 1, quiet).series
    assert series.cpu_ns == 25.0 * 1.5


def test_missing_systems_do_not_stop_the_others(here: Machine) -> None:
    found = measure([case("absent"), case("broken"), case("a")], 1, quiet)
    assert [each.system for each in found.series] == ["a"]
    assert [(each.what, each.fix) for each in found.missing] == [
        ("absent", "pip install absent"),
        ("broken", ""),
    ]


def test_pair_that_ends_in_between_is_missing_from_then_on(here: Machine) -> None:
    # catches: a round that ends with it, one that hangs and stays until the end of the section
    ends = iter([False, True])

    def does(spec: PairSpec, _work: str, _size: int) -> Done:
        if spec.system == "b" and next(ends):
            raise PairError("b: ended; out of memory")
        return done()

    here.does = does
    found = measure([case("a"), case("b")], 3, quiet)
    assert {each.system: len(each.values) for each in found.series} == {"a": 3, "b": 1}
    assert [each.why for each in found.missing] == [
        "while it was measured: b: ended; out of memory"
    ]
    assert found.dropped == 0
    assert here.log.index(("b", "closed", 0)) < len(here.log) - 3  # a has a round to come


def test_size_that_a_system_cannot_do_is_named(here: Machine) -> None:
    here.does = lambda _spec, _work, size: None if size > 64 else done()
    found = measure([case(), case(size=128)], 1, quiet)
    assert [(each.what, each.why) for each in found.missing] == [("a", "trip, 128 B: too large")]
    assert len(found.series) == 1


# ------------------------------------------------------------------ the machine


def test_load_is_read_from_proc_stat(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "cpu  10 1 20 500 3 2 4 7 0 0\ncpu0 1 1 1\n"
    monkeypatch.setattr(Path, "read_text", lambda _: line)
    load, tick = machine.Load.now(), machine.TICK_NS
    assert (load.busy, load.stolen, load.total) == (37 * tick, 7 * tick, 547 * tick)


@pytest.mark.parametrize(("busy", "is_idle"), [(0.0, True), (0.04, True), (0.2, False)])
def test_gate_waits_for_an_idle_machine(
    busy: float, is_idle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(100))

    def now() -> machine.Load:
        at = next(ticks)
        return machine.Load(int(at * busy * SECOND), 0, at * SECOND)

    monkeypatch.setattr(machine.Load, "now", now)
    monkeypatch.setattr(machine, "IDLE_S", 0.0)
    assert machine.wait_for_idle(0.0) == is_idle


# ------------------------------------------------------------------ raw samples


@pytest.mark.parametrize("count", [0, 1, RAW_MOST, RAW_MOST + 1, 2 * RAW_MOST, 10 * RAW_MOST + 7])
def test_raw_samples_are_evenly_chosen_and_in_their_order(count: int) -> None:
    # catches: the first ones only, of which what drifts within a round is not to be seen
    samples = array("I", ((1 << 32) - 1 - each for each in range(count)))
    text, step = packed(samples)
    kept = unpacked(text)
    assert kept == samples[::step]
    assert len(kept) <= RAW_MOST
    assert step == 1 or len(kept) > RAW_MOST // 2


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", "eJxjYAAA"])
def test_what_is_no_samples_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="no samples: "):
        unpacked(text)


# ------------------------------------------------------------------ the command


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    results = Results({"cpu": "x"}, "2026-01-01T00:00:00+00:00", is_quick=True)
    results.series.append(Series("local", "a", "c", "spin", "trip", 64, values=[1.0], p50=2.0))
    results.missing.append(Missing("b", "why", "fix"))
    results.write(tmp_path / "r.json")
    assert read(tmp_path / "r.json") == results


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": "eastwest-compare-1"}', '{"schema": "eastwest-compare-2"}']
)
def test_file_that_holds_something_else_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"r\.json holds no results"):
        read(path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rounds", "0"], "'0'; want 1 to 1000"),
        (["--only", "everything"], "invalid choice: 'everything'"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.parse(arguments)
    assert says in capsys.readouterr().err


def test_section_that_fails_is_missing_and_the_others_are_measured() -> None:
    def fails(*_: Any) -> Any:
        raise OSError("no such device")

    def works(*_: Any) -> harness.Section:
        return harness.Section([Series("b", "a", "c", "", "trip", 8)], rounds=2, dropped=1)

    questions = [Question("a", "?", fails), Question("b", "?", works)]
    results = command.run(questions, QUICK, is_quick=True)
    assert [(each.what, each.why) for each in results.missing] == [("a", "OSError: no such device")]
    assert (results.rounds, results.dropped) == ({"b": 2}, {"b": 1})
    assert len(results.series) == 1


def test_sections_have_names_of_their_own() -> None:
    assert len({each.name for each in QUESTIONS}) == len(QUESTIONS)


@pytest.mark.parametrize(("before", "within"), [("256\n", "800"), ("1000\n", "1000\n")])
def test_queues_of_all_systems_have_room_and_the_machine_is_as_before(
    before: str, within: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """catches: a system that is missing as another one has used up what the machine allows"""
    setting = tmp_path / "queues_max"
    setting.write_text(before)
    monkeypatch.setattr(machine, "QUEUES_MAX", setting)
    with pytest.raises(KeyboardInterrupt), machine.room_for_queues(800):
        assert setting.read_text() == within
        raise KeyboardInterrupt
    assert setting.read_text() == before


def test_without_queues_there_is_nothing_to_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "QUEUES_MAX", tmp_path / "none")
    with machine.room_for_queues(800):
        assert not (tmp_path / "none").exists()
