"""The end: close, half close, abort, and what is left of a channel afterwards."""

import gc
import time

import pytest

import eastwest
from eastwest import ClosedHere, EndOfChannel, PeerLost
from tests.conformance import children
from tests.conformance.conftest import MakePair
from tests.conformance.pairs import (
    LONG,
    MIB,
    SOON,
    Pair,
    Task,
    Way,
    big,
    context,
    drained,
    fill,
    forget,
    is_receiving,
    is_sending,
    numbered,
    send_for_ever,
    wait_until,
)
from tests.conformance.processes import Child

CALLS = {
    "send": lambda end: end.send(b"x", timeout=1),
    "send_parts": lambda end: end.send_parts([b"x"], timeout=1),
    "send_many": lambda end: end.send_many([b"x"], timeout=1),
    "try_send": lambda end: end.try_send(b"x"),
    "recv": lambda end: end.recv(timeout=1),
    "recv_into": lambda end: end.recv_into(bytearray(9), timeout=1),
    "recv_many": lambda end: end.recv_many(timeout=1),
    "try_recv": lambda end: end.try_recv(),
    "next": lambda end: next(end),
    "flush": lambda end: end.flush(timeout=1),
    "send_eof": lambda end: end.send_eof(),
}
calls = pytest.mark.parametrize("call", CALLS)
receiving_calls = pytest.mark.parametrize("call", ["recv", "recv_into", "recv_many", "try_recv"])


# ------------------------------------------------------------------ close


def test_close_delivers_what_was_sent_then_the_end(both_ways: Pair) -> None:
    # catches: CLOSE that overtakes data, CLOSE that is never sent
    for number in range(100):
        both_ways.a.send(numbered(number, 1000), timeout=SOON)
    both_ways.a.close()
    assert [both_ways.b.recv(timeout=SOON) for _ in range(100)] == [
        numbered(number, 1000) for number in range(100)
    ]
    with pytest.raises(EndOfChannel) as raised:
        both_ways.b.recv(timeout=SOON)
    assert isinstance(raised.value, EOFError)


@receiving_calls
def test_the_end_stays_the_end(pair: Pair, call: str) -> None:
    # catches: an end that is told once, and a second recv that waits for ever
    pair.a.close()
    with pytest.raises(EndOfChannel):
        pair.b.recv(timeout=SOON)
    for _ in range(3):
        with pytest.raises(EndOfChannel):
            CALLS[call](pair.b)


def test_close_wakes_a_peer_that_waits_in_recv(both_ways: Pair) -> None:
    waiting = Task(lambda: both_ways.b.recv(timeout=LONG))
    wait_until(lambda: is_receiving(both_ways.b), "the receiver waits")
    began = time.monotonic()
    both_ways.a.close()
    assert isinstance(waiting.error(), EndOfChannel)
    assert waiting.ended_at - began < SOON


def test_sending_to_a_peer_that_closed_is_an_error(both_ways: Pair) -> None:
    both_ways.a.close()
    with pytest.raises(EndOfChannel):
        both_ways.b.recv(timeout=SOON)
    with pytest.raises(eastwest.ChannelEnded):
        both_ways.b.send(b"x", timeout=SOON)
    with pytest.raises(eastwest.ChannelEnded):
        both_ways.b.try_send(b"x")


def test_close_does_not_wait_for_the_peer_to_read(both_ways: Pair) -> None:
    # catches: close that waits for consumed instead of taken: it would use up its linger
    for number in range(50):
        both_ways.a.send(numbered(number, 1000), timeout=SOON)
    began = time.monotonic()
    both_ways.a.close(linger=LONG)
    assert time.monotonic() - began < SOON
    assert len(drained(both_ways.b)) == 50


def test_close_after_a_long_message_delivers_it(both_ways: Pair) -> None:
    receiver = Task(lambda: drained(both_ways.b))
    both_ways.a.send(big(8 * MIB), timeout=LONG)
    both_ways.a.close()
    assert receiver.result() == [big(8 * MIB)]


def test_close_is_idempotent(pair: Pair) -> None:
    for _ in range(3):
        pair.a.close()
    pair.a.abort()
    pair.a.close()
    with pytest.raises(EndOfChannel):
        pair.b.recv(timeout=SOON)


def test_both_may_close_at_the_same_time(make_pair: MakePair) -> None:
    # catches: two ends that each wait for the other one to read
    for _ in range(20):
        pair = make_pair()
        pair.a.send(b"unread", timeout=SOON)
        pair.b.send(b"unread", timeout=SOON)
        other = Task(pair.b.close)
        began = time.monotonic()
        pair.a.close()
        other.result(SOON)
        assert time.monotonic() - began < SOON


