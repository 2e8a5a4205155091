"""What arrives is what was sent: order, boundaries, every size, every form of send and recv."""

import array
import random

import numpy as np
import pytest

import eastwest
from tests.conformance.conftest import MakePair
from tests.conformance.pairs import KIB, LONG, MIB, SOON, Pair, Task, big, numbered

EDGES = [0, 1, 7, 8, 9, 63, 64, 65, 4087, 4088, 4096, 32752, 32760, 32768, 65519, 65520, 65528]
EDGES += [65536, 65544, 131072, 262136, 262144, 262152, MIB + 1]


def test_a_hundred_thousand_messages_arrive_in_order_and_once(both_ways: Pair) -> None:
    # catches: a ring that wraps one record early, a kick or an ACK lost (it would hang)
    sizes = random.Random(1).choices((8, 9, 15, 16, 64, 100, 1000, 3000), k=1000)
    count = 100_000

    def send() -> None:
        for number in range(count):
            both_ways.a.send(numbered(number, sizes[number % 1000]), timeout=LONG)

    sender = Task(send)
    for number in range(count):
        message = both_ways.b.recv(timeout=LONG)
        assert message == numbered(number, sizes[number % 1000]), number
    sender.result()
    assert both_ways.b.try_recv() is None


def test_every_small_length_keeps_its_boundary(pair: Pair) -> None:
    # catches: a length that is rounded up to the alignment of records
    lengths = range(2100)
    sender = Task(lambda: [pair.a.send(big(n, n), timeout=LONG) for n in lengths])
    assert [pair.b.recv(timeout=LONG) for _ in lengths] == [big(n, n) for n in lengths]
    sender.result()


@pytest.mark.parametrize("size", EDGES)
def test_a_length_at_an_edge_arrives_between_two_others(both_ways: Pair, size: int) -> None:
    # catches: < for <= where a message is split, and a fragment of no bytes at the end
    sent = [b"before", big(size), b"after"]
    sender = Task(lambda: [both_ways.a.send(each, timeout=LONG) for each in sent])
    assert [both_ways.b.recv(timeout=LONG) for _ in sent] == sent
    sender.result()


def test_random_sizes_arrive_in_a_random_order_of_calls(pair: Pair, rng: random.Random) -> None:
    # catches: state that one form of recv leaves and another one trips over
    sizes = [int(2 ** rng.uniform(0, 19.5)) - 1 for _ in range(300)]
    sent = [big(size, number) for number, size in enumerate(sizes)]
    sender = Task(lambda: [pair.a.send(each, timeout=LONG) for each in sent])
    got: list[bytes] = []
    buffer = bytearray(MIB)
    while len(got) < len(sent):
        form = rng.randrange(4)
        if form == 0:
            got.append(pair.b.recv(timeout=LONG))
        elif form == 1:
            got.append(bytes(buffer[: pair.b.recv_into(buffer, timeout=LONG)]))
        elif form == 2:
            got += pair.b.recv_many(rng.randrange(1, 9), timeout=LONG)
        elif (message := pair.b.try_recv()) is not None:
            got.append(message)
    assert got == sent
    sender.result()


def test_messages_of_no_bytes_are_counted(pair: Pair) -> None:
    # catches: a record of length 0 taken for "nothing is here"
    for _ in range(1000):
        pair.a.send(b"", timeout=LONG)
    pair.a.send(b"end", timeout=LONG)
    assert [pair.b.recv(timeout=LONG) for _ in range(1001)] == [b""] * 1000 + [b"end"]


def test_the_largest_message_arrives(pair: Pair) -> None:
    # catches: > for >= at the limit, a total in 32 bits
    assert pair.a.message_bytes_max == 64 * MIB
    message = big(64 * MIB)
    sender = Task(lambda: pair.a.send(message, timeout=LONG))
    assert pair.b.recv(timeout=LONG) == message
    sender.result()


def test_one_byte_more_than_the_largest_is_refused_with_both_numbers(both_ways: Pair) -> None:
    # catches: a limit that only the receiver checks (it would end the channel)
    with pytest.raises(eastwest.MessageTooLong, match=f"{64 * MIB + 1}.*{64 * MIB}") as raised:
        both_ways.a.send(bytes(64 * MIB + 1), timeout=SOON)
    assert isinstance(raised.value, ValueError)
    both_ways.a.send(b"unharmed", timeout=SOON)
    assert both_ways.b.recv(timeout=SOON) == b"unharmed"
    both_ways.b.send(b"as well", timeout=SOON)
    assert both_ways.a.recv(timeout=SOON) == b"as well"


