"""How long does a channel stand still when its link is replaced, while both ends send all they can?

idle-tcp, idle-shm    from shared memory to TCP on loopback, and back; nobody sends
busy-tcp, busy-shm    the same while two threads at each end send and receive

Value of a round: seconds from the beginning of the switch to its end, the median of its switches.
Percentiles, in nanoseconds, over all of them.
"""

import threading
from contextlib import suppress
from statistics import median

import eastwest

from .duo import Duo

SWITCHES = 20
NS = 1_000_000_000
MESSAGE = bytes(1000)


def flood(channel: eastwest.Channel, stop: threading.Event) -> list[threading.Thread]:
    """Send and receive all that goes until the event."""

    def send() -> None:
        while not stop.is_set():
            with suppress(eastwest.Timeout):
                channel.send(MESSAGE, timeout=0.1)

    def receive() -> None:
        while not stop.is_set():
            with suppress(eastwest.Timeout):
                channel.recv(timeout=0.1)

    threads = [threading.Thread(target=work) for work in (send, receive)]
    for thread in threads:
        thread.start()
    return threads


def measure(duo: Duo, channel: eastwest.Channel, kind: str) -> None:
    """Switch to and fro; the peer only answers."""
    if duo.is_peer:
        return
    for _ in range(SWITCHES):
        for path in ("tcp", "shm"):
            channel.switch(path, timeout=10)
    for path in ("tcp", "shm"):
        took: list[float] = []
        for _ in range(SWITCHES):
            channel.switch(path, timeout=10)
            took.append(channel.stats().changes[-1].seconds)
            channel.switch("shm" if path == "tcp" else "tcp", timeout=10)
        case = duo.case(f"{kind}-{path}")
        case.values.append(median(took))
        case.samples += [round(each * NS) for each in took]


def main() -> None:
    """Run all rounds."""
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
                measure(duo, channel, "idle")
                stop = threading.Event()
                threads = flood(channel, stop)
                duo.meet()
                measure(duo, channel, "busy")
                duo.meet()
                stop.set()
                for thread in threads:
                    thread.join()
            channel.abort()
        if not duo.is_peer:
            duo.print("python-switching", "s")


if __name__ == "__main__":
    main()
