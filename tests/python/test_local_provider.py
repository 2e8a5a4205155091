"""The runtime directories as a registry: a socket that is silent is not waited for each time."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from eastwest import EastwestError, Refused, Unreachable
from eastwest import Timeout as TimeIsUp
from eastwest._health import Rules
from eastwest._providers import Answer
from eastwest._providers import _local as local_module
from eastwest._providers._local import ASK_SECONDS_AGAIN, Local, SocketNames
from eastwest._rundir import Search


@dataclass(frozen=True)
class Said:
    instance: str
    namespace: str = "default"
    service: str = "pricing"
    facts: str = '{"zone":"eu"}'


class Clock:
    """A clock that goes on by what is waited; instead of the module ``time``."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Host:
    """A runtime directory whose sockets answer as told: None for not at all."""

    def __init__(self, folder: Path, clock: Clock, *names: str) -> None:
        self.clock = clock
        self.says: dict[str, EastwestError | None] = {}
        self.answering = set(names)
        self.asked: list[tuple[str, float]] = []
        for name in names:
            (folder / name).touch()
        sockets = SocketNames(lambda *_: "", lambda _: True)
        search = Search((str(folder),), ())
        rules = Rules(failures=1, seconds=2.0, jitter=0.0, trial_seconds=1.0)
        self.local = Local("default", lambda: search, self.ask, sockets, rules)

    def ask(self, address: str, service: str, timeout: float) -> Said:
        name = address.rpartition("/")[2]
        self.asked.append((name, timeout))
        if name in self.answering:
            return Said(name)
        self.clock.now += timeout
        raise TimeIsUp("the time is up")

    def look_up(self, timeout: float = 5.0) -> tuple[Answer, list[tuple[str, float]]]:
        self.asked.clear()
        return self.local.look_up("pricing", timeout=timeout), sorted(self.asked)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    clock = Clock()
    monkeypatch.setattr(local_module, "time", clock)
    return Host(tmp_path, clock, "a", "b", "c")


def test_silent_socket_is_waited_for_once_and_then_is_what_it_was_and_stale(host: Host) -> None:
    host.look_up()
    host.answering.remove("a")
    first, asked = host.look_up()
    assert [name for name, _ in asked] == ["a", "b", "c"]
    assert [each.check for each in first.problems] == ["timeout"]
    second, asked = host.look_up()
    assert [name for name, _ in asked] == ["b", "c"]
    assert {each.id: each.stale for each in second.instances} == {"a": True, "b": False, "c": False}
    assert {each.zone for each in second.instances} == {"eu"}
    (problem,) = second.problems
    assert (problem.path, problem.check) == ("shm", "ejected")
    assert problem.detail == "ejected for 2.0 s more after 1 failure: no answer in 1 s"
    assert problem.fix and "stopped" in problem.fix


def test_silent_socket_is_asked_again_for_a_short_time_and_heals_by_any_answer(host: Host) -> None:
    host.answering.remove("a")
    host.look_up()
    host.clock.now += 2.0
    _, asked = host.look_up()
    assert asked == [("a", ASK_SECONDS_AGAIN), ("b", 1.0), ("c", 1.0)]
    _, asked = host.look_up()
    assert [name for name, _ in asked] == ["b", "c"]
    host.clock.now += 4.0
    host.answering.add("a")
    answer, _ = host.look_up()
    assert {each.id for each in answer.instances if not each.stale} == {"a", "b", "c"}
    assert host.look_up()[1] == [("a", 1.0), ("b", 1.0), ("c", 1.0)]


def test_socket_that_never_answered_is_a_problem_and_no_instance(host: Host) -> None:
    host.answering.remove("a")
    host.look_up()
    answer, _ = host.look_up()
    assert {each.id for each in answer.instances} == {"b", "c"}
    assert [each.check for each in answer.problems] == ["ejected"]


def test_when_nobody_else_answers_the_silent_are_asked_too(host: Host) -> None:
    host.answering.remove("a")
    host.look_up()
    host.answering.clear()
    host.look_up()
    host.answering.add("a")
    answer, asked = host.look_up()
    assert {each.id for each in answer.instances} == {"a"}
    assert "a" in [name for name, _ in asked]


def test_time_is_for_all_of_a_look_up_together(host: Host) -> None:
    host.answering.remove("a")
    host.look_up()
    host.answering.clear()
    _, asked = host.look_up(timeout=0.3)
    assert dict(asked)["a"] == 0.0  # the others, asked before it, took everything


def test_short_time_to_answer_says_nothing(host: Host) -> None:
    host.answering.remove("a")
    for _ in range(3):
        _, asked = host.look_up(timeout=0.1)
        assert [name for name, _ in asked] == ["a", "b", "c"]


def test_refusal_is_an_answer_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.answering.remove("a")
    host.look_up()
    host.clock.now += 2.0

    def refuses(address: str, service: str, timeout: float) -> Said:
        host.asked.append((address.rpartition("/")[2], timeout))
        if address.endswith("/a"):
            raise Refused("not on the list", reason="access")
        return Said(address.rpartition("/")[2])

    monkeypatch.setattr(host.local, "_ask", refuses)
    assert host.look_up()[1][0] == ("a", ASK_SECONDS_AGAIN)
    assert host.look_up()[1][0] == ("a", 1.0)


def test_socket_of_a_dead_process_is_asked_each_time(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(address: str, service: str, timeout: float) -> Said:
        host.asked.append((address.rpartition("/")[2], timeout))
        raise Unreachable("nobody listens")

    monkeypatch.setattr(host.local, "_ask", gone)
    for _ in range(3):
        answer, asked = host.look_up()
        assert len(asked) == 3 and {each.check for each in answer.problems} == {"reach"}
