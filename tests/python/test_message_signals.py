"""eastwest._message: the GIL and signals. Scripts run where the main thread is the only one."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import eastwest
from eastwest import _message
from tests.python.message_pairs import SOON, Pair, later, run_alone
from tests.python.threads import beside

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


def signalled(every: float) -> AbstractContextManager[None]:
    """Send this process SIGUSR1 again and again."""
    return beside(lambda: os.kill(os.getpid(), signal.SIGUSR1), every=every)


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
        taken = []
        with connected("{wait}") as made:
            for _ in range(200):
                start = time.monotonic()
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 20e-6))
                    made.far.recv(timeout=2)
                except Bang:
                    pass
                taken.append(time.monotonic() - start)
        stop.set()
        assert max(taken) < {SOON}, max(taken)
        if not {threads} and "{wait}" != "spin":  # at once, but for a busy machine
            assert sorted(taken)[-10] < 0.04, taken
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
