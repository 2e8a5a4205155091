"""The standard library's multiprocessing: Pipe and Queue, made before the fork, as programs do.

mp-pipe    ``Connection.send_bytes`` and ``recv_bytes``: a socket pair and a length before each
           message
mp-queue   ``Queue.put`` and ``get``: pickled, a thread that feeds a pipe, locks on both sides
"""

import multiprocessing
import platform
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue

from bench.compare.pair.ends import Ends, Setup, Side
from bench.compare.pair.loops import Recv, Send

FORK = multiprocessing.get_context("fork")
SLEEPS = "multiprocessing always sleeps in the kernel"
Two = tuple["Queue[bytes]", "Queue[bytes]"]  # to the server, to the client


class Connections(Ends):
    """An end of ``Pipe()`` for each link."""

    def __init__(self, setup: Setup) -> None:
        setup.require_wait("block", why=SLEEPS)
        both: list[tuple[Connection, Connection]] = setup.inherited
        self._mine = [each[setup.duo.is_peer] for each in both]
        for each in both:
            each[not setup.duo.is_peer].close()
        self.version = f"Python {platform.python_version()}"
        self.detail = "Pipe(), send_bytes and recv_bytes"

    def send_of(self, link: int) -> Send:
        """See ``Ends``."""
        return self._mine[link].send_bytes

    def recv_of(self, link: int) -> Recv:
        """See ``Ends``."""
        return self._mine[link].recv_bytes

    def close(self) -> None:
        """See ``Side``."""
        for each in self._mine:
            each.close()


class Queues(Ends):
    """Two queues for each link; without a limit, as ``Queue()`` makes them."""

    def __init__(self, setup: Setup) -> None:
        setup.require_wait("block", why=SLEEPS)
        self._queues: list[Two] = setup.inherited
        self._is_server = setup.duo.is_peer
        self.version = f"Python {platform.python_version()}"
        self.detail = "two of Queue(), without a limit: a thread on each side feeds a pipe"

    def send_of(self, link: int) -> Send:
        """See ``Ends``."""
        return self._queues[link][self._is_server].put

    def recv_of(self, link: int) -> Recv:
        """See ``Ends``."""
        return self._queues[link][not self._is_server].get

    def close(self) -> None:
        """See ``Side``."""
        for both in self._queues:
            for queue in both:
                queue.close()
                queue.join_thread()


def _queues(links: int) -> list[Two]:
    return [(FORK.Queue(), FORK.Queue()) for _ in range(links)]


SYSTEMS: dict[str, Callable[[Setup], Side]] = {"mp-pipe": Connections, "mp-queue": Queues}
INHERITED: dict[str, Callable[[int], object]] = {
    "mp-pipe": lambda links: [FORK.Pipe() for _ in range(links)],
    "mp-queue": _queues,
}
