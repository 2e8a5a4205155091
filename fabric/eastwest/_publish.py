"""What the listeners of one context tell the registries about themselves.

The first publication may be refused, and then there is no listener. What changes later (a port on
the fabric that comes, a listener that drains) is told as well as can be: a refusal is logged.
Imports no native module.
"""

import threading
from collections.abc import Hashable, Sequence
from dataclasses import replace

from . import _log
from ._errors import EastwestError
from ._providers import Provider
from ._providers._base import Record
from ._values import Instance


class Publisher:
    """The records of one context. Threads: any number; nobody waits for a registry under a lock."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = tuple(providers)
        self._lock = threading.Lock()
        self._records: dict[Hashable, Record] = {}

    @property
    def may_wait(self) -> bool:
        """Whether a publication may have to wait for a server."""
        return any(each.is_remote for each in self._providers)

    def publish(self, who: Hashable, record: Record) -> None:
        """Tell everybody about a new listener.

        Raises:
            ConfigurationError: somebody refused it; then nobody has it.
        """
        with self._lock:
            self._records[who] = record
        try:
            for each in self._providers:
                each.publish(record)
        except EastwestError:
            self.withdraw(who)
            raise
        self._withdraw_what_is_over(who, record)

    def change(self, who: Hashable, instance: Instance) -> bool:
        """Tell everybody what has become of it; False: it was withdrawn."""
        with self._lock:
            old = self._records.get(who)
            if old is None:
                return False
            record = self._records[who] = replace(old, instance=instance)
        for each in self._providers:
            try:
                each.publish(record)
            except EastwestError as error:
                _log.warning("publish_fail", source=each.source, instance=instance.id, detail=error)
        return not self._withdraw_what_is_over(who, record)

    def withdraw(self, who: Hashable) -> None:
        """Tell everybody that it is gone. Idempotent."""
        with self._lock:
            record = self._records.pop(who, None)
        if record is not None:
            self._withdraw(record)

    def published(self, who: Hashable) -> tuple[str, ...]:
        """Return a sentence for each registry that it is published to."""
        with self._lock:
            record = self._records.get(who)
        if record is None:
            return ()
        return tuple(filter(None, (each.published(record) for each in self._providers)))

    def _withdraw_what_is_over(self, who: Hashable, record: Record) -> bool:
        """Withdraw it again if that happened while it was published."""
        with self._lock:
            is_over = who not in self._records
        if is_over:
            self._withdraw(record)
        return is_over

    def _withdraw(self, record: Record) -> None:
        for each in self._providers:
            each.withdraw(record)
