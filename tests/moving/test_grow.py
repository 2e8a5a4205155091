"""A stream over a long way gets more memory, on one that is short, or capped, it does not.

The way is a proxy that delays; what is asserted is what grew and that no byte was lost, not when.
"""

import itertools
import random
import threading
from contextlib import AbstractContextManager
from typing import Any

import pytest

from eastwest import Channel, EndOfChannel
from tests.conformance.pairs import LONG, Task, numbered, wait_until
from tests.moving.cutter import Cutter
from tests.moving.through import receive_all, send_all, through

KIB = 1024
START = 64 * KIB
CAP = 512 * KIB
DELAY = 0.02  # seconds, in each direction
MESSAGES = 8 * CAP // 10_000  # enough for each step, at one inbox in a round trip


SIZES = (8, 1000, 9_000, 40_000)


def far(delay: float, **settings: Any) -> AbstractContextManager[tuple[Channel, Channel, Cutter]]:
    """Two ends with so much delay between them: the opener's, the acceptor's."""
    memory = {"outbox_bytes": START, "inbox_bytes": START, "stream_bytes_max": CAP}
    return through(delay=delay, **memory | settings)


def sizes_of(channel: Channel) -> tuple[int, int]:
    facts = channel.explain().facts
    return facts["outbox_bytes"], facts["inbox_bytes"]


def test_both_ends_grow_to_the_cap_over_a_long_way() -> None:
    # catches: a rule that never asks; an end that waits for the other
    with far(DELAY) as (opened, accepted, _):
        assert sizes_of(opened) == (START, START)
        enough = threading.Event()

        def send() -> int:
            for number in itertools.count():
                if enough.is_set():
                    opened.send_eof()
                    return number
                opened.send(numbered(number, 10_000), timeout=LONG)
            raise AssertionError

        sending = Task(send)
        for number in itertools.count():
            try:
                assert accepted.recv(timeout=LONG) == numbered(number, 10_000)
            except EndOfChannel:
                break
            if sizes_of(opened) == (CAP, START) and sizes_of(accepted) == (START, CAP):
                enough.set()
            assert number < 20 * MESSAGES, "it does not grow"
        assert sending.result() == number
        assert (
            opened.explain().facts["grown"] == "the outbox was doubled 3 times, the inbox 0 times"
        )
        assert (
            accepted.explain().facts["grown"] == "the outbox was doubled 0 times, the inbox 3 times"
        )


def test_with_the_cap_at_the_beginning_nothing_grows() -> None:
    with far(DELAY, stream_bytes_max=START) as (opened, accepted, _):
        sending = Task(lambda: send_all(opened, MESSAGES // 4, SIZES))
        receive_all(accepted, MESSAGES // 4, SIZES)
        sending.result()
        for channel in (opened, accepted):
            assert sizes_of(channel) == (START, START)
            assert not channel.explain().facts["grown"]


def test_little_at_a_time_does_not_grow() -> None:
    # catches: round trips, not what they carry; each PING and its answer delay nothing
    with far(DELAY) as (opened, accepted, _):
        for number in range(40):
            opened.send(numbered(number, 8000), timeout=LONG)
            assert accepted.recv(timeout=LONG) == numbered(number, 8000)
        assert sizes_of(opened) == sizes_of(accepted) == (START, START)


def test_a_receiver_that_is_slower_than_the_way_does_not_grow() -> None:
    # catches: a full inbox taken for a small one
    count, size = 150, 2000
    with far(DELAY / 4) as (opened, accepted, _):
        sending = Task(lambda: [opened.send(numbered(n, size), timeout=LONG) for n in range(count)])
        for number in range(count):
            wait_until(
                lambda: accepted.stats().unread_bytes > START * 3 // 4 or sending.ended_at > 0,
                "the inbox is full again",
            )
            assert accepted.recv(timeout=LONG) == numbered(number, size)
        sending.result()
        assert sizes_of(accepted) == (START, START)


@pytest.mark.parametrize("round_", range(2))
def test_nothing_is_lost_while_it_grows_and_is_cut(seed: int, round_: int) -> None:
    # catches: a start on the next link that is only in the old ring; a limit that a resume forgets
    chance = random.Random(seed + round_)
    with far(DELAY / 4, grace=LONG) as (opened, accepted, cutter):
        count = MESSAGES
        work = [
            Task(lambda: send_all(opened, count, SIZES)),
            Task(lambda: send_all(accepted, count, SIZES)),
            Task(lambda: receive_all(opened, count, SIZES)),
            Task(lambda: receive_all(accepted, count, SIZES)),
        ]
        cuts = 0
        while not all(task.ended_at for task in work):
            seen = opened.stats().position_taken
            further = chance.randrange(20, 300) * KIB
            wait_until(
                lambda seen=seen, further=further: (
                    opened.stats().position_taken > seen + further
                    or all(task.ended_at for task in work)
                ),
                "it goes on",
            )
            cuts += cutter.cut()
        for task in work:
            task.result()
        assert cuts >= 3
        for channel in (opened, accepted):
            assert sizes_of(channel) > (START, START), "it has grown"
