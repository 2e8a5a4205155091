"""ZeroMQ for asyncio, ``zmq.asyncio``: the sockets of ``zmq-ipc``, awaited."""

from collections.abc import Callable
from functools import partial

from bench.compare.pair.aio import AsyncEnds, AsyncRecv, AsyncSend
from bench.compare.pair.ends import Setup, Side, package
from bench.compare.pair.systems.zeromq import WHY, Sockets


class AsyncZmq(AsyncEnds):
    """The sockets of ``zmq.asyncio``."""

    def __init__(self, setup: Setup) -> None:
        setup.require_wait("block", why=WHY)
        zmq = package("zmq", "pyzmq")
        context = package("zmq.asyncio", "pyzmq").Context
        super().__init__(setup)
        self._sockets = Sockets(setup, zmq, context, "ipc")
        self.version = f"pyzmq {zmq.pyzmq_version()}, libzmq {zmq.zmq_version()}"
        self.detail = f"zmq.asyncio, PAIR over ipc; {self.detail}"

    def prepare(self, size: int) -> None:
        """See ``Side``."""
        super().prepare(size)
        self._sockets.open(size)

    def send_of(self, link: int) -> AsyncSend:
        """See ``AsyncEnds``."""
        return partial(self._sockets.all[link].send, **self._sockets.options(self.size))

    def recv_of(self, link: int) -> AsyncRecv:
        """See ``AsyncEnds``."""
        return partial(self._sockets.all[link].recv, **self._sockets.options(self.size))

    async def async_close(self) -> None:
        """See ``AsyncSide``."""
        self._sockets.close()


SYSTEMS: dict[str, Callable[[Setup], Side]] = {"zmq-ipc-aio": AsyncZmq}
