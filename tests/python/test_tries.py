"""What a dial tells about the health of instances: who failed, was late, or merely second."""

import re
import threading
import time
from dataclasses import replace

import pytest

from eastwest import EastwestError, OutOfMemory, PeerLost, Refused, ServiceNotFound, Unreachable
from eastwest import Timeout as TimeIsUp
from eastwest._dial import Dialler
from eastwest._errors import SystemCallError
from eastwest._health import Ejection, Group, Health, Mark, Rules, mark_of
from eastwest._select import Candidate, failure, success
from eastwest._tries import Tries
from eastwest._values import Instance
from tests.python.test_dial import FAR, NEAR, Network, candidate, instance

FAST = 0.001
EAGER = Rules(failures=1, jitter=0.0)


def out(health: Health, of: Instance, now: float) -> Ejection | None:
    crowd = [Mark("pricing", f"other{n}") for n in range(3)]
    return health.ejections([mark_of(of), *crowd], now)[0]


class Dial:
    """One dial in simulated time; one more instance than was tried is there."""

    def __init__(self, health: Health) -> None:
        self.health = health
        self.tries = Tries(health)

    def lost(self, at: Candidate, error: EastwestError, began: float, took: float) -> None:
        one = self.tries.begin(at, began)
        self.tries.end(one, failure(at.path, at.address, error, took), began + took)

    def report(self, now: float) -> None:
        tried = {id(each.candidate.instance) for each in self.tries._tries}
        self.tries.report(now, len(tried) + 1)

    def won(self, at: Candidate, began: float, took: float = FAST) -> None:
        one = self.tries.begin(at, began)
        self.tries.end(one, success(at, took), began + took)


def judged(error: EastwestError, took: float = FAST, of: Instance = NEAR) -> Ejection | None:
    """Return what one failure comes to, by rules that eject at once."""
    dial = Dial(Health(EAGER))
    dial.lost(candidate("t1", of), error, 0.0, took)
    dial.report(took)
    return out(dial.health, of, took)


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("connection refused"),
        PeerLost("cut off"),
        ServiceNotFound("another service"),
        Refused("full", reason="full"),
        Refused("draining", reason="draining"),
    ],
)
def test_what_the_next_connect_would_run_into_too_is_a_failure(error: EastwestError) -> None:
    found = judged(error)
    assert found is not None and found.reason == str(error) and found.fix


@pytest.mark.parametrize("reason", ["access", "protocol", "version"])
def test_no_that_is_about_us_is_a_sign_of_life(reason: str) -> None:
    dial = Dial(Health(EAGER))
    dial.health.failed(mark_of(NEAR), "earlier", None, 0.0)
    dial.lost(candidate("t1", NEAR), Refused("no", reason=reason), 1.0, FAST)  # type: ignore[arg-type]
    dial.report(1.1)
    assert out(dial.health, NEAR, 1.1) is None


@pytest.mark.parametrize("error", [SystemCallError(24, "too many files"), OutOfMemory("budget")])
def test_trouble_of_our_own_says_nothing(error: EastwestError) -> None:
    assert judged(error) is None
    assert judged(error, took=9.0) is None


@pytest.mark.parametrize(("took", "is_failure"), [(0.0, False), (0.2, False), (0.21, True)])
def test_timeout_counts_if_the_time_was_long_enough(took: float, is_failure: bool) -> None:
    assert (judged(TimeIsUp("the time is up"), took) is not None) == is_failure


def test_failure_of_a_stale_entry_says_nothing() -> None:
    assert judged(Unreachable("gone"), of=instance("d" * 32, stale=True)) is None


def test_who_was_merely_second_is_not_late() -> None:
    dial = Dial(Health(EAGER))
    dial.tries.begin(candidate("t2", FAR), 0.25)
    dial.won(candidate("t1", NEAR), 0.0, 0.3)
    dial.report(0.3)
    assert out(dial.health, FAR, 0.3) is None


def test_what_the_winner_took_says_who_is_late() -> None:
    dial = Dial(Health(EAGER))
    dial.tries.begin(candidate("t1", NEAR), 0.0)
    dial.won(candidate("t2", instance("d" * 32, zone="eu")), 0.25, 0.25)
    dial.report(0.5)  # late only if nobody is known to have taken 0.25 s
    assert out(dial.health, NEAR, 0.5) is None


