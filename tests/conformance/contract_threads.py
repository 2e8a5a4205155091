"""Threads: any number may use a channel; each message is sent by one and received by one, whole."""

import random
import threading
import time
from collections import Counter

import pytest

import eastwest
from tests.conformance.pairs import (
    LONG,
    MIB,
    SOON,
    Pair,
    Task,
    big,
    drained,
    fill,
    is_receiving,
    is_sending,
    numbered,
    wait_until,
)


def _receive_all(channel: eastwest.Channel) -> list[bytes]:
    return drained(channel)


@pytest.mark.parametrize("sizes", [(8, 3000), (8, 300_000)], ids=["short", "long"])
def test_two_senders_and_two_receivers_keep_messages_whole_and_in_order(
    both_ways: Pair, sizes: tuple[int, int]
) -> None:
    # catches: fragments of two senders that mix, a lost wake-up of the second receiver
    count = 5000 if sizes[1] < 5000 else 150
    rng = random.Random(3)
    lengths = [rng.randint(*sizes) for _ in range(2 * count)]
    lock, order = threading.Lock(), [list[int]() for _ in range(2)]

    def send(first: int) -> None:
        for number in range(first, 2 * count, 2):
            both_ways.a.send(numbered(number, lengths[number]), timeout=LONG)

    def receive(which: int) -> None:
        while True:
            try:
                message = both_ways.b.recv(timeout=LONG)
            except eastwest.EndOfChannel:
                return
            number = int.from_bytes(message[:8], "little")
            assert message == numbered(number, lengths[number]), number
            with lock:
                order[which].append(number)

    receivers = [Task(lambda which=which: receive(which)) for which in range(2)]
    senders = [Task(lambda first=first: send(first)) for first in range(2)]
    for each in senders:
        each.result()
    both_ways.a.close()
    for each in receivers:
        each.result()
    assert Counter(order[0] + order[1]) == Counter(range(2 * count))
    for got in order:  # what one thread got of one sender is in the order of sending
        for parity in range(2):
            mine = [number for number in got if number % 2 == parity]
            assert mine == sorted(mine)


def test_every_waiting_receiver_gets_one_message(pair: Pair) -> None:
    # catches: one poller that takes all wake-ups (lost in 204 of 300 rounds, design section 4)
    for number in range(12):
        receivers = [Task(lambda: pair.b.recv(timeout=LONG)) for _ in range(4)]
        wait_until(lambda r=receivers: all(each.is_asleep() for each in r), "all wait")
        for each in range(4):
            pair.a.send(numbered(4 * number + each, 20), timeout=SOON)
        got = {each.result(SOON) for each in receivers}
        assert got == {numbered(4 * number + each, 20) for each in range(4)}


def test_the_counters_count_every_thread_that_waits(pair: Pair) -> None:
    receivers = [Task(lambda: pair.b.recv(timeout=LONG)) for _ in range(3)]
    wait_until(lambda r=receivers: all(each.is_asleep() for each in r), "all wait")
    waiting = pair.b.stats().recv_waiting
    pair.a.close()
    for each in receivers:
        assert isinstance(each.error(), eastwest.EndOfChannel)
    assert waiting == 3


def test_a_receiver_that_times_out_hands_over_to_the_next(pair: Pair) -> None:
    # catches: the one at the bell leaves, and nobody takes its place
    for number in range(5):
        first = Task(lambda: pair.b.recv(timeout=0.4))
        wait_until(
            lambda r=first: is_receiving(pair.b) or not r.thread.is_alive(), "the first waits"
        )
        second = Task(lambda: pair.b.recv(timeout=LONG))
        assert isinstance(first.error(), eastwest.Timeout)
        pair.a.send(numbered(number, 20), timeout=SOON)
        assert second.result(SOON) == numbered(number, 20)


def test_a_receiver_goes_on_when_the_sender_beside_it_gives_up(pair: Pair) -> None:
    # catches: ewi_waitroom_sleep that leaves the bell and tells nobody
    fill(pair.a)
    for number in range(5):
        sender = Task(lambda: pair.a.send(bytes(1000), timeout=0.1))
        wait_until(lambda: is_sending(pair.a), "the sender waits")
        receiver = Task(lambda: pair.a.recv(timeout=LONG))
        assert isinstance(sender.error(), eastwest.Timeout)
        pair.b.send(numbered(number, 20), timeout=SOON)
        assert receiver.result(SOON) == numbered(number, 20)


def test_a_sender_goes_on_when_the_receiver_beside_it_gives_up(pair: Pair) -> None:
    count = fill(pair.a)
    receiver = Task(lambda: pair.a.recv(timeout=0.1))
    wait_until(lambda: is_receiving(pair.a), "the receiver waits")
    sender = Task(lambda: pair.a.send(bytes(1000), timeout=LONG))
    assert isinstance(receiver.error(), eastwest.Timeout)
    for _ in range(count):
        pair.b.recv(timeout=SOON)
    sender.result(SOON)


def test_a_waiting_receiver_does_not_keep_others_from_trying(pair: Pair) -> None:
    waiting = Task(lambda: pair.b.recv(timeout=LONG))
    wait_until(lambda: is_receiving(pair.b), "one waits")
    began = time.monotonic()
    assert pair.b.try_recv() is None
    with pytest.raises(eastwest.Timeout):
        pair.b.recv(timeout=0.05)
    assert pair.b.try_send(b"the other way")
    assert time.monotonic() - began < SOON
    pair.a.send(b"one", timeout=SOON)
    assert waiting.result() == b"one"


