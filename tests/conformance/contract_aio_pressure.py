"""aio: back-pressure and timeouts; a call happens whole or changes nothing."""

import asyncio
import time
from typing import Any

import pytest

import eastwest
from eastwest import aio
from tests.conformance.loops import (
    Run,
    drained,
    fill,
    laps,
    outcome,
    raises,
    received,
    until_receiving,
    until_sending,
    wrapped,
)
from tests.conformance.pairs import LONG, MIB, SOON, Pair, big, numbered


def test_aio_a_blocked_send_goes_on_when_there_is_room(both_ways: Pair, run: Run[Any]) -> None:
    # catches: no news of room asked for, and no look every 5 ms: the send would wait for ever
    async def main() -> None:
        a, b = wrapped(both_ways)
        count = await fill(a, b)
        sender = asyncio.create_task(a.send(numbered(count, 1000)))
        await until_sending(a)
        assert not sender.done()
        assert await received(b, count + 1) == [numbered(n, 1000) for n in range(count + 1)]
        await sender

    run(main)


def test_aio_room_wakes_a_sender_beside_a_receiver(pair: Pair, run: Run[Any]) -> None:
    # catches: the receiver's wake-up that takes the news of room with it
    async def main() -> None:
        a, b = wrapped(pair)
        count = await fill(a, b)
        receiver = asyncio.create_task(a.recv())
        await until_receiving(a)
        senders = [asyncio.create_task(a.send(numbered(count + n, 1000))) for n in range(9)]
        await until_sending(a, 9)
        await b.send(b"beside")
        assert await receiver == b"beside"
        assert await received(b, count + 9) == [numbered(n, 1000) for n in range(count + 9)]
        await asyncio.gather(*senders)

    run(main)


def test_aio_senders_are_served_in_the_order_in_which_they_came(pair: Pair, run: Run[Any]) -> None:
    # catches: a short send that finds room and overtakes those that wait for more
    async def main() -> None:
        a, b = wrapped(pair)
        count = await fill(a, b)
        senders = [asyncio.create_task(a.send(numbered(n, 20_000 - 900 * n))) for n in range(20)]
        await until_sending(a, 20)
        await received(b, 2)  # room for the last two, not for the first
        assert a.try_send(b"") is False
        senders.append(asyncio.create_task(a.send(b"short")))
        await laps(3)
        await received(b, count - 2)
        got = await received(b, 21)
        assert got == [numbered(n, 20_000 - 900 * n) for n in range(20)] + [b"short"]
        await asyncio.gather(*senders)

    run(main)


def test_aio_a_sender_that_is_done_wakes_the_next(pair: Pair, run: Run[Any]) -> None:
    # catches: whoever leaves the line without a word: only its first is told of room
    async def main() -> None:
        a, b = wrapped(pair)
        count = await fill(a, b)
        senders = [asyncio.create_task(a.send(bytes(1000))) for _ in range(50)]
        await until_sending(a, 50)
        got = 0
        while got < count:  # and then the peer is silent
            got += b.try_recv() is not None
            await asyncio.sleep(0)
        async with asyncio.timeout(SOON):
            await asyncio.gather(*senders)

    run(main)


@pytest.mark.parametrize("call", ["send", "send_parts", "send_many", "long"])
def test_aio_a_send_that_timed_out_has_sent_nothing(
    both_ways: Pair, run: Run[Any], call: str
) -> None:
    # catches: a long message that is left begun, which would keep everybody else from sending
    async def main() -> None:
        a, b = wrapped(both_ways)
        count = await fill(a, b)
        work = {
            "send": lambda **limit: a.send(b"never" * 200, **limit),
            "send_parts": lambda **limit: a.send_parts([b"never"] * 200, **limit),
            "send_many": lambda **limit: a.send_many([b"never" * 200] * 3, **limit),
            "long": lambda **limit: a.send(big(4 * MIB), **limit),
        }[call]
        for limit in (0, 0.02):
            error = await raises(eastwest.Timeout, work(timeout=limit))
            assert isinstance(error, TimeoutError)
            assert f"within {limit} s" in str(error)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await work()
        sender = asyncio.create_task(a.send(b"after"))
        assert await received(b, count + 1) == [numbered(n, 1000) for n in range(count)] + [
            b"after"
        ]
        await sender

    run(main)


