"""Listener: one published instance; accepts channels, one by one or with a thread for each."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol, final

from . import _log, _message
from ._channel import Channel, adopt
from ._closing import Closing
from ._errors import ClosedHere, ConfigurationError, EastwestError, EndOfChannel, Timeout
from ._explain import explain_listener
from ._fabric import Fabric
from ._handler import ending_only
from ._native import ListenerHandle
from ._values import Explanation, Instance, ListenerStats, Verdict

log = logging.getLogger("eastwest")
DRAIN_LOOK_SECONDS = 0.01
SLICE_SECONDS = 0.1
LATER_SECONDS = 0.5  # between two looks whether the device has come
THREADS_MAX = 65536


class Owner(Protocol):
    """What a listener needs of its context."""

    def adopted(self, channel: Channel) -> None:
        """Remember a channel, to close it with the context."""

    def fabric(self) -> Fabric:
        """Return how its port on a fabric network is."""

    def published(self, listener: "Listener") -> tuple[str, ...]:
        """Return which registries have it, a sentence for each."""

    def draining(self, listener: "Listener", handle: ListenerHandle) -> Instance:
        """Tell registries that it is going away, and return what they are told."""


@final
class Listener(Closing):
    """One published instance of a service. Iterating yields channels until ``close()``.

    * Threads: any number may call ``accept``; each channel goes to one of them.
    * Fork: in a child every method raises ForkedError.
    * Strangers cannot end it: a bad hello or a storm of connections is dropped and counted.
    * Leaving a ``with`` block closes it; its channels live on.
    """

    def __init__(
        self,
        handle: ListenerHandle,
        instance: Instance,
        protocol: str,
        off: tuple[Verdict, ...],
        owner: Owner,
        on_close: Callable[["Listener"], None],
    ) -> None:
        self.service = instance.service
        self.instance = instance
        self.protocol = protocol
        self._handle = handle
        self._off = off
        self._owner = owner
        self._on_close = on_close
        self._closed = threading.Event()
        self._turned_away = (0, 0)

    def accept(self, *, timeout: float | None = None) -> Channel:
        """Return the next channel.

        Args:
            timeout: seconds; None waits forever, 0 never waits.

        Raises:
            Timeout: nobody connected.
            ClosedHere: the listener was closed, also while we waited.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._closed.is_set():
                raise ClosedHere(f"the listener of {self.service!r} is closed")
            address = self._handle.accept_now()
            if address is not None:
                channel = adopt(address, self._owner)
                self._owner.adopted(channel)
                channel.log_opened("accept")
                self._log_refused()
                return channel
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise Timeout(f"nobody connected to {self.service!r} within {timeout} s")
            _message.wait_readable(self._handle.fileno, left)

    def serve(self, handler: Callable[[Channel], object], *, threads: int = 64) -> None:
        """Run *handler* in a thread for each channel until ``close()``.

        The channel is closed when the handler returns, and aborted when it raises; that is
        logged under "eastwest" and ends nothing else. Handlers that run when the listener is
        closed go on; their threads are daemons.

        Args:
            threads: handlers at the same time, 1..65536; the next channel waits for a free one.

        Raises:
            ConfigurationError: *threads* is out of range.
        """
        if not 1 <= threads <= THREADS_MAX:
            raise ConfigurationError(f"threads={threads}: want 1..{THREADS_MAX}")
        free = threading.Semaphore(threads)
        while self._wait_for(free):
            try:
                self._start(handler, self.accept(), free)
            except ClosedHere:
                return

    def _start(
        self, handler: Callable[[Channel], object], channel: Channel, free: threading.Semaphore
    ) -> None:
        work = threading.Thread(
            target=self._handle_one,
            args=(handler, channel, free),
            name=f"eastwest-{self.service}",
            daemon=True,
        )
        try:
            work.start()
        except RuntimeError as error:  # no more threads on this machine
            log.error("thread_failed service=%s error=%s", self.service, error)
            channel.abort()
            free.release()

    def _wait_for(self, free: threading.Semaphore) -> bool:
        """Take a free thread; False when the listener was closed."""
        while not free.acquire(timeout=SLICE_SECONDS):
            if self._closed.is_set():
                return False
        return True

    def _handle_one(
        self, handler: Callable[[Channel], object], channel: Channel, free: threading.Semaphore
    ) -> None:
        try:
            self._run(handler, channel)
        finally:
            free.release()

    def _run(self, handler: Callable[[Channel], object], channel: Channel) -> None:
        """Run one handler; whatever it raises ends its channel only."""
        with ending_only(channel, self.service, handler):
            with suppress(EndOfChannel):
                handler(channel)
            channel.close()

    def explain(self) -> Explanation:
        """Say where the listener is reached, and why not on other paths."""
        fabric, published = None, self._owner.published(self)
        with suppress(ClosedHere):  # the context; what is told of a listener stays
            fabric = self._owner.fabric()
        info = self._handle.info()
        return explain_listener(self.service, info, self._off, self.protocol, fabric, published)

    def stats(self) -> ListenerStats:
        """Return the counters now."""
        return self._handle.info().stats

    def drain(self, *, timeout: float = 30.0) -> bool:
        """Refuse new channels, ask the peers of those there are to go elsewhere, and wait.

        Registries are told as well: its weight is 0 from now on. The peers see
        ``Channel.draining``; what they do about it is theirs.

        Args:
            timeout: seconds to wait for the channels to end.

        Returns:
            True when all have ended.

        Raises:
            ClosedHere: the listener was closed.
        """
        if self._closed.is_set():
            raise ClosedHere(f"the listener of {self.service!r} is closed")
        deadline = time.monotonic() + timeout
        self._handle.drain()
        self.instance = self._owner.draining(self, self._handle)
        _log.info("draining", service=self.service, channels=self.stats().channels)
        while self.stats().channels and time.monotonic() < deadline:
            self._closed.wait(DRAIN_LOOK_SECONDS)
        return not self.stats().channels

    def publish_later(self, attempt: Callable[[], Instance | None]) -> None:
        """Try until the address is known, or the listener closed. Not for applications."""

        def until_known() -> None:
            while not self._closed.wait(LATER_SECONDS):
                with suppress(EastwestError):  # the context was closed
                    instance = attempt()
                    if instance is not None:
                        self.instance = instance
                        return

        threading.Thread(target=until_known, name="eastwest-fabric", daemon=True).start()

    def fileno(self) -> int:
        """Return one descriptor for life, readable when a channel waits to be accepted."""
        return self._handle.fileno

    def close(self) -> None:
        """Stop accepting and remove the socket; wakes ``accept``. Idempotent."""
        if not self._closed.is_set():
            self._closed.set()
            self._on_close(self)
            self._log_refused()
            self._handle.close()
            with suppress(EastwestError):  # of the parent process
                counters = self._handle.info().stats.to_dict()
                id = self.instance.id
                _log.info("unlisten", service=self.service, instance=id, **counters)

    def _log_refused(self) -> None:
        """Log that connections were refused or dropped, if some were since the last time."""
        with suppress(EastwestError):  # of the parent process
            stats = self._handle.info().stats
            before, self._turned_away = self._turned_away, (stats.refused, stats.dropped)
            if before != self._turned_away:  # one that only looks whether we live is dropped, too
                level = logging.WARNING if stats.refused > before[0] else logging.DEBUG
                counts = {"refused": stats.refused, "dropped": stats.dropped}
                _log.event(level, "refuse", service=self.service, **counts)

    def __iter__(self) -> Iterator[Channel]:
        while True:
            try:
                yield self.accept()  # and keep no reference: the channel ends with its last user
            except ClosedHere:
                return

    def _end_block(self, by_exception: bool) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed.is_set() else ", ".join(self.instance.addresses)
        return f"<eastwest.Listener {self.service!r} {state}>"
