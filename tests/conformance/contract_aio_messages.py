"""aio: messages arrive whole, in order, once; the same calls as of the synchronous channel."""

import asyncio
import random
from typing import Any

import pytest

import eastwest
from tests.conformance.conftest import MakePair
from tests.conformance.loops import Run, drained, laps, raises, received, wrapped
from tests.conformance.pairs import KIB, LONG, MIB, Pair, big, numbered


def test_aio_messages_arrive_in_order_with_their_boundaries(
    both_ways: Pair, run: Run[Any], rng: random.Random
) -> None:
    # catches: a recv that returns what another look of the same call had found before
    sizes = [rng.choice((8, 9, 63, 64, 1000, 4096)) for _ in range(3000)]

    async def main() -> None:
        a, b = wrapped(both_ways)

        async def send() -> None:
            for number, size in enumerate(sizes):
                await a.send(numbered(number, size))
            await a.send_eof()

        sender = asyncio.create_task(send())
        assert await drained(b) == [numbered(number, size) for number, size in enumerate(sizes)]
        await sender

    run(main)


def test_aio_sizes_from_zero_to_the_largest(make_pair: MakePair, run: Run[Any]) -> None:
    # catches: `if message` where `is not None` is meant: a message of no bytes would be lost
    pair = make_pair(a={"message_bytes_max": 2 * MIB}, b={"message_bytes_max": 2 * MIB})
    sizes = [0, 1, 7, 8, 32 * KIB - 8, 32 * KIB - 7, 256 * KIB, 2 * MIB - 1, 2 * MIB, 0]

    async def main() -> None:
        a, b = wrapped(pair)
        for end, other in ((a, b), (b, a)):
            for size in sizes:
                sender = asyncio.create_task(end.send(big(size)))
                assert await other.recv() == big(size)
                await sender
            for size in (0, 1, 4096, 0):  # and when it is there before the call
                await end.send(big(size))
                await laps(3)
                assert await other.recv() == big(size)
            await raises(eastwest.MessageTooLong, end.send(bytes(2 * MIB + 1)))

    run(main)


def test_aio_every_way_to_send_and_to_receive(both_ways: Pair, run: Run[Any]) -> None:
    async def main() -> None:
        a, b = wrapped(both_ways)
        buffer = bytearray(100)
        await a.send(memoryview(b"send"))
        assert a.try_send(bytearray(b"try_send")) is True
        await a.send_parts([b"send", bytearray(b"_parts"), b""])
        assert await a.send_many([b"one", b"two", b"", b"four"]) == 4
        assert await a.send_many([]) == 0
        assert await b.recv() == b"send"
        assert await b.recv_into(buffer) == 8
        assert buffer[:8] == b"try_send"
        assert await b.recv() == b"send_parts"
        got = await b.recv_many(2)
        got += await b.recv_many()
        while len(got) < 4:
            got += await b.recv_many()
        assert got == [b"one", b"two", b"", b"four"]
        assert b.try_recv() is None

    run(main)


def test_aio_a_buffer_that_is_too_small_keeps_the_message(pair: Pair, run: Run[Any]) -> None:
    async def main() -> None:
        a, b = wrapped(pair)
        waiting = asyncio.create_task(b.recv_into(bytearray(3)))
        await asyncio.sleep(0)
        await a.send(b"four")
        await raises(eastwest.MessageTooLong, waiting)
        assert await b.recv() == b"four"

    run(main)


@pytest.mark.parametrize("how", ["recv", "recv_into", "recv_many"])
def test_aio_waiting_receives_get_what_comes(both_ways: Pair, run: Run[Any], how: str) -> None:
    # catches: a wake-up that is not asked for (arm) before the task sleeps
    async def main() -> None:
        a, b = wrapped(both_ways)
        buffer = bytearray(4000)
        for number in range(300):
            work = {"recv_into": lambda: b.recv_into(buffer)}.get(how, getattr(b, how))
            waiting = asyncio.create_task(work())
            for _ in range(number % 12):
                await asyncio.sleep(0)
            await a.send(numbered(number, 8 + number))
            result = await waiting
            if how == "recv_into":
                result = bytes(buffer[:result])
            assert result in (numbered(number, 8 + number), [numbered(number, 8 + number)])

    run(main)


def test_aio_long_messages_pass_each_other(pair: Pair, run: Run[Any]) -> None:
    # catches: a blocked send that does not say how far its own end has received: both would wait
    async def main() -> None:
        a, b = wrapped(pair)

        async def both(end: Any, number: int) -> None:
            async with asyncio.timeout(LONG):
                sender = asyncio.create_task(end.send(big(4 * MIB, number)))
                assert await end.recv() == big(4 * MIB, 1 - number)
                await sender

        await asyncio.gather(both(a, 0), both(b, 1))

    run(main)


def test_aio_long_messages_to_a_synchronous_peer(both_ways: Pair, run: Run[Any]) -> None:
    from tests.conformance.pairs import Task

    peer = both_ways.b

    def echo() -> None:
        for _ in range(5):
            peer.send(peer.recv(timeout=LONG), timeout=LONG)

    async def main() -> None:
        from eastwest import aio

        end = aio.Channel(both_ways.a)
        for number in range(5):
            sender = asyncio.create_task(end.send(big(3 * MIB, number)))
            assert await end.recv() == big(3 * MIB, number)
            await sender

    work = Task(echo)
    run(main)
    work.result()


def test_aio_send_many_of_long_and_short(pair: Pair, run: Run[Any]) -> None:
    async def main() -> None:
        a, b = wrapped(pair)
        messages = [big(MIB), b"short", big(300 * KIB), b"last"]
        receiver = asyncio.create_task(received(b, len(messages)))
        left = list(messages)
        while left:
            sent = await a.send_many(left)
            assert sent >= 1
            del left[:sent]
        assert await receiver == messages

    run(main)


def test_aio_many_channels_in_one_loop(way: Any, run: Run[Any]) -> None:
    # catches: a descriptor watched for the wrong channel, state shared between channels
    from tests.conformance.pairs import context, forget

    there = context(way.serving)
    with there.listen("contract") as listener:
        here = context(way.dialling(listener))
        opened = [here.connect("contract", timeout=LONG) for _ in range(100)]
        accepted = [listener.accept(timeout=LONG) for _ in opened]

    async def main() -> None:
        from eastwest import aio

        async def echo(end: aio.Channel) -> None:
            async for message in end:
                await end.send(message)

        async def ask(end: aio.Channel, index: int) -> None:
            for number in range(20):
                await end.send(numbered(100 * index + number, 64))
                assert await end.recv(timeout=LONG) == numbered(100 * index + number, 64)
            await end.close()

        ends = [aio.Channel(each) for each in opened]
        tasks = [asyncio.create_task(echo(aio.Channel(each))) for each in accepted]
        await asyncio.gather(*(ask(end, index) for index, end in enumerate(ends)), *tasks)

    run(main)
    forget(here)
    forget(there)
