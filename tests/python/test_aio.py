"""eastwest.aio beyond one channel: connect, listen, serve, contexts, and what its guide says."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import eastwest
from eastwest import aio
from eastwest.aio._listener import BURST

SOON = 5.0
GUIDE = (Path(__file__).resolve().parents[2] / "docs/guide/asyncio.md").read_text()


def run(main: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await main

    asyncio.run(limited())


@pytest.fixture
def config(tmp_path: Path) -> eastwest.Config:
    tmp_path.chmod(0o700)
    return eastwest.Config(runtime_dirs=(str(tmp_path),), paths=("shm",))


def aio_threads() -> int:
    return sum(each.name == "eastwest-aio" for each in threading.enumerate())


async def until(condition: Any, what: str) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.001)
    assert condition(), what


@contextlib.contextmanager
def listening(config: eastwest.Config) -> Iterator[eastwest.Listener]:
    with eastwest.Context(config) as there, there.listen("svc") as listener:
        yield listener


# ------------------------------------------------------------------ connect


def test_connect_is_awaited_or_entered(config: eastwest.Config) -> None:
    async def main() -> None:
        async with aio.Context(config) as context, context.listen("svc") as listener:
            channel = await context.connect("svc")
            peer = await listener.accept(timeout=SOON)
            assert channel.service == peer.service == "svc"
            assert channel.peer.instance == listener.instance.id
            await channel.close()
            async with context.connect("svc") as channel:
                peer = await listener.accept(timeout=SOON)
                await channel.send(b"x")
            assert [each async for each in peer] == [b"x"]
            with pytest.raises(RuntimeError, match="mine"):
                async with context.connect("svc"):
                    peer = await listener.accept(timeout=SOON)
                    raise RuntimeError("mine")
            with pytest.raises(eastwest.PeerLost):
                await peer.recv()

    run(main())


def test_connect_errors_are_those_of_the_synchronous_one(config: eastwest.Config) -> None:
    async def main() -> None:
        async with aio.Context(config) as context:
            with pytest.raises(eastwest.ServiceNotFound) as raised:
                await context.connect("nobody", timeout=0.02)
            assert raised.value.explanation.service == "nobody"
            with pytest.raises(eastwest.ConfigurationError):
                await context.connect("not a name")
            assert (await context.explain("nobody")).chosen is None
            assert await context.instances("nobody") == ()
            assert await context.services() == ()
        with pytest.raises(eastwest.ClosedHere):
            await context.connect("nobody")
        assert context.closed

    run(main())


def test_a_cancelled_connect_leaves_no_channel(config: eastwest.Config) -> None:
    # catches: a thread that hands its channel to a task that is gone
    async def main() -> None:
        with listening(config) as listener:
            async with aio.Context(config) as context:
                for turns in range(60):
                    task = asyncio.ensure_future(context.connect("svc"))
                    if turns % 3 == 2:  # it has connected, and the loop does not know yet
                        await asyncio.sleep(0)
                        before = time.monotonic()
                        while listener.stats().accepted <= turns // 3 - 1:
                            assert time.monotonic() < before + SOON
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        (await task).abort()
                    del task
                await until(lambda: not aio_threads(), "the threads have ended")
                await asyncio.sleep(0)
                gc.collect()
                assert context.stats().channels == 0

    run(main())


def test_a_cancelled_connect_looks_no_further(config: eastwest.Config) -> None:
    # catches: a thread that waits for a name for ever, and then connects for nobody
    async def main() -> None:
        async with aio.Context(config) as context:
            task = asyncio.ensure_future(context.connect("later", timeout=None))
            await until(aio_threads, "it has begun")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: not aio_threads(), "the thread has ended")

    run(main())


def test_a_loop_that_ends_drops_what_connects(config: eastwest.Config) -> None:
    # catches: call_soon_threadsafe on a closed loop, and a channel that nobody frees
    with listening(config), eastwest.Context(config) as shared:
        context = aio.Context.around(shared)

        async def main() -> None:
            connecting = asyncio.ensure_future(context.connect("svc"))
            await asyncio.sleep(0)
            assert not connecting.done()

        for _ in range(20):
            asyncio.run(main())
        deadline = time.monotonic() + SOON
        while aio_threads() or shared.stats().channels:
            assert time.monotonic() < deadline
            time.sleep(0.001)
            gc.collect()


# ------------------------------------------------------------------ listen


def test_accept_waits_in_line_and_times_out(config: eastwest.Config) -> None:
    async def main() -> None:
        async with aio.Context(config) as context, context.listen("svc") as listener:
            for limit in (0, 0.01):
                with pytest.raises(eastwest.Timeout, match="nobody connected"):
                    await listener.accept(timeout=limit)
            first, second = (asyncio.create_task(listener.accept()) for _ in range(2))
            await asyncio.sleep(0)
            a = await context.connect("svc")
            peer = await first
            first = asyncio.create_task(listener.accept())
            await asyncio.sleep(0)
            second.cancel()  # the next connection is for the one behind it
            b = await context.connect("svc")
            other = await first
            for end, there in ((a, peer), (b, other)):
                await end.send(b"x")
                assert await there.recv() == b"x"
            waiting = asyncio.create_task(listener.accept())
            await asyncio.sleep(0)
            listener.close()
            with pytest.raises(eastwest.ClosedHere):
                await waiting
            assert [each async for each in listener] == []

    run(main())


def test_serve_runs_a_task_for_each_channel(
    config: eastwest.Config, caplog: pytest.LogCaptureFixture
) -> None:
    # catches: a handler that raises and takes the listener with it; a limit that is not kept
    running = most = 0

    async def handle(channel: aio.Channel) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            async for message in channel:
                if message == b"raise":
                    raise RuntimeError("mine")
                await channel.send(b"ok " + message)
        finally:
            running -= 1

    async def ask(context: aio.Context, number: int) -> None:
        async with context.connect("svc", timeout=SOON) as channel:
            await channel.send(b"%d" % number)
            assert await channel.recv(timeout=SOON) == b"ok %d" % number

    async def main() -> None:
        async with aio.Context(config) as context:
            listener = context.listen("svc")
            serving = asyncio.create_task(listener.serve(handle, tasks=3))
            await asyncio.gather(*(ask(context, number) for number in range(20)))
            broken = await context.connect("svc")
            await broken.send(b"raise")
            with pytest.raises(eastwest.PeerLost):
                await broken.recv(timeout=SOON)
            async with context.connect("svc") as going_on:
                await going_on.send(b"1")
                assert await going_on.recv(timeout=SOON) == b"ok 1"
                listener.close()
                await serving
                await going_on.send(b"2")
                assert await going_on.recv(timeout=SOON) == b"ok 2"

    with caplog.at_level(logging.CRITICAL, logger="eastwest"):
        run(main())
    assert 1 < most <= 3


def test_channels_that_came_together_are_served_in_few_turns_of_the_loop(
    config: eastwest.Config,
) -> None:
    # catches: one accept for each turn, in which all channels that are served are busy first
    count, turns = 3 * BURST, 0
    started: list[int] = []

    async def handle(_: aio.Channel) -> None:
        started.append(turns)

    async def main() -> None:
        nonlocal turns
        async with (
            aio.Context(config) as there,
            there.listen("svc") as listener,
            aio.Context(config) as here,
        ):
            channels = [await here.connect("svc") for _ in range(count)]
            serving = asyncio.create_task(listener.serve(handle))
            async with asyncio.timeout(SOON):
                while len(started) < count:
                    turns += 1
                    await asyncio.sleep(0)
            listener.close()
            await serving
            for each in channels:
                each.abort()

    run(main())
    first = started[BURST - 1]
    assert first < count // 2, "the first handlers wait until all are accepted"
    assert started[-1] <= first + 8


def test_serve_that_is_cancelled_ends_its_handlers(config: eastwest.Config) -> None:
    async def handle(channel: aio.Channel) -> None:
        await channel.recv()

    async def main() -> None:
        async with aio.Context(config) as context, context.listen("svc") as listener:
            serving = asyncio.create_task(listener.serve(handle))
            channels = [await context.connect("svc") for _ in range(3)]
            await until(lambda: len(listener._tasks) == 3, "three handlers run")
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            for channel in channels:
                with pytest.raises(eastwest.PeerLost):
                    await channel.recv(timeout=SOON)

    run(main())


@pytest.mark.parametrize("tasks", [0, -1, 1 << 21])
def test_serve_refuses_an_impossible_number(config: eastwest.Config, tasks: int) -> None:
    async def main() -> None:
        async with aio.Context(config) as context, context.listen("svc") as listener:
            with pytest.raises(eastwest.ConfigurationError, match="tasks="):
                await listener.serve(lambda _: asyncio.sleep(0), tasks=tasks)

    run(main())


def test_closing_a_context_ends_what_waits_in_it(config: eastwest.Config) -> None:
    # catches: a descriptor closed while the loop watches it
    async def main() -> None:
        context = aio.Context(config)
        listener = context.listen("svc")
        channel = await context.connect("svc")
        peer = await listener.accept()
        await channel.send(b"delivered")
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(channel.recv()),
            asyncio.create_task(listener.accept()),
        ]
        await asyncio.sleep(0.001)
        other = aio.Context(config)
        await context.close()
        for task in tasks:
            with pytest.raises(eastwest.ClosedHere):
                await task
        with pytest.raises(eastwest.ClosedHere):
            await peer.recv()
        await other.close()

    run(main())


def test_the_default_context_is_shared(runtime_dir: Path) -> None:
    async def main() -> None:
        assert aio.default_context() is aio.default_context()
        async with aio.listen("svc") as listener:
            assert (await aio.explain("svc")).chosen is not None
            async with aio.connect("svc") as channel:
                assert "svc" in str(channel.explain())
                assert repr(channel).startswith("<eastwest.aio.Channel 'svc'")
                assert repr(listener).startswith("<eastwest.aio.Listener 'svc'")
                assert channel.stats().messages_sent == 0
                assert channel.message_bytes_max == 64 << 20
                assert channel.arm(recv=True, send=10) is True
                assert channel.fileno() == channel.fileno()
            assert str(listener.explain())
            assert listener.stats().accepted == 1
        assert eastwest.default_context().stats().listeners == 0
        await aio.default_context().close()

    run(main())


# ------------------------------------------------------------------ the guide


def code_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


def test_the_example_of_the_guide_runs_as_printed(runtime_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code_blocks()[0]], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "b'ok hello' shm\n"


def test_the_trio_adapter_of_the_guide_works(config: eastwest.Config) -> None:
    # catches: arm that does not ask for news of room; a wake-up that the other task takes
    trio = pytest.importorskip("trio", reason="needs trio")
    testing = pytest.importorskip("trio.testing", reason="needs trio")
    names: dict[str, Any] = {}
    exec(code_blocks()[1], names)
    adapter = names["TrioChannel"]
    count = 5000

    async def main(near: Any, far: Any) -> None:
        async def talk(end: Any) -> None:
            for number in range(count):
                await end.send(b"%08d" % number * 100)

        async def listen(end: Any) -> None:
            for number in range(count):
                assert await end.recv() == b"%08d" % number * 100

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for end in (near, far):
                    nursery.start_soon(talk, end)
                    nursery.start_soon(listen, end)
            with trio.move_on_after(0.01) as scope:
                await near.recv()
            assert scope.cancelled_caught
            await far.send(b"kept")
            assert await near.recv() == b"kept"
            async with trio.open_nursery() as nursery:

                async def fails() -> None:
                    with pytest.raises(eastwest.PeerLost):
                        await near.recv()

                nursery.start_soon(fails)
                await testing.wait_all_tasks_blocked()
                far.abort()
        near.abort()

    with listening(config) as listener, eastwest.Context(config) as here:
        near = here.connect("svc", timeout=SOON)
        trio.run(main, adapter(near), adapter(listener.accept(timeout=SOON)))