def test_the_limit_is_the_one_of_the_peer(make_pair: MakePair) -> None:
    # catches: send that compares with the limit of its own context
    pair = make_pair(a={"message_bytes_max": 5000}, b={"message_bytes_max": 1000})
    assert (pair.a.message_bytes_max, pair.b.message_bytes_max) == (1000, 5000)
    with pytest.raises(eastwest.MessageTooLong, match=r"1001.*1000"):
        pair.a.send(bytes(1001), timeout=SOON)
    pair.a.send(bytes(1000), timeout=SOON)
    pair.b.send(bytes(5000), timeout=SOON)
    assert len(pair.b.recv(timeout=SOON)) == 1000
    assert len(pair.a.recv(timeout=SOON)) == 5000


@pytest.mark.parametrize("call", ["send", "try_send", "send_parts", "send_many"])
def test_every_form_of_send_obeys_the_limit(make_pair: MakePair, call: str) -> None:
    pair = make_pair(b={"message_bytes_max": 100})
    values = {"send": bytes(101), "try_send": bytes(101)}
    value = values.get(call, [bytes(50), bytes(51)] if call == "send_parts" else [bytes(101)])
    with pytest.raises(eastwest.MessageTooLong, match=r"101.*100"):
        getattr(pair.a, call)(value)
    assert pair.a.try_send(b"next")
    assert pair.b.recv(timeout=SOON) == b"next"


def test_longer_than_the_ring_arrives_in_both_directions_at_once(make_pair: MakePair) -> None:
    # catches: a sender of fragments that keeps its own receiving from going on
    pair = make_pair(a={"outbox_bytes": 16 * KIB}, b={"outbox_bytes": 16 * KIB})
    to_b, to_a = big(3 * MIB, 1), big(3 * MIB, 2)
    tasks = [
        Task(lambda: pair.a.send(to_b, timeout=LONG)),
        Task(lambda: pair.b.send(to_a, timeout=LONG)),
    ]
    other = Task(lambda: pair.a.recv(timeout=LONG))
    assert pair.b.recv(timeout=LONG) == to_b
    assert other.result() == to_a
    for task in tasks:
        task.result()


@pytest.mark.parametrize("outbox", [16 * KIB, 1 * MIB])
def test_any_ring_carries_mixed_sizes(make_pair: MakePair, outbox: int) -> None:
    # catches: a record limit that does not follow the size of the ring
    pair = make_pair(a={"outbox_bytes": outbox})
    sent = [big(size, size) for size in (0, 1, 2030, 2048, 2056, 16384, 20000, 100, 300_000, 3)]
    sender = Task(lambda: [pair.a.send(each, timeout=LONG) for each in sent])
    assert [pair.b.recv(timeout=LONG) for _ in sent] == sent
    sender.result()


# ------------------------------------------------------------------ what send takes


def test_the_buffer_may_be_changed_as_soon_as_send_returned(pair: Pair) -> None:
    buffer = bytearray(b"first" * 1000)
    pair.a.send(buffer, timeout=SOON)
    buffer[:] = b"other" * 1000
    assert pair.b.recv(timeout=SOON) == b"first" * 1000


def test_every_contiguous_buffer_is_sent_with_its_bytes(pair: Pair) -> None:
    # catches: the length in elements (iceoryx2#1533)
    numbers = array.array("I", range(1000))
    for message in (numbers, memoryview(numbers), bytearray(b"x"), memoryview(b"abcdef")[1:3]):
        pair.a.send(message, timeout=SOON)
        assert pair.b.recv(timeout=SOON) == memoryview(message).tobytes()


@pytest.mark.parametrize(
    "value", ["text", 7, None, memoryview(b"abcdef")[::2]], ids=lambda value: type(value).__name__
)
def test_what_is_no_contiguous_buffer_is_refused(pair: Pair, value: object) -> None:
    with pytest.raises((TypeError, ValueError, BufferError)):
        pair.a.send(value, timeout=SOON)  # type: ignore[arg-type]
    pair.a.send(b"next", timeout=SOON)
    assert pair.b.recv(timeout=SOON) == b"next"


