"""aio: cancellation at every step, several tasks on one channel, and fairness to all others."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from eastwest import aio
from eastwest.aio._turn import turn_of
from tests.conformance.conftest import MakePair
from tests.conformance.loops import (
    Run,
    drained,
    fill,
    laps,
    outcome,
    until,
    until_receiving,
    wrapped,
)
from tests.conformance.pairs import KIB, LONG, Pair, big, numbered

waits = pytest.mark.parametrize("wait", ["adaptive", "block"])


# ------------------------------------------------------------------ cancellation


@waits
@pytest.mark.parametrize("call", ["recv", "recv_into", "recv_many"])
def test_aio_a_cancelled_recv_loses_nothing(
    make_pair: MakePair, run: Run[Any], rng: random.Random, wait: str, call: str
) -> None:
    # catches: a message put into a future: it is gone when the task is cancelled before it runs
    pair = make_pair(a={"wait": wait}, b={"wait": wait})
    rounds = 1500

    async def main() -> None:
        a, b = wrapped(pair)
        buffer = bytearray(100)

        async def recv() -> list[bytes]:
            if call == "recv":
                return [await b.recv()]
            if call == "recv_many":
                return await b.recv_many(2)
            return [bytes(buffer[: await b.recv_into(buffer)])]

        got: list[bytes] = []
        cancelled = 0
        for number in range(rounds):
            task = asyncio.create_task(recv())
            await laps(rng.randrange(7))
            assert a.try_send(numbered(number, 50))
            await laps(rng.randrange(4))
            task.cancel()
            result = await outcome(task)
            if isinstance(result, list):
                got += result
            else:
                assert isinstance(result, asyncio.CancelledError)
                cancelled += 1
            while len(got) <= number - 100:  # a few may wait
                got += await recv()
        await a.send_eof()
        got += await drained(b)
        assert got == [numbered(number, 50) for number in range(rounds)]
        assert 0 < cancelled < rounds

    run(main)


def test_aio_a_cancelled_receiver_wakes_the_next(pair: Pair, run: Run[Any]) -> None:
    # catches: a place in line that a cancelled task keeps
    async def main() -> None:
        a, b = wrapped(pair)
        for number in range(200):
            first, second = (asyncio.create_task(b.recv()) for _ in range(2))
            await until_receiving(b, 2)
            await a.send(numbered(number, 50))
            await laps(number % 4)
            if not first.done():
                first.cancel()
            elif first.cancelled() is False:
                await a.send(b"for the second")
                assert await second == b"for the second"
                continue
            result = await outcome(first)
            if isinstance(result, bytes):  # it had it already
                await a.send(b"for the second")
                assert await second == b"for the second"
            else:
                assert await second == numbered(number, 50)

    run(main)


@pytest.mark.parametrize("size", [1000, 300 * KIB], ids=["short", "long"])
def test_aio_a_cancelled_send_is_whole_or_nothing(
    both_ways: Pair, run: Run[Any], rng: random.Random, size: int
) -> None:
    # catches: a send that is reported as cancelled after it was committed
    rounds = 1500 if size < 4096 else 100

    async def main() -> None:
        a, b = wrapped(both_ways)
        count = await fill(a, b)
        want = [numbered(number, 1000) for number in range(count)]
        got: list[bytes] = []
        cancelled = 0
        for number in range(rounds):
            message = big(size, 1000 + number)
            task = asyncio.create_task(a.send(message))
            await laps(rng.randrange(4))
            for _ in range(rng.randrange(3) if size < 4096 else 80):
                taken = b.try_recv()
                got += [] if taken is None else [taken]
            await laps(rng.randrange(6))
            task.cancel()
            if await outcome(task) is None:
                want.append(message)
            else:
                cancelled += 1
        receiver = asyncio.create_task(drained(b))
        await a.send(b"last")
        await a.send_eof()
        got += await receiver
        assert got == [*want, b"last"]
        assert 0 < cancelled < rounds

    run(main)


def test_aio_cancelled_by_a_timeout_at_the_moment_of_arrival(
    pair: Pair, run: Run[Any], rng: random.Random
) -> None:
    async def main() -> None:
        a, b = wrapped(pair)
        loop = asyncio.get_running_loop()
        got: list[bytes] = []
        for number in range(500):
            loop.call_later(rng.random() * 0.0004, a.try_send, numbered(number, 50))
            try:
                async with asyncio.timeout(0.0002):
                    got.append(await b.recv())
            except TimeoutError:
                got.append(await b.recv(timeout=LONG))
        assert got == [numbered(number, 50) for number in range(500)]

    run(main)


def test_aio_a_cancelled_flush_leaves_nothing(pair: Pair, run: Run[Any]) -> None:
    async def main() -> None:
        a, b = wrapped(pair)
        await a.send(b"x")
        for number in range(20):
            flush = asyncio.create_task(a.flush())
            await laps(number)
            flush.cancel()
            assert isinstance(await outcome(flush), asyncio.CancelledError)
        assert await b.recv() == b"x"
        assert b.try_recv() is None
        assert await a.flush(timeout=LONG)
        await a.close()

    run(main)


# ------------------------------------------------------------------ several tasks


def test_aio_two_tasks_receive_and_two_send(both_ways: Pair, run: Run[Any]) -> None:
    async def main() -> None:
        a, b = wrapped(both_ways)
        shares: list[list[int]] = [[], []]

        async def send(sender: int) -> None:
            for number in range(2000):
                await a.send(numbered(sender << 32 | number, 500))

        async def receive(share: list[int]) -> None:
            async for message in b:
                key = int.from_bytes(message[:8], "little")
                assert message == numbered(key, 500)
                share.append(key)

        receivers = [asyncio.create_task(receive(share)) for share in shares]
        await asyncio.gather(send(0), send(1))
        await a.send_eof()
        await asyncio.gather(*receivers)
        assert sorted(shares[0] + shares[1]) == [*range(2000), *range(1 << 32, (1 << 32) + 2000)]
        for share in shares:
            assert share
            for sender in (0, 1):
                numbers = [key for key in share if key >> 32 == sender]
                assert numbers == sorted(numbers)

    run(main)


# ------------------------------------------------------------------ fairness


async def gaps(work: Awaitable[object], done: Callable[[], int]) -> list[int]:
    """Return how many messages were dealt with between two turns of a task that only yields."""
    task = asyncio.ensure_future(work)
    seen, found = done(), []
    while not task.done():
        await asyncio.sleep(0)
        found.append(done() - seen)
        seen = done()
    await task
    return found


async def filled(a: aio.Channel, count: int) -> None:
    for _ in range(count):
        assert a.try_send(b"x" * 8)


@pytest.mark.parametrize("call", ["recv", "iteration", "recv_into", "send"])
def test_aio_a_busy_channel_does_not_starve_others(pair: Pair, run: Run[Any], call: str) -> None:
    # catches: no turn for the loop: a task that finds a message each time never gives way
    count = 3000

    async def main() -> None:
        a, b = wrapped(pair)
        done = 0
        fired: list[int] = []

        async def work() -> None:
            nonlocal done
            buffer = bytearray(8)
            asyncio.get_running_loop().call_later(0, lambda: fired.append(done))
            if call == "iteration":
                async for _ in b:
                    done += 1
                    if done == count:
                        return
            for _ in range(count):
                if call == "send":
                    await a.send(b"x" * 8)
                else:
                    await (b.recv() if call == "recv" else b.recv_into(buffer))
                done += 1

        if call != "send":
            await filled(a, count)
        found = await gaps(work(), lambda: done)
        assert sum(found) == count
        assert max(found) <= 65
        assert fired and fired[0] < count / 2, "a timer"

    run(main)


@pytest.mark.parametrize("waits_for", ["room", "flush", "nothing"])
def test_aio_a_message_that_nobody_takes_does_not_keep_the_loop_busy(
    both_ways: Pair, run: Run[Any], waits_for: str
) -> None:
    # catches: a readable descriptor that a task which waits for something else does not clear
    async def main() -> None:
        a, b = wrapped(both_ways)
        if waits_for == "room":
            await fill(a, b)
        await a.flush(timeout=0)
        work = {
            "room": lambda: a.send(bytes(1000)),
            "flush": lambda: a.flush(),
            "nothing": lambda: a.recv(timeout=0.001),
        }[waits_for]
        await a.send(b"") if waits_for == "flush" else None
        task = asyncio.create_task(work())
        await laps(3)
        if waits_for == "nothing":
            await outcome(task)  # the descriptor stays watched
        calls = 0
        on_readable = a.on_readable

        def counted() -> bool:
            nonlocal calls
            calls += 1
            return on_readable()

        a.on_readable = counted  # type: ignore[method-assign]
        await b.send(b"for nobody")
        await asyncio.sleep(0.05)
        assert calls < 10
        task.cancel()
        await outcome(task)
        assert await a.recv() == b"for nobody"

    run(main)


def test_aio_slow_handlers_give_way_sooner(pair: Pair, run: Run[Any]) -> None:
    # catches: counting messages only: 64 of these keep the loop for 64 ms
    count = 200

    async def main() -> None:
        a, b = wrapped(pair)
        done = 0

        async def work() -> None:
            nonlocal done
            for _ in range(count):
                await b.recv()
                until = time.perf_counter() + 0.001
                while time.perf_counter() < until:
                    pass
                done += 1

        await filled(a, count)
        found = await gaps(work(), lambda: done)
        assert max(found) <= 3

    run(main)


def test_aio_a_message_that_is_here_needs_no_trip_through_the_loop(
    pair: Pair, run: Run[Any]
) -> None:
    # catches: a sleep(0) in front of each call
    def at_once(coroutine: Any) -> Any:
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("it went through the loop")

    async def main() -> None:
        a, b = wrapped(pair)
        turn = turn_of(asyncio.get_running_loop())
        for _ in range(10):
            turn.renew()
            turn.until = 1 << 62  # this test may be interrupted for as long as it takes
            at_once(a.send(b"x"))
            await until(lambda: b._channel._spin(0), "the message is here")
            assert at_once(b.recv()) == b"x"

    run(main)
