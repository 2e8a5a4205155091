"""What one client knows of the instances of one service, from several servers that may disagree.

Pure: no clock, no sockets, no threads. The caller brings each server's Updates and says when a
server can no longer be asked; every time is seconds of the caller's monotonic clock.

What a server *has* counts while it can be asked, and one ttl of the record longer: that long its
lease was granted. What a server *lacks* counts only while it can be asked and is complete, or has
said that the very instance is gone. From that, for each instance:

present   some server has it. The highest version wins; with equal versions all clients take the
          same (``newer``).
gone      nobody has it, and somebody who counts lacks it. It is forgotten.
stale     nobody has it, and nobody who counts says that it is gone: the servers have just
          started or cannot be asked. It stays, behind what is present, with its age, at most
          STALE_SECONDS_MAX.

A version that a server said was gone is a tombstone for twice the ttl: an older one that another
server still has does not come back. The same version does: a lease that ran out at one server,
because its owner cannot reach that one, may be alive at another. A record is a hint and the hello
proves, so the worst that a server which lies can do is a connect that fails.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce

from ._provider import Cursor, Update
from ._record import Key, Record, newer

STALE_SECONDS_MAX = 7 * 86_400.0  # what nobody has confirmed for that long is forgotten
INSTANCES_MAX = 20_000  # of one service from one server; more is a server that lies
TOMBSTONE_TTLS = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One instance as a client sees it.

    Attributes:
        sources: the servers that have it now, in the order of the URL; none if it is stale.
        confirmed: when a server last confirmed it, if it is stale or only servers that can no
            longer be asked have it; None: a server that can be asked has it now.
    """

    record: Record
    sources: tuple[str, ...] = ()
    confirmed: float | None = None

    @property
    def is_stale(self) -> bool:
        """Whether nobody vouches for it: to be tried after all others."""
        return not self.sources

    def age(self, now: float) -> float:
        """Return the seconds since it was last confirmed; 0 while it is."""
        return 0.0 if self.confirmed is None else max(0.0, now - self.confirmed)


@dataclass(frozen=True, slots=True)
class View:
    """All of one service at one time.

    Attributes:
        entries: those present by instance, then the stale ones, youngest first.
        complete: one complete server can be asked: what is not here, and not stale, is not there.
        asked: servers that have answered and can still be asked; 0 with no entry: nobody knows.
    """

    entries: tuple[Entry, ...] = ()
    complete: bool = False
    asked: int = 0


def oldest(views: Iterable[View], now: float) -> float:
    """Return the age of the oldest entry, seconds; 0 without any."""
    return max((each.age(now) for view in views for each in view.entries), default=0.0)


@dataclass(slots=True)
class _Server:
    """The word of one server."""

    cursor: Cursor = b""
    records: dict[Key, Record] = field(default_factory=dict)
    gone: set[Key] = field(default_factory=set)  # said so
    is_asked: bool = False  # has answered, and can be asked
    is_complete: bool = False
    heard: float = 0.0

    def has(self, key: Key, now: float) -> Record | None:
        record = self.records.get(key)
        if record is None or self.is_asked or now - self.heard < record.ttl:
            return record
        return None

    def let_go(self, now: float) -> set[Key]:
        """Forget what no longer counts; return which."""
        over = {key for key in self.records if self.has(key, now) is None}
        for key in over:
            del self.records[key]
        return over

    def lacks(self, key: Key) -> bool:
        is_absent = self.is_asked and key not in self.records
        return is_absent and (self.is_complete or key in self.gone)


@dataclass(frozen=True, slots=True)
class _Tombstone:
    version: int
    until: float