def test_both_may_close_one_after_the_other(both_ways: Pair) -> None:
    both_ways.a.send(b"unread", timeout=SOON)
    both_ways.a.close()
    both_ways.b.close()


def test_close_wakes_a_peer_that_is_blocked_in_send(both_ways: Pair) -> None:
    # catches: a closer that does not discard its input, a sender that waits for a dead reader
    fill(both_ways.b)
    blocked = Task(lambda: send_for_ever(both_ways.b))
    wait_until(lambda: is_sending(both_ways.b), "the peer waits in send")
    began = time.monotonic()
    both_ways.a.close()
    assert time.monotonic() - began < SOON
    assert isinstance(blocked.error(), eastwest.ChannelEnded)
    assert blocked.ended_at - began < SOON


def test_close_of_one_of_two_blocked_senders_ends_in_time(pair: Pair) -> None:
    # close may time out over a stream, because the peer holds nothing more; it may not hang
    fill(pair.a)
    fill(pair.b)
    blocked = Task(lambda: send_for_ever(pair.b))
    wait_until(blocked.is_asleep, "the peer waits in send")
    began = time.monotonic()
    try:
        pair.a.close(linger=1.0)
    except eastwest.Timeout:
        assert time.monotonic() - began >= 1.0
    assert time.monotonic() - began < 1.0 + SOON
    assert isinstance(blocked.error(), eastwest.ChannelEnded)


def test_nothing_is_lost_when_the_peer_reads_during_close(both_ways: Pair) -> None:
    count = fill(both_ways.a)
    closing = Task(lambda: both_ways.a.close(linger=LONG))
    assert drained(both_ways.b) == [numbered(number, 1000) for number in range(count)]
    closing.result()


# ------------------------------------------------------------------ half close


def test_after_send_eof_the_other_direction_goes_on(both_ways: Pair) -> None:
    # catches: EOF that is handled as CLOSE
    both_ways.a.send(b"last", timeout=SOON)
    both_ways.a.send_eof()
    assert drained(both_ways.b) == [b"last"]
    for number in range(500):
        both_ways.b.send(numbered(number, 100), timeout=SOON)
        assert both_ways.a.recv(timeout=SOON) == numbered(number, 100)
    both_ways.b.close()
    with pytest.raises(EndOfChannel):
        both_ways.a.recv(timeout=SOON)


def test_after_send_eof_a_long_message_still_comes_back(pair: Pair) -> None:
    # catches: a reader that no longer publishes what it took because it has nothing to send
    pair.a.send_eof()
    sender = Task(lambda: pair.b.send(big(8 * MIB), timeout=LONG))
    assert pair.a.recv(timeout=LONG) == big(8 * MIB)
    sender.result()
    assert pair.b.flush(timeout=SOON) is True


@pytest.mark.parametrize("call", ["send", "send_parts", "send_many", "try_send"])
def test_sending_after_send_eof_is_an_error(pair: Pair, call: str) -> None:
    pair.a.send_eof()
    with pytest.raises(ClosedHere):
        CALLS[call](pair.a)
    assert drained(pair.b) == []


def test_send_eof_fits_into_a_full_ring(both_ways: Pair) -> None:
    # catches: no room kept for EOF
    count = fill(both_ways.a)
    began = time.monotonic()
    both_ways.a.send_eof()
    assert time.monotonic() - began < SOON
    assert len(drained(both_ways.b)) == count


def test_both_may_send_eof_and_then_close(pair: Pair) -> None:
    pair.a.send_eof()
    pair.b.send_eof()
    assert drained(pair.a) == drained(pair.b) == []
    pair.a.close()
    pair.b.close()


# ------------------------------------------------------------------ abort


def test_abort_shows_as_a_lost_peer(both_ways: Pair) -> None:
    # catches: abort that says CLOSE
    both_ways.a.send(b"committed", timeout=SOON)
    both_ways.a.abort()
    with pytest.raises(PeerLost) as raised:
        for _ in range(2):
            assert both_ways.b.recv(timeout=LONG) == b"committed"
    assert isinstance(raised.value, ConnectionError)


@pytest.mark.parametrize("call", ["send", "recv"])
def test_abort_wakes_a_peer_that_waits(both_ways: Pair, call: str) -> None:
    if call == "send":
        fill(both_ways.b)
        waiting = Task(lambda: send_for_ever(both_ways.b))
    else:
        waiting = Task(lambda: [both_ways.b.recv(timeout=LONG)])
    wait_until(waiting.is_asleep, "the peer waits")
    began = time.monotonic()
    both_ways.a.abort()
    assert isinstance(waiting.error(), PeerLost)
    assert waiting.ended_at - began < SOON