@pytest.mark.parametrize(
    "parts",
    [[], [b""], [b"one"], [b"", b"a", b"", b"b", b""], [b"x"] * 5000, [big(MIB), b"t", big(MIB)]],
    ids=["none", "empty", "one", "with_empty_ones", "5000", "long"],
)
def test_send_parts_makes_one_message(pair: Pair, parts: list[bytes]) -> None:
    # catches: IOV_MAX, and parts that end in the middle of a fragment
    sender = Task(lambda: pair.a.send_parts(parts, timeout=LONG))
    assert pair.b.recv(timeout=LONG) == b"".join(parts)
    sender.result()
    assert pair.b.try_recv() is None


def test_send_many_sends_a_prefix_and_says_how_many(pair: Pair) -> None:
    # catches: a count that is not what the peer gets
    messages = [numbered(n, 2000) for n in range(1000)]  # more than any ring
    sent = 0

    def send() -> int:
        nonlocal sent
        while sent < len(messages):
            count = pair.a.send_many(messages[sent:], timeout=LONG)
            assert 1 <= count <= len(messages) - sent
            sent += count
        return sent

    sender = Task(send)
    assert [pair.b.recv(timeout=LONG) for _ in messages] == messages
    assert sender.result() == len(messages)
    assert pair.b.try_recv() is None


def test_send_many_of_few_sends_all(pair: Pair) -> None:
    assert pair.a.send_many([b"a", b"", b"c"], timeout=SOON) == 3
    assert [pair.b.recv(timeout=SOON) for _ in range(3)] == [b"a", b"", b"c"]


# ------------------------------------------------------------------ how recv gives


def test_recv_into_fills_the_front_and_nothing_behind(both_ways: Pair) -> None:
    # catches: a copy rounded up to the alignment of records
    buffer = bytearray(b"." * 20)
    both_ways.a.send(b"hello", timeout=SOON)
    assert both_ways.b.recv_into(buffer, timeout=SOON) == 5
    assert buffer == b"hello" + b"." * 15


@pytest.mark.parametrize("size", [10, 70_000, MIB])
def test_recv_into_of_a_small_buffer_says_both_sizes_and_keeps_the_message(
    pair: Pair, size: int
) -> None:
    # catches: fragments taken before the size was looked at
    message = big(size)
    sender = Task(lambda: pair.a.send(message, timeout=LONG))
    small = bytearray(size - 1)
    for _ in range(3):
        with pytest.raises(
            ValueError, match=rf"\b{size}\b.*\b{size - 1}\b|\b{size - 1}\b.*\b{size}\b"
        ):
            pair.b.recv_into(small, timeout=LONG)
    fits = bytearray(size)
    assert pair.b.recv_into(fits, timeout=LONG) == size
    assert fits == message
    sender.result()


def test_recv_into_counts_bytes_of_any_writable_buffer(pair: Pair) -> None:
    numbers = array.array("I", [0] * 4)
    pair.a.send(array.array("I", [1, 2, 3, 4]), timeout=SOON)
    assert pair.b.recv_into(numbers, timeout=SOON) == 16
    assert list(numbers) == [1, 2, 3, 4]


def test_recv_into_fills_numpy_arrays(both_ways: Pair) -> None:
    # catches: a buffer of several dimensions taken for its first one; a long message after another
    sent = np.arange(3 * 500 * 400, dtype=np.float64).reshape(3, 500, 400)
    sender = Task(lambda: [both_ways.a.send(sent + n, timeout=LONG) for n in range(4)])
    got = np.zeros_like(sent)
    for number in range(4):
        assert both_ways.b.recv_into(got, timeout=LONG) == sent.nbytes
        assert np.array_equal(got, sent + number)
    sender.result()


@pytest.mark.parametrize("size", [10, 30_000, 70_001, MIB + 3])
def test_recv_into_a_slice_leaves_its_neighbours_alone(pair: Pair, size: int) -> None:
    # catches: padding or the next header received behind the message, and an offset that is lost
    buffer = bytearray(b"." * (size + 200))
    sender = Task(lambda: [pair.a.send(big(size, n), timeout=LONG) for n in range(6)])
    for number in range(6):
        view = memoryview(buffer)[100 : 100 + size + number % 2]
        assert pair.b.recv_into(view, timeout=LONG) == size
        assert view[:size] == big(size, number)
        assert buffer[:100] == b"." * 100
        assert buffer[100 + size :] == b"." * 100
    sender.result()


