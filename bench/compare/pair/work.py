"""What is asked for, how often it is done, and what it took."""

import math
import resource
import time
from array import array
from dataclasses import dataclass
from typing import Final, Self

from bench.compare.pair.ends import BYTES_MAX, Setup, Side
from bench.compare.pair.loops import Run, Task, clock

SECONDS_MAX: Final = 600.0
TRIAL_SHARE: Final = 0.1  # of the seconds: a trial that takes longer says how often work is done
TRIAL_MOST: Final = 1 << 20
TRIAL_GAIN: Final = 1.1  # a trial that is so much faster than all before is made again
COUNT_LEAST: Final = 3
WARM_UP: Final = 50  # trips, before those at a fixed rate
SAMPLES_MAX: Final = 1 << 20
SAMPLE_MOST_NS: Final = (1 << 32) - 1
WORKS: Final = {"trip": "", "paced": "RATE", "fan": "", "flow": "", "window": "COUNT"}
IN_FLIGHT_MAX: Final = 1 << 20


class BadOrder(ValueError):
    """A line asks for what there is not."""


@dataclass(frozen=True, slots=True)
class Order:
    """A line of the client's stdin."""

    work: str
    size: int
    seconds: float
    more: float = 0.0  # RATE or COUNT

    @classmethod
    def parsed(cls, line: str) -> Self:
        """Read it.

        Raises:
            BadOrder: the text says what is wrong with which line.
        """
        work, *numbers = line.split()
        if work not in WORKS:
            raise BadOrder(f"no work {work!r} in {line!r}; there are {', '.join(WORKS)}")
        names = ["BYTES", "SECONDS", *WORKS[work].split()]
        if len(numbers) != len(names):
            raise BadOrder(f"{work} takes {' '.join(names)}; not {line!r}")
        try:
            order = cls(work, int(numbers[0]), *map(float, numbers[1:]))
        except ValueError as error:
            raise BadOrder(f"no number in {line!r}: {error}") from error
        if not 1 <= order.size <= BYTES_MAX:
            raise BadOrder(f"BYTES of {line!r} must be 1..{BYTES_MAX}")
        if not 0 < order.seconds <= SECONDS_MAX:
            raise BadOrder(f"SECONDS of {line!r} must be more than 0, at most {SECONDS_MAX:g}")
        if work == "paced" and not (0 < order.more < math.inf):
            raise BadOrder(f"RATE of {line!r} must be more than 0")
        if work == "window" and order.more not in range(1, IN_FLIGHT_MAX + 1):
            raise BadOrder(f"COUNT of {line!r} must be 1..{IN_FLIGHT_MAX}")
        return order


@dataclass(slots=True)
class Spent:
    """What this process has used so far."""

    cpu_ns: int
    switches: int

    @classmethod
    def now(cls) -> "Spent":
        """Look."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return cls(time.process_time_ns(), usage.ru_nvcsw + usage.ru_nivcsw)


class Works:
    """The works of one side."""

    def __init__(self, setup: Setup, side: Side) -> None:
        self.duo = setup.duo
        self.links = setup.links
        self.side = side
        self._samples = array("Q")

    def samples(self) -> "array[int]":
        """Return those of the last work, in the form of the file."""
        return array("I", (min(each, SAMPLE_MOST_NS) for each in self._samples))

    def do(self, order: Order) -> dict[str, int]:
        """Do one work; the numbers are whole in the client only."""
        self.side.prepare(order.size)
        if order.work == "window":
            self.side.hold(int(order.more))
        message = bytes(range(256)) * (order.size // 256 + 1)
        task = Task(
            order.work,
            message[: order.size],
            order.more,
            self.links,
            self.duo.is_peer,
            self._samples.append,
        )
        run = self.side.run_of(task)
        count = self._count(run, order)
        del self._samples[:]
        self.duo.meet()
        before = Spent.now()
        began = clock()
        run(count)
        self.duo.meet()
        took = clock() - began
        after = Spent.now()
        cpu, switches = after.cpu_ns - before.cpu_ns, after.switches - before.switches
        theirs = self.duo.tell(f"{cpu} {switches}").split()
        return {
            "count": count * len(task.used_links()),
            "ns": took,
            "cpu_ns": cpu + int(theirs[0]),
            "switches": switches + int(theirs[1]),
        }

    def _count(self, run: Run, order: Order) -> int:
        """Find out how often the work fits into so many seconds; both sides come to the same.

        A trial that another process disturbed looks long enough, but is not: what decides is the
        best speed so far, and a trial is made again while its speed still rises.
        """
        if order.work == "paced":
            self._trial(run, WARM_UP)  # what was made for this size may connect at its first use
            return max(COUNT_LEAST, min(SAMPLES_MAX, int(order.more * order.seconds)))
        count, best = 1, 0.0
        enough = order.seconds * TRIAL_SHARE * 1e9
        while count < TRIAL_MOST:
            speed = count / self._trial(run, count)
            is_rising = speed > best * TRIAL_GAIN
            best = max(best, speed)
            if count < best * enough:
                count *= 2
            elif not is_rising:
                break
        return max(COUNT_LEAST, min(SAMPLES_MAX, int(best * order.seconds * 1e9)))

    def _trial(self, run: Run, count: int) -> int:
        """Return how long the client needs for so many, in ns."""
        self.duo.meet()
        began = clock()
        run(count)
        self.duo.meet()
        took = max(1, clock() - began)
        theirs = int(self.duo.tell(str(took)))
        return theirs if self.duo.is_peer else took
