"""Several independent registry servers as one provider: ``Zmq("zmq://h1:7400,h2:7400")``."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from . import _log as log
from ._agent import Watch
from ._cache import Cache
from ._errors import BadAddress, DiscoveryError
from ._keys import is_key
from ._provider import Cursor, Update
from ._record import Key, Record
from ._union import View, oldest
from ._zmq_thread import Curve, Worker
from ._zmq_url import servers_of

ASK_SECONDS = 1.0  # how long a first question waits for servers that neither answer nor fail
CLOSE_SECONDS = 1.0  # how long the withdrawals of close() may take


class Zmq:
    """A provider over registry servers that know nothing of each other.

    Every record is published to every server, and what they have is united: one server that can
    be reached is enough to find and to be found. Nothing here is needed by a channel: a record
    that comes may start a connect, one that goes must never end a channel.

    * Threads: any number. All that waits for servers and disk is done by a thread of our own,
      with a zmq context of its own; ``view`` of a known service reads one dictionary.
    * Fork: usable in the child, which makes a thread and a context of its own at first use and
      keeps what was known. What the parent published stays the parent's: it alone renews it.
    * Disk: what is known is kept in *cache*, 0600, so that a process that starts while no server
      can be asked finds its peers as stale entries.
    """

    def __init__(
        self,
        url: str,
        *,
        keys: Curve | None = None,
        cache: Path | None = None,
        superseded: Callable[[Key, int], object] = lambda *_: None,
    ) -> None:
        """Ask nobody yet: the first question or publication starts the thread.

        Args:
            url: ``zmq://HOST:PORT,...``, at most 16 servers.
            keys: of CURVE; None for servers without keys.
            cache: a folder of this user, made at need; None keeps nothing on disk.
            superseded: told by the thread, which it must not hold up, that a server has the key
                of what we publish in a newer version: that one counts.

        Raises:
            BadAddress: the URL or the keys are not usable.
        """
        self._servers = servers_of(url)
        self._source = "zmq://" + ",".join(self._servers)
        _check_keys(keys, len(self._servers))
        self._keys = keys
        self._cache = cache
        self._superseded = superseded
        self._workers: dict[int, Worker] = {}  # of this process and those it was forked from
        self._closed_in: set[int] = set()

    @property
    def source(self) -> str:
        """The URL."""
        return self._source

    # ------------------------------------------------------------------ publish

    def publish(self, record: Record) -> None:
        """Publish *record* at every server and keep it alive; a newer version replaces it.

        Returns when every server that can be reached has it, after at most ASK_SECONDS. Where no
        server can be reached that is logged and no error: it is published as soon as one is back.

        Raises:
            DiscoveryError: every server that answered refused it, or ``close`` was called. It is
                not published; an earlier version that was still is.
        """
        worker = self._worker()
        deadline = time.monotonic() + ASK_SECONDS
        with log.later(), worker.changed:
            before = worker.agent.published(record.key)
            worker.agent.publish(record, time.monotonic())
            worker.wake()
            is_decided, error = worker.agent.verdict(record.key)
            while not is_decided and (left := deadline - time.monotonic()) > 0:
                worker.changed.wait(left)
                is_decided, error = worker.agent.verdict(record.key)
            if error is not None:
                worker.agent.take_back(record, before, time.monotonic())
                worker.wake()
                raise error
            if worker.agent.accepted(record.key) == 0:
                problems = worker.agent.problems()
                log.warning("publish_waits", record=record.key, detail=problems)

    def withdraw(self, key: Key) -> None:
        """Withdraw what was published here. Idempotent.

        Returns at once: the servers are told by the thread, those that cannot be reached as long
        as the lease may last there.
        """
        worker = self._worker()
        with worker.changed:
            worker.agent.withdraw(key, time.monotonic())
            worker.wake()

    # ------------------------------------------------------------------ ask

    def view(self, namespace: str, service: str) -> View | None:
        """Return what is known now, with ages and who says so; None: it was never asked for.

        Reads one dictionary, never waits. Entries that are stale come last.
        """
        worker = self._workers.get(_here.number)
        watch = worker.agent.watches.get((namespace, service)) if worker is not None else None
        if watch is None:
            return None
        watch.used = time.monotonic()
        return watch.view

    def look(self, namespace: str, service: str, timeout: float) -> View:
        """Return what is known, which is followed from now on.

        Waits at most *timeout* seconds, and only until a server has it or all have spoken.
        """
        worker = self._worker()
        with worker.changed:
            return self._answered(worker, namespace, service, timeout).view

    def states(self, namespace: str, service: str) -> dict[str, str]:
        """Return what keeps each server from answering completely, "" for nothing. Never waits."""
        agent = self._worker().agent
        return agent.states(agent.watches.get((namespace, service)))

    def poll(self, namespace: str, service: str, cursor: Cursor, timeout: float) -> Update:
        """Return what has changed after *cursor*, waiting up to *timeout* seconds for it.

        Snapshots have what is stale behind what is present. ``complete`` says that one complete
        server can be asked. With b"" a known service is answered from memory; the first question
        for a service waits until a server has it or all have spoken, at most ASK_SECONDS or
        *timeout*, whichever is longer.

        Raises:
            Unavailable: no server can be asked, and nothing is known from before.
            NotAllowed: likewise, as our key may not read this at one server at least.
        """
        worker = self._worker()
        now = time.monotonic()
        with worker.changed:
            watch = self._answered(worker, namespace, service, max(timeout, ASK_SECONDS))
            if cursor == watch.journal.cursor:
                self._wait(worker, now + timeout, lambda: watch.journal.cursor != cursor)
            if watch.view.asked == 0 and not watch.view.entries:
                raise worker.agent.refusal(watch)(
                    f"nobody could be asked for {namespace}/{service or '*'}: "
                    f"{worker.agent.problems(watch)}"
                )
            return watch.journal.since(cursor, watch.view)

    def published(self, key: Key) -> dict[str, str]:
        """Return what keeps each server from having what is published here, "" for nothing."""
        worker = self._worker()
        with worker.changed:
            return worker.agent.lacking(key)

    def age_seconds(self) -> float:
        """Return how long ago the oldest thing that is known was confirmed; 0: all is fresh."""
        worker = self._workers.get(_here.number)
        watches = list(worker.agent.watches.values()) if worker is not None else []
        return oldest((each.view for each in watches), time.monotonic())

    def problems(self) -> str:
        """Return the state of every server, for people."""
        worker = self._worker()
        with worker.changed:
            return worker.agent.problems()

    def close(self) -> None:
        """Withdraw what was published here and end the thread. Idempotent.

        Waits at most CLOSE_SECONDS for servers; where one does not hear of it the lease runs out.
        A thread that hangs in a name server or a disk is waited for END_SECONDS.
        """
        with _here.lock:
            self._closed_in.add(_here.number)
            worker = self._workers.pop(_here.number, None)
        if worker is None:
            return
        with worker.changed:
            worker.agent.withdraw_all(time.monotonic())
            worker.wake()
            until = time.monotonic() + CLOSE_SECONDS
            with suppress(DiscoveryError):  # the thread has ended: it can withdraw nothing
                self._wait(worker, until, lambda: not worker.agent.is_withdrawing)
        worker.stop()

    # ------------------------------------------------------------------ inside

    def _worker(self) -> Worker:
        """Return the thread of this process, begun at first use."""
        worker = self._workers.get(_here.number)
        return worker if worker is not None else self._begin()

    def _begin(self) -> Worker:
        with _here.lock:
            if _here.number in self._closed_in:
                raise DiscoveryError(f"{self._source} was closed")
            worker = self._workers.get(_here.number)
            if worker is None:
                cache = Cache(self._cache, self._source) if self._cache is not None else None
                known = {
                    watched: watch.view
                    for old in self._workers.values()
                    for watched, watch in list(old.agent.watches.items())
                }
                worker = Worker(self._servers, self._keys, cache, known, self._superseded)
                self._workers[_here.number] = worker
        return worker

    def _answered(self, worker: Worker, namespace: str, service: str, timeout: float) -> Watch:
        """Follow a service, with the lock held; a new one is waited for."""
        now = time.monotonic()
        watch = worker.agent.watch((namespace, service), now)
        if not worker.agent.is_answered(watch):
            worker.wake()
            self._wait(worker, now + timeout, lambda: worker.agent.is_answered(watch))
        return watch

    @staticmethod
    def _wait(worker: Worker, until: float, is_over: Callable[[], bool]) -> None:
        """Wait for news with the lock held, until *is_over* or the time *until* or the end."""
        while not is_over() and (left := until - time.monotonic()) > 0:
            if worker.is_over:
                raise DiscoveryError(
                    "the client was closed, or its thread has ended, while it waited"
                )
            worker.changed.wait(left)


@dataclass(slots=True)
class _Process:
    """This process. A number of our own: a child may get the process id of an ancestor."""

    number: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


_here = _Process()


def _forked() -> None:
    _here.number += 1
    _here.lock = threading.Lock()  # the parent's may be held by a thread that is not here


os.register_at_fork(after_in_child=_forked)


def _check_keys(keys: Curve | None, servers: int) -> None:
    if keys is None:
        return
    if len(keys.servers) not in (1, servers):
        raise BadAddress(
            f"{len(keys.servers)} public keys for {servers} servers; want one for each, or one"
        )
    for what, key in (("public", keys.public), *(("server's", each) for each in keys.servers)):
        if not is_key(key):
            raise BadAddress(f"the {what} key {key!r} is not 40 characters of Z85; see keygen")
    if not is_key(keys.secret):
        raise BadAddress("the secret key is not 40 characters of Z85; see keygen")
