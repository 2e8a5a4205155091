"""Out of etcd's answers, the updates of a provider: a snapshot by pages, then a watch. Pure.

A cursor is ``CLUSTER:REVISION``: everything up to that revision of that cluster is known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import _etcd_wire as wire
from ._errors import BadRecord, LimitReached
from ._provider import Cursor, Update
from ._record import Key, Record

PAGE_KEYS = 500  # of a snapshot; halved as long as an answer is too large
RECORDS_MAX = 100_000  # of one question

Skipped = Callable[[str, str], None]  # told of a key whose value is no record, and why


@dataclass(frozen=True, slots=True)
class Position:
    """What is known: all of a cluster up to a revision."""

    cluster: int
    revision: int

    def cursor(self) -> Cursor:
        """Return it as it is handed out."""
        return b"%d:%d" % (self.cluster, self.revision)

    @classmethod
    def of(cls, cursor: Cursor) -> "Position | None":
        """Return what a cursor tells; None when it is not one of ours."""
        cluster, mark, revision = cursor.partition(b":")
        if not mark or len(cursor) > 64 or not (cluster.isdigit() and revision.isdigit()):
            return None
        return cls(int(cluster), int(revision))


class Question:
    """Which records are asked for: those of a service, or of all services of a namespace."""

    def __init__(self, prefix: str, namespace: str, service: str, skipped: Skipped) -> None:
        self._prefix = prefix
        self._skipped = skipped
        self.folder = wire.folder(prefix, namespace, service)

    def key_of(self, value: wire.Value) -> Key | None:
        """Return which record the key is for; None when it is foreign, which is told."""
        key = wire.key_of(self._prefix, value.key)
        if key is None:
            self._skipped(value.key, "its name is not PREFIX/NAMESPACE/SERVICE/INSTANCE")
        return key

    def record_of(self, key: Key, value: wire.Value) -> Record | None:
        """Return the record; None when the value is none, which is told."""
        try:
            return wire.record_of(key, value.value)
        except BadRecord as error:
            self._skipped(value.key, str(error))
            return None


class Snapshot:
    """All records there are, at one revision, page by page."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._begin = question.folder
        self._position = Position(0, 0)  # of the first page: all later ones are of that revision
        self._limit = PAGE_KEYS
        self._records: list[Record] = []

    def request(self) -> dict[str, Any]:
        """Return what to ask next of ``/v3/kv/range``."""
        asked: dict[str, Any] = wire.within(self._question.folder)
        asked |= {"key": wire.text_of(self._begin), "limit": str(self._limit)}
        if self._position.revision:
            asked["revision"] = str(self._position.revision)
        return asked

    def too_large(self) -> bool:
        """The answer exceeds what is taken: ask for less. Return False when that is no use."""
        self._limit //= 2
        return self._limit > 0

    def take(self, answer: wire.Json) -> Update | None:
        """Take a page; return the update when it is the last one.

        Raises:
            LimitReached: there are more records than a provider takes.
        """
        header = wire.child(answer, "header")
        position = Position(wire.number(header, "cluster_id"), wire.number(header, "revision"))
        if not self._position.revision:
            self._position = position
        values = [wire.value_of(each) for each in wire.children(answer, "kvs")]
        for value in values:
            key = self._question.key_of(value)
            record = self._question.record_of(key, value) if key else None
            if record:
                self._records.append(record)
        if len(self._records) > RECORDS_MAX:
            raise LimitReached(
                f"more than {RECORDS_MAX} records at {self._question.folder!r}; ask by service"
            )
        if answer.get("more") and values:
            self._begin = values[-1].key + "\0"
            return None
        return Update(tuple(self._records), (), self._position.cursor(), True, True)


class Follower:
    """What a watch tells, from the revision behind a position on."""

    def __init__(self, question: Question, position: Position) -> None:
        self.position = position
        self.suspicious = False  # etcd may be behind what we know: its revision must be asked for
        self._question = question
        self._events: list[wire.Json] = []  # of an answer in fragments, all but the last

    def request(self) -> dict[str, Any]:
        """Return what to ask of ``/v3/watch``."""
        asked: dict[str, Any] = wire.within(self._question.folder)
        asked |= {"start_revision": str(self.position.revision + 1)}
        return {"create_request": asked | {"progress_notify": True, "fragment": True}}

    def take(self, message: wire.Json) -> Update | None:
        """Take a message; return an update if it has one.

        Raises:
            Compacted: the position is lost.
            Refusal: etcd has ended the watch.
        """
        header = wire.child(message, "header")
        if wire.number(message, "compact_revision"):
            raise wire.Compacted(f"revision {self.position.revision} is compacted")
        if message.get("canceled"):
            raise _ended(str(message.get("cancel_reason", "")))
        if wire.number(header, "cluster_id") != self.position.cluster:
            raise wire.Compacted("another cluster answers")
        revision = wire.number(header, "revision")
        if message.get("created"):
            self.suspicious = revision < self.position.revision
            return None
        self._events += wire.children(message, "events")
        if message.get("fragment"):
            return None
        events, self._events = self._events, []
        if not events:  # progress: everything up to here has been told
            self._move(revision)
            return None
        return self._update(events)

    def _update(self, events: list[wire.Json]) -> Update:
        records: dict[Key, Record | None] = {}  # None: gone
        for event in events:
            value = wire.value_of(wire.child(event, "kv"))
            self._move(value.mod_revision)
            if key := self._question.key_of(value):
                is_put = event.get("type", "PUT") == "PUT"
                records[key] = self._question.record_of(key, value) if is_put else None
        there = tuple(each for each in records.values() if each)
        gone = tuple(key for key, each in records.items() if each is None)
        return Update(there, gone, self.position.cursor(), False, True)

    def _move(self, revision: int) -> None:
        if revision > self.position.revision:
            self.position = Position(self.position.cluster, revision)


def _ended(reason: str) -> wire.Refusal:
    """Return why a watch ended: etcd tells it in words only."""
    if "permission denied" in reason:
        return wire.Refusal(wire.DENIED, reason)
    if "auth token" in reason:
        return wire.Refusal(wire.NO_LOGIN, reason)
    if "user name is empty" in reason:
        return wire.Refusal(wire.BAD_ARGUMENT, reason)
    return wire.Refusal(wire.UNAVAILABLE, reason or "the watch was ended")
