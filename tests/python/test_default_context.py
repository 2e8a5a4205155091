"""The default context: one for the module-level functions, made anew in a forked child."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import eastwest
from eastwest import Channel, Listener, _default, aio
from tests.conformance.forks import in_fork, refuses
from tests.conformance.pairs import LONG


@pytest.fixture
def ends(runtime_dir: Path) -> Iterator[tuple[Listener, Channel, Channel]]:
    """A listener and two ends, all made by module-level functions."""
    with eastwest.listen("parents") as listener:
        opened = eastwest.connect("parents")
        yield listener, opened, listener.accept(timeout=LONG)
    eastwest.default_context().close(linger=0.0)


Ends = tuple[Listener, Channel, Channel]


def use_module_level_functions() -> None:
    """Listen, connect, and exchange a message with ourselves."""
    with eastwest.listen("childs") as listener:
        channel = eastwest.connect("childs", timeout=LONG)
        other = listener.accept(timeout=LONG)
        channel.send(b"in the child")
        assert other.recv(timeout=LONG) == b"in the child"
        channel.abort()
        other.abort()


def test_a_forked_child_listens_and_connects_with_a_default_context_of_its_own(
    ends: Ends,
) -> None:
    # catches: the parent's context, which every call refuses, kept in the child
    _, opened, accepted = ends
    parents = eastwest.default_context()

    def work() -> None:
        refuses(lambda: parents.connect("parents"))
        use_module_level_functions()
        assert eastwest.default_context() is not parents

    in_fork(work)
    assert eastwest.default_context() is parents
    opened.send(b"still here")
    assert accepted.recv(timeout=LONG) == b"still here"


def test_a_forked_child_reaches_its_parent(ends: Ends) -> None:
    listener, *_ = ends

    def work() -> None:
        with eastwest.connect("parents", timeout=LONG) as channel:
            channel.send(b"from the child")
            channel.flush(timeout=LONG)

    serving = threading.Thread(target=in_fork, args=(work,))
    serving.start()
    with listener.accept(timeout=LONG) as accepted:
        assert accepted.recv(timeout=LONG) == b"from the child"
    serving.join()


def test_a_fork_while_another_thread_makes_the_context_does_not_hang(ends: Ends) -> None:
    # catches: a child that waits for a lock whose holder it does not have
    with _default._lock:
        in_fork(use_module_level_functions)


def test_asyncio_in_a_forked_child_has_a_new_default_context(ends: Ends) -> None:
    # catches: an asynchronous context that stays around the parent's
    parents = aio.default_context()

    async def talk() -> None:
        assert aio.default_context() is not parents
        async with aio.listen("childs") as listener:
            channel = await aio.connect("childs", timeout=LONG)
            other = await listener.accept(timeout=LONG)
            await channel.send(b"in the child")
            assert await other.recv(timeout=LONG) == b"in the child"
            channel.abort()
            other.abort()

    in_fork(lambda: asyncio.run(talk()))
