"""What the package tells about itself: frozen values, each with ``to_dict()``.

Instance       one published listener, as discovery knows it
Registry       one source of names, and what it said about a service
Peer           who is at the other end of a channel
Verdict        what became of one candidate: chosen, or which check failed and what fixes it
Explanation    the verdicts of one decision and the facts around it; prints as a small table
ChannelStats, ContextStats, ListenerStats   counters; sizes in bytes, times in seconds

Imports no native module. Nothing here is checked again: values from outside are checked where they
enter (``_facts.py``, ``_addresses.py``, ``_providers/``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

Path = Literal["shm", "dpdk", "tcp"]
PATHS: tuple[Path, ...] = ("shm", "dpdk", "tcp")
"""Every path, best first: the order in which the addresses of an instance are tried."""


def _plain(value: Any) -> Any:
    """Return *value* made of dict, list, str, numbers and None only."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value


class _Value:
    """What all values share."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the value as nested dicts and lists that ``json.dumps`` takes."""
        plain: dict[str, Any] = _plain(self)
        return plain


@dataclass(frozen=True, slots=True)
class Instance(_Value):
    """One listener that publishes a service.

    Attributes:
        service: its name.
        id: 32 hex digits, or "" while unknown: an address from a file has none until hello.
        labels: what ``where=`` matches.
        zone: "" when not given.
        weight: share of the new channels among instances equally near; 0 is not chosen.
        addresses: "shm:DIRECTORY/SOCKET", "dpdk://NETWORK/ADDR:PORT" and "tcp://ADDR:PORT".
        stale: the source no longer vouches for it; tried last.
        source: the provider that knows it, "local:/run/eastwest" or "zmq://h1:7400,h2:7400";
            several with commas and spaces between them.
        age: seconds since the source last confirmed it; 0 while it vouches for it.
        version: the owner raises it with each change; 0 where nobody counts.
    """

    service: str
    id: str
    labels: Mapping[str, str]
    zone: str
    weight: int
    addresses: tuple[str, ...]
    stale: bool
    source: str
    age: float = 0.0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Registry(_Value):
    """What one source of names said about a service.

    Attributes:
        source: its URL.
        answered: it could be asked, at least one of its servers.
        complete: it said so much that what it did not name is not there.
        instances: known from it, the stale ones included.
        stale: of those, the ones that nobody vouches for any more.
        age: seconds since the oldest of them was confirmed.
        servers: each with what keeps it from answering completely, "" for nothing.
        not_kept: why nothing of it is kept on disk for a restart; "": it is kept.
    """

    source: str
    answered: bool
    complete: bool
    instances: int = 0
    stale: int = 0
    age: float = 0.0
    servers: Mapping[str, str] = field(default_factory=dict)
    not_kept: str = ""

    def __str__(self) -> str:
        word = "complete" if self.complete else "incomplete" if self.answered else "no answer"
        stale = f", {self.stale} of them stale, up to {self.age:.0f} s" if self.stale else ""
        many = f"{self.instances} instance{'s' * (self.instances != 1)}{stale}"
        kept = [f"not kept for a restart: {self.not_kept}"] if self.not_kept else []
        return "; ".join([f"{self.source}: {word}, {many}", *self.troubles, *kept])

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong, a sentence for each server where something is."""
        wrong = [(server, why) for server, why in self.servers.items() if why]
        return tuple(why if each == self.source else f"{each}: {why}" for each, why in wrong)


@dataclass(frozen=True, slots=True)
class Peer(_Value):
    """The other end of a channel.

    Attributes:
        instance: the listener's id, 32 hex digits, at both ends.
        pid: process id as the kernel says, in our pid namespace; None over a stream.
        uid: user id as the kernel says; None over a stream.
        address: as those of an ``Instance``.
        identity: the name that TLS proved; None until there is TLS.
    """

    instance: str
    pid: int | None
    uid: int | None
    address: str
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict(_Value):
    """What became of one candidate.

    Attributes:
        path: the kind of link it would be.
        address: "" when there is none to try.
        ok: a channel can be had there.
        check: the check that decided, one word: "hello", "access", "paths", ...
        detail: what was seen, with values and limits.
        fix: what would change it, or None.
        seconds: how long it took.
    """

    path: Path
    address: str
    ok: bool
    check: str
    detail: str
    fix: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Explanation(_Value):
    """Why a channel, a listener or a service is on the path that it is on.

    Attributes:
        service: its name.
        chosen: the verdict of what is used, or None.
        rejected: every other candidate, in the order in which they were considered.
        changes: what happened to the path since, oldest first.
        facts: what else matters, by name.
    """

    service: str
    chosen: Verdict | None
    rejected: tuple[Verdict, ...] = ()
    changes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"{self.service}: {self.chosen.path if self.chosen else 'no path'}"
        rows = [_row("chosen", self.chosen)] if self.chosen else []
        for verdict in self.rejected:
            rows.append(_row("not taken" if verdict.ok else "rejected", verdict))
            if verdict.fix:
                rows.append(f"{'':11} {'':4} fix: {verdict.fix}")
        rows += [f"{'change':11} {change}" for change in self.changes]
        for name, value in self.facts.items():
            if value not in ("", None, (), [], {}):
                rows.append(f"{name.replace('_', ' '):18} {_shown(value)}")
        return "\n".join([head, *(f"  {row}".rstrip() for row in rows)])


def _row(word: str, verdict: Verdict) -> str:
    took = f" ({verdict.seconds * 1e3:.1f} ms)" if verdict.seconds else ""
    at = f"{verdict.address}: " if verdict.address else ""
    return f"{word:11} {verdict.path:4} {at}{verdict.check}: {verdict.detail}{took}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={each}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(str(each) for each in value)
    return str(value)


@dataclass(frozen=True, slots=True)
class PathChange(_Value):
    """A channel went from one link to another.

    Attributes:
        generation: of the new link; the first link of a channel has 1.
        before, after: the paths, which may be the same.
        lost: whether the link before it was lost.
        reason: "asked for", "the peer asked for it", "the link was lost", "a better path appeared".
        at: when it was done, seconds of ``time.monotonic()``.
        seconds: how long it took, from its beginning or from the loss of the old link.
    """

    generation: int
    before: Path
    after: Path
    lost: bool
    reason: str
    at: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.before} -> {self.after}: {self.reason} ({self.seconds * 1e3:.1f} ms)"


@dataclass(frozen=True, slots=True)
class ChannelStats(_Value):
    """Counters of one channel since it was opened.

    Attributes:
        messages_sent, messages_received: whole messages.
        bytes_sent, bytes_received: of messages, without headers.
        send_free_bytes: room in our ring now.
        send_unread_bytes: what we sent and the peer's application has not taken.
        unread_bytes: what the peer sent and we have not received, as far as we have seen it.
        send_blocked_seconds: how long senders waited for room, in total.
        spins_paid, spins_lost: waits that spinning ended, and those that slept after all.
        spin_lost_seconds: CPU time of the spins that were lost.
        spin_seconds_max: the cap of an adaptive spin; 0 while there is no second CPU for the peer,
            or while the channel has not tried yet.
        sleeps, wakeups, kicks: of the bell.
        send_waiting, recv_waiting: threads of this process that wait now.
        path_changes: how often the link was replaced.
        changes: the last of them, oldest first, at most 8.
        position_sent, position_peer_taken, position_peer_consumed, position_taken: record bytes
            since the channel opened; the first three of what we send, the last of what we receive.
    """

    messages_sent: int
    messages_received: int
    bytes_sent: int
    bytes_received: int
    send_free_bytes: int
    send_unread_bytes: int
    unread_bytes: int
    send_blocked_seconds: float
    spins_paid: int
    spins_lost: int
    spin_lost_seconds: float
    spin_seconds_max: float
    sleeps: int
    wakeups: int
    kicks: int
    send_waiting: int
    recv_waiting: int
    path_changes: int
    changes: tuple[PathChange, ...]
    position_sent: int
    position_peer_taken: int
    position_peer_consumed: int
    position_taken: int


@dataclass(frozen=True, slots=True)
class ListenerStats(_Value):
    """Counters of one listener since it was opened.

    Attributes:
        accepted, refused, dropped: connections by outcome; dropped ones never said a good hello.
        channels: open now. waiting: of those, not yet accepted by the application.
    """

    accepted: int
    refused: int
    dropped: int
    channels: int
    waiting: int


@dataclass(frozen=True, slots=True)
class ContextStats(_Value):
    """Counters of one context since it was opened.

    Attributes:
        channels, listeners, half_open: open now; half-open ones have not said hello yet.
        memory_bytes, memory_bytes_max: shared memory charged to the context, and its budget.
        huge_bytes: of that, in huge pages.
        accepted, refused, dropped: connections to our listeners by outcome.
        spin_seconds_max: what a sleep costs more than a spin here, the cap of "adaptive"; measured,
            then learnt. 0 with one CPU.
        cpus: that the calling thread may use now, by affinity and by the quota of its group.
        seal_huge: this kernel enforces seals on huge pages.
        registry_age_seconds: since the oldest thing that the providers know was checked.
    """

    channels: int
    listeners: int
    half_open: int
    memory_bytes: int
    memory_bytes_max: int
    huge_bytes: int
    accepted: int
    refused: int
    dropped: int
    spin_seconds_max: float
    cpus: int
    seal_huge: bool
    registry_age_seconds: float
