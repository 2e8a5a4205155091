"""Trying the candidates: who wins, who is spared, what is freed, what is kept."""

import threading
import time
from dataclasses import replace

import pytest

from eastwest import ClosedHere, EastwestError, Instance, OutOfMemory, Refused, Unreachable
from eastwest._dial import Dialled, Dialler
from eastwest._parallel import Attempt, Race
from eastwest._select import Candidate

A, B, C = "a" * 32, "b" * 32, "c" * 32
SHM, TCP = "shm:/run/eastwest/x.sock", "tcp://10.0.0.1:7411"


def instance(name: str = A, *addresses: str, **more: object) -> Instance:
    base = Instance("pricing", name, {}, "", 1, addresses or (TCP,), False, "static:f")
    return replace(base, **more)  # type: ignore[arg-type]


LOCAL = instance(A, SHM, TCP, source="local:/run/eastwest")
NEAR = instance(B, "tcp://10.0.0.2:1", zone="eu")
FAR = instance(C, "tcp://10.0.0.3:1", zone="us")


class Network:
    """Answers attempts as told: an error, a name, or either of them after some seconds."""

    def __init__(self, **answers: object) -> None:
        self.answers = {key.replace("_", ""): value for key, value in answers.items()}
        self.tried: list[str] = []
        self.discarded: list[str] = []
        self.all_done = threading.Event()

    def attempt(self, candidate: Candidate, seconds: float) -> str:
        self.tried.append(candidate.address)
        answer = self.answers[candidate.address]
        if isinstance(answer, tuple):
            time.sleep(answer[0])
            answer = answer[1]
        if isinstance(answer, EastwestError):
            raise answer
        return str(answer)

    def discard(self, channel: str) -> None:
        self.discarded.append(channel)
        self.all_done.set()

    def dial(self, candidates: list[Candidate], seconds: float = 5.0) -> Dialled[str]:
        deadline = time.monotonic() + seconds
        return Dialler(self.attempt, self.discard, deadline, stagger=0.02).run(candidates)


def candidate(address: str, of: Instance = LOCAL) -> Candidate:
    return Candidate(of, address, "shm" if address.startswith("s") else "tcp")


def two(first: str = "t1", second: str = "t2") -> list[Candidate]:
    return [candidate(first, NEAR), candidate(second, FAR)]


def test_first_success_wins_and_the_rest_is_not_tried() -> None:
    network = Network(s1="ok", t1="no")
    found = network.dial([candidate("s1"), candidate("t1")])
    assert found.channel == "ok"
    assert network.tried == ["s1"]
    assert [(each.address, each.check) for each in found.rejected] == [("t1", "order")]


def test_unreachable_socket_leads_to_the_next_address() -> None:
    found = Network(s1=Unreachable("gone"), t1="ok").dial([candidate("s1"), candidate("t1")])
    assert found.channel == "ok"
    assert [each.check for each in found.rejected] == ["reach"]


def test_refusal_spares_the_other_addresses_of_the_instance() -> None:
    network = Network(s1=Refused("full", reason="full"), t2="ok")
    found = network.dial([candidate("s1"), candidate("t1"), candidate("t2", FAR)])
    assert found.channel == "ok"
    assert network.tried == ["s1", "t2"]
    assert [each.check for each in found.rejected] == ["full", "full"]


def test_refusal_in_a_race_spares_the_other_addresses_of_the_instance() -> None:
    network = Network(t1=Refused("full", reason="full"), t3="ok")
    found = network.dial([candidate("t1", NEAR), candidate("t2", NEAR), candidate("t3", FAR)])
    assert found.channel == "ok"
    assert network.tried == ["t1", "t3"]


def test_slow_first_is_overtaken_and_its_channel_freed() -> None:
    network = Network(t1=(0.2, "slow"), t2="fast")
    found = network.dial(two())
    assert found.channel == "fast"
    assert network.all_done.wait(5)
    assert network.discarded == ["slow"]


def test_fast_first_is_not_disturbed_by_the_second() -> None:
    network = Network(t1="fast", t2="other")
    assert network.dial(two()).channel == "fast"
    assert network.tried == ["t1"]


def test_failure_starts_the_next_at_once() -> None:
    began = time.monotonic()
    network = Network(t1=Unreachable("no"), t2="ok")
    deadline = began + 5
    found = Dialler(network.attempt, network.discard, deadline, stagger=3.0).run(two())
    assert found.channel == "ok"
    assert time.monotonic() - began < 2.0


def test_failure_starts_the_next_at_once_beside_one_that_runs() -> None:
    network = Network(t1=(2.0, "slow"), t2=Unreachable("no"), t3="ok")
    began = time.monotonic()
    dialler = Dialler(network.attempt, network.discard, began + 5, stagger=0.4)
    assert dialler.run([*two(), candidate("t3", LOCAL)]).channel == "ok"
    assert time.monotonic() - began < 0.7


def test_race_keeps_one_success_and_frees_the_other() -> None:
    freed: list[str] = []
    race: Race[str, str] = Race(lambda item, seconds: item, freed.append, stagger=1.0)
    race._finished += [Attempt("a", "one", None, 0.0), Attempt("b", "two", None, 0.0)]
    won = race.run([], time.monotonic() + 1, skip=lambda _: False, failed=lambda *_: None)
    assert won is not None and won.value == "one"
    assert freed == ["two"]


def test_race_that_is_interrupted_frees_a_success() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    freed: list[str] = []
    race: Race[str, str] = Race(lambda item, seconds: item, freed.append, stagger=1.0)
    race._finished += [Attempt("a", None, Unreachable(""), 0.0), Attempt("b", "ok", None, 0.0)]
    with pytest.raises(KeyboardInterrupt):
        race.run([], time.monotonic() + 1, skip=lambda _: False, failed=interrupt)
    assert freed == ["ok"]


def test_all_failures_are_kept() -> None:
    found = Network(t1=Unreachable("one"), t2=Unreachable("two")).dial(two())
    assert found.channel is None
    assert [each.detail for each in found.rejected] == ["one", "two"]


def test_deadline_leaves_a_verdict_for_those_that_are_late() -> None:
    network = Network(t1=(0.5, "late"), t2=(0.5, "later"))
    found = network.dial(two(), seconds=0.1)
    assert found.channel is None
    assert [each.check for each in found.rejected] == ["timeout", "timeout"]


@pytest.mark.parametrize("error", [OutOfMemory("budget"), ClosedHere("closed")])
def test_error_that_is_nobodys_fault_ends_the_attempts(error: EastwestError) -> None:
    with pytest.raises(type(error)):
        Network(s1=error, t1="ok").dial([candidate("s1"), candidate("t1")])


def test_error_that_is_nobodys_fault_ends_a_race_and_frees_what_comes() -> None:
    network = Network(t1=(0.1, "late"), t2=OutOfMemory("budget"))
    with pytest.raises(OutOfMemory):
        network.dial(two())
    assert network.all_done.wait(5)
    assert network.discarded == ["late"]
