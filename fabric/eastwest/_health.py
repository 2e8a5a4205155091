"""Which instances go behind the others for a while, because connects to them went badly. Pure.

Health     what one context has seen of instances; time and randomness are arguments
Mark       which instance, and which shape of it: another shape is another instance
Ejection   how long one is behind, and why
Rules      the limits

The idea is Envoy's outlier detection (envoyproxy.io, "Outlier detection"): traffic itself shows who
fails, in a row or unlike the rest; such a one is left out for a time that grows with each repeat,
and never more than a share of all. Ours is milder, because a connect has somewhere else to go:

    well ── failures in a row ──> ejected ── its time is over ──> due ── a try begins ──> on trial
      ^                              ^                                                     │  │
      │                              └──────────────── it fails: for longer ───────────────┘  │
      └────────────────────────────────── it answers, from any state ─────────────────────────┘

Ejected is tried last and never removed, so if all fail all are tried. Due is in its old place, and
on trial is ejected for everybody but the one connect that tries it: one pays for the retry.

What counts, and what does not:

* Nobody is there, a hello that breaks off, another service at the address, "full",
  "draining": the next connect would run into the same.
* No answer, or a late one. Late is ``slow_factor`` times what the others on the same path to the
  same zone took last (their median): a far zone is not compared with a near one, and when all get
  slow none is late. Below ``slow_seconds`` nothing is: waking a process takes 40 us to some ms, on
  a busy machine a slice or two of the scheduler. A try that was given less time than that says
  nothing, be it that our timeout was short or that another candidate won: to be second is no fault.
* Not "access", "protocol", "version": they are about us, and who says so is well. Not errors of our
  own system, a connect that was given up, or an entry that is stale: that is last already, and its
  failure tells of the entry's age. Not a connect that failed with every instance there is: none is
  unlike the others, and it may well be we who are cut off.
"""

import random
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any, Literal, NamedTuple, TypeAlias

from ._values import Instance

EXPONENT_MAX = 30
_LATE = "look what its process, its host or the way to it is busy with"


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits.

    Attributes:
        failures: in a row that eject.
        seconds, seconds_max: the first time behind, doubled by each repeat up to the second. Who
            was well for ``seconds_max`` begins anew.
        jitter: part of a time behind that is random, so that not all clients come back at once.
        trial_seconds: after which a trial that nobody heard of is over.
        percent_max: of the instances that a connect may choose from.
        slow_seconds, slow_factor: later than both is late.
        silent_seconds: without an answer, what is late while no other was measured.
        marks_max, groups_max, others_max: what is kept, the last of each group's instances; the
            oldest goes first.
    """

    failures: int = 3
    seconds: float = 5.0
    seconds_max: float = 60.0
    jitter: float = 0.25
    trial_seconds: float = 5.0
    percent_max: int = 70
    slow_seconds: float = 0.1
    slow_factor: float = 8.0
    silent_seconds: float = 0.2
    marks_max: int = 4096
    groups_max: int = 64
    others_max: int = 32


class Mark(NamedTuple):
    """One instance in one shape.

    Attributes:
        service: its name.
        who: its id, or an address while that is unknown.
        shape: what it publishes; another one is another process or another way to it, and begins
            as well.
    """

    service: str
    who: str
    shape: Hashable = None


class Group(NamedTuple):
    """What takes about as long to reach."""

    path: str
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Ejection:
    """An instance that is behind the others.

    Attributes:
        seconds: from now until it is tried again.
        failures: in a row.
        reason: of the last one.
        fix: what would change it, or None.
    """

    seconds: float
    failures: int
    reason: str
    fix: str | None

    def __str__(self) -> str:
        times = f"{self.failures} failure{'s' * (self.failures != 1)}"
        return f"ejected for {self.seconds:.1f} s more after {times}: {self.reason}"


Change: TypeAlias = Ejection | Literal["back"] | None
"""What an outcome led to, for the log: somebody was ejected, or is back among the others."""


@dataclass(slots=True)
class _Record:
    """What is known of one mark; *until* is None while it is well."""

    shape: Hashable
    failures: int = 0
    reason: str = ""
    fix: str | None = None
    until: float | None = None
    on_trial: bool = False
    times: int = 0  # in a row that it was ejected
    well_since: float = 0.0


def mark_of(instance: Instance) -> Mark:
    """Return who it is, and what makes it another one: its record's version and its addresses."""
    who = instance.id or min(instance.addresses, default="")
    return Mark(instance.service, who, (instance.version, frozenset(instance.addresses)))


