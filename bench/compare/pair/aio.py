"""Systems for asyncio: one event loop on each side, which runs during a work only."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

from bench.compare.pair.ends import Missing, Setup, Side, package
from bench.compare.pair.loops import ANSWER_AT_ONCE_MAX, SPIN_NS, Run, Task, clock

AsyncSend = Callable[[bytes], Awaitable[object]]
AsyncRecv = Callable[[], Awaitable[object]]
AsyncRun = Callable[[int], Awaitable[None]]


class AsyncSide(Side):
    """A side in an event loop; option ``loop=asyncio`` or ``loop=uvloop``."""

    def __init__(self, setup: Setup) -> None:
        name = setup.options.get("loop", "asyncio")
        if name not in ("asyncio", "uvloop"):
            raise Missing(f"no event loop {name!r}; there are asyncio and uvloop")
        self.loop: asyncio.AbstractEventLoop = package(name, name).new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.detail = f"event loop of {name}"
        self._wire = setup.duo.wire

    @abstractmethod
    def async_run_of(self, task: Task) -> AsyncRun:
        """Return what ``run_of`` does, to be awaited."""

    def run_of(self, task: Task) -> Run:
        """See ``Side``."""
        run = self.async_run_of(task)

        async def whole(count: int) -> None:
            await run(count)
            await self._meet()

        return lambda count: self.loop.run_until_complete(whole(count))

    async def _meet(self) -> None:
        """Meet as ``Duo.meet``, while the loop still sends what its transports have buffered."""
        self._wire.sendall(b"\n")
        heard = asyncio.Event()
        self.loop.add_reader(self._wire.fileno(), heard.set)
        try:
            await heard.wait()
        finally:
            self.loop.remove_reader(self._wire.fileno())
            self._wire.setblocking(True)  # uvloop changes it
        if self._wire.recv(1) != b"\n":
            raise EOFError("the other process is gone")

    def close(self) -> None:
        """See ``Side``."""
        self.loop.run_until_complete(self.async_close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    async def async_close(self) -> None:
        """End what lives in the loop."""
        return


class AsyncEnds(AsyncSide):
    """A side with one coroutine that sends, and one that waits."""

    @abstractmethod
    def send_of(self, link: int) -> AsyncSend:
        """Return what sends a message on a link."""

    @abstractmethod
    def recv_of(self, link: int) -> AsyncRecv:
        """Return what waits for a message and returns it."""

    def async_run_of(self, task: Task) -> AsyncRun:
        """See ``AsyncSide``."""
        links = task.used_links()
        return run_of(task, [*map(self.send_of, links)], [*map(self.recv_of, links)])


def run_of(task: Task, sends: list[AsyncSend], recvs: list[AsyncRecv]) -> AsyncRun:
    """Return the loop of this side."""
    ask, answer = {
        "trip": (_trip, _echo),
        "paced": (_paced, _echo),
        "fan": (_fan, _echo_all),
        "flow": (_send, _take),
    }[task.work]
    loop: Any = answer if task.is_server else ask
    return lambda count: loop(task, sends, recvs, count)


async def _trip(task: Task, sends: list[AsyncSend], recvs: list[AsyncRecv], count: int) -> None:
    message, keep, send, recv = task.message, task.keep, sends[0], recvs[0]
    before = clock()
    for _ in range(count):
        await send(message)
        await recv()
        now = clock()
        keep(now - before)
        before = now


async def _paced(task: Task, sends: list[AsyncSend], recvs: list[AsyncRecv], count: int) -> None:
    """Sleeps in the loop; the last part of a wait keeps the loop going, and looks at the clock."""
    message, keep, send, recv = task.message, task.keep, sends[0], recvs[0]
    for due in task.due_times(count):
        while (early := due - clock()) > 0:
            await asyncio.sleep(max(0, early - 10 * SPIN_NS) / 1e9)  # epoll: whole milliseconds
        await send(message)
        await recv()
        keep(clock() - due)


async def _echo(task: Task, sends: list[AsyncSend], recvs: list[AsyncRecv], count: int) -> None:
    message, send, recv = task.message, sends[0], recvs[0]
    for _ in range(count):
        await recv()
        await send(message)


async def _fan(task: Task, sends: list[AsyncSend], recvs: list[AsyncRecv], count: int) -> None:
    message = task.message
    for _ in range(count):
        for send in sends:
            await send(message)
        for recv in recvs:
            await recv()


async def _echo_all(task: Task, sends: list[AsyncSend], recvs: list[AsyncRecv], count: int) -> None:
    message, ends = task.message, list(zip(sends, recvs, strict=True))
    is_at_once = len(message) <= ANSWER_AT_ONCE_MAX
    for _ in range(count):
        for send, recv in ends:
            await recv()
            if is_at_once:
                await send(message)
        for send in [] if is_at_once else sends:
            await send(message)


async def _send(task: Task, sends: list[AsyncSend], recvs: list[AsyncRecv], count: int) -> None:
    message, send = task.message, sends[0]
    for _ in range(count):
        await send(message)


async def _take(task: Task, sends: list[AsyncSend], recvs: list[AsyncRecv], count: int) -> None:
    recv = recvs[0]
    for _ in range(count):
        await recv()
