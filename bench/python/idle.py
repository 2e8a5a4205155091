"""How much CPU do two connected Python processes use that wait in recv, in the default policy?

recv        the main thread of both waits in Channel.recv

Value of a round: percent of one CPU, both processes together, in a window that begins a second
after the wait.
"""

import threading
import time
from contextlib import suppress

import eastwest

from .duo import Duo
from .roundtrip import channel_of

WINDOW_S = 4.0


def watch(channel: eastwest.Channel, used: list[float]) -> None:
    """Measure while the main thread waits, then end its wait."""
    time.sleep(1)
    before = time.process_time()
    time.sleep(WINDOW_S)
    used.append(time.process_time() - before)
    channel.abort()


def main() -> None:
    """Wait in both processes."""
    with Duo(rounds=2, rounds_quick=1) as duo:
        for _ in range(duo.rounds):
            context, channel = channel_of(duo, "adaptive")
            used: list[float] = []
            watcher = threading.Thread(target=watch, args=(channel, used))
            watcher.start()
            with suppress(eastwest.ChannelEnded):
                channel.recv()
            watcher.join()
            theirs = float(duo.tell(str(used[0])))
            duo.case("recv").values.append((used[0] + theirs) / WINDOW_S * 100)
            context.close()
    duo.print("python-idle", "% CPU")


if __name__ == "__main__":
    main()