def test_abort_is_idempotent_and_close_after_it_is_quiet(pair: Pair) -> None:
    pair.a.abort()
    pair.a.abort()
    pair.a.close()


def test_a_with_block_closes(both_ways: Pair) -> None:
    with both_ways.a as end:
        end.send(b"sent", timeout=SOON)
    assert drained(both_ways.b) == [b"sent"]


def test_a_with_block_left_by_an_exception_aborts(both_ways: Pair) -> None:
    # catches: __exit__ that closes always: the peer would take half of the work for all of it
    with pytest.raises(RuntimeError, match="mine"), both_ways.a:
        raise RuntimeError("mine")
    with pytest.raises(PeerLost):
        both_ways.b.recv(timeout=SOON)


# ------------------------------------------------------------------ afterwards


@calls
@pytest.mark.parametrize("how", ["close", "abort"])
def test_use_after_the_end_here_is_an_error_of_its_own(pair: Pair, how: str, call: str) -> None:
    pair.b.send(b"unread", timeout=SOON)
    getattr(pair.a, how)()
    with pytest.raises(ClosedHere):
        CALLS[call](pair.a)


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("call", ["send", "recv", "flush"])
def test_the_end_here_wakes_our_own_threads(pair: Pair, how: str, call: str) -> None:
    # catches: a waiter that only the peer can wake
    if call != "recv":
        fill(pair.a)
    work = {
        "send": lambda: pair.a.send(bytes(1000), timeout=LONG),
        "recv": lambda: pair.a.recv(timeout=LONG),
        "flush": lambda: pair.a.flush(timeout=LONG),
    }[call]
    waiting = [Task(work) for _ in range(3)]  # one at the bell, the others behind it
    wait_until(lambda: all(each.is_asleep() for each in waiting), "they wait")
    began = time.monotonic()
    try:
        pair.a.abort() if how == "abort" else pair.a.close(linger=0.5)
    except eastwest.Timeout:
        assert call != "recv"  # else the ring is full, and over a stream the peer holds no more
    for each in waiting:
        assert isinstance(each.error(), ClosedHere)
        assert each.ended_at - began < SOON + 0.5


@pytest.mark.parametrize("how", ["close", "abort"])
def test_facts_can_be_asked_for_after_the_end(pair: Pair, how: str) -> None:
    path = pair.a.path
    getattr(pair.a, how)()
    assert (pair.a.service, pair.a.path) == ("contract", path)
    assert repr(pair.a)
    assert str(pair.a.explain())
    pair.a.stats()


def test_a_channel_that_nobody_refers_to_is_lost_to_the_peer(way: Way) -> None:
    # catches: a context that keeps its channels alive for ever
    there = context(way.serving)
    with there.listen("contract") as listener:
        here = context(way.dialling(listener))
        channel = here.connect("contract", timeout=LONG)
        other = listener.accept(timeout=LONG)
    del channel
    gc.collect()
    with pytest.raises(eastwest.ChannelEnded):
        other.recv(timeout=SOON)
    forget(here)
    forget(there)


def test_closing_a_context_closes_its_channels(both_ways: Pair) -> None:
    both_ways.a.send(b"sent", timeout=SOON)
    both_ways.contexts[0].close()
    assert drained(both_ways.b) == [b"sent"]
    with pytest.raises(ClosedHere):
        both_ways.a.send(b"x", timeout=SOON)


def test_closing_a_listener_leaves_its_channels_alone(way: Way) -> None:
    there = context(way.serving)
    listener = there.listen("contract")
    here = context(way.dialling(listener))
    a, b = here.connect("contract", timeout=LONG), listener.accept(timeout=LONG)
    listener.close()
    a.send(b"still here", timeout=SOON)
    assert b.recv(timeout=SOON) == b"still here"
    forget(here)
    forget(there)


def test_the_end_of_a_program_delivers_what_it_sent(way: Way) -> None:
    # catches: an interpreter that ends without close: the peer would see PeerLost
    there = context(way.serving)
    listener = there.listen("contract")
    with Child(children.send_and_return, way.dialling(listener)) as child:
        channel = listener.accept(timeout=LONG)
        assert drained(channel) == [numbered(number, 100) for number in range(200)]
        assert child.wait() == 0
    forget(there)
