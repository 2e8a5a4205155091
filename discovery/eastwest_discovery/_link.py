"""What a client does with one server: when it connects, what it asks, when it gives up.

Pure: no socket, no clock, no random number of its own. The shell (``_zmq_thread.py``) opens and
closes the socket, sends what ``due`` returns, and says what happened.

idle ──work──> open ──first answer──> answering
  ^               │ no answer, connection lost, bad answer   │
  └──back-off─────┴──────────────────────────────────────────┘
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ._backoff import Backoff
from ._errors import DiscoveryError, LimitReached, NotAllowed
from ._record import Key, Record, newer

ANSWER_SECONDS = 3.0  # a request without an answer for that long: the server is lost
POLL_SECONDS = 15.0  # a long poll; a server that hangs is noticed 3 seconds later
POLL_PAUSE_SECONDS = 0.05  # between two polls of a service: what comes together is told together
RENEWALS_PER_TTL = 3
OUTSTANDING_MAX = (
    64  # publications and withdrawals on their way; a server drops what it cannot queue
)

Watched: TypeAlias = tuple[str, str]  # namespace, service


@dataclass(frozen=True, slots=True)
class Put:
    """Publish or renew."""

    record: Record


@dataclass(frozen=True, slots=True)
class Delete:
    """Withdraw a version and all older ones."""

    key: Key
    version: int
    ttl: int  # seconds, of that record


@dataclass(frozen=True, slots=True)
class Poll:
    """What is new of a service? Waits at the server."""

    watched: Watched
    wait: float  # seconds


Request: TypeAlias = Put | Delete | Poll


@dataclass(slots=True)
class _Sent:
    request: Request
    deadline: float


@dataclass(slots=True)
class _Lease:
    record: Record
    at: float | None  # when to put it (again); None: on its way, or refused for good
    is_accepted: bool = False
    error: DiscoveryError | None = None  # why it was refused


@dataclass(slots=True)
class _Withdrawal:
    delete: Delete
    until: float  # the lease has run out then, whoever has heard of it
    is_sent: bool = False


@dataclass(slots=True)
class Link:
    """The state of one server.

    Attributes:
        is_open: there is a socket.
        is_answering: it has answered since the socket was opened.
        problem: why it does not answer; "" while nothing is known to be wrong.
        heard: when it last answered anything.
        boot: which start of the server answers.
    """

    backoff: Backoff = field(default_factory=Backoff)
    is_open: bool = False
    is_answering: bool = False
    problem: str = "not asked yet"
    heard: float | None = None
    boot: bytes = b""
    retry_at: float = 0.0
    _number: int = 0
    _sent: dict[int, _Sent] = field(default_factory=dict)
    _leases: dict[Key, _Lease] = field(default_factory=dict)
    _deletes: dict[Key, _Withdrawal] = field(default_factory=dict)
    _polls: dict[Watched, float | None] = field(default_factory=dict)  # when; None: on its way

    # ------------------------------------------------------------------ what is wanted

    def publish(self, record: Record, now: float) -> None:
        """Keep *record* alive at this server, unless a newer version is."""
        lease = self._leases.get(record.key)
        if lease is not None and newer(lease.record, record) is lease.record:
            return
        self._deletes.pop(record.key, None)
        self._leases[record.key] = _Lease(record, now)

    def take_back(self, record: Record, before: Record | None, now: float) -> None:
        """Have *before* again instead of *record*, which was refused; None: withdraw it."""
        lease = self._leases.get(record.key)
        if before is None:
            self.withdraw(record.key, now)
        elif lease is not None and lease.record is record:
            self._leases[record.key] = _Lease(before, now)

    def record(self, key: Key) -> Record | None:
        """Return what is kept alive of a key."""
        lease = self._leases.get(key)
        return lease.record if lease is not None else None

    def published(self) -> list[Key]:
        """Return what is kept alive."""
        return list(self._leases)

    def withdraw(self, key: Key, now: float) -> None:
        """Withdraw what was published; tried as long as the lease could last."""
        lease = self._leases.pop(key, None)
        if lease is not None:
            delete = Delete(key, lease.record.version, lease.record.ttl)
            self._deletes[key] = _Withdrawal(delete, now + lease.record.ttl)

    def watch(self, watched: Watched, now: float) -> None:
        """Ask for what is new of a service, on and on."""
        self._polls.setdefault(watched, now)

    def unwatch(self, watched: Watched) -> None:
        """Ask no more; what is on its way is not listened to."""
        self._polls.pop(watched, None)
        for number, each in list(self._sent.items()):
            if isinstance(each.request, Poll) and each.request.watched == watched:
                del self._sent[number]

    # ------------------------------------------------------------------ what to do

    def wants_socket(self, now: float) -> bool:
        """Whether to open a socket: there is something to do, and the back-off is over."""
        has_work = bool(self._leases or self._deletes or self._polls)
        return not self.is_open and has_work and now >= self.retry_at

    def opened(self) -> None:
        """Note that there is a socket. Everything is asked anew."""
        self.is_open, self.is_answering, self.boot = True, False, b""

    def is_other_start(self, boot: bytes) -> bool:
        """Whether an answer comes from another start of the server than the ones before."""
        self.boot = self.boot or boot
        return bool(boot) and boot != self.boot

    def due(self, now: float) -> Iterator[tuple[int, Request]]:
        """Return what to send now, each with its number; nothing without a socket."""
        if not self.is_open:
            return
        self._deletes = {key: each for key, each in self._deletes.items() if each.until > now}
        for each in self._deletes.values():
            if self._is_full:
                break
            if not each.is_sent:
                each.is_sent = True
                yield self._send(each.delete, now, ANSWER_SECONDS)
        for lease in self._leases.values():
            if self._is_full:
                break
            if lease.at is not None and lease.at <= now:
                lease.at = None
                yield self._send(Put(lease.record), now, ANSWER_SECONDS)
        for watched, at in self._polls.items():
            if at is not None and at <= now:
                self._polls[watched] = None
                wait = POLL_SECONDS if self.is_answering else 0.0
                yield self._send(Poll(watched, wait), now, wait + ANSWER_SECONDS)

    def next(self) -> float | None:
        """Return when there is something to do if nothing is heard; None: never."""
        if not self.is_open:
            has_work = bool(self._leases or self._deletes or self._polls)
            return self.retry_at if has_work else None
        times = [each.deadline for each in self._sent.values()]
        if not self._is_full:
            times += (each.at for each in self._leases.values() if each.at is not None)
        times += (at for at in self._polls.values() if at is not None)
        return min(times, default=None)

    def overdue(self, now: float) -> str | None:
        """Return what was not answered in time, or None."""
        late = [each.request for each in self._sent.values() if each.deadline <= now]
        if not late:
            return None
        what = type(late[0]).__name__.lower()
        return f"no answer to a {what} for {ANSWER_SECONDS:g} s"

    @property
    def is_down(self) -> bool:
        """Whether the last attempt failed, and no answer has come since."""
        return self.backoff.failures > 0 and not self.is_answering

    def outcome(self, key: Key) -> bool | DiscoveryError:
        """Return whether the server has accepted what is published, or why it refused."""
        lease = self._leases.get(key)
        return lease is not None and (lease.error or lease.is_accepted)

    @property
    def is_withdrawing(self) -> bool:
        """Whether a withdrawal has not been answered yet."""
        return bool(self._deletes)

    # ------------------------------------------------------------------ what happened

    def answered(self, number: int, now: float) -> Request | None:
        """Return the request that an answer belongs to; None: to none, it came late."""
        sent = self._sent.pop(number, None)
        if sent is None:
            return None
        self.is_answering, self.heard, self.problem = True, now, ""
        self.backoff = self.backoff.succeeded(now)
        return sent.request

    def accepted(self, request: Put | Delete, now: float, random: float) -> None:
        """Note that it was done; a lease is renewed at a third of its ttl, or a little earlier.

        Args:
            random: from [0, 1), so that not all renew together for ever.
        """
        lease = self._settled(request)
        if lease is not None:
            third = lease.record.ttl / RENEWALS_PER_TTL
            lease.at = now + third * (1.0 - 0.1 * random)
            lease.is_accepted, lease.error = True, None

    def refused(self, request: Put | Delete, error: DiscoveryError, now: float) -> bool:
        """Note that the server said no; return whether that is news.

        Rights and room may come (again): those are asked for after a third of the ttl.
        """
        lease = self._settled(request)
        if lease is None:
            return isinstance(request, Delete)
        is_for_now = isinstance(error, LimitReached | NotAllowed)
        is_news = str(lease.error) != str(error)
        lease.at = now + lease.record.ttl / RENEWALS_PER_TTL if is_for_now else None
        lease.is_accepted, lease.error = False, error
        return is_news

    def polled(self, request: Poll, now: float, *, pause: float = POLL_PAUSE_SECONDS) -> None:
        """Note the answer to a poll: the next one follows after a pause, seconds."""
        if request.watched in self._polls:
            self._polls[request.watched] = now + pause

    def failed(self, problem: str, now: float, random: float) -> float:
        """Note that the server is lost, and return the seconds until it is tried again.

        The socket is closed; what was on its way and what is published comes again.
        """
        self.backoff, wait = self.backoff.failed(now, random)
        self.retry_at, self.problem = now + wait, problem
        self.is_open = self.is_answering = False
        self._sent.clear()
        for lease in self._leases.values():
            lease.at, lease.is_accepted, lease.error = now, False, None
        for each in self._deletes.values():
            each.is_sent = False
        self._polls = dict.fromkeys(self._polls, now)
        return wait

    # ------------------------------------------------------------------ inside

    def _send(self, request: Request, now: float, seconds: float) -> tuple[int, Request]:
        self._number += 1
        self._sent[self._number] = _Sent(request, now + seconds)
        return self._number, request

    @property
    def _is_full(self) -> bool:
        """Whether as much is on its way as a server keeps."""
        return len(self._sent) >= OUTSTANDING_MAX + len(self._polls)

    def _settled(self, request: Put | Delete) -> _Lease | None:
        """Return the lease that an answer is about; a withdrawal is done. Late answers: None."""
        if isinstance(request, Delete):
            withdrawal = self._deletes.get(request.key)
            if withdrawal is not None and withdrawal.delete is request:
                del self._deletes[request.key]
            return None
        lease = self._leases.get(request.record.key)
        return lease if lease is not None and lease.record is request.record else None
