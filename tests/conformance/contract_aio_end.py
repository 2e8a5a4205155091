"""aio: the end, the peer's death, and what is left in the loop afterwards."""

import asyncio
import gc
import os
import time
from typing import Any

import pytest

import eastwest
from eastwest import aio
from tests.conformance.conftest import MakePair
from tests.conformance.contract_death import peer
from tests.conformance.loops import (
    Run,
    drained,
    fill,
    laps,
    outcome,
    raises,
    until,
    until_receiving,
    until_sending,
    wrapped,
)
from tests.conformance.pairs import LONG, SOON, Pair, Way, big, numbered, send_for_ever

CALLS = {
    "send": lambda end: end.send(b"x"),
    "send_parts": lambda end: end.send_parts([b"x"]),
    "send_many": lambda end: end.send_many([b"x"]),
    "send_eof": lambda end: end.send_eof(),
    "recv": lambda end: end.recv(),
    "recv_into": lambda end: end.recv_into(bytearray(9)),
    "recv_many": lambda end: end.recv_many(),
    "flush": lambda end: end.flush(),
}


def test_aio_close_delivers_what_was_sent(both_ways: Pair, run: Run[Any]) -> None:
    async def main() -> None:
        a, b = wrapped(both_ways)
        for number in range(100):
            await a.send(numbered(number, 1000))
        await a.close()
        assert await drained(b) == [numbered(number, 1000) for number in range(100)]
        await raises(eastwest.EndOfChannel, b.recv())
        await raises(eastwest.ChannelEnded, b.send(b"x"))
        await a.close()
        a.abort()

    run(main)


def test_aio_close_waits_without_stopping_the_loop(both_ways: Pair, run: Run[Any]) -> None:
    # catches: a close that blocks the thread of the loop, in which the peer would have to read
    async def main() -> None:
        a, b = wrapped(both_ways)
        count = await fill(a, b)
        closing = asyncio.create_task(a.close(linger=LONG))
        assert await drained(b) == [numbered(number, 1000) for number in range(count)]
        await closing

    run(main)


@pytest.mark.parametrize("how", ["close", "abort", "death here"])
def test_aio_the_end_here_wakes_our_own_tasks(pair: Pair, run: Run[Any], how: str) -> None:
    # catches: a waiter that only the peer can wake
    async def main() -> None:
        a, b = wrapped(pair)
        await fill(a, b)
        tasks = [asyncio.create_task(work) for work in (a.recv(), a.recv(), a.flush())]
        tasks += [asyncio.create_task(work) for work in (a.send(big(1 << 20)), a.send(b"x" * 999))]
        await until_receiving(a, 2)
        await until_sending(a, 2)
        began = time.monotonic()
        if how == "close":
            closing = asyncio.create_task(a.close(linger=0.3))
        elif how == "abort":
            a.abort()
        else:
            pair.a.abort()  # not as one should; the descriptor is gone
            a.leave()
        for task in tasks:
            assert isinstance(await outcome(task), eastwest.ClosedHere)
        assert time.monotonic() - began < SOON
        if how == "close":
            assert isinstance(await outcome(closing), eastwest.Timeout | None)
        for work in CALLS.values():
            await raises(eastwest.ClosedHere, work(a))
        with pytest.raises(eastwest.ClosedHere):
            a.try_recv()
        with pytest.raises(eastwest.ClosedHere):
            a.try_send(b"x")

    run(main)


@pytest.mark.parametrize("how", ["close", "abort", "send_eof"])
@pytest.mark.parametrize("call", ["recv", "recv_into", "recv_many"])
def test_aio_the_end_there_wakes_a_receiver(
    both_ways: Pair, run: Run[Any], how: str, call: str
) -> None:
    async def main() -> None:
        _, b = wrapped(both_ways)
        waiting = asyncio.create_task(CALLS[call](b))
        await until_receiving(b)
        getattr(both_ways.a, how)()
        error = await outcome(waiting)
        assert isinstance(error, eastwest.PeerLost if how == "abort" else eastwest.EndOfChannel)
        for _ in range(3):
            await raises(type(error), CALLS[call](b))  # type: ignore[arg-type]

    run(main)


def test_aio_an_end_there_wakes_a_sender(both_ways: Pair, run: Run[Any]) -> None:
    async def main() -> None:
        a, b = wrapped(both_ways)
        await fill(a, b)
        senders = [asyncio.create_task(a.send(bytes(1000))) for _ in range(3)]
        await until_sending(a, 3)
        b.abort()
        for sender in senders:
            assert isinstance(await outcome(sender), eastwest.PeerLost)

    run(main)


@pytest.mark.parametrize("call", ["recv", "send", "flush"])
def test_aio_a_killed_peer_wakes_a_waiter(way: Way, run: Run[Any], call: str) -> None:
    # catches: a hang-up that does not reach the descriptor, or a waiter that sleeps on
    with peer(way, "hold") as (channel, child):

        async def main() -> float:
            end = aio.Channel(channel)
            if call == "recv":
                waiting: asyncio.Task[Any] = asyncio.create_task(end.recv())
                await until_receiving(end)
            elif call == "flush":
                await end.send(b"never read")
                waiting = asyncio.create_task(end.flush())
                await laps(5)
            else:

                async def send() -> None:
                    while True:
                        await end.send(bytes(1000))

                waiting = asyncio.create_task(send())
                await until_sending(end)
            child.kill()
            began = time.monotonic()
            assert isinstance(await outcome(waiting), eastwest.PeerLost)
            return time.monotonic() - began

        assert run(main) < SOON