def test_recv_into_that_timed_out_has_given_its_buffer_back(pair: Pair, rng: random.Random) -> None:
    # catches: a buffer that is still written when the call is over
    sent = [big(rng.randrange(20_000, 3 * MIB), number) for number in range(30)]
    sender = Task(lambda: [pair.a.send(each, timeout=LONG) for each in sent])
    left: list[tuple[bytearray, bytes]] = []  # and as it was then
    for message in sent:
        length = None
        while length is None:
            buffer = bytearray(3 * MIB)
            try:
                length = pair.b.recv_into(buffer, timeout=rng.uniform(0, 0.002))
            except eastwest.Timeout:
                left = [*left[-4:], (buffer, bytes(buffer))]
        assert buffer[:length] == message
        assert all(bytes(old) == then for old, then in left)
    sender.result()


def test_recv_into_a_read_only_buffer_is_refused_and_keeps_the_message(pair: Pair) -> None:
    pair.a.send(b"kept", timeout=SOON)
    with pytest.raises((TypeError, ValueError, BufferError)):
        pair.b.recv_into(b"read-only", timeout=SOON)
    assert pair.b.recv(timeout=SOON) == b"kept"


def test_recv_into_of_no_bytes_takes_an_empty_message(pair: Pair) -> None:
    pair.a.send(b"", timeout=SOON)
    assert pair.b.recv_into(bytearray(), timeout=SOON) == 0


def test_recv_many_takes_what_is_there_up_to_the_limit(pair: Pair) -> None:
    # catches: limit + 1, and waiting for the limit to be reached
    for number in range(10):
        pair.a.send(numbered(number, 100), timeout=SOON)
    got: list[bytes] = []
    while len(got) < 10:
        some = pair.b.recv_many(4, timeout=SOON)
        assert 1 <= len(some) <= 4
        got += some
    assert got == [numbered(number, 100) for number in range(10)]


def test_recv_many_of_long_messages_loses_none(pair: Pair) -> None:
    # catches: a second message begun, and not finished, when the call returns
    sent = [big(300_000, number) for number in range(20)]
    sender = Task(lambda: [pair.a.send(each, timeout=LONG) for each in sent])
    got: list[bytes] = []
    while len(got) < len(sent):
        got += pair.b.recv_many(timeout=LONG)
    assert got == sent
    sender.result()


def test_try_recv_does_not_wait_for_the_rest_of_a_long_message(pair: Pair) -> None:
    # catches: try_recv that waits once it has seen the first fragment
    message = big(8 * MIB)
    sender = Task(lambda: pair.a.send(message, timeout=LONG))
    got = None
    while got is None:
        got = pair.b.try_recv()
    assert got == message
    sender.result()


def test_iterating_gives_the_messages_until_the_peer_closes(both_ways: Pair) -> None:
    for number in range(100):
        both_ways.a.send(numbered(number, 50), timeout=SOON)
    both_ways.a.close()
    assert list(both_ways.b) == [numbered(number, 50) for number in range(100)]


def test_both_directions_carry_a_dialogue(pair: Pair) -> None:
    def echo() -> None:
        for message in pair.b:
            pair.b.send(b"ok " + message, timeout=LONG)

    echoing = Task(echo)
    for number in range(2000):
        pair.a.send(numbered(number, 64), timeout=LONG)
        assert pair.a.recv(timeout=LONG) == b"ok " + numbered(number, 64)
    pair.a.close()
    echoing.result()


def test_the_counters_count_whole_messages_and_their_bytes(pair: Pair) -> None:
    sizes = [0, 10, 100_000]
    sender = Task(lambda: [pair.a.send(bytes(size), timeout=LONG) for size in sizes])
    for _ in sizes:
        pair.b.recv(timeout=LONG)
    sender.result()
    sent, got = pair.a.stats(), pair.b.stats()
    assert (sent.messages_sent, sent.bytes_sent) == (3, 100_010)
    assert (got.messages_received, got.bytes_received) == (3, 100_010)
