"""How long does a channel stand still when its link is replaced, while both ends send all they can?

idle-tcp, idle-shm    from shared memory to TCP on loopback, and back; nobody sends
busy-tcp, busy-shm    the same while two threads at each end send and receive
gap-tcp, gap-shm      the longest pause between two messages that the receiver here saw meanwhile
gap-none              the same in as long a time without a switch: what threads cost anyway

Threads hand the GIL on after 5 ms by default, which is all that one would see: here 0.2 ms.

Value of a round: seconds, the median of its switches. Percentiles, in nanoseconds, over all.
"""

import sys
import threading
import time
from contextlib import suppress
from statistics import median

import eastwest

from .duo import Duo

SWITCHES = 20
NS = 1_000_000_000
MESSAGE = bytes(1000)
NEXT_SECONDS = 10.0
GIL_SECONDS = 0.0002


class Flood:
    """Send and receive all that goes until ``stop``; the longest pause between two arrivals."""

    def __init__(self, channel: eastwest.Channel) -> None:
        self._channel = channel
        self._stop = threading.Event()
        self._longest = self._last = self._count = 0
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,))
            for work in (self._send, self._receive)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both; raise what ended one of them before."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for error in self._errors:
            raise error

    def begin(self) -> None:
        """Count the pauses from here on."""
        self._longest, self._last = 0, time.perf_counter_ns()

    def gap(self) -> float:
        """Return the longest pause up to the next message, in seconds."""
        seen, deadline = self._count, time.monotonic() + NEXT_SECONDS
        while self._count < seen + 2 and not self._errors and time.monotonic() < deadline:
            time.sleep(0)
        if self._count < seen + 2:
            raise RuntimeError(f"no message arrives any more: {self._errors}")
        return self._longest / NS

    def _guarded(self, work: object) -> None:
        try:
            assert callable(work)
            while not self._stop.is_set():
                with suppress(eastwest.Timeout):
                    work()
        except eastwest.EastwestError as error:
            self._errors.append(error)

    def _send(self) -> None:
        self._channel.send(MESSAGE, timeout=0.1)

    def _receive(self) -> None:
        self._channel.recv(timeout=0.1)
        now = time.perf_counter_ns()
        self._longest, self._last = max(self._longest, now - self._last), now
        self._count += 1


def measure(duo: Duo, channel: eastwest.Channel, flood: Flood | None) -> None:
    """Switch to and fro; the peer only answers."""
    if duo.is_peer:
        return
    took: dict[str, list[float]] = {"tcp": [], "shm": []}
    gaps: dict[str, list[float]] = {"tcp": [], "shm": [], "none": []}
    for turn in range(2 * SWITCHES + 2):
        path = ("tcp", "shm")[turn % 2]
        if flood:
            flood.begin()
        channel.switch(path, timeout=10)
        if turn < 2:  # the first of each kind makes memory that is kept
            continue
        took[path].append(channel.stats().changes[-1].seconds)
        if flood:
            gaps[path].append(flood.gap())
            flood.begin()
            time.sleep(took[path][-1])
            gaps["none"].append(flood.gap())
    for path in took:
        note(duo, f"{'busy' if flood else 'idle'}-{path}", took[path])
    for path in gaps if flood else ():
        note(duo, f"gap-{path}", gaps[path])


def note(duo: Duo, name: str, seconds: list[float]) -> None:
    """Add a round to a case."""
    case = duo.case(name)
    case.values.append(median(seconds))
    case.samples += [round(each * NS) for each in seconds]


def main() -> None:
    """Run all rounds."""
    sys.setswitchinterval(GIL_SECONDS)
    with Duo(rounds=7, rounds_quick=3) as duo:
        config = eastwest.Config(runtime_dirs=(duo.directory,), bind="127.0.0.1:0")
        with eastwest.Context(config) as context:
            if duo.is_peer:
                listener = context.listen("bench")
                duo.meet()
                channel = listener.accept(timeout=10)
            else:
                duo.meet()
                channel = context.connect("bench", timeout=10)
            for _ in range(duo.rounds):
                duo.meet()
                measure(duo, channel, None)
                flood = Flood(channel)
                duo.meet()
                measure(duo, channel, flood)
                duo.meet()
                flood.stop()
                duo.meet()  # neither end is gone while the other still sends
            channel.abort()
        if not duo.is_peer:
            duo.print("python-switching", "s")


if __name__ == "__main__":
    main()
