"""What does each wait policy cost where the two ends share what they run on?

POLICY/WHERE        64-byte round trips between two Python processes over shared memory
POLICY-cpu/WHERE    the CPU time that both spend for each of them

unpinned    both may run on every CPU
apart       each is pinned to a CPU of its own, after the channel was opened
together    both are pinned to one CPU, after the channel was opened
quota       a control group lets both together use one CPU; left out where none can be made

The cases take turns. Value of a round: nanoseconds for each round trip, the median of those of
WINDOW_S; a trip that a descheduled process or a used up quota holds up is in the percentiles.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import get_args

import eastwest

from .duo import Duo
from .roundtrip import MESSAGE, Wait, channel_of

WINDOW_S = 0.25
SAMPLES_MAX = 20_000  # of a window
PERIOD_US = 100_000
PLACES = ("unpinned", "apart", "together", "quota")
END = b""
ROOT = Path("/sys/fs/cgroup")


class Group:
    """A control group that may use one CPU: of version 1 or 2, whichever is here and lets us."""

    def __init__(self, owner: int) -> None:
        """Make it, or find the one that process *owner* made. OSError: there can be none."""
        tree = ROOT / "cpu" if (ROOT / "cpu").is_dir() else ROOT
        self._home = tree / "cgroup.procs"
        self._path = tree / f"eastwest-bench-{owner}"
        if owner != os.getpid():
            return
        self._path.mkdir()
        try:
            if tree == ROOT:
                (self._path / "cpu.max").write_text(f"{PERIOD_US} {PERIOD_US}")
            else:
                (self._path / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (self._path / "cpu.cfs_quota_us").write_text(str(PERIOD_US))
        except OSError:
            self._path.rmdir()
            raise

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in it; at the end back in the root."""
        (self._path / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield
        finally:
            self._home.write_text(str(os.getpid()))

    def remove(self) -> None:
        """Remove it, once both have left."""
        self._path.rmdir()


def group_of(duo: Duo) -> Group | None:
    """Return the group of both processes, None if there can be none."""
    group = None
    if not duo.is_peer:
        try:
            group = Group(os.getpid())
        except OSError:
            group = None
    there = duo.tell(str(os.getpid()) if group else "")
    return Group(int(there)) if there else group


@contextmanager
def placed(duo: Duo, where: str, group: Group | None) -> Iterator[None]:
    """Run where the case wants it."""
    everywhere = os.sched_getaffinity(0)
    cpus = sorted(everywhere)
    if where == "quota" and group:
        with group.entered():
            yield
        return
    if where in ("apart", "together"):
        nth = int(duo.is_peer) if where == "apart" else 0
        os.sched_setaffinity(0, {cpus[min(nth, len(cpus) - 1)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)


def ask(channel: eastwest.Channel) -> list[int]:
    """Make round trips for the length of a window; return how long each took."""
    clock = time.perf_counter_ns
    took: list[int] = []
    before = clock()
    end = before + int(WINDOW_S * 1e9)
    while before < end:
        channel.send(MESSAGE)
        channel.recv()
        now = clock()
        took.append(now - before)
        before = now
    channel.send(END)
    return took


def answer(channel: eastwest.Channel) -> None:
    """Send back what comes, until the end of the window."""
    while message := channel.recv():
        channel.send(message)


def measure(duo: Duo, channel: eastwest.Channel, wait: Wait, where: str) -> None:
    """Run one case for one round."""
    duo.meet()
    before = time.process_time_ns()
    took = [] if duo.is_peer else ask(channel)
    if duo.is_peer:
        answer(channel)
    used = time.process_time_ns() - before
    used += int(duo.tell(str(used)))
    if took:
        case = duo.case(f"{wait}/{where}")
        case.values.append(median(took))
        case.samples += took[:: len(took) // SAMPLES_MAX + 1]
        duo.case(f"{wait}-cpu/{where}").values.append(used / len(took))


def main() -> None:
    """Run all cases, interleaved."""
    ends = {}
    with Duo(rounds=9, rounds_quick=2) as duo:
        group = group_of(duo)
        places = [where for where in PLACES if group or where != "quota"]
        for where in places:
            if where == "quota":  # the quota is looked at when a context is opened
                with placed(duo, where, group):
                    ends[where] = [(wait, *channel_of(duo, wait)) for wait in get_args(Wait)]
            else:
                ends[where] = [(wait, *channel_of(duo, wait)) for wait in get_args(Wait)]
        for _ in range(duo.rounds):
            for where in places:
                with placed(duo, where, group):
                    for wait, _, channel in ends[where]:
                        measure(duo, channel, wait, where)
        duo.meet()
        for each in ends.values():
            for _, context, channel in each:
                channel.abort()
                context.close()
        duo.meet()
        if group and not duo.is_peer:
            group.remove()
    duo.print("python-waiting", "ns")


if __name__ == "__main__":
    main()
