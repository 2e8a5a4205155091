"""What has to wait in C without a descriptor, in a thread of its own.

Not in the loop's executor: that has few threads, which a slow peer could fill, and the end of a
program waits for them. These are daemons; what is open then is closed by the context at exit.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def _ignore(result: object) -> None:
    """Drop a result that nobody waits for."""


def begun(work: Callable[[], T]) -> "Future[T]":
    """Return what ``work()`` will return; it has begun in a thread, and nobody can cancel it."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 it is raised where the result is asked for
            done.set_exception(error)

    threading.Thread(target=run, name="eastwest-aio", daemon=True).start()
    return done


async def in_thread(
    work: Callable[[], T],
    *,
    discard: Callable[[T], object] = _ignore,
    give_up: Callable[[], object] = lambda: None,
) -> T:
    """Return ``work()``, run in a thread.

    Args:
        discard: gets a result that came when nobody waited any more.
        give_up: called when the wait is cancelled; the thread goes on until *work* returns.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def deliver(result: T) -> None:
        if done.done():
            discard(result)
        else:
            done.set_result(result)

    def fail(error: BaseException) -> None:
        if not done.done():
            done.set_exception(error)

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 it is raised where it was asked for
            _call(loop, fail, error)
        else:
            if not _call(loop, deliver, result):
                discard(result)

    threading.Thread(target=run, name="eastwest-aio", daemon=True).start()
    try:
        return await done
    except asyncio.CancelledError:
        give_up()
        if done.done() and not done.cancelled() and done.exception() is None:
            discard(done.result())  # it came just before the task was cancelled
        raise


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[T], object], value: T) -> bool:
    """Run a function in the loop's thread; False: the loop is closed."""
    try:
        loop.call_soon_threadsafe(function, value)
    except RuntimeError:
        return False
    return True
