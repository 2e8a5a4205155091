"""A pair of pipes for each link, as ``os.pipe`` makes them: 64 KiB of buffer.

wait=block reads and sleeps in the kernel; wait=spin reads without blocking until the message is
there. A message has the length that both know.
"""

import os
from collections.abc import Callable
from typing import Final

from bench.compare.pair.ends import BYTES_MAX, Ends, Setup, Side
from bench.compare.pair.loops import Recv, Send

Two = tuple[int, int]  # where one side reads, where it writes
READ_MOST: Final = 1 << 20  # of one system call; a pipe holds less


class Pipes(Ends):
    """Descriptors of one side."""

    def __init__(self, setup: Setup) -> None:
        setup.require_wait("spin", "block", why="a pipe sleeps in the kernel, or is polled")
        both: list[tuple[Two, Two]] = setup.inherited
        self._pipes = [each[setup.duo.is_peer] for each in both]
        self._is_spinning = setup.wait == "spin"
        self._buffer = memoryview(bytearray(BYTES_MAX))
        for each in both:
            for descriptor in each[not setup.duo.is_peer]:
                os.close(descriptor)
            for descriptor in each[setup.duo.is_peer]:
                os.set_blocking(descriptor, not self._is_spinning)
        self.version = f"Linux {os.uname().release}"
        self.detail = f"{setup.wait}, buffers of 64 KiB"

    def send_of(self, link: int) -> Send:
        """See ``Ends``."""
        _, descriptor = self._pipes[link]
        return lambda message: _write(descriptor, message)

    def recv_of(self, link: int) -> Recv:
        """See ``Ends``."""
        descriptor, _ = self._pipes[link]
        view = self._buffer[: self.size]
        return lambda: _read(descriptor, view)

    def close(self) -> None:
        """See ``Side``."""
        for each in self._pipes:
            for descriptor in each:
                os.close(descriptor)


def _write(descriptor: int, message: bytes) -> None:
    sent, view = 0, memoryview(message)
    while sent < len(message):
        try:
            sent += os.write(descriptor, view[sent:])
        except BlockingIOError:
            continue


def _read(descriptor: int, view: memoryview) -> None:
    have = 0
    while have < len(view):
        try:
            got = os.readv(descriptor, [view[have : have + READ_MOST]])
        except BlockingIOError:
            continue
        if not got:
            raise EOFError("the other process is gone")
        have += got


def _inherited(links: int) -> list[tuple[Two, Two]]:
    made = []
    for _ in range(links):
        (answers, answer), (asks, ask) = os.pipe(), os.pipe()
        made.append(((answers, ask), (asks, answer)))
    return made


SYSTEMS: dict[str, Callable[[Setup], Side]] = {"pipe": Pipes}
INHERITED: dict[str, Callable[[int], object]] = {"pipe": _inherited}
