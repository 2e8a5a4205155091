"""fileno(): one descriptor for life, readable when a message, the end or an error is there."""

import asyncio
import contextlib
import select
import time
from collections.abc import Callable

import pytest

import eastwest
from tests.conformance import children
from tests.conformance.contract_death import peer
from tests.conformance.pairs import LONG, MIB, SOON, Pair, Task, Way, big, numbered, wait_until


def by_select(fd: int, timeout: float) -> bool:
    return bool(select.select([fd], [], [], timeout)[0])


def by_poll(fd: int, timeout: float) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout * 1000))


def by_epoll(fd: int, timeout: float) -> bool:
    with select.epoll() as poller:
        poller.register(fd, select.EPOLLIN)
        return bool(poller.poll(timeout))


ways_to_wait = pytest.mark.parametrize("readable", [by_select, by_poll, by_epoll])
Readable = Callable[[int, float], bool]


def settles(channel: eastwest.Channel) -> bool:
    """Say whether it stops being readable; spurious readiness is allowed, for ever is not."""
    for _ in range(20):
        if not by_poll(channel.fileno(), 0.01):
            return True
        assert channel.try_recv() is None
    return False


@ways_to_wait
def test_it_becomes_readable_with_a_message_and_not_without(
    both_ways: Pair, readable: Readable
) -> None:
    fd = both_ways.b.fileno()
    assert settles(both_ways.b)
    for number in range(20):
        both_ways.a.send(numbered(number, 50), timeout=SOON)
        assert readable(fd, SOON)
        assert both_ways.b.recv(timeout=0) == numbered(number, 50)
        assert settles(both_ways.b)


@ways_to_wait
def test_it_stays_readable_until_the_last_message_is_taken(pair: Pair, readable: Readable) -> None:
    # catches: edge-triggered readiness
    fd = pair.b.fileno()
    for number in range(10):
        pair.a.send(numbered(number, 50), timeout=SOON)
    for number in range(10):
        assert readable(fd, SOON)
        assert pair.b.recv(timeout=SOON) == numbered(number, 50)


def test_it_is_the_same_for_life(pair: Pair) -> None:
    fd = pair.a.fileno()
    pair.b.send(b"x", timeout=SOON)
    pair.a.recv(timeout=SOON)
    assert pair.a.fileno() == fd
    pair.b.close()
    assert pair.a.fileno() == fd


def test_a_message_from_before_the_first_call_makes_it_readable(both_ways: Pair) -> None:
    # catches: a bell that was off, and an inbox that the reactor filled: no event comes any more
    both_ways.a.send(b"early", timeout=SOON)
    wait_until(lambda: both_ways.b.stats().unread_bytes, "the message is here")
    assert by_poll(both_ways.b.fileno(), SOON)
    assert both_ways.b.recv(timeout=0) == b"early"


def test_recv_with_a_timeout_in_between_does_not_disarm_it(pair: Pair) -> None:
    fd = pair.b.fileno()
    for number in range(20):
        with pytest.raises(eastwest.Timeout):
            pair.b.recv(timeout=0.002)
        pair.a.send(numbered(number, 50), timeout=SOON)
        assert by_poll(fd, SOON)
        assert pair.b.recv_many(timeout=0) == [numbered(number, 50)]


@pytest.mark.parametrize("how", ["close", "abort", "send_eof"])
def test_the_end_makes_it_readable_and_keeps_it_so(both_ways: Pair, how: str) -> None:
    fd = both_ways.b.fileno()
    assert settles(both_ways.b)
    getattr(both_ways.a, how)()
    for _ in range(3):
        assert by_poll(fd, SOON)
        with pytest.raises(eastwest.ChannelEnded):
            both_ways.b.recv(timeout=SOON)


def test_death_makes_it_readable(way: Way) -> None:
    with peer(way, "hold") as (channel, child):
        fd = channel.fileno()
        assert settles(channel)
        child.kill()
        assert by_poll(fd, SOON)
        with pytest.raises(eastwest.PeerLost):
            channel.recv(timeout=SOON)


def test_a_loop_over_it_gets_every_burst(both_ways: Pair) -> None:
    # catches: readiness cleared after the ring was found empty, with a message in between
    count = 20_000

    def send() -> None:
        for number in range(count):
            both_ways.a.send(numbered(number, 30), timeout=LONG)
            if number % 97 == 0:
                time.sleep(0.0002)

    fd = both_ways.b.fileno()
    sender = Task(send)
    got = 0
    while got < count:
        assert by_poll(fd, LONG), f"stalled after {got}"
        while (message := both_ways.b.try_recv()) is not None:
            assert message == numbered(got, 30)
            got += 1
    sender.result()


def test_a_long_message_arrives_through_a_loop(pair: Pair) -> None:
    # catches: try_recv of part of a message that leaves no wake-up for the rest
    sender = Task(lambda: [pair.a.send(big(3 * MIB, n), timeout=LONG) for n in range(3)])
    fd = pair.b.fileno()
    for number in range(3):
        while (message := pair.b.try_recv()) is None:
            assert by_poll(fd, LONG)
        assert message == big(3 * MIB, number)
    sender.result()


def test_asyncio_add_reader_works(pair: Pair) -> None:
    async def main() -> list[bytes]:
        loop, got, done = asyncio.get_running_loop(), list[bytes](), asyncio.Event()

        def on_readable() -> None:
            try:
                while (message := pair.b.try_recv()) is not None:
                    got.append(message)
            except eastwest.EndOfChannel:
                loop.remove_reader(pair.b.fileno())
                done.set()

        loop.add_reader(pair.b.fileno(), on_readable)
        async with asyncio.timeout(LONG):
            for number in range(200):
                pair.a.send(numbered(number, 40), timeout=0)
                await asyncio.sleep(0)
            pair.a.send_eof()
            await done.wait()
        return got

    assert asyncio.run(main()) == [numbered(number, 40) for number in range(200)]


def test_using_it_after_the_end_here_is_an_error_or_the_same_descriptor(pair: Pair) -> None:
    # a descriptor that was closed may belong to somebody else by now
    fd = pair.a.fileno()
    pair.a.close()
    with contextlib.suppress(eastwest.ClosedHere):
        assert pair.a.fileno() == fd


def test_a_listeners_descriptor_is_readable_while_a_channel_waits(way: Way) -> None:
    from tests.conformance.pairs import context, forget
    from tests.conformance.processes import Child

    there = context(way.serving)
    with there.listen("contract") as listener:
        assert not by_poll(listener.fileno(), 0)
        with Child(children.hold, way.dialling(listener)):
            assert by_poll(listener.fileno(), LONG)
            listener.accept(timeout=0)
            assert not by_poll(listener.fileno(), 0.01)
    forget(there)
