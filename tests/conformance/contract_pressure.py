"""Back-pressure and timeouts: a call happens whole or changes nothing."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

import eastwest
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
    is_asleep,
    is_sending,
    numbered,
    state,
    wait_until,
)
from tests.conformance.processes import Child


def test_send_into_a_full_ring_times_out_and_sends_nothing(both_ways: Pair) -> None:
    # catches: Timeout raised after the commit (the message would arrive as well)
    count = fill(both_ways.a)
    with pytest.raises(eastwest.Timeout) as raised:
        both_ways.a.send(b"never seen" * 100, timeout=0.05)
    assert isinstance(raised.value, TimeoutError)
    both_ways.a.send_eof()
    assert drained(both_ways.b) == [numbered(number, 1000) for number in range(count)]


def test_try_send_into_a_full_ring_is_false_and_sends_nothing(both_ways: Pair) -> None:
    count = fill(both_ways.a)
    assert both_ways.a.try_send(b"never seen" * 100) is False
    both_ways.a.send_eof()
    assert len(drained(both_ways.b)) == count


def test_send_many_into_a_full_ring_times_out_and_sends_nothing(pair: Pair) -> None:
    count = fill(pair.a)
    with pytest.raises(eastwest.Timeout):
        pair.a.send_many([b"never seen" * 100] * 3, timeout=0.05)
    pair.a.send_eof()
    assert len(drained(pair.b)) == count


def test_send_parts_into_a_full_ring_times_out_and_sends_nothing(pair: Pair) -> None:
    # catches: a send_parts that was given up and is not forgotten (send_cancel)
    count = fill(pair.a)
    parts = [b"never seen"] * 100
    for _ in range(3):
        with pytest.raises(eastwest.Timeout):
            pair.a.send_parts(parts, timeout=0.05)
    pair.a.send_eof()
    assert len(drained(pair.b)) == count


def test_what_a_sender_can_run_ahead_is_bounded(make_pair: MakePair) -> None:
    # catches: an inbox that grows, a limit that is never sent (both would take 64 MiB)
    pair = make_pair(a={"pages": "small"}, b={"pages": "small"})
    assert fill(pair.a) * 1000 <= 1 * MIB  # outbox 256 KiB, inbox 256 KiB, kernel buffers none


def test_send_goes_on_as_soon_as_there_is_room(both_ways: Pair) -> None:
    count = fill(both_ways.a)
    sender = Task(lambda: both_ways.a.send(numbered(count, 1000), timeout=LONG))
    wait_until(lambda: is_sending(both_ways.a), "the sender waits")
    for number in range(count + 1):
        assert both_ways.b.recv(timeout=LONG) == numbered(number, 1000)
    sender.result(SOON)


# ------------------------------------------------------------------ given up half way


def test_a_long_message_given_up_half_way_is_dropped_and_the_next_arrives(both_ways: Pair) -> None:
    # catches: no ABORT record, or no room kept for it
    for number in range(5):
        with pytest.raises(eastwest.Timeout):
            both_ways.a.send(big(4 * MIB, number), timeout=0.05)
    waiting = Task(lambda: both_ways.b.recv(timeout=LONG))
    both_ways.a.send(b"next", timeout=LONG)
    assert waiting.result() == b"next"
    assert both_ways.b.try_recv() is None


def test_receivers_in_the_middle_of_a_given_up_message_get_the_next(both_ways: Pair) -> None:
    # catches: the front of the dropped message left in the buffer of the next
    receivers = [Task(lambda: both_ways.b.recv(timeout=LONG)) for _ in range(2)]
    with pytest.raises(eastwest.Timeout):
        both_ways.a.send(big(60 * MIB), timeout=0.002)
    both_ways.a.send(b"one", timeout=LONG)
    both_ways.a.send(b"two", timeout=LONG)
    assert {each.result() for each in receivers} == {b"one", b"two"}


def test_nothing_of_a_given_up_message_shows_to_recv_into(pair: Pair) -> None:
    with pytest.raises(eastwest.Timeout):
        pair.a.send(big(4 * MIB), timeout=0.05)
    sender = Task(lambda: pair.a.send(b"next", timeout=LONG))
    buffer = bytearray(100)  # far too small for the message that was given up
    try:
        assert pair.b.recv_into(buffer, timeout=LONG) == 4
    except eastwest.MessageTooLong:  # on a stream its end is behind what the inbox holds
        assert buffer == bytes(100)
        assert pair.b.recv(timeout=LONG) == b"next"
    else:
        assert buffer[:4] == b"next"
    sender.result()


Receive = Callable[[eastwest.Channel, float], bytes]


def _recv(channel: eastwest.Channel, timeout: float) -> bytes:
    return channel.recv(timeout=timeout)


def _recv_into(channel: eastwest.Channel, timeout: float) -> bytes:
    buffer = bytearray(8 * MIB)
    return bytes(buffer[: channel.recv_into(buffer, timeout=timeout)])


def _recv_many(channel: eastwest.Channel, timeout: float) -> bytes:
    (message,) = channel.recv_many(1, timeout=timeout)
    return message


@pytest.mark.parametrize("first", [_recv, _recv_into, _recv_many])
@pytest.mark.parametrize("then", [_recv, _recv_into, _recv_many])
def test_recv_that_timed_out_half_way_keeps_the_message(
    way: Way, first: Receive, then: Receive
) -> None:
    # catches: the copied part of a message lost with the call that copied it
    there = context(way.serving)
    listener = there.listen("contract")
    with Child(children.send_on_demand, way.dialling(listener)) as child:
        channel = listener.accept(timeout=LONG)
        child.tell(5 * MIB)
        wait_until(lambda: channel.stats().unread_bytes > 0, "the first fragments are here")
        wait_until(lambda: is_asleep(child.pid), "the sender found the ring full")
        child.signal(children.STOP)
        wait_until(lambda: state(child.pid) == "T", "the sender is stopped")
        for _ in range(3):
            with pytest.raises(eastwest.Timeout):
                first(channel, 0.05)
        assert channel.try_recv() is None
        child.signal(children.CONT)
        assert then(channel, LONG) == big(5 * MIB)
        child.tell(100)
        assert channel.recv(timeout=LONG) == big(100)
    listener.close()
    forget(there)


# ------------------------------------------------------------------ both sides full


def blocked_sender(channel: eastwest.Channel) -> tuple[int, Task[None]]:
    """Return how many numbered messages were sent, and who waits in send with the last of them.

    Where room appears after all, on a busy machine, it is filled as well.
    """
    count = fill(channel)
    while True:
        sender = Task(lambda number=count: channel.send(numbered(number, 1000), timeout=LONG))
        count += 1
        wait_until(lambda task=sender: task.ended_at or is_sending(channel), "it sends")
        if not sender.ended_at:
            return count, sender


def test_with_both_sides_full_one_that_drains_gets_everything(pair: Pair) -> None:
    # catches: a receive that does not publish what it took while its own sender waits
    (size_a, sender_a), (size_b, sender_b) = blocked_sender(pair.a), blocked_sender(pair.b)
    wait_until(lambda: is_sending(pair.a) and is_sending(pair.b), "both wait in send")
    got = [pair.b.recv(timeout=LONG) for _ in range(size_a)]
    assert got == [numbered(number, 1000) for number in range(size_a)]
    sender_a.result()
    got = [pair.a.recv(timeout=LONG) for _ in range(size_b)]
    assert got == [numbered(number, 1000) for number in range(size_b)]
    sender_b.result()


def test_two_ends_that_only_try_do_not_stop_each_other(pair: Pair) -> None:
    # catches: what was taken published only every eighth of the ring: both rings full for ever
    def talk(channel: eastwest.Channel) -> int:
        got = 0
        for number in range(3000):
            while not channel.try_send(numbered(number, 900)):
                with suppress(eastwest.EndOfChannel):  # it may have sent all of its own
                    got += channel.try_recv() is not None
        channel.send_eof()
        return got + len(drained(channel))

    other = Task(lambda: talk(pair.b))
    assert Task(lambda: talk(pair.a)).result() == 3000
    assert other.result() == 3000


def test_explain_says_that_both_directions_are_full(pair: Pair) -> None:
    # catches: an explain that looks at one direction only
    ends = (pair.a, pair.b)
    senders = [
        fill(end) and Task(lambda end=end: end.send(bytes(999), timeout=LONG)) for end in ends
    ]
    wait_until(lambda: is_sending(pair.a) and is_sending(pair.b), "both wait in send")
    said = [str(end.explain()) for end in ends]
    pair.a.abort()
    for each in senders:
        assert isinstance(each.error(), eastwest.ChannelEnded)
    for text in said:
        assert "both directions are full" in text


def test_explain_of_a_channel_with_room_speaks_of_no_blockade(pair: Pair) -> None:
    assert "full" not in str(pair.a.explain())


# ------------------------------------------------------------------ time


@pytest.mark.parametrize("timeout", [0, 0.0, 0.05, 0.3])
def test_recv_times_out_in_time(pair: Pair, timeout: float) -> None:
    began = time.monotonic()
    with pytest.raises(eastwest.Timeout):
        pair.a.recv(timeout=timeout)
    assert timeout <= time.monotonic() - began < timeout + 0.5


@pytest.mark.parametrize("timeout", [0, 0.05, 0.3])
def test_send_times_out_in_time(pair: Pair, timeout: float) -> None:
    fill(pair.a)
    began = time.monotonic()
    with pytest.raises(eastwest.Timeout):
        pair.a.send(bytes(1000), timeout=timeout)
    assert timeout <= time.monotonic() - began < timeout + 0.5


@pytest.mark.parametrize("call", ["recv_into", "recv_many", "flush", "send_parts"])
def test_other_waits_time_out_in_time(pair: Pair, call: str) -> None:
    if call in ("flush", "send_parts"):
        fill(pair.a)
    arguments = {"recv_into": [bytearray(9)], "send_parts": [[bytes(1000)]]}.get(call, [])
    began = time.monotonic()
    if call == "flush":
        assert pair.a.flush(timeout=0.2) is False
    else:
        with pytest.raises(eastwest.Timeout):
            getattr(pair.a, call)(*arguments, timeout=0.2)
    assert 0.2 <= time.monotonic() - began < 0.7


@pytest.mark.parametrize("timeout", [1e300, float("inf"), float("nan"), -1.0])
def test_a_timeout_that_is_none_is_refused(pair: Pair, timeout: float) -> None:
    # catches: nanoseconds that overflow 63 bits and become "do not wait"
    pair.a.send(b"kept", timeout=SOON)
    with pytest.raises(ValueError, match="timeout"):
        pair.b.recv(timeout=timeout)
    assert pair.b.recv(timeout=SOON) == b"kept"


@pytest.mark.parametrize("timeout", [1e9, None])
def test_a_very_long_timeout_waits(pair: Pair, timeout: float | None) -> None:
    waiting = Task(lambda: pair.b.recv(timeout=timeout))
    wait_until(lambda: pair.b.stats().recv_waiting, "the receiver waits", SOON)
    pair.a.send(b"late", timeout=SOON)
    assert waiting.result() == b"late"


# ------------------------------------------------------------------ flush


def test_flush_is_true_once_the_peer_has_received(both_ways: Pair) -> None:
    # catches: flush that waits for taken (the peer's library), not consumed (its application)
    both_ways.a.send(b"one", timeout=SOON)
    both_ways.a.send(b"two", timeout=SOON)
    assert both_ways.a.flush(timeout=0.1) is False
    both_ways.b.recv(timeout=SOON)
    assert both_ways.a.flush(timeout=0.1) is False
    both_ways.b.recv(timeout=SOON)
    assert both_ways.a.flush(timeout=SOON) is True


def test_flush_of_nothing_is_true_at_once(pair: Pair) -> None:
    assert pair.a.flush(timeout=0) is True


def test_flush_waits_only_for_what_was_sent_before(pair: Pair) -> None:
    pair.a.send(b"before", timeout=SOON)
    flushing = Task(lambda: pair.a.flush(timeout=LONG))
    wait_until(flushing.is_asleep, "flush waits")
    pair.a.send(b"after", timeout=SOON)
    assert pair.b.recv(timeout=SOON) == b"before"
    assert flushing.result(SOON) is True
