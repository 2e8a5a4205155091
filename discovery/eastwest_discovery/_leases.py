"""What one registry server knows: records with leases, in the order of their last change.

Purpose    Keep records alive while their owners renew them, and tell pollers what changed.
Shape      Every key has one entry: live, withdrawn or expired. Each change of an entry gives it
           the next revision and moves it to the end of its service and of its namespace, so the
           newest changes are at the end of both: a log that is compacted all the time.
Cursors    A position is (boot, revision, base). Everything after ``revision`` is still to come;
           what died up to ``base`` the poller never saw. One of another boot, from the future,
           or from before something was forgotten starts over with a snapshot.
Time       ``tick(now)`` is the only clock. A gap of more than STALL_SECONDS between two ticks is
           a stall of ours: all leases are longer by it.
Limits     ``Limits``; beyond those of live records a put is refused, beyond that of the dead the
           oldest of these is forgotten early.
Owner      Pure: no sockets, threads, clock. One thread.

The dead: a withdrawn record is raised by a higher version only, an expired one by its own or a
higher one. They are kept twice the ttl.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple, TypeAlias

from . import record_pb2 as pb
from ._errors import LimitReached
from ._record import TTL_DEFAULT, Key, of_message

STALL_SECONDS = 1.0
PAGE_BYTES = 64 * 1024
PAGE_RECORDS = 1000

Scope: TypeAlias = tuple[str, str]  # namespace, service; service "": the whole namespace


class Position(NamedTuple):
    """How far a poller has come. The first poll has START."""

    boot: bytes
    revision: int
    base: int


START = Position(b"", 0, 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all together, may have here."""

    records_per_client: int = 4096
    bytes_per_client: int = 4 << 20
    polls_per_client: int = 256  # waiting ones
    records: int = 50_000
    bytes: int = 64 << 20
    polls: int = 20_000
    dead: int = 50_000  # withdrawn or expired, and remembered


@dataclass(frozen=True, slots=True)
class Held:
    """What the server holds of a key after a put or a delete."""

    outcome: str  # "stored", "renewed", "withdrawn" or "superseded"
    version: int


@dataclass(frozen=True, slots=True)
class Changes:
    """The answer to a poll: records and dead keys, in the order of their changes."""

    records: tuple[bytes, ...]
    gone: tuple[Key, ...]
    position: Position
    snapshot: bool  # forget what was known before
    more: bool  # ask again at once

    def __bool__(self) -> bool:
        return self.snapshot or bool(self.records or self.gone)


@dataclass(slots=True)
class Counters:
    """What happened since the start."""

    stored: int = 0
    renewed: int = 0
    superseded: int = 0
    withdrawn: int = 0
    expired: int = 0
    refused: int = 0  # by a limit
    forgotten: int = 0  # dead ones, early, by a limit
    stalls: int = 0
    stalled_seconds: float = 0.0


@dataclass(slots=True, eq=False)  # by identity: it is a key of the logs
class _Entry:
    namespace: str
    service: str
    instance: str
    client: Hashable = None  # who put it last
    encoded: bytes = b""  # b"": dead
    version: int = 0
    raised_by: int = 0  # the least version that may replace it when dead
    ttl: int = TTL_DEFAULT
    revision: int = 0
    deadline: float = 0.0  # in lease time
    due: float = float("inf")  # when the heap looks at it; never later than deadline


