"""What the machine is, and what it does while something is measured.

A round is only worth something on a machine that does nothing else: ``wait_for_idle`` is the gate
before it, ``Load`` tells afterwards what others took.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

QUEUES_MAX = Path("/proc/sys/fs/mqueue/queues_max")
IDLE_SHARE = 0.95  # of all processors
IDLE_S, IDLE_PATIENCE_S = 0.25, 20.0
TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Load:
    """What all processors together have done so far, ns, in steps of a clock tick.

    Attributes:
        busy: processes, kernel, interrupts.
        stolen: what the host of this virtual machine gave to others.
        total: with what they were idle.
    """

    busy: int
    stolen: int
    total: int

    @classmethod
    def now(cls) -> "Load":
        """Look at /proc/stat: user nice system idle iowait irq softirq steal."""
        line = Path("/proc/stat").read_text().partition("\n")[0]
        ticks = [int(each) for each in line.split()[1:9]]
        idle, stolen = ticks[3] + ticks[4], ticks[7]
        busy = sum(ticks) - idle - stolen
        return cls(busy * TICK_NS, stolen * TICK_NS, sum(ticks) * TICK_NS)

    def since(self, before: "Load") -> "Load":
        """Return what was done after *before*."""
        return Load(self.busy - before.busy, self.stolen - before.stolen, self.total - before.total)


def wait_for_idle(patience_s: float = IDLE_PATIENCE_S) -> bool:
    """Wait until the processors are idle; False: they were not in time."""
    until = time.monotonic() + patience_s
    while True:
        before = Load.now()
        time.sleep(IDLE_S)
        load = Load.now().since(before)
        if load.busy + load.stolen <= (1 - IDLE_SHARE) * max(1, load.total):
            return True
        if time.monotonic() >= until:
            return False


@contextmanager
def room_for_queues(wanted: int) -> Iterator[None]:
    """As root: let the machine have so many POSIX message queues, afterwards as before."""
    before = QUEUES_MAX.read_text() if QUEUES_MAX.exists() else ""
    is_raised = False
    if before and int(before) < wanted:
        with suppress(OSError):
            QUEUES_MAX.write_text(str(wanted))
            is_raised = True
    try:
        yield
    finally:
        if is_raised:
            with suppress(OSError):
                QUEUES_MAX.write_text(before)
