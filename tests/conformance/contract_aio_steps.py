"""aio: a call that is cancelled at each of its await points in turn, stepped by hand."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest

from eastwest import Config, aio
from tests.conformance.loops import Run, drained, fill, laps, wrapped
from tests.conformance.pairs import KIB, LONG, Pair, Way, big, numbered

POINTS_MAX = 400
AT_ONCE = 100  # messages that the peer takes at each await: the ring holds some 250
Call = Coroutine[Any, Any, Any]


class Stepped:
    """A call that goes on from await to await only when it is told to."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.result: Any = None
        self.ended = False
        self._awaited: Any = None

    def step(self) -> None:
        try:
            self._awaited = self.call.send(None)
        except StopIteration as end:
            self.ended, self.result = True, end.value

    async def settle(self) -> None:
        """Let the loop run until what it awaits is there."""
        if self._awaited is None:
            await laps(1)
        else:
            self._awaited._asyncio_future_blocking = False
            await asyncio.wait([self._awaited], timeout=LONG)

    def cancel(self) -> None:
        """Cancel it where it stands, as its task would."""
        if self._awaited is not None:
            self._awaited._asyncio_future_blocking = False
            self._awaited.cancel()
        with pytest.raises(asyncio.CancelledError):
            self.call.throw(asyncio.CancelledError())


def halves(message: bytes) -> list[bytes]:
    return [message[: len(message) // 2], message[len(message) // 2 :]]


SENDS: dict[str, tuple[int, Callable[[aio.Channel, bytes], Call]]] = {  # of so many bytes
    "send": (3000, lambda a, message: a.send(message)),
    "send_long": (400 * KIB, lambda a, message: a.send(message)),
    "send_parts": (3000, lambda a, message: a.send_parts(halves(message))),
    "send_parts_long": (400 * KIB, lambda a, message: a.send_parts(halves(message))),
    "send_many": (3000, lambda a, message: a.send_many([message, b"second"])),
}


@pytest.mark.parametrize("name", SENDS)
def test_aio_a_send_that_is_cancelled_at_any_await_has_sent_nothing(
    pair: Pair, run: Run[Any], name: str
) -> None:
    # catches: an await between what is committed and the return; half a message that stays
    size, call = SENDS[name]

    async def main() -> None:
        a, b = wrapped(pair)
        want, got = list[bytes](), list[bytes]()
        for point in range(POINTS_MAX):
            want += [numbered(number, 1000) for number in range(await fill(a, b))]
            message = big(size, point)  # another one each time
            stepped = Stepped(call(a, message))
            for _ in range(1 + point):
                stepped.step()
                if stepped.ended:
                    break
                await stepped.settle()
                for _ in range(AT_ONCE):
                    taken = b.try_recv()
                    got += [] if taken is None else [taken]
            if stepped.ended:
                want += [message, b"second"][: stepped.result or 1]
                break
            stepped.cancel()
        assert stepped.ended and point > 0, "cancelled at each, and then at none"
        receiver = asyncio.create_task(drained(b))
        await a.send_eof()
        assert got + await receiver == want

    run(main)


def test_aio_a_drain_that_is_cancelled_harms_no_channel(way: Way, run: Run[Any]) -> None:
    # catches: a thread that reports to a call that is gone; channels ended with the wait for them
    async def main() -> None:
        async with AsyncExitStack() as stack:
            there = await stack.enter_async_context(aio.Context(Config(**way.serving)))
            listener = await stack.enter_async_context(there.listen("contract"))
            settings = way.dialling(listener._listener)
            here = await stack.enter_async_context(aio.Context(Config(**settings)))
            a = await here.connect("contract", timeout=LONG)
            b = await listener.accept(timeout=LONG)
            for _ in range(3):
                stepped = Stepped(listener.drain(timeout=LONG))
                stepped.step()
                assert not stepped.ended
                stepped.cancel()
                await a.send(b"goes on")
                assert await b.recv(timeout=LONG) == b"goes on"
            draining = asyncio.create_task(listener.drain(timeout=LONG))
            await a.close()
            await b.close()
            assert await draining is True

    run(main)
