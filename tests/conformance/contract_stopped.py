"""A peer whose process is stopped, for longer than the grace time, is not dead."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import eastwest
from eastwest import Channel
from tests.conformance import children
from tests.conformance.pairs import LONG, SOON, Way, context, forget, is_stopped, wait_until
from tests.conformance.processes import Child

GRACE = 0.2


@contextmanager
def opener(way: Way, folder: Path) -> Iterator[tuple[Channel, Child]]:
    """A channel whose other end, in a process of its own, has connected."""
    there = context(way.serving, grace=GRACE)
    with there.listen("contract") as listener:
        settings = {**way.dialling(listener), "grace": GRACE}
        with Child(children.connect_and_echo, settings) as child:
            yield listener.accept(timeout=LONG), child
    forget(there)


@contextmanager
def acceptor(way: Way, folder: Path) -> Iterator[tuple[Channel, Child]]:
    """The same, whose other end has accepted."""
    settings = {**way.serving, "grace": GRACE}
    with Child(children.accept_and_echo, settings, str(folder)) as child:
        (dialling,) = child.hears()
        here = context({**dialling, "grace": GRACE})
        yield here.connect("contract", timeout=LONG), child
        forget(here)


@pytest.mark.parametrize("peer", [opener, acceptor])
def test_a_peer_that_is_stopped_for_longer_than_the_grace_time_goes_on(
    way: Way, folder: Path, peer: Callable[[Way, Path], Any]
) -> None:
    # catches: a time limit taken for death, at either end, or by the stopped one when it wakes up
    # and finds how late it is
    with peer(way, folder) as (channel, child):
        channel.send(b"before", timeout=LONG)
        assert channel.recv(timeout=LONG) == b"before"
        child.signal(children.STOP)
        wait_until(lambda: is_stopped(child.pid), "every thread stands still")
        channel.send(b"kept for it", timeout=SOON)
        with pytest.raises(eastwest.Timeout):
            channel.recv(timeout=3 * GRACE)
        child.signal(children.CONT)
        assert channel.recv(timeout=LONG) == b"kept for it"
        channel.send(b"after", timeout=LONG)
        assert channel.recv(timeout=LONG) == b"after"
        assert channel.stats().path_changes == 0
