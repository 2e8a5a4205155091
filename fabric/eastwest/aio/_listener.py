"""Listener: accepts channels in an event loop, one by one or with a task for each."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Self, final

from .. import _listener
from .._closing import AsyncClosing
from .._errors import ClosedHere, ConfigurationError, EndOfChannel, Timeout
from .._handler import ending_only
from .._values import Explanation, Instance, ListenerStats
from ._channel import Channel
from ._line import Line, check_timeout
from ._thread import in_thread
from ._turn import lap
from ._watch import Watch

TASKS_MAX = 1 << 20
Handler = Callable[[Channel], Awaitable[object]]


@final
class Listener(AsyncClosing):
    """One published instance of a service. Iterating yields channels until ``close()``.

    * Tasks: any number may call ``accept``; each channel goes to one of them.
    * Strangers cannot end it: a bad hello or a storm of connections is dropped and counted.
    * Leaving an ``async with`` block closes it; its channels live on.
    """

    def __init__(
        self, listener: _listener.Listener, adopted: Callable[[Channel], object] = lambda _: None
    ) -> None:
        self.service: str = listener.service
        self.instance: Instance = listener.instance
        self.protocol: str = listener.protocol
        self._listener = listener
        self._adopted = adopted
        self._loop: asyncio.AbstractEventLoop | None = None
        self._acceptors = Line(partial(_arm, weakref.ref(self)))
        self._watch = Watch(self, _seen)
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, *, timeout: float | None = None) -> Channel:
        """Return the next channel. A cancelled accept has taken none.

        Args:
            timeout: seconds; None waits forever, 0 never waits.

        Raises:
            Timeout: nobody connected.
            ClosedHere: the listener was closed, also while we waited.
        """
        check_timeout(timeout)
        channel = None if self._acceptors else self._accept_now()
        if channel is not None:
            return channel
        if timeout == 0:
            raise Timeout(f"nobody connected to {self.service!r} within 0 s")
        lacked = f"nobody connected to {self.service!r}"
        return await self._acceptors.wait(self._accept_now, self._bind(), timeout, lacked)

    def _accept_now(self) -> Channel | None:
        with suppress(Timeout):
            channel = Channel(self._listener.accept(timeout=0))
            self._adopted(channel)
            return channel
        return None

    async def serve(self, handler: Handler, *, tasks: int = 1024) -> None:
        """Run *handler* in a task for each channel until ``close()``.

        The channel is closed when the handler returns, and aborted when it raises; that is
        logged under "eastwest" and ends nothing else. Handlers that run when the listener is
        closed go on. When ``serve`` itself is cancelled, so are they, and their channels are
        aborted.

        Args:
            tasks: handlers at the same time, 1..1048576; the next channel waits for a free one.

        Raises:
            ConfigurationError: *tasks* is out of range.
        """
        if not 1 <= tasks <= TASKS_MAX:
            raise ConfigurationError(f"tasks={tasks}: want 1..{TASKS_MAX}")
        free = asyncio.Semaphore(tasks)
        mine: set[asyncio.Task[None]] = set()

        def ended(task: asyncio.Task[None]) -> None:
            free.release()
            mine.discard(task)
            self._tasks.discard(task)

        try:
            while True:
                await free.acquire()
                task = asyncio.create_task(self._run(handler, await self.accept()))
                mine.add(task)
                self._tasks.add(task)
                task.add_done_callback(ended)
                del task
                await lap()  # a burst of connections does not keep handlers from running
        except ClosedHere:
            return
        except asyncio.CancelledError:
            for each in mine:
                each.cancel()
            await asyncio.gather(*mine, return_exceptions=True)
            raise

    async def _run(self, handler: Handler, channel: Channel) -> None:
        """Run one handler; whatever it raises ends its channel only."""
        try:
            with ending_only(channel, self.service, handler):
                with suppress(EndOfChannel):
                    await handler(channel)
                await channel.close()
        except BaseException:
            channel.abort()
            raise

    async def drain(self, *, timeout: float = 30.0) -> bool:
        """Refuse new channels, ask the peers to go elsewhere, wait; True when all have ended."""
        return await in_thread(partial(self._listener.drain, timeout=timeout))

    def explain(self) -> Explanation:
        """Say where the listener is reached, and why not on other paths."""
        return self._listener.explain()

    def stats(self) -> ListenerStats:
        """Return the counters now."""
        return self._listener.stats()

    def fileno(self) -> int:
        """Return one descriptor for life, readable when a channel waits to be accepted."""
        return self._listener.fileno()

    def close(self) -> None:
        """Stop accepting and remove the socket; wakes ``accept``. Idempotent."""
        self._watch.stop()
        self._listener.close()
        self._acceptors.wake_all()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Channel:
        try:
            return await self.accept()
        except ClosedHere:
            raise StopAsyncIteration from None

    async def _end_block(self, by_exception: bool) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_watch"):
            self._watch.stop_from_anywhere(self._listener)

    def __repr__(self) -> str:
        return repr(self._listener).replace("eastwest.Listener", "eastwest.aio.Listener", 1)

    # ------------------------------------------------------------------ the loop

    def _bind(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if loop is not self._loop and self._acceptors:
            raise RuntimeError(f"{self!r} is waited for in another event loop")
        self._loop = loop
        return loop

    def watch(self) -> bool:
        """Watch the descriptor for the first in line. For the loop."""
        if self._loop is not None:
            self._watch.start(self._loop, self._listener.fileno())
        return False

    def on_readable(self) -> bool:
        """Wake the first in line; False: nobody waits. For the loop."""
        self._acceptors.wake()
        return len(self._acceptors) > 0


def _arm(me: "weakref.ref[Listener]") -> bool:
    listener = me()
    return listener is not None and listener.watch()


def _seen(owner: object) -> bool:
    return isinstance(owner, Listener) and owner.on_readable()
