"""The interface of everything that knows records: registries, files, DNS, this host."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ._record import Key, Record

Cursor: TypeAlias = bytes  # opaque; b"" means from the start


@dataclass(frozen=True, slots=True)
class Update:
    """What has changed since a cursor."""

    records: tuple[Record, ...]  # new or changed; with snapshot: all there are
    gone: tuple[Key, ...]  # known to have been withdrawn or to have run out; empty with snapshot
    cursor: Cursor  # to go on from
    snapshot: bool  # records are everything: what is not among them is absent here
    complete: bool  # False: absence proves nothing (the source just started, or not all answered)


class Provider(Protocol):
    """One source of records. Every method may be called from any thread."""

    @property
    def source(self) -> str:
        """Where the records come from, for errors and ``explain``: ``zmq://h1:7400``."""

    def publish(self, record: Record) -> None:
        """Publish *record* and keep it alive until it is withdrawn; a newer version replaces it.

        Raises:
            DiscoveryError: this source cannot publish, or refused the record for good.
        """

    def withdraw(self, key: Key) -> None:
        """Withdraw what was published here. Idempotent; unknown keys are no error."""

    def poll(self, namespace: str, service: str, cursor: Cursor, timeout: float) -> Update:
        """Return what has changed after *cursor*, waiting up to *timeout* seconds for it.

        Args:
            service: "" means every service of the namespace.
            cursor: of an earlier answer to the same question; b"" answers at once with a
                snapshot, and so does any cursor that the source cannot go on from.

        Raises:
            Unavailable: nobody could be asked.
            NotAllowed: we may not read this.
        """

    def close(self) -> None:
        """Withdraw what was published here and give everything back. Idempotent."""
