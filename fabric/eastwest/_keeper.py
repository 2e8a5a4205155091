"""Channels on a worse path are re-examined, and moved when a better one is there.

Keeper   one thread of a context, alive only while there is such a channel

Only the way to this host is looked for: a socket of the same instance in the runtime directories,
which costs a listing and no hello. Channels that an application has switched itself are left where
they are. Imports no native module.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable
from logging import DEBUG, WARNING
from typing import Protocol

from . import _log
from ._errors import ChannelEnded, EastwestError
from ._values import Path

LOOK_SECONDS = 1.0
MOVE_SECONDS = 2.0
BACKOFF_SECONDS_MAX = 60.0


class Movable(Protocol):
    """What the keeper needs of a channel."""

    @property
    def service(self) -> str:
        """The name of the service."""

    @property
    def path(self) -> Path:
        """The kind of the current link."""

    @property
    def instance(self) -> str:
        """The listener's id."""

    @property
    def ended(self) -> bool:
        """Whether the channel is over."""

    def switch(self, to: str, *, timeout: float | None) -> None:
        """Move to an address."""


class Keeper:
    """Looks after the channels of one context.

    Args:
        local_address: (service, instance) -> "shm:DIRECTORY/SOCKET", or None.
    """

    def __init__(
        self, local_address: Callable[[str, str], str | None], seconds: float = LOOK_SECONDS
    ) -> None:
        self._local_address = local_address
        self._seconds = seconds
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._channels: weakref.WeakKeyDictionary[Movable, tuple[float, float]] = (
            weakref.WeakKeyDictionary()
        )
        self._running = False
        self._closed = False

    def watch(self, channel: Movable) -> None:
        """Look for a better path for this one until it is on shared memory, or over."""
        with self._changed:
            if self._closed:
                return
            self._channels[channel] = (0.0, self._seconds)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="eastwest-paths", daemon=True).start()

    def close(self) -> None:
        """Move nothing any more. Idempotent."""
        if os.getpid() != self._pid:
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(self._seconds)
                if self._closed or not self._channels:
                    self._running = False
                    return
                due = [
                    (each, pause)
                    for each, (at, pause) in self._channels.items()
                    if at <= time.monotonic()
                ]
            for channel, pause in due:
                self._settle(channel, self._look(channel), pause)
            del due  # else the last channel would live until the next look

    def _settle(self, channel: Movable, again: bool | None, pause: float) -> None:
        """Note when to look again: True after the usual time, False later and later, None never."""
        with self._changed:
            if again is None:
                self._channels.pop(channel, None)
            elif not again:
                pause = min(pause * 2, BACKOFF_SECONDS_MAX)
                self._channels[channel] = (time.monotonic() + pause, pause)

    def _look(self, channel: Movable) -> bool | None:
        try:
            if channel.ended or channel.path == "shm":
                return None
            address = self._local_address(channel.service, channel.instance)
            if address is None:
                return True
            channel.switch(address, timeout=MOVE_SECONDS)
        except ChannelEnded:
            return None
        except EastwestError as error:
            _log.event(DEBUG, "path_stays", service=channel.service, detail=error)
            return False
        except Exception as error:  # noqa: BLE001 the other channels are still looked after
            _log.event(WARNING, "path_stays", service=channel.service, detail=repr(error))
            return False
        return None