def test_aio_a_long_message_given_up_half_way_is_not_seen(both_ways: Pair, run: Run[Any]) -> None:
    # catches: no ABORT for what was begun: the peer would wait for the rest for ever
    async def main() -> None:
        a, b = wrapped(both_ways)
        for number in range(5):
            receiver = asyncio.create_task(b.recv())
            sender = asyncio.create_task(a.send(big(60 * MIB, number)))  # a lap moves 2 MiB
            await laps(4 + number)
            sender.cancel()
            assert isinstance(await outcome(sender), asyncio.CancelledError)
            await a.send(numbered(number, 50))
            assert await receiver == numbered(number, 50)

    run(main)


@pytest.mark.parametrize("call", ["recv", "recv_into", "recv_many"])
def test_aio_a_recv_that_timed_out_has_taken_nothing(pair: Pair, run: Run[Any], call: str) -> None:
    async def main() -> None:
        a, b = wrapped(pair)
        arguments = [bytearray(9)] if call == "recv_into" else []
        for limit in (0, 0.001, 0.02):
            began = time.monotonic()
            error = await raises(eastwest.Timeout, getattr(b, call)(*arguments, timeout=limit))
            assert limit - 0.001 <= time.monotonic() - began < limit + SOON  # uvloop counts in ms
            assert f"{call}: no message within {limit} s" == str(error)
        await a.send(b"here")
        assert await getattr(b, call)(*arguments, timeout=LONG) in (b"here", [b"here"], 4)

    run(main)


@pytest.mark.parametrize("bad", [-1, float("nan")])
def test_aio_a_timeout_that_cannot_be_is_an_error(pair: Pair, run: Run[Any], bad: float) -> None:
    async def main() -> None:
        a, _ = wrapped(pair)
        for work in (a.send(b"x", timeout=bad), a.recv(timeout=bad), a.flush(timeout=bad)):
            with pytest.raises(ValueError, match="timeout of"):
                await work

    run(main)


def test_aio_flush_waits_for_the_peers_application(both_ways: Pair, run: Run[Any]) -> None:
    # catches: a flush whose end moves while other tasks go on sending
    async def main() -> None:
        a, b = wrapped(both_ways)
        assert await a.flush(timeout=SOON) is True
        await a.send(b"one")
        assert await a.flush(timeout=0) is False
        assert await a.flush(timeout=0.01) is False
        flush = asyncio.create_task(a.flush())
        await laps(5)
        await a.send(b"sent later, never read")
        assert not flush.done()
        assert await b.recv() == b"one"
        waiting = asyncio.create_task(b.recv_into(bytearray(1)))  # it says how far it is
        assert await flush is True
        await raises(eastwest.MessageTooLong, waiting)

    run(main)


def test_aio_send_eof_comes_behind_senders_that_wait(both_ways: Pair, run: Run[Any]) -> None:
    # catches: an EOF in front of messages whose send had begun
    async def main() -> None:
        a, b = wrapped(both_ways)
        count = await fill(a, b)
        tasks = [asyncio.create_task(a.send(big(MIB)))]
        await until_sending(a)
        tasks.append(asyncio.create_task(a.send_eof()))
        got = await drained(b)
        assert got[count:] == [big(MIB)]
        await asyncio.gather(*tasks)
        await raises(eastwest.ClosedHere, a.send(b"x"))
        await b.send(b"the other way is open")
        assert await a.recv() == b"the other way is open"

    run(main)


def test_aio_news_of_room_is_not_asked_for_when_nobody_waits(pair: Pair, run: Run[Any]) -> None:
    # catches: "wants space" left behind: the peer would make a system call for nobody
    async def main() -> None:
        a, b = wrapped(pair)
        count = await fill(a, b)
        sender = asyncio.create_task(a.send(b"x" * 1000))
        await until_sending(a)
        await received(b, count + 1)
        await sender
        for _ in range(5):
            receiver = asyncio.create_task(a.recv())
            await until_receiving(a)
            kicks = b.stats().kicks
            for _ in range(count):
                await a.send(bytes(1000))
                assert b.try_recv() is not None or await b.recv()
            assert b.stats().kicks == kicks
            await b.send(b"x")
            assert await receiver == b"x"

    run(main)


def test_aio_two_loops_at_once_are_an_error(pair: Pair, run: Run[Any]) -> None:
    end = aio.Channel(pair.a)

    async def main() -> None:
        waiting = asyncio.create_task(end.recv())
        await until_receiving(end)

        async def other() -> None:
            with pytest.raises(RuntimeError, match="another event loop"):
                await end.recv()

        await asyncio.to_thread(asyncio.run, other())
        pair.b.send(b"unharmed")
        assert await waiting == b"unharmed"

    run(main)
