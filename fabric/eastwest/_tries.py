"""What one dial says about the instances that it tried, at its end. Imports no native module.

An instance is judged once for each dial, over all its addresses: it is well if one of them gave a
channel, and it failed if all that were tried did, unless every instance did. Why an outcome counts
is in ``_health.py``. A try that still runs when another one has won counts if it is late by then;
if not, when it ends.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import _log
from ._health import Change, Ejection, Group, Health, mark_of
from ._select import Candidate
from ._values import Instance, Verdict

FAULTS = ("reach", "hello", "service", "full", "draining")
ABOUT_US = ("access", "protocol", "version")


@dataclass(slots=True, eq=False)
class Try:
    """One attempt at one address."""

    candidate: Candidate
    began: float
    verdict: Verdict | None = None  # None: it runs
    is_told: bool = False  # what it says has been counted, or is nothing


@dataclass(frozen=True, slots=True)
class _Fault:
    reason: str
    fix: str | None


class Tries:
    """The attempts of one dial. Threads: those of the attempts, and the dial's."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._lock = threading.Lock()
        self._tries: list[Try] = []
        self._is_over = False

    def begin(self, candidate: Candidate, now: float) -> Try:
        """Note that an attempt begins."""
        one = Try(candidate, now)
        with self._lock:
            self._tries.append(one)
        self._health.begins(mark_of(candidate.instance), now)
        return one

    def end(self, one: Try, verdict: Verdict | None, now: float) -> None:
        """Note how it ended; None: in a way that says nothing, such as out of memory."""
        with self._lock:
            one.verdict = verdict
            one.is_told |= verdict is None
            if self._is_over and not one.is_told:
                self._judge([one], now)

    def report(self, now: float, instances: int) -> None:
        """The dial is over: tell about each instance what is known by now.

        Args:
            instances: that the dial had to choose from. If each of them failed, none is unlike the
                others, and it is as likely that we are cut off: that is told about nobody.
        """
        with self._lock:
            self._is_over = True
            told = _by_instance(each for each in self._tries if not each.is_told)
            if sum(self._common_fault(those, now) is not None for those in told) == instances:
                _close(each for those in told for each in those)
                return
            told.sort(key=lambda those: not any(map(_is_success, those)))
            for those in told:  # who won comes first, and says what is late
                self._judge(those, now)

    def _judge(self, tries: Sequence[Try], now: float) -> None:
        """Tell about one instance, if there is anything to tell yet."""
        instance = tries[0].candidate.instance
        mark = mark_of(instance)
        changes: list[Change] = []
        wins = [each for each in tries if _is_success(each)]
        if wins:
            changes = [self._health.answered(mark, _group(it), _took(it), now) for it in wins]
        elif any(each.verdict is not None and each.verdict.check in ABOUT_US for each in tries):
            changes = [self._health.is_well(mark, now)]
        elif (fault := self._common_fault(tries, now)) is None:
            return
        elif not instance.stale:
            changes = [self._health.failed(mark, fault.reason, fault.fix, now)]
        _close(tries)
        for change in changes:
            _log_change(instance, change)

    def _common_fault(self, tries: Sequence[Try], now: float) -> _Fault | None:
        """Return the last fault if every try has one."""
        faults = [self._fault(each, now) for each in tries]
        return faults[-1] if all(faults) else None

    def _fault(self, one: Try, now: float) -> _Fault | None:
        """Return what a try says against its instance, None for nothing."""
        verdict = one.verdict
        if _is_success(one):
            return None
        if verdict is not None and verdict.check in FAULTS:
            return _Fault(verdict.detail, verdict.fix)
        if verdict is not None and verdict.check != "timeout":
            return None
        seconds = now - one.began if verdict is None else _took(one)
        if not self._health.is_late(mark_of(one.candidate.instance), _group(one), seconds):
            return None
        fix = "the peer is stopped or overloaded, or a firewall drops packets"
        return _Fault(f"no answer in {seconds:.3g} s", fix)


def _by_instance(tries: Iterable[Try]) -> list[list[Try]]:
    found: dict[int, list[Try]] = {}
    for each in tries:
        found.setdefault(id(each.candidate.instance), []).append(each)
    return list(found.values())


def _close(tries: Iterable[Try]) -> None:
    for each in tries:
        each.is_told = True


def _is_success(one: Try) -> bool:
    return one.verdict is not None and one.verdict.ok


def _took(one: Try) -> float:
    return 0.0 if one.verdict is None else one.verdict.seconds


def _group(one: Try) -> Group:
    return Group(one.candidate.path, one.candidate.instance.zone)


def _log_change(instance: Instance, change: Change) -> None:
    who = {"service": instance.service, "instance": instance.id or instance.addresses}
    if isinstance(change, Ejection):
        rest = {"seconds": change.seconds, "failures": change.failures, "detail": change.reason}
        _log.warning("ejected", **who, **rest)
    elif change == "back":
        _log.info("ejected_back", **who)
