"""What waits for a channel whose link is gone, or is being replaced: an event loop, a switch."""

import select
import time

import pytest

import eastwest
from tests.conformance.pairs import LONG
from tests.moving.test_resume import through


def test_the_descriptor_of_a_lost_link_is_quiet() -> None:
    # catches: an end of file that stays in the set of fileno(): a loop that spins for the grace time
    with through() as (opened, accepted, cutter):
        poller = select.poll()
        poller.register(opened.fileno(), select.POLLIN)
        cutter.refuse()
        cutter.cut()
        rounds = 0
        end = time.monotonic() + 0.5
        while (left := end - time.monotonic()) > 0:
            assert opened.try_recv() is None
            if not opened.arm():
                poller.poll(left * 1000)
            rounds += 1
        assert rounds < 200
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
