"""A channel that tasks of an event loop use moves under them."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from eastwest import Config, aio
from tests.conformance.contract_aio_steps import Stepped
from tests.conformance.loops import Run, runner, until
from tests.conformance.pairs import LONG, numbered

SWITCHES = 60
SIZES = (8, 64, 1000, 40_000, 400_000)  # the last is longer than the ring


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Runs a coroutine function in a new loop, with a limit of time."""
    try:
        return runner(request.param)
    except ImportError:
        pytest.skip("needs uvloop")


@pytest.mark.parametrize("waits", ["adaptive", "block"])
def test_tasks_do_not_notice_that_the_channel_moves(
    tmp_path: Path, run: Run[Any], waits: str
) -> None:
    # catches: a descriptor that watches the old link; a send in steps that keeps its lock; room
    # that was asked of the link before
    run(lambda: _switch_under_load(tmp_path, waits))


async def _switch_under_load(folder: Path, waits: str) -> None:
    config = Config(runtime_dirs=(str(folder),), bind="127.0.0.1:0", wait=waits, pages="small")  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        context = await stack.enter_async_context(aio.Context(config))
        listener = await stack.enter_async_context(context.listen("moving"))
        opened = await context.connect("moving", timeout=LONG)
        accepted = await listener.accept(timeout=LONG)
        stop = asyncio.Event()
        totals = [0, 0]

        async def send(channel: aio.Channel, at: int) -> None:
            while not stop.is_set():
                size = SIZES[totals[at] % len(SIZES)]
                message = numbered(totals[at], min(size, 40_000))
                await channel.send(message.ljust(size, b"."))
                totals[at] += 1
            await channel.send_eof()

        async def receive(channel: aio.Channel) -> int:
            got = 0
            async for message in channel:
                size = SIZES[got % len(SIZES)]
                assert message == numbered(got, min(size, 40_000)).ljust(size, b".")
                got += 1
            return got

        senders = [asyncio.ensure_future(send(opened, 0)), asyncio.ensure_future(send(accepted, 1))]
        receivers = [asyncio.ensure_future(receive(each)) for each in (accepted, opened)]
        for number in range(SWITCHES):
            await opened.switch(("tcp", "shm")[number % 2], timeout=LONG)
            await asyncio.sleep(0)
        stop.set()
        await asyncio.gather(*senders)
        assert await asyncio.gather(*receivers) == totals
        assert min(totals) > SWITCHES
        opened.abort()
        accepted.abort()


def test_a_switch_that_is_cancelled_goes_on_behind_us(tmp_path: Path, run: Run[Any]) -> None:
    # catches: a move that is given up half way because the task that asked for it is gone
    async def main() -> None:
        config = Config(runtime_dirs=(str(tmp_path),), bind="127.0.0.1:0")
        async with aio.Context(config) as context, context.listen("moving") as listener:
            opened = await context.connect("moving", timeout=LONG)
            accepted = await listener.accept(timeout=LONG)
            for number in range(10):
                path = ("tcp", "shm")[number % 2]
                stepped = Stepped(opened.switch(path, timeout=LONG))
                stepped.step()
                assert not stepped.ended
                stepped.cancel()
                await opened.send(numbered(number, 100))
                assert await accepted.recv(timeout=LONG) == numbered(number, 100)
                await until(lambda path=path: opened.path == accepted.path == path, "it moved")
            assert opened.stats().path_changes == 10
            opened.abort()
            accepted.abort()

    run(main)