@dataclass(slots=True)
class _Log:
    """Entries of a service or a namespace, in the order of their revisions."""

    forgotten: int  # the highest revision of a dead entry that was dropped
    entries: dict[_Entry, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Share:
    records: int = 0
    bytes: int = 0


class Leases:
    """The state of one server. See the top of the file."""

    def __init__(
        self,
        boot: bytes,
        now: float,
        *,
        limits: Limits | None = None,
        settle_seconds: float = TTL_DEFAULT,
    ) -> None:
        """Start with nothing known.

        Args:
            boot: differs between any two starts of a server.
            now: seconds of a clock that never goes back.
            settle_seconds: how long after the start absence proves nothing.
        """
        self.boot = boot
        self.limits = limits or Limits()
        self.counters = Counters()
        self.revision = 0
        self.all = _Share()
        self._now = now
        self._time = 0.0  # lease time: seconds since the start, without stalls
        self._settle_seconds = settle_seconds
        self._entries: dict[tuple[str, str, str], _Entry] = {}
        self._logs: dict[Scope, _Log] = {}
        self._forgotten = 0  # the highest such revision of logs that are no more
        self._dead: dict[_Entry, None] = {}  # in the order of their deaths
        self._shares: dict[Hashable, _Share] = {}
        self._heap: list[tuple[float, int, _Entry]] = []
        self._pushes = 0
        self._changed: set[Scope] = set()

    # -------------------------------------------------------------- time

    @property
    def complete(self) -> bool:
        """Whether every owner had the time to publish here since the start."""
        return self._time >= self._settle_seconds

    def tick(self, now: float) -> None:
        """It is *now*: end what has not been renewed. To be called before the requests."""
        gap = now - self._now
        self._now = now
        if 0 <= gap <= STALL_SECONDS:
            self._time += gap
        else:
            self.counters.stalls += 1
            self.counters.stalled_seconds += max(gap, 0.0)
        while self._heap and self._heap[0][0] <= self._time:
            due, _, entry = heappop(self._heap)
            if due != entry.due:
                continue  # it was pushed again, with an earlier time
            entry.due = float("inf")
            if entry.deadline > self._time:
                self._push(entry)
            elif entry.encoded:
                self.counters.expired += 1
                self._die(entry, raised_by=entry.version)
            else:
                self._forget(entry)

    def take_changed(self) -> set[Scope]:
        """Return the services and namespaces that changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    # ------------------------------------------------------------ owners

    def put(self, client: Hashable, encoded: bytes, message: pb.Record) -> Held:
        """Store a record or renew its lease, unless a newer one is known.

        Args:
            client: whose limits count.
            message: what *encoded* holds; its values need not have been checked. Is used up.

        Raises:
            BadRecord: a value is not allowed.
            LimitReached: no room; what was there before still is.
        """
        entry = self._entries.get((message.namespace, message.service, message.instance))
        if entry is not None and entry.encoded == encoded and entry.client == client:
            self._extend(entry, entry.ttl)
            self.counters.renewed += 1
            return Held("renewed", entry.version)
        record = of_message(message)
        encoded = record.encode()
        if entry is not None and not _replaces(entry, record.version, encoded):
            self.counters.superseded += 1
            return Held("superseded", entry.version)
        self._check_room(client, entry, len(encoded))
        same = entry is not None and entry.encoded == encoded
        if entry is None:
            entry = self._new_entry(record.key)
        self._charge(entry, -1)
        self._dead.pop(entry, None)
        entry.client, entry.encoded, entry.version = client, encoded, record.version
        self._charge(entry, +1)
        self._extend(entry, record.ttl)
        if same:
            self.counters.renewed += 1
            return Held("renewed", entry.version)
        self._change(entry)
        self.counters.stored += 1
        return Held("stored", entry.version)

    def delete(self, key: Key, version: int, ttl: int = TTL_DEFAULT) -> Held:
        """Withdraw *version* of a record, also of one that is not known here (yet).

        Args:
            key: must be one that a record may have.
            ttl: of that record, seconds; used if it is not known.
        """
        entry = self._entries.get((key.namespace, key.service, key.instance))
        if entry is None:
            entry = self._new_entry(key)
            entry.ttl = ttl
        elif version < entry.version:
            self.counters.superseded += 1
            return Held("superseded", entry.version)
        elif not entry.encoded and version < entry.raised_by:
            return Held("withdrawn", entry.version)  # again: nothing is new
        entry.version = version
        self.counters.withdrawn += 1
        self._die(entry, raised_by=version + 1)
        return Held("withdrawn", version)

    # ----------------------------------------------------------- pollers

    def poll(self, namespace: str, service: str, position: Position) -> Changes:
        """Return what changed after *position*, at most one page of it. False: nothing did."""
        log = self._logs.get((namespace, service))
        forgotten = self._forgotten if log is None else log.forgotten
        snapshot = (
            position.boot != self.boot
            or max(position.revision, position.base) > self.revision
            or position.base < forgotten
        )
        if snapshot:
            position = Position(self.boot, 0, self.revision)
        fresh = _after(log, position.revision) if log is not None else []
        records: list[bytes] = []
        gone: list[Key] = []
        size, revision = 0, position.revision
        for entry in fresh:
            if size >= PAGE_BYTES or len(records) + len(gone) >= PAGE_RECORDS:
                position = position._replace(revision=revision)
                return Changes(tuple(records), tuple(gone), position, snapshot, more=True)
            if entry.encoded:
                records.append(entry.encoded)
                size += len(entry.encoded)
            elif entry.revision > position.base:
                gone.append(Key(entry.namespace, entry.service, entry.instance))
                size += len(entry.service) + len(entry.instance)
            revision = entry.revision
        end = Position(self.boot, self.revision, self.revision)
        return Changes(tuple(records), tuple(gone), end, snapshot, more=False)

    # ----------------------------------------------------------- numbers

    @property
    def dead(self) -> int:
        """How many withdrawn and expired records are remembered."""
        return len(self._dead)

    @property
    def clients(self) -> int:
        """How many clients have records here."""
        return len(self._shares)

    @property
    def age(self) -> float:
        """Seconds since the start, without stalls."""
        return self._time

    def count_scopes(self) -> tuple[int, int]:
        """Return how many namespaces and how many services are known, dead ones included.

        May be called by any thread: the copy is made at one go.
        """
        scopes = list(self._logs)
        namespaces = sum(not service for _, service in scopes)
        return namespaces, len(scopes) - namespaces

    # ----------------------------------------------------------- details

    def _check_room(self, client: Hashable, entry: _Entry | None, size: int) -> None:
        """Raise unless *client* may have *size* bytes more in place of *entry*."""
        live = entry is not None and bool(entry.encoded)
        before = len(entry.encoded) if entry is not None else 0
        own = self._shares.get(client, _Share())
        mine = live and entry is not None and entry.client == client
        limits = self.limits
        for have, limit, what in (
            (own.records + (not mine), limits.records_per_client, "records of one client"),
            (
                own.bytes + size - (before if mine else 0),
                limits.bytes_per_client,
                "bytes of records of one client",
            ),
            (self.all.records + (not live), limits.records, "records"),
            (self.all.bytes + size - before, limits.bytes, "bytes of records"),
        ):
            if have > limit:
                self.counters.refused += 1
                raise LimitReached(
                    f"{have} {what} would be above the limit of this server, {limit}; "
                    "withdraw some, or raise the limit there"
                )

    def _new_entry(self, key: Key) -> _Entry:
        entry = _Entry(key.namespace, key.service, key.instance)
        self._entries[key.namespace, key.service, key.instance] = entry
        return entry

    def _charge(self, entry: _Entry, sign: int) -> None:
        """Count a live entry to its client and to all, or no longer."""
        if not entry.encoded:
            return
        own = self._shares.setdefault(entry.client, _Share())
        for share in (own, self.all):
            share.records += sign
            share.bytes += sign * len(entry.encoded)
        if not own.records:
            del self._shares[entry.client]

    def _extend(self, entry: _Entry, ttl: int) -> None:
        entry.ttl = ttl
        entry.deadline = self._time + ttl
        if entry.due > entry.deadline:
            self._push(entry)

    def _push(self, entry: _Entry) -> None:
        """Have the heap look at *entry* at its deadline."""
        if len(self._heap) > 2 * len(self._entries) + 16:  # ttls that shrank left some behind
            self._heap = [each for each in self._heap if each[0] == each[2].due]
            heapify(self._heap)
        entry.due = entry.deadline
        self._pushes += 1
        heappush(self._heap, (entry.due, self._pushes, entry))

    def _change(self, entry: _Entry) -> None:
        """Give *entry* the next revision and the last place in its logs."""
        self.revision += 1
        entry.revision = self.revision
        for scope in _scopes(entry):
            log = self._logs.get(scope)
            if log is None:
                log = self._logs[scope] = _Log(forgotten=self._forgotten)
            log.entries.pop(entry, None)
            log.entries[entry] = None
            self._changed.add(scope)

    def _die(self, entry: _Entry, *, raised_by: int) -> None:
        self._charge(entry, -1)
        entry.encoded = b""
        entry.client = None
        entry.raised_by = raised_by
        self._extend(entry, entry.ttl)
        entry.deadline += entry.ttl  # twice; the heap may look early
        self._change(entry)
        self._dead.pop(entry, None)
        self._dead[entry] = None
        if len(self._dead) > self.limits.dead:
            self.counters.forgotten += 1
            self._forget(next(iter(self._dead)))

    def _forget(self, entry: _Entry) -> None:
        """Drop a dead entry; who has not heard of its death must start over."""
        entry.due = float("inf")
        del self._dead[entry]
        del self._entries[entry.namespace, entry.service, entry.instance]
        for scope in _scopes(entry):
            log = self._logs[scope]
            del log.entries[entry]
            log.forgotten = max(log.forgotten, entry.revision)
            if not log.entries:
                self._forgotten = max(self._forgotten, log.forgotten)
                del self._logs[scope]


def _scopes(entry: _Entry) -> tuple[Scope, Scope]:
    return (entry.namespace, entry.service), (entry.namespace, "")


def _replaces(entry: _Entry, version: int, encoded: bytes) -> bool:
    """Say whether a record may take the place of *entry*."""
    if not entry.encoded:
        return version >= entry.raised_by
    return (version, encoded) >= (entry.version, entry.encoded)


def _after(log: _Log, revision: int) -> list[_Entry]:
    """Return the entries that changed after *revision*, the oldest change first."""
    found = []
    for entry in reversed(log.entries):
        if entry.revision <= revision:
            break
        found.append(entry)
    found.reverse()
    return found
