"""Asking several at once, in threads that nobody has to wait for.

in_parallel   one result for each item, in order
race          the first success among candidates whose starts are staggered (RFC 8305)

What waits here is the calling thread, in slices, so that Ctrl-C ends it within 50 ms; threads that
are still in a C call then are daemons and clean up after themselves. Imports no native module.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ._errors import EastwestError

THREADS_MAX = 16
SLICE_SECONDS = 0.05
A = TypeVar("A")
R = TypeVar("R")


def in_parallel(function: Callable[[A], R], items: Sequence[A]) -> list[R]:
    """Return ``function(item)`` for each item, in order; one item needs no thread.

    Raises:
        EastwestError: the first that *function* raised; the other results are dropped.
    """
    if len(items) <= 1:
        return [function(item) for item in items]
    results: dict[int, R] = {}
    errors: list[EastwestError] = []
    todo = iter(range(len(items)))
    lock = threading.Lock()

    def work() -> None:
        while not errors:
            with lock:
                index = next(todo, None)
            if index is None:
                return
            try:
                results[index] = function(items[index])
            except EastwestError as error:
                errors.append(error)

    threads = [_start(work) for _ in range(min(len(items), THREADS_MAX))]
    for thread in threads:
        while thread.is_alive():
            thread.join(SLICE_SECONDS)
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(items))]


def _start(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="eastwest-ask", daemon=True)
    thread.start()
    return thread


@dataclass(frozen=True, slots=True)
class Attempt(Generic[A, R]):
    """One finished attempt: a value or an error, and how long it took."""

    item: A
    value: R | None
    error: EastwestError | None
    seconds: float


class Race(Generic[A, R]):
    """Tries items in order, each started when the one before failed or *stagger* seconds went by.

    Threads: ``run`` belongs to one thread. A success that comes after the end is given to
    *discard* by its own thread, so nothing leaks.
    """

    def __init__(
        self,
        attempt: Callable[[A, float], R],
        discard: Callable[[R], None],
        *,
        stagger: float,
    ) -> None:
        self._attempt = attempt
        self._discard = discard
        self._stagger = stagger
        self._changed = threading.Condition()
        self._finished: list[Attempt[A, R]] = []
        self._running = 0
        self._over = False

    def run(
        self,
        items: Sequence[A],
        deadline: float,
        *,
        skip: Callable[[A], bool],
        failed: Callable[[A, EastwestError, float], None],
    ) -> Attempt[A, R] | None:
        """Return the first success, or None when all failed or the time is up.

        Args:
            items: in the order of preference.
            deadline: on ``time.monotonic``; what runs then is abandoned.
            skip: asked in this thread just before an item would start.
            failed: told in this thread of each failure; may raise to end the race.
        """
        won: Attempt[A, R] | None = None
        try:
            with self._changed:
                try:
                    won = self._drive(list(items), deadline, skip, failed)
                finally:
                    self._over = True
        finally:
            for each in self._finished:  # a second success, or Ctrl-C: leave nothing behind
                if each is not won and each.value is not None:
                    self._discard(each.value)
        return won

    def _drive(
        self,
        waiting: list[A],
        deadline: float,
        skip: Callable[[A], bool],
        failed: Callable[[A, EastwestError, float], None],
    ) -> Attempt[A, R] | None:
        start_at = time.monotonic()
        seen = 0
        while True:
            now = time.monotonic()
            for each in self._finished[seen:]:
                if each.error is None:
                    return each
                failed(each.item, each.error, each.seconds)
                seen, start_at = seen + 1, now  # a failure frees the next one at once
            if now >= deadline or not (waiting or self._running):
                return None
            if waiting and now >= start_at:
                item = waiting.pop(0)
                if not skip(item):
                    self._launch(item, deadline)
                    start_at = now + self._stagger
            else:
                until = min(deadline, start_at) if waiting else deadline
                self._changed.wait(max(0.0, min(until - now, SLICE_SECONDS)))

    def _launch(self, item: A, deadline: float) -> None:
        self._running += 1
        threading.Thread(
            target=self._work, args=(item, deadline), name="eastwest-dial", daemon=True
        ).start()

    def _work(self, item: A, deadline: float) -> None:
        began = time.monotonic()
        value: R | None = None
        error: EastwestError | None = None
        try:
            value = self._attempt(item, deadline - began)
        except EastwestError as failed:
            error = failed
        finally:
            with self._changed:
                self._running -= 1
                late = self._over
                if not late and (value is not None or error is not None):
                    took = time.monotonic() - began
                    self._finished.append(Attempt(item, value, error, took))
                self._changed.notify_all()
        if late and value is not None:
            self._discard(value)
