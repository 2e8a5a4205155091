"""One record's stay in etcd: lease, put, renewal, withdrawal. Pure: time is an argument.

What to do next follows from facts that answers bring, so that lost answers, cut connections and
changes in between need no states of their own:

to be there   lease -> look -> put, if what is there has not changed -> at a third of the ttl:
              renew, look; what was lost, replaced or deleted behind our back is put again
to be gone    look -> lease of the grave -> erase and bury, if nothing has changed -> end the lease

A record that is newer, or a grave of the same version or a later one, supersedes ours: highest
version wins, and we look again at each renewal. The grave lasts twice the ttl, so an older record
does not raise the dead. A put that was lost on the way and arrives later finds that what it
compares with has changed.
"""

from dataclasses import dataclass
from enum import Enum, auto

from ._backoff import Backoff
from ._errors import DiscoveryError
from ._record import Key, Record, newer

RETRY_FIRST_SECONDS = 0.25  # the longest first wait after a failure
RETRY_LAST_SECONDS = 5.0  # and the longest of all; a sixth of the ttl if that is less


class Step(Enum):
    """What to ask of etcd."""

    GRANT = auto()  # -> Granted
    LOOK = auto()  # -> Seen
    PUT = auto()  # -> bool; False: what is there is not what was seen
    RENEW = auto()  # -> Granted with ttl 0 when it is lost
    GRANT_GRAVE = auto()  # -> Granted
    ERASE = auto()  # -> bool, like PUT
    REVOKE = auto()  # -> bool


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease, and the seconds that it lives without renewal; 0: it is no more."""

    lease: int
    ttl: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there: revisions are 0 where there is nothing."""

    record: Record | None  # None also for a value that is no record
    lease: int
    record_revision: int
    grave_revision: int
    buried: int  # the version that was withdrawn; -1: none


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, with all it needs."""

    step: Step
    record: Record
    lease: int
    grave_lease: int
    seen: Seen | None


class Tenancy:
    """A record that is to be in etcd, until ``leave``.

    Attributes:
        ended: nothing is to be done any more.
        put: what is in etcd, as far as we know.
        superseded: the version that etcd has instead, as it was last seen; -1: ours may be put.
        error: the last that went wrong; None after a success.
    """

    def __init__(self, record: Record) -> None:
        self.wanted = record
        self.put: Record | None = None
        self.superseded = -1
        self.ended = False
        self.leaving = False
        self.error: DiscoveryError | None = None
        self._lease = 0
        self._ttl = 0.0
        self._renew_at = 0.0
        self._seen: Seen | None = None
        self._must_look = False  # renewed: is it still there?
        self._grave = 0
        self._was_asked_in = False  # a put was asked for: it may be there, whatever we heard
        self._erased = False
        self._failures = 0
        self._retry_at = 0.0
        self._give_up_at = float("inf")

    @property
    def key(self) -> Key:
        """Whose stay it is."""
        return self.wanted.key

    @property
    def is_settled(self) -> bool:
        """All that is wanted is done, until the next renewal."""
        return self.ended or (not self.leaving and self.put == self.wanted)

    def replace(self, record: Record) -> bool:
        """Want another version; return False if it is older than the one that is wanted."""
        if newer(record, self.wanted) != record:
            return False
        if record.ttl != self.wanted.ttl:
            self._lease = 0  # the old one runs out with nothing under it
        self.wanted = record
        self.superseded = -1
        self._retry_at = 0.0
        return True

    def leave(self, now: float) -> None:
        """Be gone: erased and buried, or run out when etcd cannot be asked that long."""
        if not self._was_asked_in:
            self.ended = True
        elif not self.leaving:
            self.leaving = True
            self._seen = None
            self._retry_at = 0.0
            self._give_up_at = now + max(self._ttl, float(self.wanted.ttl))

    def due(self) -> float:
        """Return when to ask; infinity: never."""
        if self.ended:
            return float("inf")
        if self.is_settled and not self._must_look:
            return max(self._retry_at, self._renew_at)
        return self._retry_at

    def ask(self, now: float) -> Ask | None:
        """Return what to ask now; None when nothing is due."""
        if self.leaving and (now >= self._give_up_at or (self._erased and not self._lease)):
            self.ended = True
        if now < self.due():
            return None
        step = self._leaving_step() if self.leaving else self._step(now)
        self._was_asked_in |= step is Step.PUT
        return Ask(step, self.wanted, self._lease, self._grave, self._seen)

    def _step(self, now: float) -> Step:
        if not self._lease:
            return Step.GRANT
        if now >= self._renew_at:
            return Step.RENEW
        return Step.PUT if self._seen else Step.LOOK

    def _leaving_step(self) -> Step:
        if self._erased:
            return Step.REVOKE
        if self._seen is None:
            return Step.LOOK
        return Step.ERASE if self._grave else Step.GRANT_GRAVE

    # -------------------------------------------------------------- answers

    def granted(self, ask: Ask, answer: Granted, asked_at: float) -> None:
        """A lease was granted or renewed, or is lost; its time counts from the question on."""
        self._succeeded()
        if ask.step is Step.GRANT_GRAVE:
            self._grave = answer.lease
        elif not answer.ttl:
            self.lost(ask)
        elif ask.record.ttl == self.wanted.ttl:  # else: meant for what is no longer wanted
            self._lease, self._ttl = answer.lease, answer.ttl
            self._renew_at = asked_at + answer.ttl / 3
            self._must_look = ask.step is Step.RENEW
            if ask.step is Step.GRANT:
                self.put = self._seen = None

    def lost(self, ask: Ask) -> None:
        """etcd does not know the lease."""
        self._seen = None
        if ask.step is Step.REVOKE:
            self.ended = True
        elif ask.step is Step.ERASE:
            self._grave = 0
        else:
            self._lease, self.put = 0, None

    def looked(self, seen: Seen, now: float) -> None:
        """It was seen what is there."""
        self._succeeded()
        self._seen = seen
        self._must_look = False
        there = seen.record
        if self.leaving:
            is_ours = there is not None and newer(self.wanted, there) == self.wanted
            self._erased = not is_ours and seen.buried >= self.wanted.version
            self._erased |= there is not None and not is_ours
            return
        self.superseded = seen.buried if seen.buried >= self.wanted.version else -1
        if there == self.wanted and seen.lease == self._lease:
            self.put = self.wanted  # as it was, or the answer to our put was lost
            self._seen = None
            return
        self.put = None
        if there is not None and newer(there, self.wanted) != self.wanted:
            self.superseded = max(self.superseded, there.version)
        if self.superseded >= 0:
            self._seen = None
            self._retry_at = now + self._ttl / 3

    def done(self, ask: Ask, succeeded: bool) -> None:
        """A put, an erasure or the end of a lease is done; or nothing is, for it has changed."""
        self._succeeded()
        self._seen = None
        if ask.step is Step.REVOKE:
            self.ended = True
        elif succeeded and ask.step is Step.ERASE:
            self._erased = True
        elif succeeded:
            self.put = ask.record

    def failed(self, error: DiscoveryError, now: float, random: float) -> None:
        """It could not be asked, or etcd refused: again after a while.

        Args:
            random: drawn evenly from [0, 1).
        """
        self.error = error
        last = min(RETRY_LAST_SECONDS, self.wanted.ttl / 6)
        _, wait = Backoff(RETRY_FIRST_SECONDS, last, self._failures).failed(now, random)
        self._failures += 1
        self._retry_at = now + wait
        self._seen = None

    def _succeeded(self) -> None:
        self.error = None
        self._failures = 0
        self._retry_at = 0.0
