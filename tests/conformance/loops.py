"""Event loops for tests: how one is run, and what a test waits for in it without sleeping."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import eastwest
from eastwest import aio
from tests.conformance.pairs import LONG, Pair, numbered

T = TypeVar("T")
Run = Callable[[Callable[[], Coroutine[Any, Any, T]]], T]


def run_in(library: Any, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *main* in a new loop of asyncio or uvloop; a hang is a failure."""

    async def limited() -> T:
        async with asyncio.timeout(2 * LONG):
            return await main()

    result: T = library.run(limited())
    return result


def wrapped(pair: Pair) -> tuple[aio.Channel, aio.Channel]:
    return aio.Channel(pair.a), aio.Channel(pair.b)


async def laps(count: int) -> None:
    """Let the loop go round so often."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], what: str) -> None:
    """Let the loop go round until something holds."""
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0)
    assert condition(), what


async def until_receiving(channel: aio.Channel, tasks: int = 1) -> None:
    """Wait until so many tasks stand in line for messages."""
    await until(lambda: len(channel._receivers) >= tasks, "tasks wait for messages")
    await laps(3)  # and the first one has looked


async def until_sending(channel: aio.Channel, tasks: int = 1) -> None:
    """Wait until so many tasks stand in line for room."""
    await until(lambda: len(channel._senders) >= tasks, "tasks wait for room")
    await laps(3)


async def outcome(task: asyncio.Future[T]) -> T | BaseException:
    """Return what a task returned or raised."""
    (result,) = await asyncio.gather(task, return_exceptions=True)
    return result


async def fill(channel: aio.Channel, peer: aio.Channel, size: int = 1000) -> int:
    """Send numbered messages until there is no room; return how many.

    The peer's library may still take some in: only a whole round of the loop without room counts.
    """
    count = refused = 0
    while refused < 5:
        if channel.try_send(numbered(count, size)):
            count, refused = count + 1, 0
            continue
        with_nothing_taken = peer.stats().unread_bytes
        await asyncio.sleep(0.01 if channel.path != "shm" else 0)  # the kernel has buffers
        refused += with_nothing_taken == peer.stats().unread_bytes
    return count


async def drained(channel: aio.Channel) -> list[bytes]:
    """Return every message until the peer's end."""
    async with asyncio.timeout(LONG):
        return [message async for message in channel]


async def received(channel: aio.Channel, count: int) -> list[bytes]:
    async with asyncio.timeout(LONG):
        return [await channel.recv() for _ in range(count)]


async def raises(error: type[eastwest.EastwestError], work: Awaitable[object]) -> Exception:
    """Return the error that *work* raised."""
    try:
        result = await work
    except error as raised:
        return raised
    raise AssertionError(f"no {error.__name__}, but {result!r}")


def runner(name: str) -> "Run[Any]":
    """Return what runs a loop of that library.

    Raises:
        ImportError: it is not installed.
    """
    if name == "asyncio":
        return functools.partial(run_in, asyncio)
    import uvloop

    return functools.partial(run_in, uvloop)
