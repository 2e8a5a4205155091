"""eastwest._message: arguments, buffers, the GIL and signals, over shared memory.

What a channel promises on every path is tested in tests/conformance; here it is what the extension
adds. The signal tests run in their own processes when the main thread must be the only one.
"""

import contextlib
import gc
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest

import eastwest
from eastwest import _message
from eastwest._errors import from_code

SOON = 0.2  # the promise is 0.1; a busy machine gets twice that
Wait = Literal["adaptive", "block", "spin"]


@dataclass
class Pair:
    """Two ends of one channel in this process."""

    near: eastwest.Channel
    far: eastwest.Channel

    def fill(self) -> int:
        """Fill the ring from near to far; return how many messages of 4 KiB that took."""
        count = 0
        while self.near.try_send(bytes(4096)):
            count += 1
        return count


@contextlib.contextmanager
def connected(wait: Wait = "adaptive") -> Iterator[Pair]:
    config = eastwest.Config(  # small pages: a ring of 256 KiB
        runtime_dirs=(os.environ["EASTWEST_RUNTIME_DIR"],), wait=wait, pages="small"
    )
    with eastwest.Context(config) as context, context.listen("message") as listener:
        near = context.connect("message", timeout=10)
        far = listener.accept(timeout=10)
        try:
            yield Pair(near, far)
        finally:
            near.abort()
            far.abort()


@pytest.fixture
def pair(runtime_dir: Path) -> Iterator[Pair]:
    with connected() as made:
        yield made


