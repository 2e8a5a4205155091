"""What an end that is gone still says: FINAL, on its last link and to a peer that comes back."""

import pytest

import eastwest
from eastwest import Channel
from tests.conformance.pairs import LONG, Task, numbered
from tests.moving.cutter import Cutter
from tests.moving.through import through

MESSAGES = 5


def say_hello(opened: Channel, accepted: Channel) -> None:
    opened.send(b"hello")
    assert accepted.recv(timeout=LONG) == b"hello"
    assert opened.flush(timeout=LONG)


def send_and_close_unheard(opened: Channel, accepted: Channel, cutter: Cutter) -> Task[None]:
    """The peer has all of it, and its ACK of that does not arrive."""
    say_hello(opened, accepted)
    cutter.mute()
    for number in range(MESSAGES):
        opened.send(numbered(number, 100))
    closer = Task(lambda: opened.close(linger=LONG))
    for number in range(MESSAGES):
        assert accepted.recv(timeout=LONG) == numbered(number, 100)
    with pytest.raises(eastwest.EndOfChannel):
        accepted.recv(timeout=LONG)
    assert not closer.ended_at
    return closer


def test_an_end_that_is_gone_tells_who_comes_back_that_it_had_everything() -> None:
    # catches: an ACK of CLOSE that dies with its link, and a close that never learns of it
    with through() as (opened, accepted, cutter):
        closer = send_and_close_unheard(opened, accepted, cutter)
        accepted.abort()
        cutter.mute(False)
        cutter.cut()
        closer.result()


def test_an_end_that_is_there_says_it_on_the_next_link() -> None:
    # catches: a link that is lost behind CLOSE and nobody makes another
    with through() as (opened, accepted, cutter):
        closer = send_and_close_unheard(opened, accepted, cutter)
        cutter.mute(False)
        cutter.cut()
        closer.result()
        assert accepted.stats().path_changes == 1


def test_close_says_when_the_peer_went_without_everything() -> None:
    # catches: a close that returns as if all were well because nobody is left to ask
    with through() as (opened, accepted, cutter):
        say_hello(opened, accepted)
        cutter.mute()
        opened.send(b"perhaps the peer gets this, perhaps not")
        accepted.abort()
        cutter.mute(False)
        cutter.cut()
        assert isinstance(Task(lambda: opened.close(linger=LONG)).error(), eastwest.PeerLost)


def test_an_end_that_closes_is_not_looked_for() -> None:
    # catches: a clean end that the peer takes for a lost link, and dials
    with through() as (opened, accepted, cutter):
        say_hello(opened, accepted)
        accepted.close(linger=LONG)
        with pytest.raises(eastwest.EndOfChannel):
            opened.recv(timeout=LONG)
        opened.close(linger=LONG)
        assert cutter.connections == 1
