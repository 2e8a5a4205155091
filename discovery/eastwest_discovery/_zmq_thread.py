"""The thread of a client: its sockets, its clock and its disk. What to do, ``_agent.py`` decides.

The lock guards the agent; sockets and files are of the thread alone, which does not hold the lock
while it waits, or reads or writes a file or a log. A caller that changes something wakes it.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from . import _log as log
from . import _wire as wire
from ._agent import Agent, Watch
from ._cache import Cache
from ._errors import DiscoveryError
from ._handshake import EVENTS, Ends
from ._link import Watched
from ._record import Key
from ._union import View

CONNECT_SECONDS = 3.0  # until an attempt that hears nothing has failed
END_SECONDS = 1.0  # how long stop() waits for the thread, which may wait for a name or a disk
BURST_MAX = 256  # messages taken from one server before the others are looked at


@dataclass(frozen=True, slots=True)
class Curve:
    """Keys of a client, 40 characters of Z85 each.

    Attributes:
        servers: the public key of every server in the order of the URL, or one for all.
    """

    public: str
    secret: str
    servers: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Curve(public={self.public!r}, secret=..., servers={self.servers!r})"


@dataclass(slots=True)
class _Socket:
    dealer: zmq.Socket[bytes]
    monitor: zmq.Socket[bytes]


class Worker:
    """One thread with its own zmq context, in the process that made it."""

    def __init__(
        self,
        sources: tuple[str, ...],
        keys: Curve | None,
        cache: Cache | None,
        known: Mapping[Watched, View],
        superseded: Callable[[Key, int], object],
    ) -> None:
        """Begin.

        Args:
            known: from before, of a parent process: taken as stale.
            superseded: called by the thread, with the lock held; see ``Agent``.
        """
        self._known = known
        self.agent = Agent(sources, random.Random(os.urandom(16)), superseded)
        self.changed = threading.Condition()
        self._ends = dict(zip(sources, _ends(keys, len(sources)), strict=False))
        self._curve = keys
        self._cache = cache
        self._sockets: dict[str, _Socket] = {}
        self._affinities = {source: 1 << number for number, source in enumerate(sources)}
        self._context = zmq.Context(io_threads=len(sources))  # each asks for one name: may hang
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller = zmq.Poller()
        self._poller.register(self._wake, zmq.POLLIN)
        self._told = 0
        self.is_over = False
        self._thread = threading.Thread(target=self._run, name="eastwest-discovery", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have the thread look at the agent again. With the lock held."""
        if not self.is_over:
            os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """End the thread; what is known is saved.

        Where it hangs (a name server, a disk) it ends later, by itself.
        """
        self._end()
        self._thread.join(END_SECONDS)

    def _end(self) -> None:
        with self.changed:
            self.wake()
            self.is_over = True
            self.changed.notify_all()

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        if self._cache is not None:
            self._cache.tidy(time.time())
        try:
            while not self.is_over:
                self._turn()
            self._save(is_last=True)
        finally:
            self._end()  # also when it died: nobody shall wait for it
            for source in list(self._sockets):
                self._close(source)
            self._context.destroy(linger=0)
            os.close(self._wake)  # nobody writes to it any more, as it is over

    def _turn(self) -> None:
        """One round: the disk, what is due, wait, what has come."""
        self._load()
        self._save()
        with log.later(), self.changed:
            now = time.monotonic()
            self._fail_overdue(now)
            self._open_sockets(now)
            for source in list(self._sockets):
                self._send_due(source, now)
            following = self._next(now)
            self._tell()
        ready = self._wait(following)
        with log.later(), self.changed:
            if self._wake in ready:
                os.eventfd_read(self._wake)
            for source, each in list(self._sockets.items()):
                if each.dealer in ready:
                    self._receive(source)
                if each.monitor in ready:
                    self._look_at_connection(source)
            self._tell()

    def _tell(self) -> None:
        """Wake who waits for news, if there is any. With the lock held."""
        if self._told != self.agent.news:
            self._told = self.agent.news
            self.changed.notify_all()

    def _next(self, now: float) -> float:
        """Return the seconds until something is to be done."""
        times = [self.agent.turn(now)]
        watches = self.agent.watches.values()
        if not all(each.is_loaded for each in watches):
            return 0.0
        if self._cache is not None:
            times += (each.save_at() for each in watches)
        return min((each for each in times if each is not None), default=now + 3600.0) - now

    def _wait(self, seconds: float) -> set[object]:
        """Wait so long for anything; return what can be read."""
        milliseconds = max(0, int(seconds * 1000) + 1) if seconds > 0 else 0
        return {each for each, _ in self._poller.poll(milliseconds)}

    # ------------------------------------------------------------------ sockets

    def _fail_overdue(self, now: float) -> None:
        for source, link in self.agent.links.items():
            if link.is_open and (problem := link.overdue(now)):
                self._fail(source, problem, now)

    def _open_sockets(self, now: float) -> None:
        for source, link in self.agent.links.items():
            if link.wants_socket(now):
                try:
                    self._sockets[source] = self._open(source)
                    link.opened()
                except zmq.ZMQError as error:  # a name that cannot be, too many sockets
                    self._fail(source, str(error), now)

    def _open(self, source: str) -> _Socket:
        dealer = self._context.socket(zmq.DEALER)
        try:
            dealer.linger = 0
            dealer.affinity = self._affinities[source]
            dealer.reconnect_ivl = -1  # our own back-off
            dealer.connect_timeout = int(CONNECT_SECONDS * 1000)
            dealer.ipv6 = True
            dealer.maxmsgsize = wire.REPLY_BYTES_MAX
            if self._curve is not None:
                dealer.curve_publickey = self._curve.public.encode()
                dealer.curve_secretkey = self._curve.secret.encode()
                dealer.curve_serverkey = self._ends[source].server.encode()
            monitor = dealer.get_monitor_socket(EVENTS)
            dealer.connect(f"tcp://{source}")
        except zmq.ZMQError:
            dealer.disable_monitor()
            dealer.close(0)
            raise
        for each in (dealer, monitor):
            self._poller.register(each, zmq.POLLIN)
        return _Socket(dealer, monitor)

    def _close(self, source: str) -> None:
        each = self._sockets.pop(source)
        for socket in (each.dealer, each.monitor):
            self._poller.unregister(socket)
        each.dealer.disable_monitor()
        each.monitor.close(0)
        each.dealer.close(0)

    def _fail(self, source: str, problem: str, now: float) -> None:
        link = self.agent.links[source]
        if not link.is_down:
            log.warning("registry_lost", server=source, detail=problem)
        if source in self._sockets:
            self._close(source)
        self.agent.failed(source, problem, now)

    def _send_due(self, source: str, now: float) -> None:
        for number, request, cursor in self.agent.due(source, now):
            try:
                frames = wire.request(number, request, cursor)
                self._sockets[source].dealer.send_multipart(frames, zmq.DONTWAIT)
            except zmq.Again:
                pass  # it will be overdue
            except zmq.ZMQError as error:
                self._fail(source, str(error), now)
                return

    def _receive(self, source: str) -> None:
        link = self.agent.links[source]
        for _ in range(BURST_MAX):
            if source not in self._sockets:
                return
            now = time.monotonic()
            try:
                frames = self._sockets[source].dealer.recv_multipart(zmq.DONTWAIT)
                answer = wire.answer(frames)
            except zmq.Again:
                return
            except (zmq.ZMQError, DiscoveryError) as error:
                self._fail(source, f"garbage: {error}", now)
                return
            was_down, was_open = not link.is_answering, link.is_open
            self.agent.replied(source, answer, now)
            if was_open and not link.is_open:  # the agent did not like it
                log.warning("registry_lost", server=source, detail=link.problem)
                self._close(source)
            elif was_down and link.is_answering:
                log.info("registry_answers", server=source)

    def _look_at_connection(self, source: str) -> None:
        while source in self._sockets:
            try:
                event: Any = parse_monitor_message(
                    self._sockets[source].monitor.recv_multipart(zmq.DONTWAIT)
                )
            except zmq.Again:
                return
            self._fail(source, self._ends[source].problem(event["event"]), time.monotonic())

    # ------------------------------------------------------------------ the disk

    def _load(self) -> None:
        with self.changed:
            new = [key for key, watch in self.agent.watches.items() if not watch.is_loaded]
        for watched in new:
            known = self._cache.load(*watched, time.time()) if self._cache is not None else []
            if watched in self._known:
                now = time.monotonic()
                view = self._known[watched]
                known += ((each.record, each.age(now)) for each in view.entries)
            with log.later(), self.changed:
                self.agent.remember(watched, known, time.monotonic())
                self._tell()

    def _save(self, *, is_last: bool = False) -> None:
        if self._cache is None:
            return
        with self.changed:
            now = time.monotonic()
            due = [each for each in self.agent.watches.items() if _is_due(each[1], now, is_last)]
            views: list[tuple[Watched, Watch]] = []
            for watched, watch in due:
                watch.saved, watch.is_changed = now, False
                views.append((watched, watch))
        for watched, watch in views:
            known = [(each.record, each.age(now)) for each in watch.view.entries]
            self._cache.save(*watched, known, time.time())


def _ends(keys: Curve | None, servers: int) -> tuple[Ends, ...]:
    if keys is None:
        return (Ends(),) * servers
    several = keys.servers if len(keys.servers) > 1 else keys.servers * servers
    return tuple(Ends(keys.public, each) for each in several)


def _is_due(watch: Watch, now: float, is_last: bool) -> bool:
    at = watch.save_at()
    return at is not None and (at <= now or (is_last and watch.is_changed))
