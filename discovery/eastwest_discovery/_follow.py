"""Remembering what a provider says: of one that can only be polled, a client that is read at once.

A thread for each service that is followed polls with the cursor, keeps the union (of one source)
and the file on disk. What is known is read from memory; the first question waits for it.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from . import _log as log
from ._agent import (
    CONFIRM_SECONDS,
    SAVE_SECONDS,
    STARTED,
    WATCHES_MAX,
    idle_seconds,
)
from ._backoff import Backoff
from ._cache import Cache
from ._errors import DiscoveryError
from ._link import Watched
from ._provider import Cursor, Provider, Update
from ._record import Key, Record
from ._union import Union, View, oldest

POLL_SECONDS = 15.0
CLOSE_SECONDS = 4.0  # that close waits for threads whose question is still out


@dataclass(slots=True)
class _Watch:
    """One service that is followed. The view is replaced as a whole: any thread may read it."""

    union: Union
    used: float
    view: View = field(default_factory=View)
    problem: str = "no answer yet"  # "" while the source answers
    is_answered: bool = False  # or has failed
    is_dropped: bool = False
    is_changed: bool = False  # since it was saved
    saved: float = 0.0


class Followed(Provider, Protocol):
    """A provider that can say how a publication stands."""

    def problem_of(self, key: Key) -> str | None:
        """Return what keeps a record of ours from being there, "" for nothing.

        None: others publish there, not we.
        """


class Follower:
    """A provider that is followed: DNS, etcd. It belongs to the follower, which closes it.

    * Threads: any number; ``view`` reads one dictionary and never waits.
    * Fork: not to be used in a child; make another one there.
    """

    def __init__(self, provider: Followed, *, cache: Path | None = None) -> None:
        """Ask nobody yet.

        Args:
            cache: a folder of this user, made at need; None keeps nothing on disk.
        """
        self._provider = provider
        self._cache = cache
        self._changed = threading.Condition()
        self._watches: dict[Watched, _Watch] = {}
        self._threads: set[threading.Thread] = set()
        self._is_closed = False

    @property
    def source(self) -> str:
        """The URL."""
        return self._provider.source

    def publish(self, record: Record) -> None:
        """Publish it; see the provider."""
        self._provider.publish(record)

    def withdraw(self, key: Key) -> None:
        """Withdraw what was published, in a thread: the source may be slow."""
        with self._changed:
            if not self._is_closed:
                self._start(lambda: self._provider.withdraw(key), "eastwest-withdraw")

    def view(self, namespace: str, service: str) -> View | None:
        """Return what is known now; None: it is not followed. Never waits."""
        watch = self._watches.get((namespace, service))
        if watch is None:
            return None
        watch.used = time.monotonic()
        return watch.view

    def look(self, namespace: str, service: str, timeout: float) -> View:
        """Return what is known, which is followed from now on.

        Waits at most *timeout* seconds, and only until the source has answered or failed.

        Raises:
            DiscoveryError: it was closed.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            watch = self._followed((namespace, service))
            while not (watch.is_answered or watch.is_dropped):
                if (left := deadline - time.monotonic()) <= 0:
                    break
                self._changed.wait(left)
                self._check_open()
            return watch.view

    def states(self, namespace: str, service: str) -> dict[str, str]:
        """Return what keeps the source from answering completely, "" for nothing."""
        watch = self._watches.get((namespace, service))
        if watch is None:
            return {self.source: "not asked yet"}
        is_whole = watch.problem or watch.view.complete
        return {self.source: watch.problem if is_whole else STARTED}

    def published(self, key: Key) -> dict[str, str]:
        """Return what keeps the source from having what is published here, "" for nothing."""
        problem = self._provider.problem_of(key)
        return {} if problem is None else {self.source: problem}

    def age_seconds(self) -> float:
        """Return how long ago the oldest thing that is known was confirmed; 0: all is fresh."""
        return oldest((each.view for each in list(self._watches.values())), time.monotonic())

    def close(self) -> None:
        """Withdraw what was published here and end the threads. Idempotent."""
        with self._changed:
            was_closed, self._is_closed = self._is_closed, True
            self._changed.notify_all()
        if was_closed:
            return
        self._provider.close()
        deadline = time.monotonic() + CLOSE_SECONDS
        for each in list(self._threads):
            each.join(max(0.0, deadline - time.monotonic()))

    # -------------------------------------------------------------- under the lock

    def _check_open(self) -> None:
        if self._is_closed:
            raise DiscoveryError(f"{self.source} was closed")

    def _followed(self, watched: Watched) -> _Watch:
        self._check_open()
        watch = self._watches.get(watched)
        if watch is None:
            if len(self._watches) >= WATCHES_MAX:
                self._drop(min(self._watches, key=lambda each: self._watches[each].used))
            watch = _Watch(Union(*watched, [self.source]), time.monotonic())
            self._watches[watched] = watch
            followed = watch
            self._start(lambda: self._follow(watched, followed), "eastwest-follow")
        watch.used = time.monotonic()
        return watch

    def _drop(self, watched: Watched) -> None:
        self._watches.pop(watched).is_dropped = True
        self._changed.notify_all()

    def _start(self, work: Callable[[], None], name: str) -> None:
        def run() -> None:
            try:
                work()
            except DiscoveryError as error:
                if not self._is_closed:
                    log.warning("follow_end", source=self.source, detail=error)
            finally:
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.add(thread)
        thread.start()

    # -------------------------------------------------------------- a thread

    def _follow(self, watched: Watched, watch: _Watch) -> None:
        """Poll until it is closed, or nobody has asked for long."""
        cache = Cache(self._cache, self.source) if self._cache is not None else None
        self._load(cache, watched, watch)
        backoff = Backoff()
        while self._is_wanted(watched, watch):
            self._save(cache, watched, watch)
            asked = watch.union.cursor(self.source)
            try:
                update = self._provider.poll(*watched, asked, self._patience(cache, watch))
                self._take(watch, asked, update)
            except DiscoveryError as error:
                backoff, wait = backoff.failed(time.monotonic(), random.random())
                self._failed(watch, str(error).removeprefix(f"{self.source}: "), wait)
            else:
                backoff = backoff.succeeded(time.monotonic())
        self._save(cache, watched, watch, is_last=True)

    def _take(self, watch: _Watch, asked: Cursor, update: Update) -> None:
        with self._told(watch) as now:
            if not watch.union.apply(self.source, asked, update, now):
                raise DiscoveryError("an answer to another question")
            watch.problem = ""

    def _is_wanted(self, watched: Watched, watch: _Watch) -> bool:
        with self._changed:
            if time.monotonic() - watch.used >= idle_seconds(watched) and not watch.is_dropped:
                self._drop(watched)
            return not (self._is_closed or watch.is_dropped)

    def _patience(self, cache: Cache | None, watch: _Watch) -> float:
        return SAVE_SECONDS if cache is not None and watch.is_changed else POLL_SECONDS

    def _failed(self, watch: _Watch, problem: str, wait: float) -> None:
        """Note that it cannot be asked, and wait; what is known grows old meanwhile."""
        until = time.monotonic() + wait
        with self._told(watch) as now:
            if not self._is_closed and (not watch.problem or not watch.is_answered):
                log.warning("registry_lost", server=self.source, detail=problem)
            watch.problem = problem
            watch.union.lost(self.source, now)
        while (left := until - time.monotonic()) > 0:
            with self._changed:
                if self._is_closed or watch.is_dropped:
                    return
                following = watch.union.turn(time.monotonic())
                ages = left if following is None else following - time.monotonic()
                self._changed.wait(max(0.0, min(left, ages)))
            with self._told(watch):
                pass  # it looks at the time

    @contextmanager
    def _told(self, watch: _Watch) -> Iterator[float]:
        """Change the union under the lock, then show what came of it; gives the time."""
        with log.later(), self._changed:
            now = time.monotonic()
            yield now
            watch.union.turn(now)
            watch.is_changed = bool(watch.union.changes()) or watch.is_changed
            watch.view = watch.union.view()
            watch.is_answered = True
            self._changed.notify_all()

    # -------------------------------------------------------------- the disk

    def _load(self, cache: Cache | None, watched: Watched, watch: _Watch) -> None:
        if cache is None:
            return
        cache.tidy(time.time())
        known = cache.load(*watched, time.time())
        with self._changed:
            now = time.monotonic()
            for record, age in known:
                watch.union.remember(record, now - age, now)
            watch.union.changes()
            watch.view = watch.union.view()

    def _save(
        self, cache: Cache | None, watched: Watched, watch: _Watch, *, is_last: bool = False
    ) -> None:
        if cache is None:
            return
        now = time.monotonic()
        age = now - watch.saved
        is_due = age >= (SAVE_SECONDS if watch.is_changed else CONFIRM_SECONDS)
        if (is_due and (watch.is_changed or watch.view.asked)) or (is_last and watch.is_changed):
            watch.saved, watch.is_changed = now, False
            known = [(each.record, each.age(now)) for each in watch.view.entries]
            cache.save(*watched, known, time.time())
