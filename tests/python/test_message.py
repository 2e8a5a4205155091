"""eastwest._message: arguments, buffers, the GIL and signals, over shared memory.

What a channel promises on every path is tested in tests/conformance; here it is what the extension
adds. The signal tests run in their own processes when the main thread must be the only one.
"""

import os
import re
import resource
import time
import tracemalloc
from array import array
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import eastwest
from eastwest import _message
from tests.python.message_pairs import SOON, Pair, connected, later, run_alone

# ------------------------------------------------------------------ buffers


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"x",
        b"abcdef",
        bytearray(b"abcdef"),
        memoryview(b"abcdef")[2:4],
        array("I", [1, 2, 3]),
        memoryview(bytes(24)).cast("B", (2, 3, 4)),
        bytes(100_000),
    ],
    ids=["empty", "byte", "bytes", "bytearray", "slice", "array", "3d", "long"],
)
def test_send_takes_any_contiguous_buffer(pair: Pair, message: Any) -> None:
    pair.near.send(message)
    assert pair.far.recv(timeout=5) == bytes(message)


def test_send_refuses_what_is_not_contiguous(pair: Pair) -> None:
    with pytest.raises(ValueError, match="not contiguous"):
        pair.near.send(memoryview(b"abcdef")[::2])
    with pytest.raises(ValueError, match="not contiguous"):
        pair.near.send_many([b"fine", memoryview(b"abcdef")[::2]])
    assert pair.far.try_recv() is None


@pytest.mark.parametrize("message", ["text", 7, None, [b"list"]], ids=repr)
def test_send_refuses_what_is_no_buffer(pair: Pair, message: Any) -> None:
    for call in (pair.near.send, pair.near.try_send):
        with pytest.raises(TypeError, match="bytes-like"):
            call(message)


