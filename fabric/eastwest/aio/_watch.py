"""The descriptor of a channel or listener, in a loop; it does not keep its owner alive."""

import asyncio
import os
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress


class Watch:
    """One descriptor. It stays registered from wait to wait, until it is readable and nobody waits.

    Args:
        owner: keeps the descriptor open; it goes when nobody else refers to it.
        seen: called with the owner when the descriptor is readable; False: stop watching.
    """

    __slots__ = ("_fd", "_loop", "_owner", "_pid", "_seen")

    def __init__(self, owner: object, seen: Callable[[object], bool]) -> None:
        self._owner = weakref.ref(owner)
        self._seen = seen
        self._fd = self._pid = -1
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        """Watch, if that is not so already."""
        if self._loop is not loop:
            self.stop()
            loop.add_reader(fd, self._on_readable)
            self._loop, self._fd, self._pid = loop, fd, os.getpid()

    def stop(self) -> None:
        """Watch no more; in the loop's thread, before the descriptor is closed.

        In a forked child the loop shares its epoll descriptor with the parent, who watches on.
        """
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed() and self._pid == os.getpid():
            loop.remove_reader(self._fd)

    def stop_from_anywhere(self, keep: object) -> None:
        """Watch no more, from the thread that drops the owner.

        Args:
            keep: owns the descriptor: it is closed when the loop has forgotten it.
        """
        loop = self._loop
        if loop is None or sys.is_finalizing() or loop.is_closed() or self._pid != os.getpid():
            return
        if asyncio._get_running_loop() is loop:
            self.stop()
            return
        with suppress(RuntimeError):  # closed just now
            loop.call_soon_threadsafe(self._forget, keep)

    def _forget(self, keep: object) -> None:
        self.stop()

    def _on_readable(self) -> None:
        owner = self._owner()
        if owner is None or not self._seen(owner):
            self.stop()