class Health:
    """The health of instances, as the connects of one context see it.

    Threads: any number may use it. Times are of one clock that never goes back, in seconds.
    """

    def __init__(self, rules: Rules | None = None, rng: random.Random | None = None) -> None:
        self._rules = Rules() if rules is None else rules
        self._rng = random.Random() if rng is None else rng
        self._lock = threading.RLock()  # a handler of a signal may connect, too
        self._records: dict[tuple[str, str], _Record] = {}
        self._took: dict[Group, dict[tuple[str, str], float]] = {}

    @property
    def is_spotless(self) -> bool:
        """Whether nobody ever failed, so that nobody need be asked about."""
        return not self._records

    def ejections(self, marks: Sequence[Mark], now: float) -> list[Ejection | None]:
        """Return for each of the *marks* whether it is behind the others.

        They are those that a connect may choose from: at most ``percent_max`` of them are behind.
        If more should be, it is those that stay longest.
        """
        with self._lock:
            found = [self._ejected(mark, now) for mark in marks]
        ejected = [index for index, each in enumerate(found) if each is not None]
        ejected.sort(key=lambda index: -_seconds(found[index]))
        for index in ejected[len(marks) * self._rules.percent_max // 100 :]:
            found[index] = None
        return found

    def begins(self, mark: Mark, now: float) -> bool:
        """Note that a try begins; True: it is a trial, and others go elsewhere meanwhile."""
        with self._lock:
            record = self._known(mark)
            if record is None or record.until is None or now < record.until:
                return False
            record.on_trial = True
            record.until = now + self._rules.trial_seconds
            return True

    def answered(self, mark: Mark, group: Group, seconds: float, now: float) -> Change:
        """Note a success; a late one counts as a failure."""
        with self._lock:
            usual = self._usual(mark, group)
            self._measured(mark, group, seconds)
            if usual is not None and self._is_late(usual, seconds):
                detail = f"it answered after {seconds:.3g} s, others after {usual:.3g} s"
                return self._failed(mark, detail, _LATE, now)
            return self._heal(mark, now)

    def is_well(self, mark: Mark, now: float) -> Change:
        """Note that it answered in time, though with a no that is about us."""
        with self._lock:
            return self._heal(mark, now)

    def failed(self, mark: Mark, reason: str, fix: str | None, now: float) -> Change:
        """Note a failure that is the instance's."""
        with self._lock:
            return self._failed(mark, reason, fix, now)

    def is_late(self, mark: Mark, group: Group, seconds: float) -> bool:
        """Whether an instance that has not answered after *seconds* is late."""
        with self._lock:
            usual = self._usual(mark, group)
        if usual is None:
            return seconds > self._rules.silent_seconds
        return self._is_late(usual, seconds)

    # ------------------------------------------------------------------ one instance, locked

    def _known(self, mark: Mark) -> _Record | None:
        """Return its record, None: nothing is known of it in this shape."""
        record = self._records.get(mark[:2])
        return record if record is not None and record.shape == mark.shape else None

    def _ejected(self, mark: Mark, now: float) -> Ejection | None:
        record = self._known(mark)
        if record is None or record.until is None or now >= record.until:
            return None
        return Ejection(record.until - now, record.failures, record.reason, record.fix)

    def _failed(self, mark: Mark, reason: str, fix: str | None, now: float) -> Change:
        record = self._known(mark) or _Record(mark.shape)
        self._keep(mark, record)
        record.failures += 1
        record.reason, record.fix = reason, fix
        if record.until is None:
            if record.failures < self._rules.failures:
                return None
        elif now < record.until and not record.on_trial:
            return None  # it was tried before it was ejected, or as the last choice
        self._eject(record, now)
        return self._ejected(mark, now)

    def _eject(self, record: _Record, now: float) -> None:
        rules = self._rules
        if record.until is None and now - record.well_since >= rules.seconds_max:
            record.times = 0
        seconds = min(rules.seconds_max, rules.seconds * 2 ** min(record.times, EXPONENT_MAX))
        record.times += 1
        record.on_trial = False
        record.until = now + seconds * (1 - rules.jitter * self._rng.random())

    def _heal(self, mark: Mark, now: float) -> Change:
        record = self._known(mark)
        if record is None or not record.times:
            self._records.pop(mark[:2], None)
            return None
        was_out = record.until is not None
        if was_out:
            record.until, record.on_trial, record.well_since = None, False, now
        record.failures = 0
        return "back" if was_out else None

    def _keep(self, mark: Mark, record: _Record) -> None:
        """Put it where the newest are, and forget the oldest if there are too many."""
        self._records.pop(mark[:2], None)
        self._records[mark[:2]] = record
        _bound(self._records, self._rules.marks_max)

    # ------------------------------------------------------------------ how long it takes, locked

    def _usual(self, mark: Mark, group: Group) -> float | None:
        """Return what the others of its group took."""
        took = self._took.get(group, {})
        others = [seconds for who, seconds in list(took.items()) if who != mark[:2]]
        return median_low(others) if others else None

    def _is_late(self, usual: float, seconds: float) -> bool:
        return seconds > max(self._rules.slow_seconds, self._rules.slow_factor * usual)

    def _measured(self, mark: Mark, group: Group, seconds: float) -> None:
        took = self._took.pop(group, {})
        took.pop(mark[:2], None)
        took[mark[:2]] = seconds
        self._took[group] = took
        _bound(took, self._rules.others_max)
        _bound(self._took, self._rules.groups_max)


def _bound(kept: dict[Any, Any], most: int) -> None:
    """Forget the oldest if there is one too many."""
    if len(kept) > most:
        del kept[next(iter(kept))]


def _seconds(ejection: Ejection | None) -> float:
    return 0.0 if ejection is None else ejection.seconds