def test_send_parts_joins_nothing(pair: Pair) -> None:
    # catches: parts that are put together in memory of their own before they are sent
    parts = [bytes([number]) * 1000 for number in range(100)]
    pair.near.send_parts(parts)  # what is made once is made
    pair.far.recv()
    tracemalloc.start()
    try:
        pair.near.send_parts(parts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000, "of 100,000 bytes"
    assert pair.far.recv() == b"".join(parts)


def test_send_parts_gathers_more_parts_than_fit_inline(pair: Pair) -> None:
    parts: list[Any] = [b"ab", bytearray(b"c"), memoryview(b"def")] * 100
    pair.near.send_parts(parts)
    pair.near.send_parts(iter([b"any ", b"iterable"]))  # type: ignore[arg-type]
    pair.near.send_parts([])
    assert pair.far.recv_many() == [b"abcdef" * 100, b"any iterable", b""]


def test_send_many_releases_every_buffer(pair: Pair) -> None:
    """Break: no PyBuffer_Release in ewi_message_batch_close."""
    held = [bytearray(b"x") for _ in range(40)]
    assert pair.near.send_many(held) == 40
    with pytest.raises(TypeError):
        pair.near.send_many([*held, 1])  # type: ignore[list-item]
    with pytest.raises(eastwest.MessageTooLong):
        pair.near.send_parts([bytearray(64 << 20), held[0]])
    for each in held:
        each.append(0)  # BufferError while a buffer of it is exported


def test_send_many_sends_what_fits_and_says_how_many(pair: Pair) -> None:
    messages = [bytes(4096)] * 200
    sent = pair.near.send_many(messages)
    assert 10 < sent < 200
    with pytest.raises(eastwest.Timeout):
        pair.near.send_many(messages, timeout=0)
    received = 0
    while pair.far.try_recv() is not None:
        received += 1
    assert received == sent


def test_send_many_of_nothing_does_nothing(pair: Pair) -> None:
    pair.fill()
    assert pair.near.send_many([], timeout=0) == 0


def test_send_refuses_a_message_longer_than_the_peer_takes(pair: Pair) -> None:
    limit = pair.near.message_bytes_max
    with pytest.raises(eastwest.MessageTooLong, match=f"{limit + 1}.*{limit}"):
        pair.near.send(bytes(limit + 1))
    pair.near.send(b"still fine")
    assert pair.far.recv() == b"still fine"


# ------------------------------------------------------------------ receiving


def test_recv_into_fills_a_writable_buffer(pair: Pair) -> None:
    room = array("H", [0] * 4)
    pair.near.send(b"abcdef")
    assert pair.far.recv_into(room) == 6
    assert room.tobytes() == b"abcdef\0\0"


def test_recv_into_too_small_a_buffer_keeps_the_message(pair: Pair) -> None:
    pair.near.send(b"abcdef")
    with pytest.raises(ValueError, match=r"6.*5"):
        pair.far.recv_into(bytearray(5))
    assert pair.far.recv() == b"abcdef"


def test_recv_into_refuses_what_it_cannot_write(pair: Pair) -> None:
    pair.near.send(b"abcdef")
    with pytest.raises(TypeError, match="writable"):
        pair.far.recv_into(b"read-only")
    with pytest.raises(ValueError, match="not contiguous"):
        pair.far.recv_into(memoryview(bytearray(12))[::2])
    assert pair.far.recv() == b"abcdef"


def test_recv_many_takes_what_is_there_up_to_the_limit(pair: Pair) -> None:
    pair.near.send_many([b"%d" % i for i in range(100)])
    assert pair.far.recv_many(3) == [b"0", b"1", b"2"]
    assert pair.far.recv_many() == [b"%d" % i for i in range(3, 67)]
    assert pair.far.recv_many(limit=1000, timeout=1) == [b"%d" % i for i in range(67, 100)]
    with pytest.raises(eastwest.Timeout):
        pair.far.recv_many(timeout=0)


def test_recv_many_takes_a_long_message_alone(waiting: Pair) -> None:
    message = os.urandom(1_000_000)  # longer than the ring
    sender = later(lambda: waiting.near.send_many([message]), 0)
    assert waiting.far.recv_many(timeout=10) == [message]
    sender.join()
    waiting.near.send_many([b"short", b"shorter"])
    assert waiting.far.recv_many() == [b"short", b"shorter"]


@pytest.mark.parametrize("size", [31_000, 60_000, 70_000, 250_000, 5_000_000])
def test_long_messages_arrive_whole_by_every_call(waiting: Pair, size: int) -> None:
    message = os.urandom(size)
    room = bytearray(size)

    def send() -> None:
        waiting.near.send(message)
        waiting.near.send_parts([message[:1000], message[1000:]])
        waiting.near.send(message)

    sender = later(send, 0)
    assert waiting.far.recv(timeout=20) == message
    assert next(waiting.far) == message
    assert waiting.far.recv_into(room, timeout=20) == size
    assert room == message
    sender.join()


def test_a_long_message_goes_straight_into_the_buffer(runtime_dir: Path) -> None:
    """Break: waits in slices, each of which may end in the middle of a message."""
    size = 32 << 20
    with connected() as pair:
        message, room = b"x" * size, bytearray(size)

        def send_with_a_rest() -> None:
            assert not pair.near._send_step(message, False)
            time.sleep(0.2)  # longer than some slices
            while not pair.near._send_step(message, False):
                pass

        sender = later(send_with_a_rest, 0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        assert pair.far.recv_into(room, timeout=20) == size
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        sender.join()
        assert room == message
    assert faults < size // resource.getpagesize() // 4, "it was kept elsewhere first"


def test_try_recv_takes_a_long_message_in_the_end(pair: Pair) -> None:
    message = os.urandom(1_000_000)
    sender = later(lambda: pair.near.send(message), 0)
    until = time.monotonic() + 10
    while (got := pair.far.try_recv()) is None:
        assert time.monotonic() < until
    assert got == message
    sender.join()


def test_iteration_stops_at_the_end_and_raises_a_loss(runtime_dir: Path) -> None:
    """Break: StopIteration for every error."""
    with connected() as made:
        made.near.send_many([b"1", b"2"])
        made.near.send_eof()
        assert list(made.far) == [b"1", b"2"]
        with pytest.raises(eastwest.EndOfChannel):
            made.far.recv()
    with connected() as made:
        made.near.send(b"1")
        made.near.abort()
        assert next(made.far) == b"1"
        with pytest.raises(eastwest.PeerLost):
            next(made.far)


def test_message_survives_a_receive_without_memory(runtime_dir: Path) -> None:
    """Break: no ew_channel_recv_cancel when the bytes object cannot be made."""
    run_alone(
        """
        import resource
        size = 64 << 20
        with connected() as made:
            sender = later(lambda: made.near.send(bytes(size)), 0)
            while not _message.wait_readable(made.far.fileno(), 5):
                pass
            now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            soft, hard = resource.getrlimit(resource.RLIMIT_AS)
            for call in (made.far.recv, made.far.recv_many, made.far.try_recv):
                resource.setrlimit(resource.RLIMIT_AS, (now + (32 << 20), hard))
                try:
                    call()
                    raise SystemExit("there was memory")
                except MemoryError:
                    pass
                finally:
                    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            assert len(made.far.recv()) == size
            sender.join()
        """
    )


# ------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    "timeout", [-1, -1e-9, float("nan"), float("inf"), 1e300, 10**400], ids=str
)
def test_timeout_out_of_range_is_refused_with_its_value(pair: Pair, timeout: Any) -> None:
    calls: list[Callable[..., object]] = [
        pair.far.recv,
        pair.far.recv_many,
        pair.near.flush,
        lambda **kwargs: pair.near.send(b"", **kwargs),
        lambda **kwargs: pair.far.recv_into(bytearray(1), **kwargs),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=re.escape(f"timeout of {timeout}")):
            call(timeout=timeout)
    with pytest.raises(ValueError, match="timeout of"):
        _message.wait_readable(0, timeout)
    assert pair.far.try_recv() is None


@pytest.mark.parametrize("timeout", [None, 1, 1.5, True, Fraction(1, 3), 9e9], ids=repr)
def test_timeout_may_be_any_number(pair: Pair, timeout: Any) -> None:
    pair.near.send(b"x", timeout=timeout)
    assert pair.far.recv(timeout=timeout) == b"x"


def test_timeout_must_be_a_number(pair: Pair) -> None:
    with pytest.raises(TypeError, match="number of seconds or None"):
        pair.far.recv(timeout="1")  # type: ignore[arg-type]


def test_timeout_zero_raises_at_once_and_says_so(pair: Pair) -> None:
    with pytest.raises(eastwest.Timeout, match=r"recv: no message within 0\.0 s"):
        pair.far.recv(timeout=0)
    pair.fill()
    with pytest.raises(eastwest.Timeout, match=r"send: no room within 0\.0 s"):
        pair.near.send(bytes(4096), timeout=0)


def test_timeout_passes_before_it_raises(waiting: Pair) -> None:
    waiting.fill()
    calls: list[Callable[[], object]] = [
        lambda: waiting.near.recv(timeout=0.12),
        lambda: waiting.near.recv_many(timeout=0.12),
        lambda: waiting.near.recv_into(bytearray(1), timeout=0.12),
        lambda: waiting.near.send(bytes(4096), timeout=0.12),
        lambda: waiting.near.send(bytes(1 << 20), timeout=0.12),
        lambda: waiting.near.send_many([bytes(4096)], timeout=0.12),
        lambda: waiting.near.send_parts([bytes(4096)], timeout=0.12),
    ]
    for call in calls:
        start = time.monotonic()
        with pytest.raises(eastwest.Timeout, match=r"within 0\.12 s"):
            call()
        assert 0.119 < time.monotonic() - start < 0.12 + SOON


@pytest.mark.parametrize(
    ("arguments", "named", "text"),
    [
        ((), {}, "needs 'message'"),
        ((b"", 1), {}, "at most 1 positional"),
        ((b"",), {"tmeout": 1}, "no argument 'tmeout'"),
        ((b"",), {"message": b""}, "'message' twice"),
    ],
    ids=["none", "two", "misspelt", "twice"],
)
def test_wrong_arguments_are_named(pair: Pair, arguments: Any, named: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        pair.near.send(*arguments, **named)


def test_arguments_may_be_passed_by_name(pair: Pair) -> None:
    pair.near.send(message=b"1", **{"".join(["time", "out"]): 1})  # a name that is not interned
    pair.near.send_parts(parts=[b"2"])
    pair.near.send_many(messages=[b"3"])
    assert pair.far.recv_into(buffer=bytearray(1)) == 1
    assert pair.far.recv_many(limit=2) == [b"2", b"3"]


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError)])
def test_recv_many_refuses_a_limit_below_one(pair: Pair, limit: Any, error: Any) -> None:
    with pytest.raises(error):
        pair.far.recv_many(limit)
