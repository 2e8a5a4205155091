"""gRPC for asyncio, ``grpc.aio``: the calls of ``grpc-uds``, in event loops."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from bench.compare.pair.aio import AsyncRun, AsyncSide, run_of
from bench.compare.pair.ends import Setup, Side, package
from bench.compare.pair.loops import Task
from bench.compare.pair.systems.grpc_ import (
    OPTIONS,
    PATIENCE_S,
    SERVICE,
    WHY,
    address_of,
    handlers,
    told_address,
)


class AsyncGrpc(AsyncSide):
    """A server or a channel to it."""

    def __init__(self, setup: Setup) -> None:
        setup.require_wait("block", why=WHY)
        grpc = package("grpc", "grpcio")
        self._aio = package("grpc.aio", "grpcio")
        super().__init__(setup)
        self.version = f"grpcio {grpc.__version__}"
        self.detail = f"grpc.aio, unary calls, flow: a stream; {self.detail}"
        self._setup = setup
        self._end: Any = self.loop.run_until_complete(self._open(grpc))

    async def _open(self, grpc: Any) -> Any:
        address = address_of(self._setup, "uds")
        if self._setup.duo.is_peer:
            server = self._aio.server(options=OPTIONS)
            server.add_generic_rpc_handlers((handlers(grpc, _echo, _take),))
            port = server.add_insecure_port(address)
            await server.start()
            told_address(self._setup, address, port)
            await self._meet()
            return server
        channel = self._aio.insecure_channel(told_address(self._setup, address, 0), OPTIONS)
        await asyncio.wait_for(channel.channel_ready(), PATIENCE_S)
        await self._meet()
        return channel

    def async_run_of(self, task: Task) -> AsyncRun:
        """See ``AsyncSide``; the loop of a server answers until both meet."""
        if task.is_server:
            return _nothing
        echo = self._end.unary_unary(f"/{SERVICE}/Echo")
        take = self._end.stream_unary(f"/{SERVICE}/Take")
        if task.work == "flow":

            async def flow(count: int) -> None:
                await take(_repeated(task.message, count))

            return flow
        calls: list[Any] = []

        async def send(message: bytes) -> None:
            calls.append(echo(message))

        async def recv() -> None:
            await calls.pop(0)

        return run_of(task, [send for _ in task.used_links()], [recv for _ in task.used_links()])

    async def async_close(self) -> None:
        """See ``AsyncSide``; the client goes first."""
        if not self._setup.duo.is_peer:
            await self._end.close()
        await self._meet()
        if self._setup.duo.is_peer:
            await self._end.stop(grace=None)


async def _nothing(_: int) -> None:
    return


async def _repeated(message: bytes, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield message


async def _echo(message: bytes, _: object) -> bytes:
    return message


async def _take(messages: AsyncIterator[bytes], _: object) -> bytes:
    async for _message in messages:
        pass
    return b""


SYSTEMS: dict[str, Callable[[Setup], Side]] = {"grpc-uds-aio": AsyncGrpc}