def test_who_was_overtaken_and_is_late_by_then_failed_once() -> None:
    dial = Dial(Health(Rules(failures=2)))
    slow = dial.tries.begin(candidate("t1", NEAR), 0.0)
    dial.won(candidate("t2", FAR), 0.25)
    dial.report(0.25)
    timeout = failure("tcp", "t1", TimeIsUp("the time is up"), 5.0)
    dial.tries.end(slow, timeout, 5.0)  # it has been counted
    assert out(dial.health, NEAR, 5.0) is None
    dial.health.failed(mark_of(NEAR), "again", None, 6.0)
    assert out(dial.health, NEAR, 6.0) is not None


def test_late_end_of_one_that_was_not_late_yet_counts() -> None:
    dial = Dial(Health(EAGER))
    dial.health.answered(Mark("pricing", "x"), Group("tcp", "eu"), 0.2, 0.0)  # a far zone
    slow = dial.tries.begin(candidate("t1", NEAR), 0.0)
    dial.won(candidate("t2", FAR), 0.25)
    dial.report(0.5)
    assert out(dial.health, NEAR, 0.5) is None
    dial.tries.end(slow, failure("tcp", "t1", TimeIsUp("the time is up"), 5.0), 5.0)
    found = out(dial.health, NEAR, 5.0)
    assert found is not None and found.reason == "no answer in 5 s"


def test_late_success_heals() -> None:
    dial = Dial(Health(EAGER))
    dial.health.failed(mark_of(NEAR), "earlier", None, 0.0)
    slow = dial.tries.begin(candidate("t1", NEAR), 1.0)
    dial.report(1.1)
    dial.tries.end(slow, success(candidate("t1", NEAR), 0.15), 1.15)
    assert out(dial.health, NEAR, 1.15) is None


def test_instance_that_answered_at_one_of_its_addresses_is_well() -> None:
    dial = Dial(Health(EAGER))
    slow = dial.tries.begin(candidate("t0", NEAR), 0.0)
    dial.lost(candidate("t1", NEAR), Unreachable("no route"), 0.0, FAST)
    dial.won(candidate("t2", NEAR), 0.3)
    dial.report(0.4)
    dial.tries.end(slow, failure("tcp", "t0", TimeIsUp("the time is up"), 5.0), 5.0)
    assert out(dial.health, NEAR, 5.0) is None


def test_instance_has_failed_when_all_of_its_addresses_that_were_tried_did() -> None:
    dial = Dial(Health(Rules(failures=2)))
    for at in ("t1", "t2"):
        dial.lost(candidate(at, NEAR), Unreachable(f"no route to {at}"), 0.0, FAST)
    dial.report(FAST)
    assert out(dial.health, NEAR, FAST) is None  # one dial, one failure
    dial.health.failed(mark_of(NEAR), "again", None, 1.0)
    assert out(dial.health, NEAR, 1.0) is not None


def test_failure_of_everybody_is_told_about_nobody() -> None:
    dial = Dial(Health(EAGER))
    dial.lost(candidate("t1", NEAR), Unreachable("no route"), 0.0, FAST)
    silent = dial.tries.begin(candidate("t2", FAR), 0.0)
    dial.tries.report(1.0, 2)
    dial.tries.end(silent, failure("tcp", "t2", TimeIsUp("the time is up"), 5.0), 5.0)
    assert dial.health.is_spotless


def test_failure_counts_if_somebody_was_not_tried_or_answered() -> None:
    for others_answer in (False, True):
        dial = Dial(Health(EAGER))
        dial.lost(candidate("t1", NEAR), Unreachable("no route"), 0.0, FAST)
        if others_answer:
            dial.lost(candidate("t2", FAR), Refused("no", reason="access"), 0.0, FAST)
        dial.tries.report(FAST, 2)
        assert out(dial.health, NEAR, FAST) is not None


@pytest.mark.parametrize("first", ["failed", "asked"])
def test_address_that_failed_says_nothing_while_another_one_is_asked(first: str) -> None:
    dial = Dial(Health(EAGER))
    if first == "asked":
        dial.tries.begin(candidate("t2", NEAR), 0.0)
    dial.lost(candidate("t1", NEAR), Unreachable("no route"), 0.0, FAST)
    if first == "failed":
        dial.tries.begin(candidate("t2", NEAR), FAST)
    dial.report(0.01)
    assert out(dial.health, NEAR, 0.01) is None


