"""asyncio's streams over a Unix socket, as documented: write, drain, readexactly."""

import asyncio
import platform
import socket
from collections.abc import Callable
from functools import partial

from bench.compare.pair.aio import AsyncEnds, AsyncRecv, AsyncSend
from bench.compare.pair.ends import Setup, Side
from bench.compare.pair.systems.sockets import connected

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Streams(AsyncEnds):
    """A stream for each link."""

    def __init__(self, setup: Setup) -> None:
        setup.require_wait("block", why="streams never spin")
        super().__init__(setup)
        path = f"{setup.folder}/socket"
        sockets = connected(setup, socket.AF_UNIX, socket.SOCK_STREAM, path)
        self._streams = self.loop.run_until_complete(_streams(sockets))
        self.version = f"Python {platform.python_version()}"

    def send_of(self, link: int) -> AsyncSend:
        """See ``AsyncEnds``."""
        writer = self._streams[link][1]

        async def send(message: bytes) -> None:
            writer.write(message)
            await writer.drain()

        return send

    def recv_of(self, link: int) -> AsyncRecv:
        """See ``AsyncEnds``."""
        return partial(self._streams[link][0].readexactly, self.size)

    async def async_close(self) -> None:
        """See ``AsyncSide``."""
        for _, writer in self._streams:
            writer.close()
            await writer.wait_closed()


async def _streams(sockets: list[socket.socket]) -> list[Stream]:
    for each in sockets:
        each.setblocking(False)
    return [await asyncio.open_unix_connection(sock=each) for each in sockets]


SYSTEMS: dict[str, Callable[[Setup], Side]] = {"unix-stream-aio": Streams}
