"""eastwest.aio: the same channels, awaited."""

from collections.abc import Callable

import eastwest
from bench.compare.pair.aio import AsyncEnds, AsyncRecv, AsyncSend
from bench.compare.pair.ends import Setup, Side
from bench.compare.pair.systems.eastwest import config_of, open_channels
from eastwest import aio


class AsyncChannels(AsyncEnds):
    """Channels of one path; the options are those of ``eastwest.Channels``."""

    def __init__(self, setup: Setup, path: str) -> None:
        setup.require_wait("adaptive", "block", why="a loop has others to serve")
        super().__init__(setup)
        self._context = eastwest.Context(config_of(setup, path))
        self._channels = [aio.Channel(each) for each in open_channels(setup, self._context, path)]
        self.version = eastwest.__version__
        self.detail = f"{setup.wait}, path {path}; {self.detail}"

    def send_of(self, link: int) -> AsyncSend:
        """See ``AsyncEnds``."""
        return self._channels[link].send

    def recv_of(self, link: int) -> AsyncRecv:
        """See ``AsyncEnds``."""
        return self._channels[link].recv

    async def async_close(self) -> None:
        """See ``AsyncSide``."""
        for each in self._channels:
            each.abort()
        self._context.close()


def _of(path: str) -> Callable[[Setup], Side]:
    return lambda setup: AsyncChannels(setup, path)


SYSTEMS = {f"eastwest-{path}-aio": _of(path) for path in ("shm", "tcp")}
