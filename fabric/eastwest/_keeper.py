"""What happens to the links of a context's channels: told, and mended where another way is known.

Keeper   one thread of a context, asleep until a channel has news; it ends with the channels

news     a link was lost or replaced, or the peer drains: it is logged, at both ends
lost     the other addresses of the same instance are tried, best path first, beside the library's
         own redial, which knows only the last one
worse    a channel off shared memory is moved there when a socket of its instance appears in the
         runtime directories, which costs a listing and no hello; one on tcp goes to the fabric
         when both ends have a port there that works

A channel that the application has switched itself is left where it is; when that link is lost, its
own address is given some time before the others. A channel that drains is not moved: every way
leads to the instance that goes away (ADR 12). Imports no native module.
"""

import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from logging import DEBUG, WARNING
from typing import Literal, Protocol

from . import _log
from ._errors import ChannelEnded, EastwestError
from ._values import Path

LOOK_SECONDS = 1.0  # between two looks for a better path
LOST_SECONDS = 0.25  # between two looks for any path, while a channel is lost
PATIENCE_SECONDS_MAX = 1.0
MOVE_SECONDS = 2.0
FIND_SECONDS = 5.0  # a dial of the library holds the channel for 2 s
BACKOFF_SECONDS_MAX = 60.0
LINGER_SECONDS = 1.0  # of the thread, without a channel
MOVES_MAX = 16  # at the same time, a thread each
BETTER, LOST = "a better path appeared", "the link was lost"

Standing = Literal["well", "worse", "lost", "over"]


class Movable(Protocol):
    """What the keeper needs of a channel."""

    @property
    def number(self) -> int:
        """Its number in the context."""

    @property
    def service(self) -> str:
        """The name of the service."""

    @property
    def instance(self) -> str:
        """The listener's id."""

    @property
    def address(self) -> str:
        """Where the peer is, or was."""

    @property
    def path_now(self) -> Path | None:
        """The kind of its link."""

    @property
    def stays(self) -> bool:
        """Whether the application has chosen the link."""

    @property
    def standing(self) -> Standing:
        """Whether there is something to do about its link."""

    def log_news(self) -> None:
        """Log what happened to its link since the last time."""

    def move(self, to: str, reason: str, *, only_if_lost: bool, timeout: float) -> None:
        """Move to an address."""


class News(Protocol):
    """What the keeper needs of a context."""

    def wait_news(self, seconds: float | None) -> list[int]:
        """Return the numbers of channels with news; none at the timeout, or when woken."""

    def wake(self) -> None:
        """End the wait."""

    def is_idle(self) -> bool:
        """Whether no channel is open."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Where instances are found, by service and instance.

    Attributes:
        all: every address that a channel may be moved to, best path first.
        better: one on a better path than this, looked up at little cost; None: there is no better
            path than any that a channel may be on.
    """

    all: Callable[[str, str], Sequence[str]]
    better: Callable[[str, str, Path | None], str | None] | None


@dataclass(frozen=True, slots=True)
class _Look:
    at: float  # on time.monotonic()
    pause: float  # until the next one, if this one finds nothing


