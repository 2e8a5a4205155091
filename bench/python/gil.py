"""How long does try_send take while another Python thread computes?

alone      no other thread
busy       beside a thread that never leaves the interpreter
cffi       the same beside a busy thread, through a call that releases the GIL (ew_version by cffi):
           what a binding without its own extension would pay

Value of a round: the 99.9th percentile, in nanoseconds. The sender yields between two samples
only when the interpreter makes it: what is measured is the call, not the wait for a turn.
"""

import threading
import time

import eastwest
from eastwest._core import lib

from .duo import Duo
from .roundtrip import MESSAGE, channel_of

SAMPLES = 20_000


def compute(stop: threading.Event) -> None:
    """Stay in the interpreter until told to stop."""
    total = 0
    while not stop.is_set():
        for i in range(1000):
            total += i


def sample(duo: Duo, name: str, channel: eastwest.Channel) -> None:
    """Time single calls."""
    clock = time.perf_counter_ns
    try_send = channel.try_send
    taken: list[int] = []
    while len(taken) < SAMPLES:
        before = clock()
        sent = try_send(MESSAGE)
        after = clock()
        if sent:
            taken.append(after - before)
    keep(duo, name, taken)


def sample_released(duo: Duo, name: str) -> None:
    """Time calls that give the GIL away."""
    clock = time.perf_counter_ns
    call = lib.ew_version
    taken: list[int] = []
    until = clock() + 2_000_000_000
    while len(taken) < SAMPLES and clock() < until:
        before = clock()
        call()
        taken.append(clock() - before)
    keep(duo, name, taken)


def keep(duo: Duo, name: str, taken: list[int]) -> None:
    """Add one round's samples."""
    series = duo.case(name)
    series.samples.extend(taken)
    series.values.append(sorted(taken)[int((len(taken) - 1) * 0.999)])


def send_rounds(duo: Duo, channel: eastwest.Channel) -> None:
    """Measure alone, then beside a busy thread."""
    for _ in range(duo.rounds):
        sample(duo, "alone", channel)
        stop = threading.Event()
        busy = threading.Thread(target=compute, args=(stop,))
        busy.start()
        sample(duo, "busy", channel)
        sample_released(duo, "cffi")
        stop.set()
        busy.join()


def main() -> None:
    """Send here, drain in the peer."""
    with Duo(rounds=7, rounds_quick=3) as duo:
        duo.pin()
        context, channel = channel_of(duo, "spin")
        if duo.is_peer:
            for _ in channel:
                pass
        else:
            send_rounds(duo, channel)
            channel.send_eof()
        duo.meet()
        channel.abort()
        context.close()
    duo.print("python-gil", "ns")


if __name__ == "__main__":
    main()
