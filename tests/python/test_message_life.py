"""eastwest._message: how ports live and end, and the module itself."""

import contextlib
import gc
import os
import resource
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eastwest
from eastwest import _message
from eastwest._errors import from_code
from tests.python.message_pairs import Pair, later, run_alone

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
                start = time.monotonic()
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                try:
                    made.far.recv(timeout=5)
                except Bang:
                    os._exit(time.monotonic() - start > 1)
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
        near._owner = near
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