def test_aio_what_a_killed_peer_had_sent_is_delivered(way: Way, run: Run[Any]) -> None:
    with peer(way, "send_and_hold", 200) as (channel, child):

        async def main() -> None:
            end = aio.Channel(channel)
            child.hears()
            await until(lambda: end.stats().unread_bytes >= 200 * 100, "all of it is here")
            child.kill()
            got = [await end.recv() for _ in range(200)]
            assert got == [numbered(number, 100) for number in range(200)]
            await raises(eastwest.PeerLost, end.recv())

        run(main)


def test_aio_leaving_a_block(make_pair: MakePair, run: Run[Any]) -> None:
    # catches: __aexit__ that closes always: the peer would take half of the work for all of it
    async def main() -> None:
        a, b = wrapped(make_pair())
        async with a:
            await a.send(b"whole")
        assert await drained(b) == [b"whole"]
        a, b = wrapped(make_pair())
        with pytest.raises(RuntimeError, match="mine"):
            async with a:
                raise RuntimeError("mine")
        await raises(eastwest.PeerLost, b.recv())

    run(main)


def test_aio_a_block_left_by_cancellation_aborts(pair: Pair, run: Run[Any]) -> None:
    async def main() -> None:
        a, b = wrapped(pair)

        async def work() -> None:
            async with a:
                await a.recv()

        task = asyncio.create_task(work())
        await until_receiving(a)
        task.cancel()
        assert isinstance(await outcome(task), asyncio.CancelledError)
        await raises(eastwest.PeerLost, b.recv())

    run(main)


def test_aio_a_loop_may_end_with_channels_open(pair: Pair, run: Run[Any]) -> None:
    # catches: a channel bound for ever to a loop that is closed; a watch that outlives its loop
    ends: list[aio.Channel] = []

    async def first() -> None:
        a, b = wrapped(pair)
        ends.extend((a, b))
        kept = [asyncio.create_task(a.recv()) for _ in range(2)]
        await until_receiving(a, 2)
        del kept  # the end of the loop cancels them

    async def second() -> None:
        a, b = ends
        assert await a.recv() == b"between the loops"
        await a.send(b"in the second loop")
        assert await b.recv() == b"in the second loop"
        waiting = asyncio.create_task(b.recv())
        await until_receiving(b)
        await a.close()
        assert isinstance(await outcome(waiting), eastwest.EndOfChannel)

    run(first)
    pair.b.send(b"between the loops")
    run(second)
    ends[1].abort()
    ends.clear()


def test_aio_a_channel_that_nobody_refers_to_is_lost_to_the_peer(way: Way, run: Run[Any]) -> None:
    # catches: a watch that keeps its channel alive in the loop
    from tests.conformance.pairs import context, forget

    there = context(way.serving)
    with there.listen("contract") as listener:
        here = context(way.dialling(listener))
        channels = [here.connect("contract", timeout=LONG)]
        other = listener.accept(timeout=LONG)

    async def main() -> None:
        dropped = aio.Channel(channels.pop())
        waiting = asyncio.create_task(dropped.recv())
        await until_receiving(dropped)
        waiting.cancel()  # the descriptor stays watched
        assert isinstance(await outcome(waiting), asyncio.CancelledError)
        del dropped, waiting
        gc.collect()
        await raises(eastwest.ChannelEnded, aio.Channel(other).recv())

    run(main)
    forget(here)
    forget(there)


@pytest.mark.parametrize("then", ["abort", "leave"])
def test_aio_a_forked_child_does_no_harm(both_ways: Pair, run: Run[Any], then: str) -> None:
    # catches: a child that gives up the send that the parent has begun, in memory that it lacks
    async def main() -> None:
        a, b = wrapped(both_ways)
        waiting = asyncio.create_task(a.recv())
        await until_receiving(a)
        sending = asyncio.create_task(a.send(big(20 << 20)))
        await until_sending(a)
        pid = os.fork()
        if pid == 0:
            getattr(a, then)()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        await b.send(b"to the parent")
        assert await waiting == b"to the parent"
        assert await b.recv() == big(20 << 20)
        await sending

    run(main)


def test_aio_and_a_synchronous_peer_in_a_thread(both_ways: Pair, run: Run[Any]) -> None:
    from tests.conformance.pairs import Task

    sender = Task(lambda: send_for_ever(both_ways.b))

    async def main() -> None:
        end = aio.Channel(both_ways.a)
        async with asyncio.timeout(LONG):
            for _ in range(5000):
                assert await end.recv() == bytes(1000)
        end.abort()

    run(main)
    assert isinstance(sender.error(), eastwest.PeerLost)
