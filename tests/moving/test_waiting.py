"""What waits for a channel whose link is gone, or is being replaced: an event loop, a switch."""

import select
import socket
import time

import pytest

import eastwest
from tests.conformance.pairs import LONG
from tests.moving.through import through

QUIET_SECONDS, QUIET_ROUNDS, QUIET_WINDOWS = 0.5, 200, 6


def rounds_of(channel: eastwest.Channel, poller: select.poll) -> int:
    """Return how often a loop of the program goes round in a while in which nothing comes."""
    rounds, end = 0, time.monotonic() + QUIET_SECONDS
    while (left := end - time.monotonic()) > 0:
        assert channel.try_recv() is None
        if not channel.arm():
            poller.poll(left * 1000)
        rounds += 1
    return rounds


def test_the_descriptor_of_a_lost_link_is_quiet() -> None:
    # catches: an end of file that stays in the set of fileno(): a loop that spins all the time
    with through() as (opened, accepted, cutter):
        poller = select.poll()
        poller.register(opened.fileno(), select.POLLIN)
        cutter.refuse()
        cutter.cut()
        # until the loss is noticed, by a thread that others may keep from running, it is not quiet
        assert any(rounds_of(opened, poller) < QUIET_ROUNDS for _ in range(QUIET_WINDOWS))
        cutter.refuse(False)
        accepted.send(b"back", timeout=LONG)
        while (message := opened.try_recv()) is None:
            if not opened.arm():
                assert poller.poll(LONG * 1000)
        assert message == b"back"
        opened.send(b"there")
        assert accepted.recv(timeout=LONG) == b"there"
        accepted.send(b"again")
        while (message := opened.try_recv()) is None:
            if not opened.arm():
                assert poller.poll(LONG * 1000)
        assert message == b"again"


def test_the_grace_time_ends_while_a_dial_waits_for_its_answer() -> None:
    # catches: a dial that is waited for, seconds after the grace time
    with socket.create_server(("127.0.0.1", 0)) as silent, through(grace=0.4) as ends:
        opened, _, cutter = ends
        cutter.redirect(silent.getsockname())
        began = time.monotonic()
        cutter.cut()
        with pytest.raises(eastwest.PeerLost):
            opened.recv(timeout=LONG)
        assert time.monotonic() - began < 1.5
