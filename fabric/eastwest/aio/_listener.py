"""Listener: accepts channels in an event loop, one by one or with a task for each."""

import asyncio
import itertools
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
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
BURST = 16  # channels that are served before their handlers have a turn, about a millisecond
Handler = Callable[[Channel], Awaitable[object]]


@final
class Listener(AsyncClosing):
    """One published instance of a service. Iterating yields channels until ``close()``.

    * Tasks: any number may call ``accept``; each channel goes to one of them.
    * Strangers cannot end it: a bad hello or a storm of connections is dropped and counted.
    * Registries beyond this host are told in a thread. ``async with`` waits for that; one that
      refuses it closes the listener, and ``async with``, ``accept`` and ``serve`` raise that.
    * Leaving an ``async with`` block closes it; its channels live on.
    """

    def __init__(
        self,
        listener: _listener.Listener,
        adopted: Callable[[Channel], object] = lambda _: None,
        publication: "Future[None] | None" = None,
    ) -> None:
        self.service: str = listener.service
        self.protocol: str = listener.protocol
        self._listener = listener
        self._adopted = adopted
        self._loop: asyncio.AbstractEventLoop | None = None
        self._acceptors = Line(partial(_arm, weakref.ref(self)))
        self._watch = Watch(self, _seen)
        self._tasks: set[asyncio.Task[None]] = set()
        self._publication = publication
        if publication is not None:
            with suppress(RuntimeError):  # no loop runs yet: then ``accept`` sees to it
                home = asyncio.get_running_loop()
                publication.add_done_callback(partial(_published, weakref.ref(self), home))

    @property
    def instance(self) -> Instance:
        """What is published."""
        return self._listener.instance

    async def accept(self, *, timeout: float | None = None) -> Channel:
        """Return the next channel. A cancelled accept has taken none.

        Args:
            timeout: seconds; None waits forever, 0 never waits.

        Raises:
            Timeout: nobody connected.
            ClosedHere: the listener was closed, also while we waited.
            ConfigurationError: a registry refused it.
        """
        check_timeout(timeout)
        try:
            self._close_if_refused()
            return await self._accept(timeout)
        except ClosedHere:
            self._raise_refusal()
            raise

    async def _accept(self, timeout: float | None) -> Channel:
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
            for number in itertools.count(1):
                await free.acquire()
                task = asyncio.create_task(self._run(handler, await self.accept()))
                mine.add(task)
                self._tasks.add(task)
                task.add_done_callback(ended)
                del task
                if number % BURST == 0:  # many connections do not keep handlers from running, and
                    await lap()  # where handlers take long, the next does not wait for a lap each
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

    async def __aenter__(self) -> Self:
        if self._publication is not None:
            try:
                await asyncio.shield(asyncio.wrap_future(self._publication))
            except BaseException:
                self.close()
                raise
        return self

    async def _end_block(self, by_exception: bool) -> None:
        self.close()

    def _raise_refusal(self) -> None:
        """Raise what a registry said, if that is why it is closed."""
        if self._publication is not None and self._publication.done():
            self._publication.result()

    def _close_if_refused(self) -> None:
        done = self._publication
        if done is not None and done.done() and done.exception() is not None:
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


def _published(
    me: "weakref.ref[Listener]", loop: asyncio.AbstractEventLoop, publication: "Future[None]"
) -> None:
    """Close the listener in its loop if a registry refused it. By the thread that published."""
    listener = me()
    if listener is not None and publication.exception() is not None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(listener.close)


def _seen(owner: object) -> bool:
    return isinstance(owner, Listener) and owner.on_readable()
