"""The loops of the works, for calls that block."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SPIN_NS = 100_000  # before a message is due a client looks at the clock all the time
ANSWER_AT_ONCE_MAX = 16 << 10  # of fan: an answer that is longer need not fit into a buffer
clock = time.perf_counter_ns
Send = Callable[[bytes], object]
Recv = Callable[[], object]
Run = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Task:
    """A work, as one side is to do it.

    Attributes:
        more: of ``paced``: messages a second; of ``window``: how many are under way.
        keep: takes a sample.
    """

    work: str
    message: bytes
    more: float
    links: int
    is_server: bool
    keep: Callable[[int], None]

    def used_links(self) -> range:
        """Return the links that take part."""
        return range(self.links if self.work == "fan" else 1)

    def due_times(self, count: int) -> list[int]:
        """Return when each message of ``paced`` is to begin, if the first does now."""
        begin = clock()
        return [begin + int(each * 1e9 / self.more) for each in range(count)]


def run_of(task: Task, sends: Sequence[Send], recvs: Sequence[Recv]) -> Run:
    """Return the loop of this side."""
    ask, answer = {
        "trip": (_trip, _echo),
        "paced": (_paced, _echo),
        "fan": (_fan, _echo_all),
        "flow": (_send, _take),
        "window": (_window, _echo),
    }[task.work]
    return (answer if task.is_server else ask)(task, sends, recvs)


def _trip(task: Task, sends: Sequence[Send], recvs: Sequence[Recv]) -> Run:
    def run(count: int) -> None:
        message, keep, send, recv = task.message, task.keep, sends[0], recvs[0]
        before = clock()
        for _ in range(count):
            send(message)
            recv()
            now = clock()
            keep(now - before)
            before = now

    return run


def _paced(task: Task, sends: Sequence[Send], recvs: Sequence[Recv]) -> Run:
    def run(count: int) -> None:
        message, keep, send, recv = task.message, task.keep, sends[0], recvs[0]
        for due in task.due_times(count):
            if (early := due - clock()) > SPIN_NS:
                time.sleep((early - SPIN_NS) / 1e9)
            while clock() < due:
                pass
            send(message)
            recv()
            keep(clock() - due)

    return run


def _window(task: Task, sends: Sequence[Send], recvs: Sequence[Recv]) -> Run:
    def run(count: int) -> None:
        message, send, recv = task.message, sends[0], recvs[0]
        ahead = min(int(task.more), count)
        for _ in range(ahead):
            send(message)
        for _ in range(count - ahead):
            recv()
            send(message)
        for _ in range(ahead):
            recv()

    return run


def _echo(task: Task, sends: Sequence[Send], recvs: Sequence[Recv]) -> Run:
    def run(count: int) -> None:
        message, send, recv = task.message, sends[0], recvs[0]
        for _ in range(count):
            recv()
            send(message)

    return run


def _fan(task: Task, sends: Sequence[Send], recvs: Sequence[Recv]) -> Run:
    def run(count: int) -> None:
        message = task.message
        for _ in range(count):
            for send in sends:
                send(message)
            for recv in recvs:
                recv()

    return run


def _echo_all(task: Task, sends: Sequence[Send], recvs: Sequence[Recv]) -> Run:
    def at_once(count: int) -> None:
        message = task.message
        for _ in range(count):
            for send, recv in zip(sends, recvs, strict=True):
                recv()
                send(message)

    def after_all(count: int) -> None:
        message = task.message
        for _ in range(count):
            for recv in recvs:
                recv()
            for send in sends:
                send(message)

    return at_once if len(task.message) <= ANSWER_AT_ONCE_MAX else after_all


def _send(task: Task, sends: Sequence[Send], recvs: Sequence[Recv]) -> Run:
    def run(count: int) -> None:
        message, send = task.message, sends[0]
        for _ in range(count):
            send(message)

    return run


def _take(task: Task, sends: Sequence[Send], recvs: Sequence[Recv]) -> Run:
    def run(count: int) -> None:
        recv = recvs[0]
        for _ in range(count):
            recv()

    return run