class Union:
    """The union of what several servers say of one service; "" is every service of the namespace.

    Threads: of one thread.
    """

    def __init__(self, namespace: str, service: str, sources: Iterable[str]) -> None:
        self.namespace = namespace
        self.service = service
        self.version = 0  # rises when the view may have changed
        self._servers = {source: _Server() for source in sources}
        self._entries: dict[Key, Entry] = {}
        self._tombstones: dict[Key, _Tombstone] = {}
        self._changed: dict[Key, Record | None] = {}
        self._next: float | None = None
        self._is_changed = False  # since the last look ahead

    # ------------------------------------------------------------------ what happens

    def is_complete(self, source: str) -> bool:
        """Whether *source* can be asked, and what it does not have is not there."""
        server = self._servers[source]
        return server.is_asked and server.is_complete

    def cursor(self, source: str) -> Cursor:
        """Return the cursor to ask *source* with."""
        return self._servers[source].cursor

    def apply(self, source: str, asked: Cursor, update: Update, now: float) -> bool:
        """Take the answer of one server.

        Args:
            asked: the cursor it answers; an answer to any other than the last one came late.

        Returns:
            Whether it was taken. Records of another service than was asked for never are.
        """
        server = self._servers[source]
        if asked != server.cursor or not (asked or update.snapshot):
            return False
        records = {each.key: each for each in update.records if self.is_asked_for(each)}
        held = 0 if update.snapshot else len(server.records)
        if held + len(records) > INSTANCES_MAX:
            return False
        if update.snapshot:
            touched = self._replace(server, records)
        else:
            touched = self._amend(server, records, update.gone, now)
        if (server.is_asked, server.is_complete) != (True, update.complete):
            touched |= self._entries.keys()
        server.cursor, server.heard = update.cursor, now
        server.is_asked, server.is_complete = True, update.complete
        self._settle(touched, now)
        return True

    def lost(self, source: str, now: float, *, heard: float | None = None) -> None:
        """Note that *source* can no longer be asked; it is asked from the start when it is back.

        Args:
            heard: when it was last heard of, if later than its last answer.
        """
        server = self._servers[source]
        server.cursor = b""
        if server.is_asked:
            server.is_asked = False
            server.heard = max(server.heard, min(now, heard if heard is not None else now))
            self._settle(self._entries.keys() | server.records.keys(), now)

    def remember(self, record: Record, confirmed: float, now: float) -> None:
        """Add what is known from before as stale, unless something newer is known."""
        key = record.key
        if self.is_asked_for(record) and key not in self._tombstones:
            self._settle({key}, now, Entry(record, (), min(confirmed, now)))

    def turn(self, now: float) -> float | None:
        """Let time pass; return when something happens next if nothing is heard, or None."""
        if self._is_changed:
            self._next, self._is_changed = self._look_ahead(), False
        if self._next is not None and self._next <= now:
            over = {key for key, each in self._tombstones.items() if each.until <= now}
            for key in over:
                del self._tombstones[key]
            for server in self._servers.values():
                over |= server.let_go(now)
            over |= {key for key, each in self._entries.items() if each.is_stale}
            self._settle(over, now)
            self._next, self._is_changed = self._look_ahead(), False
        return self._next

    # ------------------------------------------------------------------ what is known

    def view(self) -> View:
        """Return all there is, as of the last event or turn."""
        present = [each for each in self._entries.values() if not each.is_stale]
        stale = [each for each in self._entries.values() if each.is_stale]
        present.sort(key=lambda each: (each.record.service, each.record.instance))
        stale.sort(key=lambda each: -(each.confirmed or 0.0))
        asked = [server for server in self._servers.values() if server.is_asked]
        is_complete = any(server.is_complete for server in asked)
        return View((*present, *stale), is_complete, len(asked))

    def changes(self) -> dict[Key, Record | None]:
        """Return what has changed since the last call: the record to offer, or None if gone."""
        changed, self._changed = self._changed, {}
        return changed

    # ------------------------------------------------------------------ one server's word

    def is_asked_for(self, record: Record) -> bool:
        """Whether *record* is of what this is the union of."""
        return record.namespace == self.namespace and self.service in ("", record.service)

    def _replace(self, server: _Server, records: dict[Key, Record]) -> set[Key]:
        """Take a snapshot; return the keys that it may change."""
        touched = server.records.keys() | records.keys() | server.gone
        server.records, server.gone = self._shared(records), set()
        return touched

    def _amend(
        self, server: _Server, records: dict[Key, Record], gone: Iterable[Key], now: float
    ) -> set[Key]:
        """Take changes; return the keys that they may change."""
        for key, record in self._shared(records).items():
            held = server.records.get(key)
            server.records[key] = record if held is None else newer(record, held)
            server.gone.discard(key)
        left = set(gone) - records.keys()
        for key in left:
            held = server.records.pop(key, None)
            if held is not None:
                self._bury(held, now)
            if len(server.gone) < INSTANCES_MAX:  # even of what only others will have
                server.gone.add(key)
        return records.keys() | left

    def _shared(self, records: dict[Key, Record]) -> dict[Key, Record]:
        """Return the records, those that are known already as the objects that hold them."""
        shared = {}
        for key, record in records.items():
            entry = self._entries.get(key)
            shared[key] = entry.record if entry and entry.record == record else record
        return shared

    def _bury(self, record: Record, now: float) -> None:
        known = self._tombstones.get(record.key)
        if known is None and len(self._tombstones) >= INSTANCES_MAX:
            return
        version = max(record.version, known.version if known else 0)
        self._tombstones[record.key] = _Tombstone(version, now + TOMBSTONE_TTLS * record.ttl)

    # ------------------------------------------------------------------ the verdict

    def _settle(self, keys: Iterable[Key], now: float, remembered: Entry | None = None) -> None:
        for key in keys:
            before = self._entries.get(key)
            after = self._judge(key, before or remembered, now)
            if after is not None:
                self._entries[key] = after
            elif before is not None:
                del self._entries[key]
            record = after.record if after is not None else None
            if record is not (before.record if before is not None else None):
                self._changed[key] = record
        self._is_changed = True
        self.version += 1

    def _judge(self, key: Key, before: Entry | None, now: float) -> Entry | None:
        held = dict(self._held(key, now))
        if held:
            best = reduce(newer, held.values())
            sources = tuple(source for source, record in held.items() if record == best)
            servers = [self._servers[source] for source in sources]
            is_sure = any(server.is_asked for server in servers)
            heard = None if is_sure else max(server.heard for server in servers)
            return Entry(best, sources, heard)
        if before is None or any(server.lacks(key) for server in self._servers.values()):
            return None
        confirmed = now if before.confirmed is None else before.confirmed
        return Entry(before.record, (), confirmed) if now - confirmed < STALE_SECONDS_MAX else None

    def _held(self, key: Key, now: float) -> Iterator[tuple[str, Record]]:
        tombstone = self._tombstones.get(key)
        for source, server in self._servers.items():
            record = server.has(key, now)
            if record and (tombstone is None or record.version >= tombstone.version):
                yield source, record

    def _look_ahead(self) -> float | None:
        """Return when time alone changes something: a lease, a tombstone or an age runs out."""
        ends = [each.until for each in self._tombstones.values()]
        for each in self._entries.values():
            if each.is_stale and each.confirmed is not None:
                ends.append(each.confirmed + STALE_SECONDS_MAX)
        for server in self._servers.values():
            if not server.is_asked and server.records:
                ends += (server.heard + each.ttl for each in server.records.values())
        return min(ends, default=None)