def test_two_receivers_that_time_out_together_leave_the_channel_open(pair: Pair) -> None:
    # catches: a lock that is taken and reported as not taken, when the time is up as it gets free
    for number in range(300):
        receivers = [Task(lambda: pair.b.recv(timeout=0.002)) for _ in range(3)]
        for each in receivers:
            assert isinstance(each.error(SOON), eastwest.Timeout)
        pair.a.send(numbered(number, 20), timeout=SOON)
        assert pair.b.recv(timeout=SOON) == numbered(number, 20), number


def test_two_senders_that_time_out_together_leave_the_channel_open(pair: Pair) -> None:
    # catches: the same lock, on the other side
    count = fill(pair.a)
    for _ in range(300):
        senders = [Task(lambda: pair.a.send(bytes(1000), timeout=0.002)) for _ in range(3)]
        for each in senders:
            assert isinstance(each.error(SOON), eastwest.Timeout)
    for number in range(count):
        assert pair.b.recv(timeout=SOON) == numbered(number, 1000)
    pair.a.send(b"open", timeout=SOON)
    assert pair.b.recv(timeout=SOON) == b"open"


def test_a_long_send_that_waits_does_not_keep_others_beyond_their_timeout(pair: Pair) -> None:
    # catches: a sender's lock taken without looking at the timeout
    size = 24 * MIB  # more than both rings at their longest, and what lies between them
    blocked = Task(lambda: pair.a.send(big(size), timeout=LONG))
    wait_until(lambda: is_sending(pair.a), "the long one waits for room")
    began = time.monotonic()
    with pytest.raises(eastwest.Timeout):
        pair.a.send(b"short", timeout=0.1)
    assert pair.a.try_send(b"short") is False
    assert time.monotonic() - began < 0.1 + SOON
    assert pair.b.recv(timeout=LONG) == big(size)
    blocked.result()
    assert pair.b.try_recv() is None


def test_many_threads_with_every_form_of_call_lose_nothing(pair: Pair) -> None:
    count, threads = 400, 6
    got: list[bytes] = []

    def send(which: int) -> None:
        left = [numbered(which * count + each, 40 + each) for each in range(count)]
        while left:
            form = len(left) % 4
            if form == 0:
                del left[: pair.a.send_many(left[:7], timeout=LONG)]
            elif form == 1:
                pair.a.send_parts([left[0][:11], left[0][11:]], timeout=LONG)
                del left[0]
            elif form == 2:
                pair.a.send(left[0], timeout=LONG)
                del left[0]
            elif pair.a.try_send(left[0]):
                del left[0]

    def receive(form: int) -> None:
        buffer = bytearray(1000)
        while True:
            try:
                if form == 0:
                    got.append(pair.b.recv(timeout=LONG))
                elif form == 1:
                    got.extend(pair.b.recv_many(3, timeout=LONG))
                elif form == 2:
                    got.append(bytes(buffer[: pair.b.recv_into(buffer, timeout=LONG)]))
                elif (message := pair.b.try_recv()) is not None:
                    got.append(message)
                else:
                    time.sleep(0.001)
            except eastwest.EndOfChannel:
                return

    receivers = [Task(lambda form=form: receive(form)) for form in range(4)]
    senders = [Task(lambda which=which: send(which)) for which in range(threads)]
    for each in senders:
        each.result()
    pair.a.close()
    for each in receivers:
        each.result()
    assert Counter(got) == Counter(
        numbered(which * count + each, 40 + each)
        for which in range(threads)
        for each in range(count)
    )


def test_a_thread_that_computes_does_not_stop_a_waiting_one_from_being_woken(pair: Pair) -> None:
    # catches: a wait that holds the GIL (iceoryx2#1421): the other thread would never send
    waiting = Task(lambda: pair.b.recv(timeout=LONG))
    wait_until(lambda: is_receiving(pair.b), "one waits")
    assert sum(range(1000)) == 499_500  # this line runs, so the waiter does not hold the GIL
    pair.a.send(b"x", timeout=SOON)
    assert waiting.result(SOON) == b"x"


@pytest.mark.parametrize("how", ["close", "abort"])
def test_ending_a_channel_under_load_breaks_nothing_but_the_channel(pair: Pair, how: str) -> None:
    # catches: memory freed while a thread is still in a call
    def churn(work: object) -> None:
        while True:
            work()  # type: ignore[operator]

    def flush_and_try(end: eastwest.Channel) -> None:
        end.flush(timeout=0.01)  # true at once when all was received, also after the end
        end.try_send(b"x")

    ends = (pair.a, pair.b)
    tasks = [Task(lambda end=end: churn(lambda: end.send(bytes(2000)))) for end in ends]
    tasks += [Task(lambda end=end: churn(lambda: end.recv(timeout=LONG))) for end in ends]
    tasks += [Task(lambda end=end: churn(end.try_recv)) for end in ends]
    tasks += [Task(lambda end=end: churn(lambda: flush_and_try(end))) for end in ends]
    wait_until(lambda: pair.b.stats().messages_received > 1000, "it is under load")
    getattr(pair.a, how)()
    for each in tasks:
        assert isinstance(each.error(), eastwest.ChannelEnded)
