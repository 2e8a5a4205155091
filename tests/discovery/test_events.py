"""Events: where they were logged, under which locks, and in the middle of which forks."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from eastwest_discovery import events
from eastwest_discovery._zmq import Zmq
from eastwest_discovery.events import Events, later
from tests.discovery.records import make
from tests.discovery.registries import clients, eventually, registries, url

SECONDS = 10.0
LINGER_SECONDS = 0.2  # that a handler stays inside after a fork was asked for
_at_fork: list[Callable[[], object]] = []  # hooks cannot be taken back: this one is for all tests
os.register_at_fork(before=lambda: [each() for each in _at_fork])


class Slow(logging.Handler):
    """A handler that stays where it is, with a lock of its own, until it is told to go on.

    As a file does whose disk is slow: ``logging`` knows nothing of that lock.
    """

    def __init__(self, linger: float = 0.0) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.own = threading.Lock()
        self.linger = linger

    def emit(self, record: logging.LogRecord) -> None:
        with self.own:
            self.inside.set()
            self.go_on.wait(SECONDS)
            time.sleep(self.linger)
            self.lines.append(record.getMessage())
        self.inside.clear()


@contextmanager
def handled(logger: logging.Logger, handler: Slow) -> Iterator[Slow]:
    """Have a handler; what waits in it goes on at the end."""
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        handler.go_on.set()
        logger.removeHandler(handler)


@pytest.fixture
def ours(request: pytest.FixtureRequest) -> Events:
    """Events of a logger that nobody else has."""
    made = Events(f"tests.events.{request.node.name}")
    made.logger.setLevel(logging.INFO)
    return made


@contextmanager
def before_forks(hook: Callable[[], object]) -> Iterator[None]:
    _at_fork.append(hook)
    try:
        yield
    finally:
        _at_fork.remove(hook)


def status_of_child(work: Callable[[], object]) -> int:
    """Fork, and return 0 if the child did *work* and had something to show for it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_record_names_the_line_that_logged_it(
    ours: Events, caplog: pytest.LogCaptureFixture
) -> None:
    # catches: every event is said to come from events.py
    ours.event(logging.INFO, "a")
    with later(), later():
        ours.warning("b", what="x y")
        assert len(caplog.records) == 1
    ours.event(logging.DEBUG, "nobody listens")
    assert [(each.filename, each.funcName) for each in caplog.records] == [
        ("test_events.py", "test_record_names_the_line_that_logged_it")
    ] * 2
    assert caplog.records[1].getMessage() == 'b what="x y"'
    assert vars(caplog.records[1])["eastwest"] == {"event": "b", "what": "x y"}
    assert caplog.records[1].lineno > caplog.records[0].lineno


def test_what_was_kept_is_logged_where_the_block_fails(
    ours: Events, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ZeroDivisionError), later():
        ours.info("before")
        raise ZeroDivisionError
    ours.info("after")
    assert caplog.messages == ["before", "after"]


def test_child_of_a_fork_can_log_what_a_thread_was_logging(ours: Events) -> None:
    # catches: the thread is cut off with the lock of a file held, for which the child waits
    with handled(ours.logger, Slow(LINGER_SECONDS)) as slow:
        writer = threading.Thread(target=ours.info, args=("thread",))
        writer.start()
        assert slow.inside.wait(SECONDS)
        with before_forks(slow.go_on.set):
            status = status_of_child(lambda: slow.own.acquire(timeout=1.0))
        writer.join(SECONDS)
        assert status == 0
        assert slow.lines == ["thread"]


def test_thread_that_logs_while_another_forks_waits_for_it(ours: Events) -> None:
    # catches: a thread comes into a handler between the look at it and the fork
    with handled(ours.logger, Slow()) as slow:
        writer = threading.Thread(target=ours.info, args=("thread",))

        def forking() -> None:
            events._gate.fork()  # as the hook that runs after this one; a thread may do it twice
            writer.start()

        with before_forks(forking):
            status = status_of_child(lambda: not slow.inside.is_set())
        assert slow.inside.wait(SECONDS)
        slow.go_on.set()
        writer.join(SECONDS)
        assert status == 0


def test_handler_that_hangs_holds_up_a_fork_for_a_second(ours: Events) -> None:
    with handled(ours.logger, Slow()) as slow:
        writer = threading.Thread(target=ours.info, args=("thread",))
        writer.start()
        assert slow.inside.wait(SECONDS)
        start = time.monotonic()
        assert status_of_child(lambda: True) == 0
        assert events.FORK_SECONDS <= time.monotonic() - start < SECONDS / 2
    writer.join(SECONDS)


def test_handler_may_fork_and_a_hook_of_a_fork_may_log(ours: Events) -> None:
    # catches: a thread that waits for itself
    class Forks(Slow):
        def emit(self, record: logging.LogRecord) -> None:
            self.lines.append(f"{record.getMessage()} {status_of_child(lambda: True)}")

    start = time.monotonic()
    with handled(ours.logger, Forks()) as forks:
        ours.info("a")
    with handled(ours.logger, Slow()) as slow, before_forks(lambda: ours.info("hook")):
        slow.go_on.set()
        assert status_of_child(lambda: True) == 0
    assert (forks.lines, slow.lines) == (["a 0"], ["hook"])
    assert time.monotonic() - start < events.FORK_SECONDS


def test_handler_that_hangs_holds_up_no_question() -> None:
    # catches: an event logged with the lock held that every question takes
    with ExitStack() as stack:
        three = stack.enter_context(registries(3, settle=0.0))
        owner, reader = stack.enter_context(clients(Zmq(url(three)), Zmq(url(three))))
        owner.publish(make())
        eventually(lambda: reader.poll("default", "pricing", b"", 0.0).records)
        slow = stack.enter_context(handled(logging.getLogger("eastwest_discovery"), Slow()))
        for each in three:
            each.kill()
        assert slow.inside.wait(SECONDS)
        assert reader.poll("default", "pricing", b"", 0.0).records
        assert owner.published(make().key)
        assert slow.inside.is_set()
