"""Fixtures of the crash tests: a listener to be ill-treated, and what must not grow."""

import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import eastwest
from eastwest import Context, Listener
from tests.conformance.pairs import LONG, Way, context, forget, shm_way, tcp_way, wait_until

HELLO_SECONDS = 0.4


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of mode 0700 with a short path."""
    with TemporaryDirectory(prefix="ew-") as name:
        yield Path(name)


@pytest.fixture(params=[shm_way, tcp_way], ids=["shm", "tcp"])
def way(request: pytest.FixtureRequest, folder: Path) -> Way:
    make: Callable[[Path], Way] = request.param
    return make(folder)


@dataclass
class Target:
    """A listener under attack, that answers whatever good peers say."""

    way: Way
    there: Context
    listener: Listener

    @property
    def address(self) -> str:
        (address,) = self.listener.instance.addresses
        return address

    def serves(self) -> None:
        """Fail unless a real client gets a channel and an answer."""
        here = context(self.way.dialling(self.listener))
        try:
            with here.connect("crash", timeout=LONG) as client:
                server = self.listener.accept(timeout=LONG)
                client.send(b"real", timeout=LONG)
                assert server.recv(timeout=LONG) == b"real"
                server.send(b"answer", timeout=LONG)
                assert client.recv(timeout=LONG) == b"answer"
                client.close()
                server.close()
        finally:
            forget(here)

    def is_idle(self) -> bool:
        """Say whether nothing of a stranger is left."""
        gc.collect()
        stats = self.there.stats()
        return (stats.half_open, stats.channels, stats.memory_bytes) == (0, 0, 0)


@pytest.fixture
def target(way: Way) -> Iterator[Target]:
    """A listener of "crash"; at the end it must hold nothing, and serve."""
    there = context(way.serving, hello=HELLO_SECONDS)
    with there.listen("crash") as listener:
        made = Target(way, there, listener)
        made.serves()
        wait_until(made.is_idle, "the listener is idle")
        before = descriptors()
        yield made
        wait_until(made.is_idle, "what the stranger left is gone", 5.0)
        wait_until(lambda: descriptors() <= before, f"as many descriptors as before, {before}", 5.0)
        made.serves()
    forget(there)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def mappings() -> int:
    with open("/proc/self/maps") as maps:
        return sum(1 for _ in maps)


@pytest.fixture(scope="session")
def huge_pages() -> Iterator[None]:
    """Some free huge pages, if we may have them; the pool is left as it was."""
    pool = Path("/proc/sys/vm/nr_hugepages")
    before = pool.read_text()
    if os.geteuid() == 0 and free_huge_pages() < 32:
        pool.write_text(str(int(before) + 64))
    yield
    if pool.read_text() != before:
        pool.write_text(before)


def free_huge_pages() -> int:
    with open("/proc/meminfo") as lines:
        (line,) = (line for line in lines if line.startswith("HugePages_Free:"))
    return int(line.split()[1])


__all__ = ["Target", "descriptors", "eastwest", "free_huge_pages", "mappings"]
