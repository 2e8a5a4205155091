"""The third part of the demo: a busy channel changes its path, and every message is counted."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from .._channel import Channel
from .._config import Config
from .._context import Context
from .._errors import EastwestError
from .._values import Path
from ._children import Host, Server
from ._measure import span

ANSWER_SECONDS = 10.0
SWITCHES = 100
PAUSE_SECONDS_MAX = 0.005  # median: design, section 5; the claim of docs/guide/paths.md
WORD_BYTES = 8
SIZES = (8, 8, 64, 1000, 40_000)

Claim = Callable[[str, bool, str], None]
TURNS: dict[Path, Path] = {"shm": "tcp", "tcp": "shm"}


@dataclass
class Counts:
    """What came back of the numbers that were sent."""

    sent: int = 0
    received: int = 0
    repeated: int = 0
    reordered: int = 0

    @property
    def lost(self) -> int:
        """How many never came."""
        return self.sent - (self.received - self.repeated)

    @property
    def clean(self) -> bool:
        """Whether something was sent, and each message came once and in order."""
        return self.sent > 0 and (self.lost, self.repeated, self.reordered) == (0, 0, 0)

    def take(self, number: int) -> None:
        """Count one; they are numbered from 0."""
        expected = self.received - self.repeated
        self.repeated += number < expected
        self.reordered += number > expected
        self.received += 1


class Load:
    """Two threads that keep a channel to an echo busy."""

    def __init__(self, channel: Channel) -> None:
        self.counts = Counts()
        self.errors: list[EastwestError] = []
        self._channel = channel
        self._stop = threading.Event()
        self._last: int | None = None  # the number of the last message
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (self._send, self._receive)
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop sending, and take what is still on its way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except EastwestError as error:
            self.errors.append(error)

    def _send(self) -> None:
        sizes = random.Random(1)
        while self._last is None:
            if self._stop.is_set():
                self._last = self.counts.sent  # before it is sent: the receiver waits for it
            size = sizes.choice(SIZES)
            word = self.counts.sent.to_bytes(WORD_BYTES, "little")
            self._channel.send(word + bytes(size - WORD_BYTES), timeout=ANSWER_SECONDS)
            self.counts.sent += 1

    def _receive(self) -> None:
        number = -1
        while self._last is None or number < self._last:
            message = self._channel.recv(timeout=ANSWER_SECONDS)
            number = int.from_bytes(message[:WORD_BYTES], "little")
            self.counts.take(number)


def switch_and_count(host: Host, service: str, claim: Claim) -> dict[str, Any]:
    """Switch a busy channel to and fro; make the claims and return what was seen."""
    config = Config(runtime_dirs=(host.runtime_dir,), paths=("shm", "tcp"))
    with (
        Server(host, service, "--bind", "127.0.0.1:0"),
        Context(config) as context,
        context.connect(service, timeout=ANSWER_SECONDS) as channel,
    ):
        load = Load(channel)
        pauses = _switch(channel, load)
        load.end()
        changes = channel.stats().path_changes
    counts = load.counts
    error = f"; {load.errors[0]}" if load.errors else ""
    claim(
        "a busy channel switches between shm and tcp",
        changes == SWITCHES and not load.errors,
        f"{changes} times while {counts.sent} messages went out and came back{error}",
    )
    claim(
        "no message is lost, repeated or reordered",
        counts.clean,
        f"lost {counts.lost}, repeated {counts.repeated}, reordered {counts.reordered}",
    )
    pause = median(pauses) if pauses else float("inf")
    claim(
        "a switch takes a few milliseconds at most",
        pause <= PAUSE_SECONDS_MAX,
        f"median {span(pause)}, longest {span(max(pauses, default=pause))}",
    )
    return {
        "switches": changes,
        "messages": counts.sent,
        "lost": counts.lost,
        "repeated": counts.repeated,
        "reordered": counts.reordered,
        "pause_seconds_median": pause,
    }


def _switch(channel: Channel, load: Load) -> list[float]:
    """Switch to and fro, with some messages between; return how long each took."""
    pauses = []
    for _ in range(SWITCHES):
        seen = load.counts.received
        deadline = time.monotonic() + ANSWER_SECONDS
        while load.counts.received < seen + 10 and time.monotonic() < deadline and not load.errors:
            time.sleep(0.0002)
        try:
            channel.switch(TURNS[channel.path], timeout=ANSWER_SECONDS)
        except EastwestError as error:
            load.errors.append(error)
            break
        pauses.append(channel.stats().changes[-1].seconds)
    return pauses
