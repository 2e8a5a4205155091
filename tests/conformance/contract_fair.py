"""Fair service: one channel that floods, among many of one process, keeps nobody waiting."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import eastwest
from eastwest import Channel, Listener, aio
from tests.conformance.loops import Run, until
from tests.conformance.pairs import LONG, Task, Way, context, forget, wait_until

OTHERS, ROUNDS, FLOOD = 40, 10, 4000
TURN = 64  # calls: design, section 7
FIRST = b"flood"


@contextmanager
def dialling(way: Way) -> Iterator[tuple[Listener, Callable[[], Channel]]]:
    """A listener, and what opens one more channel to it."""
    there = context(way.serving)
    with there.listen("contract") as listener:
        here = context(way.dialling(listener))
        yield listener, lambda: here.connect("contract", timeout=LONG)
        forget(here)
    forget(there)


def test_aio_a_flood_on_one_channel_does_not_starve_many(way: Way, run: Run[Any]) -> None:
    # catches: a turn without a limit, or one for each channel
    async def main(listener: Listener, connect: Callable[[], Channel]) -> None:
        pairs = [
            (aio.Channel(connect()), aio.Channel(listener.accept(timeout=LONG)))
            for _ in range(1 + OTHERS)
        ]
        for number, (a, b) in enumerate(pairs):
            for _ in range(ROUNDS if number else FLOOD):
                assert a.try_send(b"x" * 8)
            assert not a._channel.flush(timeout=0)  # nothing is held back for a burst (ADR 22)
            await until(lambda b=b: b._channel._spin(0), "its messages are here")
        taken = 0

        async def take_the_flood(channel: aio.Channel) -> None:
            nonlocal taken
            for _ in range(FLOOD):
                await channel.recv()
                taken += 1

        async def take(channel: aio.Channel) -> None:
            for _ in range(ROUNDS):
                await channel.recv()

        (_, flood), *others = pairs
        flooded = asyncio.create_task(take_the_flood(flood))
        await asyncio.gather(*(take(b) for _, b in others))
        assert 0 < taken <= 10 * TURN
        await flooded

    with dialling(way) as ends:
        run(lambda: main(*ends))


def test_a_flood_on_one_channel_does_not_starve_many(way: Way) -> None:
    # catches: a call that keeps the GIL, or a lock of all channels, while there is more to receive
    flooded = 0

    def handle(channel: Channel) -> None:
        nonlocal flooded
        for message in channel:
            if message == FIRST:
                flooded += 1
            else:
                channel.send(message, timeout=LONG)

    def flood(channel: Channel) -> None:
        while True:
            channel.send(FIRST, timeout=LONG)

    with dialling(way) as (listener, connect):
        serving = Task(lambda: listener.serve(handle))
        source, *others = [connect() for _ in range(1 + OTHERS)]
        flooding = Task(lambda: flood(source))
        wait_until(lambda: flooded, "the flood is on")
        for number in range(ROUNDS):
            before = flooded
            for channel in others:
                channel.send(b"%d" % number, timeout=LONG)
            for channel in others:
                assert channel.recv(timeout=LONG) == b"%d" % number
            wait_until(lambda before=before: flooded > before, "the flood goes on")
        source.abort()
        assert isinstance(flooding.error(), eastwest.ChannelEnded)
        listener.close()
        serving.result()
