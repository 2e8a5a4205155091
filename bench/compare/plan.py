"""What is measured: the cases of the sections that consist of pairs.

Each section has the works, sizes and waits that its question needs, and as many seconds for a case
as its rounds allow; sections.py runs them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .harness import Case
from .specs import Language, PairSpec, Wait

SIZES = (8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 16 << 20)
SIZES_QUICK = (64, 4 << 10, 1 << 20)
SMALL = 64
PACED_PER_S = 5_000  # who blocks has time for each, on a slow machine too: no queue is measured
MANY = 100
POLLED: tuple[Wait, ...] = ("spin", "block")
OURS: tuple[Wait, ...] = ("spin", "adaptive", "block")


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is measured.

    Attributes:
        rounds: of every section.
        seconds: of a case in a round.
        sizes: of messages.
    """

    rounds: int
    seconds: float
    sizes: tuple[int, ...]


FULL = Budget(rounds=5, seconds=0.04, sizes=SIZES)
QUICK = Budget(rounds=2, seconds=0.015, sizes=SIZES_QUICK)

LIMITS: tuple[tuple[str, str], ...] = (
    ("line", "trip"),
    ("memcpy", "flow"),
    ("memcpy2", "flow"),
)
LOCAL: tuple[tuple[str, Language, tuple[Wait, ...]], ...] = (
    ("eastwest-shm", "c", OURS),
    ("unix-stream", "c", POLLED),
    ("unix-seqpacket", "c", POLLED),
    ("pipe", "c", POLLED),
    ("tcp", "c", POLLED),
    ("posix-mq", "c", ("block",)),
    ("eastwest-shm", "python", OURS),
    ("unix-stream", "python", POLLED),
    ("unix-seqpacket", "python", POLLED),
    ("pipe", "python", POLLED),
    ("tcp", "python", POLLED),
    ("posix-mq", "python", POLLED),
    ("mp-pipe", "python", ("block",)),
    ("mp-queue", "python", ("block",)),
    ("zmq-ipc", "python", ("block",)),
    ("zmq-tcp", "python", ("block",)),
    ("nng-ipc", "python", ("block",)),
    ("iceoryx2", "python", POLLED),
    ("zenoh-ipc", "python", ("block",)),
    ("zenoh-shm", "python", ("block",)),
    ("ecal", "python", ("block",)),
    ("grpc-uds", "python", ("block",)),
)
ASYNC: tuple[tuple[str, Wait], ...] = (
    ("eastwest-shm-aio", "adaptive"),
    ("eastwest-tcp-aio", "adaptive"),
    ("unix-stream-aio", "block"),
    ("zmq-ipc-aio", "block"),
    ("grpc-uds-aio", "block"),
)
UVLOOP = ("eastwest-shm-aio", "unix-stream-aio")
MANY_OF: tuple[tuple[str, Language, Wait], ...] = (
    ("eastwest-shm", "c", "adaptive"),
    ("unix-stream", "c", "block"),
    ("unix-seqpacket", "c", "block"),
    ("tcp", "c", "block"),
    ("pipe", "c", "block"),
    ("posix-mq", "c", "block"),
    ("eastwest-shm", "python", "adaptive"),
    ("unix-stream", "python", "block"),
    ("unix-seqpacket", "python", "block"),
    ("pipe", "python", "block"),
    ("tcp", "python", "block"),
    ("posix-mq", "python", "block"),
    ("mp-pipe", "python", "block"),
    ("mp-queue", "python", "block"),
    ("zmq-ipc", "python", "block"),
    ("zmq-tcp", "python", "block"),
    ("nng-ipc", "python", "block"),
    ("iceoryx2", "python", "block"),
    ("zenoh-ipc", "python", "block"),
    ("ecal", "python", "block"),
    ("grpc-uds", "python", "block"),
    *((system, "python", wait) for system, wait in ASYNC),
)


def limits(budget: Budget) -> list[Case]:
    """What the machine allows: a line between two caches, a copy, two copies."""
    found = []
    for system, work in LIMITS:
        spec = PairSpec("limits", system, "c", "")
        sizes = (SMALL,) if work == "trip" else budget.sizes
        found += [Case(spec, work, size, budget.seconds) for size in sizes]
    return found


def local(budget: Budget) -> list[Case]:
    """Two processes of one host, one channel."""
    specs = [
        PairSpec("local", system, language, wait)
        for system, language, waits in LOCAL
        for wait in waits
    ]
    return list(_sweep(specs, budget))


def in_event_loops(budget: Budget) -> list[Case]:
    """The same in asyncio."""
    specs = [PairSpec("async", system, "python", wait) for system, wait in ASYNC]
    specs += [
        PairSpec("async", system, "python", wait, options={"loop": "uvloop"}, path="uvloop")
        for system, wait in ASYNC
        if system in UVLOOP
    ]
    return list(_sweep(specs, budget))


def many(budget: Budget) -> list[Case]:
    """A hundred channels, all busy at once."""
    return [
        Case(PairSpec("many", system, language, wait, links=MANY), "fan", SMALL, budget.seconds)
        for system, language, wait in MANY_OF
    ]


def _sweep(specs: Sequence[PairSpec], budget: Budget) -> Iterator[Case]:
    """Both works in every size, and small round trips at a fixed rate."""
    for spec in specs:
        for size in budget.sizes:
            yield Case(spec, "trip", size, budget.seconds)
            yield Case(spec, "flow", size, budget.seconds)
        at = {"rate": PACED_PER_S}
        yield Case(spec, "paced", SMALL, 4 * budget.seconds, (PACED_PER_S,), at)