@pytest.fixture(params=["adaptive", "block", "spin"])
def waiting(runtime_dir: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A pair of each wait policy."""
    with connected(request.param) as made:
        yield made


def later(call: Callable[[], object], delay: float = 0.05) -> threading.Thread:
    """Run a call in another thread, soon."""

    def run() -> None:
        time.sleep(delay)
        call()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


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


# ------------------------------------------------------------------ the GIL


def test_calls_that_need_not_wait_keep_the_gil(pair: Pair) -> None:
    """Break: Py_BEGIN_ALLOW_THREADS around the first try."""
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(100))

    before = sys.getswitchinterval()
    sys.setswitchinterval(0.5)  # who gives the GIL away gets it back after so long
    busy = threading.Thread(target=compute)
    busy.start()
    try:
        time.sleep(0.01)
        start = time.monotonic()
        for _ in range(100):
            pair.near.send(b"x")
            pair.near.try_send(b"x")
            pair.near.send_many([b"x"] * 3)
            pair.far.recv()
            pair.far.try_recv()
            pair.far.recv_many()
            pair.far.try_recv()
        taken = time.monotonic() - start
    finally:
        sys.setswitchinterval(before)
        stop.set()
        busy.join()
    assert taken < 0.4


def test_waiting_calls_let_other_threads_run(waiting: Pair) -> None:
    """Both waits end only if another thread of this process gets to act."""
    waiting.fill()
    drain = later(lambda: waiting.far.recv_many(1000))
    waiting.near.send(bytes(4096), timeout=10)
    drain.join()
    send = later(lambda: waiting.near.send(b"late"))
    while waiting.far.recv(timeout=10) != b"late":
        pass
    send.join()


def test_try_calls_do_not_wait_for_a_thread_that_waits(waiting: Pair) -> None:
    """Break: a lock of the channel taken with a limit above 0 while the GIL is held."""
    receiver = threading.Thread(target=lambda: waiting.far.recv(timeout=20))
    receiver.start()
    time.sleep(0.05)
    start = time.monotonic()
    for _ in range(100):
        assert waiting.far.try_recv() is None
    assert time.monotonic() - start < SOON
    waiting.near.send(b"end")
    receiver.join()


# ------------------------------------------------------------------ signals


class Bang(Exception):
    """Raised by the signal handler."""


@contextlib.contextmanager
def handling(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Handle SIGUSR1 (pytest-timeout has SIGALRM)."""
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


@contextlib.contextmanager
def signalled(every: float) -> Iterator[None]:
    """Send this process SIGUSR1 again and again."""
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(every):
            os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def bang() -> Iterator[list[set[signal.Signals]]]:
    """SIGUSR1 raises Bang; the list holds the mask that each handler ran with."""
    masks: list[set[signal.Signals]] = []

    def handler(number: int, frame: object) -> None:
        masks.append({*signal.pthread_sigmask(signal.SIG_BLOCK, [])})  # type: ignore[arg-type]
        raise Bang

    with handling(handler):
        yield masks


def interrupted(call: Callable[[], object]) -> None:
    """A handler that raises ends the call in time, and the mask is as before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    sent: list[float] = []

    def send() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGUSR1)

    sender = later(send)
    with pytest.raises(Bang):
        call()
    assert time.monotonic() - sent[0] < SOON
    sender.join()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_handler_that_raises_ends_every_wait(waiting: Pair, bang: list[Any]) -> None:
    near = waiting.near
    waiting.fill()
    calls: list[Callable[[], object]] = [
        near.recv,
        near.recv_many,
        lambda: near.recv(timeout=20),
        lambda: near.recv_into(bytearray(9)),
        lambda: next(near),
        lambda: near.send(bytes(4096)),
        lambda: near.send(bytes(1 << 20)),
        lambda: near.send_many([bytes(4096)]),
        lambda: near.send_parts([bytes(4096)] * 2),
        near.flush,
        lambda: _message.wait_readable(os.pipe()[0], None),
    ]
    for call in calls:
        interrupted(call)
    assert bang == [set()] * len(calls)  # handlers ran with the caller's own mask
    waiting.far.recv_many(1000)
    near.send(b"nothing is broken")
    assert waiting.far.recv() == b"nothing is broken"


def test_handler_that_returns_prolongs_nothing(waiting: Pair) -> None:
    hits: list[int] = []
    with handling(lambda number, frame: hits.append(number)), signalled(every=0.01):
        start = time.monotonic()
        with pytest.raises(eastwest.Timeout):
            waiting.far.recv(timeout=0.2)
        assert 0.199 < time.monotonic() - start < 0.2 + SOON
    assert len(hits) >= 3


@pytest.mark.parametrize("wait", ["adaptive", "block", "spin"])
@pytest.mark.parametrize("threads", [0, 1])
def test_signal_at_any_instant_ends_the_wait(runtime_dir: Path, wait: str, threads: int) -> None:
    """Breaks: no pthread_sigmask (adaptive and block, no thread); no slices (spin, a thread)."""
    run_alone(
        f"""
        import random
        class Bang(Exception): pass
        def handler(number, frame): raise Bang
        signal.signal(signal.SIGALRM, handler)
        stop = threading.Event()
        for _ in range({threads}):
            threading.Thread(target=stop.wait, daemon=True).start()
        slow = 0
        with connected("{wait}") as made:
            for _ in range(200):
                start = time.monotonic()
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 80e-6))
                    made.far.recv(timeout=2)
                except Bang:
                    pass
                slow = max(slow, time.monotonic() - start)
        stop.set()
        assert slow < {SOON}, slow
        """
    )


def test_signal_in_the_middle_of_a_long_send_sends_nothing(waiting: Pair, bang: list[Any]) -> None:
    """Break: no ew_channel_send_cancel after a handler raised."""
    interrupted(lambda: waiting.near.send(bytes(5_000_000)))
    send = later(lambda: waiting.near.send(b"next", timeout=10), 0)
    assert waiting.far.recv(timeout=10) == b"next"
    send.join()


def test_signal_in_the_middle_of_a_long_send_that_goes_on(waiting: Pair) -> None:
    """Break: a wait that begins the message anew after every signal never ends."""
    message = os.urandom(20_000_000)
    got: list[bytes] = []

    def receive() -> None:
        time.sleep(0.05)
        got.append(waiting.far.recv(timeout=60))

    with handling(lambda number, frame: None), signalled(every=0.001):
        receiver = later(receive, 0)
        waiting.near.send(message, timeout=60)
        receiver.join()
    assert got == [message]


def test_signal_in_the_middle_of_a_long_receive_keeps_the_message(
    waiting: Pair, bang: list[Any]
) -> None:
    message = os.urandom(1_000_000)
    half = message[:500_000]
    release = threading.Event()

    def send() -> None:
        release.wait(10)
        waiting.near.send_parts([half, message[500_000:]])

    sender = later(send, 0)
    timer = later(release.set, 0.1)
    interrupted(waiting.far.recv)
    timer.join()
    assert waiting.far.recv(timeout=10) == message
    sender.join()


def test_ctrl_c_ends_a_wait_beside_waiting_threads(runtime_dir: Path) -> None:
    run_alone(
        """
        with connected() as made:
            others = [threading.Thread(target=lambda: made.far.recv(timeout=5), daemon=True)
                      for _ in range(2)]
            for each in others:
                each.start()
            later(lambda: os.kill(os.getpid(), signal.SIGINT), 0.2)
            start = time.monotonic()
            try:
                made.far.recv()
                raise SystemExit("not interrupted")
            except KeyboardInterrupt:
                pass
            assert time.monotonic() - start < 0.2 + 0.2
            made.near.send_many([b"1", b"2"])
            for each in others:
                each.join(5)
        """
    )


# ------------------------------------------------------------------ life


def test_every_call_after_abort_says_closed_here(pair: Pair) -> None:
    pair.near.abort()
    pair.near.abort()
    calls: list[Callable[[], object]] = [
        lambda: pair.near.send(b""),
        lambda: pair.near.try_send(b""),
        lambda: pair.near.send_many([b""]),
        lambda: pair.near.send_parts([b""]),
        pair.near.recv,
        pair.near.try_recv,
        pair.near.recv_many,
        lambda: pair.near.recv_into(bytearray(1)),
        lambda: next(pair.near),
        pair.near.flush,
        pair.near.send_eof,
    ]
    for call in calls:
        with pytest.raises(eastwest.ClosedHere):
            call()


def test_abort_ends_the_waits_of_other_threads(waiting: Pair) -> None:
    ends: list[type[BaseException]] = []

    def wait() -> None:
        try:
            waiting.far.recv()
        except eastwest.ClosedHere as error:
            ends.append(type(error))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for each in threads:
        each.start()
    time.sleep(0.05)
    waiting.far.abort()
    for each in threads:
        each.join(5)
    assert ends == [eastwest.ClosedHere] * 3


def test_flush_waits_for_the_application(waiting: Pair) -> None:
    waiting.near.send(b"x")
    assert waiting.near.flush(timeout=0) is False
    assert waiting.near.flush(timeout=0.02) is False
    receiver = later(waiting.far.recv)
    assert waiting.near.flush(timeout=10) is True
    receiver.join()


def test_every_call_in_a_forked_child_says_so(runtime_dir: Path) -> None:
    """Break: a child that waits for the locks of threads that it does not have."""
    run_alone(
        """
        with connected() as made:
            waiter = threading.Thread(target=lambda: made.far.recv(timeout=20), daemon=True)
            waiter.start()
            time.sleep(0.05)
            child = os.fork()
            if child == 0:
                signal.alarm(10)
                calls = [made.far.recv, made.far.try_recv, made.far.recv_many, made.far.fileno,
                         lambda: made.far.send(b""), lambda: made.far.try_send(b""),
                         made.far.send_eof, made.far.flush, lambda: made.near.send_parts([b""]),
                         lambda: made.near.send_many([b""]), made.near.recv]
                for number, call in enumerate(calls):
                    try:
                        call()
                        os._exit(100 + number)
                    except eastwest.ForkedError:
                        pass
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status == 0, status
            made.near.send(b"the parent notices nothing")
            waiter.join(5)
            assert not waiter.is_alive()
        """
    )


def test_thread_that_forked_is_the_main_thread_of_the_child(runtime_dir: Path) -> None:
    """Break: no pthread_atfork handler: the child takes its thread for another one."""
    run_alone(
        """
        def child():
            class Bang(Exception): pass
            def handler(number, frame): raise Bang
            signal.signal(signal.SIGALRM, handler)
            with connected("spin") as made:
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                try:
                    made.far.recv(timeout=5)
                except Bang:
                    os._exit(0)
                except eastwest.Timeout:
                    os._exit(1)
        def fork():
            with connected("spin") as made:
                try:
                    made.far.recv(timeout=0.01)  # this thread is known not to be the main one
                except eastwest.Timeout:
                    pass
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                child()
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        codes = []
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
        assert codes == [0], codes
        """
    )


def test_port_is_freed_with_its_last_reference(runtime_dir: Path) -> None:
    """Break: no ew_channel_free in dealloc, or none for a subclass that is part of a cycle."""
    config = eastwest.Config(runtime_dirs=(str(runtime_dir),))
    with eastwest.Context(config) as context, context.listen("message") as listener:
        near: Any = context.connect("message", timeout=10)
        far = listener.accept(timeout=10)
        gone = weakref.ref(near)
        near.itself = near
        del near
        gc.collect()
        assert gone() is None
        with pytest.raises(eastwest.PeerLost):
            far.recv(timeout=5)
        far.abort()


@pytest.mark.parametrize(
    ("arguments", "error"), [((), TypeError), ((0,), ValueError), (("x",), TypeError)]
)
def test_port_refuses_what_is_no_address(arguments: Any, error: Any) -> None:
    with pytest.raises(error):
        _message.Port(*arguments)


def test_fileno_is_the_same_for_life_and_readable_when_there_is_something(pair: Pair) -> None:
    fd = pair.far.fileno()
    assert _message.wait_readable(fd, 0) is False
    pair.near.send(b"x")
    assert _message.wait_readable(fd, 5) is True
    assert pair.far.fileno() == fd


# ------------------------------------------------------------------ the module


def test_error_function_must_return_an_exception(pair: Pair) -> None:
    try:
        _message.set_error(lambda code, text: code)  # type: ignore[arg-type, return-value]
        with pytest.raises(TypeError, match="not an exception"):
            pair.far.recv(timeout=0)
    finally:
        _message.set_error(from_code)
    with pytest.raises(TypeError, match="not callable"):
        _message.set_error(1)  # type: ignore[arg-type]
    with pytest.raises(eastwest.Timeout):
        pair.far.recv(timeout=0)


def test_wait_readable_answers_and_refuses() -> None:
    reader, writer = os.pipe()
    assert _message.wait_readable(reader, 0) is False
    start = time.monotonic()
    assert _message.wait_readable(reader, 0.02) is False
    assert time.monotonic() - start >= 0.0199
    sender = later(lambda: os.write(writer, b"x"))
    assert _message.wait_readable(reader, None) is True
    sender.join()
    os.close(writer)
    os.read(reader, 1)
    assert _message.wait_readable(reader, None) is True  # at its end
    os.close(reader)
    with pytest.raises(OSError, match="Bad file descriptor"):
        _message.wait_readable(reader, None)
    with pytest.raises(TypeError):
        _message.wait_readable("x", None)  # type: ignore[arg-type]


def test_failing_calls_leak_nothing(pair: Pair) -> None:
    def fail() -> None:
        for call in (
            lambda: pair.near.send("x"),  # type: ignore[arg-type]
            lambda: pair.near.send(b"", timeout=-1),
            lambda: pair.near.send_many([bytearray(9)] * 40 + [1]),  # type: ignore[list-item]
            lambda: pair.far.recv(timeout=0),
            lambda: pair.far.recv_many(timeout=0),
            lambda: pair.far.recv_into(b""),
        ):
            with contextlib.suppress(TypeError, ValueError, eastwest.Timeout):
                call()

    def used() -> int:
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB

    for _ in range(500):
        fail()
    before = used()
    for _ in range(5000):
        fail()
    assert used() - before < 500


# ------------------------------------------------------------------ scripts


def run_alone(script: str) -> None:
    """Run a script with the helpers of this file, in a process whose main thread it has."""
    prologue = "from tests.python.test_message import *\nfrom eastwest import _message\n"
    done = subprocess.run(
        [sys.executable, "-c", prologue + textwrap.dedent(script)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