def test_due_one_is_on_trial_while_it_is_tried() -> None:
    dial = Dial(Health(EAGER))
    dial.health.failed(mark_of(NEAR), "earlier", None, 0.0)
    back = Rules().seconds
    assert out(dial.health, NEAR, back) is None
    dial.tries.begin(candidate("t1", NEAR), back)
    assert out(dial.health, NEAR, back) is not None


def test_log_says_who_was_ejected_and_who_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="eastwest")
    dial = Dial(Health(Rules(failures=2, jitter=0.0)))
    for now in range(4):
        dial.lost(candidate("t1", NEAR), Unreachable("nobody there"), now, FAST)
        dial.won(candidate("t2", FAR), now)
        dial.report(now + 0.1)
        dial = Dial(dial.health)
    dial.won(candidate("t1", NEAR), 9.0)
    dial.report(9.1)
    assert caplog.messages == [
        f'ejected service=pricing instance={NEAR.id} seconds=5 failures=2 detail="nobody there"',
        f"ejected_back service=pricing instance={NEAR.id}",
    ]


# ------------------------------------------------------------------ by a dialler


def test_dialler_tells_what_came_of_each_try() -> None:
    health = Health(EAGER)
    network = Network(t1=Unreachable("nobody there"), t2="ok")
    tried = [candidate("t1", NEAR), candidate("t2", FAR)]
    deadline = time.monotonic() + 5
    dialler = Dialler(network.attempt, network.discard, deadline, stagger=3.0, health=health)
    assert dialler.run(tried).channel == "ok"
    now = time.monotonic()
    found = out(health, NEAR, now)
    assert found is not None and found.reason == "nobody there"
    assert out(health, FAR, now) is None


def test_dialler_tells_nothing_when_nobody_is_there() -> None:
    health = Health(EAGER)
    network = Network(t1=Unreachable("no"), t2=Unreachable("no"), t3=Unreachable("no"))
    tried = [candidate("t1", NEAR), candidate("t2", NEAR), candidate("t3", FAR)]
    deadline = time.monotonic() + 5
    Dialler(network.attempt, network.discard, deadline, stagger=3.0, health=health).run(tried)
    assert health.is_spotless


class Overtaking(Dialler[str]):
    """The second try begins when the first has been silent for long enough."""

    SILENT_SECONDS = 0.3
    begun = threading.Event()

    def _skip(self, candidate: Candidate) -> bool:
        if candidate.address == "t2":
            assert self.begun.wait(20)
            threading.Event().wait(self.SILENT_SECONDS)
        return super()._skip(candidate)


def test_dialler_tells_of_a_silent_one_that_was_overtaken() -> None:
    health, let_go = Health(replace(EAGER, slow_factor=1.0)), threading.Event()

    def attempt(at: Candidate, seconds: float) -> str:
        if at.address == "t1":
            Overtaking.begun.set()
            let_go.wait(seconds)
            raise TimeIsUp("the time is up")
        return at.address

    dialler = Overtaking(attempt, lambda _: None, time.monotonic() + 60, health=health)
    try:
        assert dialler.run([candidate("t1", NEAR), candidate("t2", FAR)]).channel == "t2"
        found = out(health, NEAR, time.monotonic())
        assert found is not None
        waited = re.fullmatch(r"no answer in ([\d.]+) s", found.reason)
        assert waited is not None and Overtaking.SILENT_SECONDS <= float(waited[1]) < 60
    finally:
        let_go.set()


def test_dialler_says_of_an_ejected_one_for_how_long_and_why() -> None:
    ejection = Ejection(3.2, 3, "no answer in 0.25 s", "look at it")
    behind = Candidate(NEAR, "t1", "tcp", ejection)
    network = Network(t2="ok")
    deadline = time.monotonic() + 5
    dialler = Dialler(network.attempt, network.discard, deadline, health=Health())
    (verdict,) = dialler.run([candidate("t2", FAR), behind]).rejected
    assert (verdict.check, verdict.fix) == ("ejected", "look at it")
    assert verdict.detail == "ejected for 3.2 s more after 3 failures: no answer in 0.25 s"
