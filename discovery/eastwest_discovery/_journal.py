"""What changed since a cursor: for those who poll the union of one service in this process.

Pure. A cursor is ours, names this journal and a revision; any other one, and one from before what
is still known, is answered with a snapshot.
"""

from collections.abc import Mapping

from ._provider import Cursor, Update
from ._record import Key, Record
from ._union import View

GONE_MAX = 1024  # kept, to be told as gone; who is further behind gets a snapshot
_REVISION_BYTES = 8


class Journal:
    """The changes of one view, by revision.

    Threads: one at a time.
    """

    def __init__(self, boot: bytes) -> None:
        """Begin at revision 1.

        Args:
            boot: not the same for any two journals, 8 bytes or so of random.
        """
        self._boot = boot
        self._revision = 1
        self._oldest = 1  # the first revision that can be gone on from
        self._is_complete = False
        self._changes: dict[Key, tuple[int, Record | None]] = {}  # by revision, rising
        self._gone = 0

    @property
    def cursor(self) -> Cursor:
        """The cursor of now."""
        return self._boot + self._revision.to_bytes(_REVISION_BYTES, "big")

    def note(self, changes: Mapping[Key, Record | None], *, is_complete: bool) -> bool:
        """Add changes, None for what is gone; return whether there is any news."""
        if not changes and is_complete == self._is_complete:
            return False
        self._revision += 1
        self._is_complete = is_complete
        for key, record in changes.items():
            before = self._changes.pop(key, None)
            self._gone += (record is None) - (before is not None and before[1] is None)
            self._changes[key] = self._revision, record
        if self._gone > GONE_MAX:
            self._forget()
        return True

    def since(self, cursor: Cursor, view: View) -> Update:
        """Return what is new after *cursor*.

        Args:
            view: what the journal is of, as of now.
        """
        after = self._revision_of(cursor)
        if after is None:
            records = tuple(entry.record for entry in view.entries)
            return Update(records, (), self.cursor, True, view.complete)
        new: list[Record] = []
        gone: list[Key] = []
        for key, (revision, record) in reversed(self._changes.items()):
            if revision <= after:
                break
            if record is None:
                gone.append(key)
            else:
                new.append(record)
        return Update(tuple(new), tuple(gone), self.cursor, False, view.complete)

    def _revision_of(self, cursor: Cursor) -> int | None:
        if len(cursor) != len(self._boot) + _REVISION_BYTES or not cursor.startswith(self._boot):
            return None
        revision = int.from_bytes(cursor[len(self._boot) :], "big")
        return revision if self._oldest <= revision <= self._revision else None

    def _forget(self) -> None:
        """Let the older half of what is gone go."""
        gone = [key for key, (_, record) in self._changes.items() if record is None]
        for key in gone[: GONE_MAX // 2]:
            self._oldest = self._changes.pop(key)[0]
        self._gone -= GONE_MAX // 2