class Keeper:
    """Looks after the channels of one context.

    Args:
        seconds: between two looks for a better path.
        patience: what a lost link that the application chose has to be found again where it was.
    """

    def __init__(
        self,
        news: News,
        ways: Ways,
        seconds: float = LOOK_SECONDS,
        patience: float = PATIENCE_SECONDS_MAX,
    ) -> None:
        self._news = news
        self._ways = ways
        self._seconds = seconds
        self._patience = min(patience, PATIENCE_SECONDS_MAX)
        self._pid = os.getpid()
        self._lock = threading.RLock()  # a channel may end wherever memory is collected
        self._channels: weakref.WeakValueDictionary[int, Movable] = weakref.WeakValueDictionary()
        self._looks: dict[int, _Look] = {}
        self._moving: set[int] = set()
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, channel: Movable) -> None:
        """Look after this one until it is over."""
        number = channel.number
        with self._lock:
            if self._closed:
                return
            self._channels[number] = channel
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="eastwest-paths", daemon=True
                )
                _start(self._thread)
        if self._plan(channel):
            self._news.wake()  # it may have to look sooner than it sleeps

    def close(self) -> None:
        """Move nothing any more. Idempotent."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._news.wake()
            thread.join(LINGER_SECONDS)  # it holds the context open while it waits

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        while (numbers := self._sleep()) is not None:
            for number in numbers:
                self._guarded(self._hear, number)
            for number in self._due():
                self._guarded(self._look, number)

    def _guarded(self, work: Callable[[int], None], number: int) -> None:
        """Do one channel's work; whatever it raises, the others are looked after."""
        try:
            work(number)
        except Exception as error:  # noqa: BLE001 a handler of logging, a directory
            _log.event(DEBUG, "path_stays", number=number, detail=repr(error))
            self._look_again(number, BACKOFF_SECONDS_MAX)

    def _sleep(self) -> list[int] | None:
        """Return the channels with news; None: the thread is to end."""
        with self._lock:
            empty = not self._channels
            seconds = LINGER_SECONDS if empty else self._seconds_left()
        numbers: list[int] | None = None
        if not self._closed:
            try:
                numbers = self._news.wait_news(seconds)
            except EastwestError:  # the context was closed
                self._closed = True
        with self._lock:
            if not numbers and not self._closed and self._news.is_idle():
                self._channels.clear()  # all of them are over
                self._looks.clear()
            if self._closed or (empty and not self._channels):
                self._thread = None
                return None
        return numbers

    def _seconds_left(self) -> float | None:
        times = [look.at for number, look in self._looks.items() if number not in self._moving]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _due(self) -> list[int]:
        """Return the channels that are to be looked at now."""
        now = time.monotonic()
        with self._lock:
            if len(self._moving) >= MOVES_MAX:
                return []  # the end of a move wakes us
            return [
                number
                for number, look in self._looks.items()
                if look.at <= now and number not in self._moving
            ]

    def _hear(self, number: int) -> None:
        channel = self._channels.get(number)
        if channel is not None:
            channel.log_news()
            self._plan(channel)

    def _plan(self, channel: Movable) -> bool:
        """Note when to look at it; False: there is nothing to do about it."""
        standing, now = channel.standing, time.monotonic()
        look: _Look | None = None
        if standing == "lost":
            look = _Look(now + (self._patience if channel.stays else 0.0), LOST_SECONDS)
        elif standing == "worse" and self._ways.better is not None:
            look = _Look(now + self._seconds, self._seconds)
        with self._lock:
            if look is None:
                self._looks.pop(channel.number, None)
            else:
                self._looks[channel.number] = look
        return look is not None

    # ------------------------------------------------------------------ moving

    def _look(self, number: int) -> None:
        channel = self._channels.get(number)
        standing: Standing = "over" if channel is None else channel.standing
        if channel is None or standing in ("well", "over"):
            with self._lock:
                self._looks.pop(number, None)
        elif standing == "lost":
            self._start(channel, self._find)
        elif (address := self._better(channel)) is not None:
            self._start(channel, lambda it: self._try(it, address, BETTER, MOVE_SECONDS))
        else:
            self._look_again(number, self._looks[number].pause)

    def _better(self, channel: Movable) -> str | None:
        if self._ways.better is None:
            return None
        return self._ways.better(channel.service, channel.instance, channel.path_now)

    def _look_again(self, number: int, pause: float) -> None:
        with self._lock:
            if number in self._looks:
                self._looks[number] = _Look(time.monotonic() + pause, pause)

    def _start(self, channel: Movable, attempt: Callable[[Movable], bool]) -> None:
        with self._lock:
            self._moving.add(channel.number)
        try:
            work = threading.Thread(
                target=self._work, args=(channel, attempt), name="eastwest-path", daemon=True
            )
            _start(work)
        except RuntimeError:  # no more threads on this machine
            self._settle(channel, False)

    def _work(self, channel: Movable, attempt: Callable[[Movable], bool]) -> None:
        moved = False
        try:
            moved = attempt(channel)
        except Exception as error:  # noqa: BLE001 it is tried again
            level = DEBUG if isinstance(error, EastwestError) else WARNING
            _log.event(level, "path_stays", service=channel.service, detail=error)
        finally:
            self._settle(channel, moved)

    def _settle(self, channel: Movable, moved: bool) -> None:
        number = channel.number
        if moved or channel.standing == "over":
            self._plan(channel)
        else:
            pause = self._looks.get(number, _Look(0.0, self._seconds)).pause
            lost = channel.standing == "lost"
            self._look_again(number, LOST_SECONDS if lost else min(2 * pause, BACKOFF_SECONDS_MAX))
        with self._lock:
            self._moving.discard(number)
        self._news.wake()

    def _find(self, channel: Movable) -> bool:
        """Try every way but the one that the library dials itself."""
        ways = self._ways.all(channel.service, channel.instance)
        others = [each for each in ways if each != channel.address]
        return any(self._try(channel, each, LOST, FIND_SECONDS) for each in others)

    def _try(self, channel: Movable, to: str, reason: str, seconds: float) -> bool:
        if self._closed or channel.standing in ("well", "over"):
            return True
        try:
            channel.move(to, reason, only_if_lost=reason == LOST, timeout=seconds)
        except ChannelEnded:
            return channel.standing == "over"  # else it is not known at that address
        except EastwestError as error:
            _log.event(DEBUG, "path_stays", service=channel.service, to=to, detail=error)
            return False
        return True


def _start(thread: threading.Thread) -> None:
    """Start a thread that takes no signals: a wait of the main thread would miss them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
