"""Several independent registry servers as one provider: ``Zmq("zmq://h1:7400,h2:7400")``."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import _log as log
from ._cache import Cache
from ._errors import BadAddress, DiscoveryError, Unavailable
from ._keys import is_key
from ._provider import Cursor, Update
from ._record import Key, Record
from ._union import View
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

    def __init__(self, url: str, *, keys: Curve | None = None, cache: Path | None = None) -> None:
        """Ask nobody yet: the first question or publication starts the thread.

        Args:
            url: ``zmq://HOST:PORT,...``, at most 16 servers.
            keys: of CURVE; None for servers without keys.
            cache: a folder of this user, made at need; None keeps nothing on disk.

        Raises:
            BadAddress: the URL or the keys are not usable.
        """
        self._servers = servers_of(url)
        self._source = "zmq://" + ",".join(self._servers)
        _check_keys(keys, len(self._servers))
        self._keys = keys
        self._cache = cache
        self._workers: dict[int, Worker] = {}  # of this process, by its number
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
                not published.
        """
        worker = self._worker()
        deadline = time.monotonic() + ASK_SECONDS
        with worker.changed:
            worker.agent.publish(record, time.monotonic())
            worker.wake()
            is_decided, error = worker.agent.verdict(record.key)
            while not is_decided and (left := deadline - time.monotonic()) > 0:
                worker.changed.wait(left)
                is_decided, error = worker.agent.verdict(record.key)
            if error is not None:
                worker.agent.withdraw(record.key, time.monotonic())
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
        worker = self._workers.get(os.getpid())
        watch = worker.agent.watches.get((namespace, service)) if worker is not None else None
        if watch is None:
            return None
        watch.used = time.monotonic()
        return watch.view

    def poll(self, namespace: str, service: str, cursor: Cursor, timeout: float) -> Update:
        """Return what has changed after *cursor*, waiting up to *timeout* seconds for it.

        Snapshots have what is stale behind what is present. ``complete`` says that one complete
        server can be asked. With b"" a known service is answered from memory; the first question
        for a service waits until a server has it or all have spoken, at most ASK_SECONDS or
        *timeout*, whichever is longer.

        Raises:
            Unavailable: no server can be asked, and nothing is known from before.
        """
        worker = self._worker()
        now = time.monotonic()
        with worker.changed:
            watch = worker.agent.watch((namespace, service), now)
            if not worker.agent.is_answered(watch):
                worker.wake()
                until = now + max(timeout, ASK_SECONDS)
                self._wait(worker, until, lambda: worker.agent.is_answered(watch))
            if cursor == watch.journal.cursor:
                self._wait(worker, now + timeout, lambda: watch.journal.cursor != cursor)
            if watch.view.asked == 0 and not watch.view.entries:
                raise Unavailable(
                    f"nobody could be asked for {namespace}/{service or '*'}: "
                    f"{worker.agent.problems(watch)}"
                )
            return watch.journal.since(cursor, watch.view)

    def problems(self) -> str:
        """Return the state of every server, for people."""
        worker = self._worker()
        with worker.changed:
            return worker.agent.problems()

    def close(self) -> None:
        """Withdraw what was published here and end the thread. Idempotent.

        Waits at most CLOSE_SECONDS for servers; where one does not hear of it the lease runs out.
        """
        pid = os.getpid()
        self._closed_in.add(pid)
        worker = self._workers.pop(pid, None)
        if worker is None:
            return
        with worker.changed:
            worker.agent.withdraw_all(time.monotonic())
            worker.wake()
            until = time.monotonic() + CLOSE_SECONDS
            self._wait(worker, until, lambda: not worker.agent.is_withdrawing)
        worker.stop()

    # ------------------------------------------------------------------ inside

    def _worker(self) -> Worker:
        """Return the thread of this process, begun at first use."""
        pid = os.getpid()
        if pid in self._closed_in:
            raise DiscoveryError(f"{self._source} was closed")
        worker = self._workers.get(pid)
        if worker is None:
            worker = self._begin(pid)
        return worker

    def _begin(self, pid: int) -> Worker:
        with _locks.setdefault(pid, threading.Lock()):  # another one in a child: nobody holds it
            worker = self._workers.get(pid)
            if worker is None:
                cache = Cache(self._cache, self._source) if self._cache is not None else None
                known = {
                    watched: watch.view
                    for old in self._workers.values()
                    for watched, watch in list(old.agent.watches.items())
                }
                worker = Worker(self._servers, self._keys, cache, known)
                self._workers[pid] = worker
        return worker

    @staticmethod
    def _wait(worker: Worker, until: float, is_over: Callable[[], bool]) -> None:
        """Wait for news with the lock held, until *is_over* or the time *until* or the end."""
        while not is_over() and (left := until - time.monotonic()) > 0:
            if worker.is_over:
                raise DiscoveryError("closed while it waited")
            worker.changed.wait(left)


_locks: dict[int, threading.Lock] = {}  # by process


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
