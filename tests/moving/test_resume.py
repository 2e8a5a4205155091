"""A stream that is cut is dialled again, and nothing is lost, repeated or reordered."""

import random
import time

import pytest

import eastwest
from eastwest import PeerLost
from tests.conformance.pairs import LONG, Task, numbered, wait_until
from tests.crash.hostile import HELLO, REFUSE, RESUME, WELCOME, Stranger, hello
from tests.crash.proof import SECRET
from tests.moving.through import receive_all, send_all, through

HELLO_BYTES = 528  # docs/reference/wire.md
SIZES = random.Random(3)


def test_nothing_is_lost_while_the_stream_is_cut_again_and_again() -> None:
    # catches: START from `sent`; an inbox that is emptied; a run that goes on in the middle
    with through() as (opened, accepted, cutter):
        count = 3000
        work = [
            Task(lambda: send_all(opened, count)),
            Task(lambda: send_all(accepted, count)),
            Task(lambda: receive_all(opened, count)),
            Task(lambda: receive_all(accepted, count)),
        ]
        cuts = 0
        while not all(task.ended_at for task in work):
            seen = opened.stats().path_changes
            cuts += cutter.cut()
            wait_until(
                lambda seen=seen: (
                    opened.stats().path_changes > seen or all(task.ended_at for task in work)
                ),
                "it resumes",
            )
        for task in work:
            task.result()
        assert cuts >= 3
        assert opened.stats().changes[-1].reason == "the link was lost"
        assert opened.path == accepted.path == "tcp"


@pytest.mark.parametrize("at", [*range(0, 64, 8), *range(64, 2 * HELLO_BYTES + 256, 61)])
def test_a_resume_that_is_cut_at_any_byte_is_tried_again(at: int) -> None:
    # catches: a dial that is not in doubt after its hello; an acceptor that stays with a dead link
    with through(limits=[1 << 40, at]) as (opened, accepted, cutter):
        for number in range(20):
            opened.send(numbered(number, 100))
            accepted.send(numbered(number, 200))
        cutter.cut()
        for number in range(20):
            assert accepted.recv(timeout=LONG) == numbered(number, 100)
            assert opened.recv(timeout=LONG) == numbered(number, 200)
        opened.send(b"after", timeout=LONG)
        assert accepted.recv(timeout=LONG) == b"after"
        assert cutter.connections >= 3 if at else cutter.connections >= 2


def test_close_waits_for_the_peer_through_a_cut() -> None:
    # catches: a linger that ends with the link
    with through() as (opened, accepted, cutter):
        opened.send(b"first")
        assert accepted.recv(timeout=LONG) == b"first"
        cutter.refuse()
        cutter.cut()
        opened.send(b"last words")
        closing = Task(lambda: opened.close(linger=LONG))
        cutter.refuse(False)
        assert accepted.recv(timeout=LONG) == b"last words"
        with pytest.raises(eastwest.EndOfChannel):
            accepted.recv(timeout=LONG)
        closing.result()


def test_the_grace_time_ends_in_peer_lost_at_both_ends() -> None:
    with through(grace=0.3) as (opened, accepted, cutter):
        cutter.refuse()
        began = time.monotonic()
        cutter.cut()
        for channel in (opened, accepted):
            with pytest.raises(PeerLost):
                channel.recv(timeout=LONG)
        assert 0.2 < time.monotonic() - began < LONG / 2


def test_a_receive_meanwhile_times_out_and_the_channel_lives() -> None:
    with through() as (opened, accepted, cutter):
        cutter.refuse()
        cutter.cut()
        with pytest.raises(eastwest.Timeout):
            opened.recv(timeout=0.05)
        assert opened.try_recv() is None
        cutter.refuse(False)
        accepted.send(b"back", timeout=LONG)
        assert opened.recv(timeout=LONG) == b"back"


def test_a_sender_goes_on_into_its_ring_and_then_waits() -> None:
    with through() as (opened, accepted, cutter):
        cutter.refuse()
        cutter.cut()
        sent = 0
        with pytest.raises(eastwest.Timeout):
            for sent in range(100_000):
                opened.send(numbered(sent, 1000), timeout=0.05)
        assert sent > 100
        cutter.refuse(False)
        for number in range(sent):
            assert accepted.recv(timeout=LONG) == numbered(number, 1000)


def test_an_end_that_does_not_know_the_channel_ends_it_at_once() -> None:
    # catches: EW_ELOST of a refusal taken for something that passes
    with through(grace=LONG) as (opened, accepted, cutter):
        cutter.refuse()
        cutter.cut()
        accepted.abort()
        cutter.refuse(False)
        began = time.monotonic()
        with pytest.raises(PeerLost):
            opened.recv(timeout=LONG)
        assert time.monotonic() - began < LONG / 2


def test_an_abort_is_told_at_once() -> None:
    # catches: an abort without its last word: the peer would wait for the grace time
    for first in (0, 1):
        with through(grace=LONG) as ends:
            began = time.monotonic()
            ends[first].abort()
            with pytest.raises(PeerLost, match="aborted"):
                ends[1 - first].recv(timeout=LONG)
            assert time.monotonic() - began < LONG / 2


@pytest.mark.parametrize("generation", [1, 2, 1 << 63])
def test_a_stranger_without_the_secret_takes_nothing_over(generation: int) -> None:
    # catches: a RESUME believed without its MAC
    with through() as (opened, accepted, cutter):
        opened.send(b"before")
        channel_id = bytes.fromhex(opened.explain().facts["channel"])
        resume = hello(
            "tcp",
            service=b"cut",
            intent=RESUME,
            generation=generation,
            channel=channel_id,
            secret=bytes(16),
            mac=bytes(16),
        )
        stranger = Stranger(cutter.address)
        with stranger.socket:
            stranger.say(resume)
            answer = stranger.hears()
        assert answer
        assert answer[4] == REFUSE
        assert answer[4] != WELCOME
        assert b"not known" in answer
        opened.send(b"after")
        assert accepted.recv(timeout=LONG) == b"before"
        assert accepted.recv(timeout=LONG) == b"after"
        assert accepted.stats().path_changes == 0


def test_the_secret_crosses_once_and_never_again() -> None:
    # catches: a RESUME or a WELCOME with the channel's secret in it
    with through() as (opened, accepted, cutter):
        for number in range(3):
            opened.send(numbered(number, 100))
            assert accepted.recv(timeout=LONG) == numbered(number, 100)
            cutter.cut()
        opened.send(b"last")
        assert accepted.recv(timeout=LONG) == b"last"
        (hello_said, _), *_ = cutter.heard
        secret = hello_said[SECRET]
        assert any(secret)
        seen = [bytes(said) for pair in cutter.heard for said in pair]
        assert [each.count(secret) for each in seen] == [1, *(0 for _ in seen[1:])]
        resumes = [pair for pair in cutter.heard[1:] if len(pair[1]) >= HELLO_BYTES]
        assert len(resumes) >= 3
        for resume, welcome in resumes:
            assert (resume[4], resume[32], welcome[4]) == (HELLO, RESUME, WELCOME)
        assert not any(any(each[SECRET]) for each in seen[1:])
