"""What does a 64-byte round trip between two Python processes cost, beside Unix sockets?

eastwest    Channel.send and Channel.recv over shared memory, wait policy spin
adaptive    the same with the default policy
poll        a Unix socket, both sides calling recv without blocking until the bytes are there
block       a Unix socket, both sides blocking in recv
iceoryx2    its Python package, both sides polling; left out where it is not installed
bare        eastwest's try_send and a loop of try_recv: no wait at all

Value of a round: nanoseconds for each round trip, the median of blocks of ten between two looks at
the clock. Percentiles come from a second pass with a look for each trip.
"""

import socket
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from time import perf_counter_ns as clock
from typing import Literal

import eastwest

from . import ice
from .duo import Duo

MESSAGE = b"x" * 64
BLOCK = 10
Trips = Callable[[int], None]
Wait = Literal["adaptive", "block", "spin"]


def trips_of(is_peer: bool, send: Callable[[bytes], object], recv: Callable[[], object]) -> Trips:
    """Return what makes so many round trips of this side."""

    def ask(count: int) -> None:
        for _ in range(count):
            send(MESSAGE)
            recv()

    def answer(count: int) -> None:
        for _ in range(count):
            recv()
            send(MESSAGE)

    return answer if is_peer else ask


def polled(sock: socket.socket) -> Callable[[], bytes]:
    """Return a recv that spins."""
    recv = sock.recv

    def spin() -> bytes:
        while True:
            try:
                return recv(64)
            except BlockingIOError:
                pass

    return spin


def tried(channel: eastwest.Channel) -> Callable[[], bytes]:
    """Return a recv that spins in Python."""
    try_recv = channel.try_recv

    def spin() -> bytes:
        while (message := try_recv()) is None:
            pass
        return message

    return spin


def channel_of(duo: Duo, wait: Wait) -> tuple[eastwest.Context, eastwest.Channel]:
    """Return this side's end of a channel; the peer listens."""
    context = eastwest.Context(eastwest.Config(runtime_dirs=(duo.directory,), wait=wait))
    if not duo.is_peer:
        duo.meet()
        return context, context.connect(f"bench-{wait}", timeout=10)
    listener = context.listen(f"bench-{wait}")
    duo.meet()
    channel = listener.accept(timeout=10)
    listener.close()
    return context, channel


def measure(duo: Duo, name: str, run: Trips, trips: int) -> None:
    """Run one case for one round."""
    duo.meet()
    run(trips // BLOCK)
    blocks = [clock()]
    for _ in range(trips // BLOCK):
        run(BLOCK)
        blocks.append(clock())
    singles = [clock()]
    for _ in range(trips):
        run(1)
        singles.append(clock())
    keep(duo, name, blocks, singles)


def keep(duo: Duo, name: str, blocks: list[int], singles: list[int]) -> None:
    """Add one round, by the clock before and after each block and each trip."""
    series = duo.case(name)
    series.values.append(median(after - before for before, after in pairwise(blocks)) / BLOCK)
    series.samples += [after - before for before, after in pairwise(singles)]


def main() -> None:
    """Run all cases, interleaved."""
    polling = socket.socketpair()
    blocking = socket.socketpair()
    with Duo(rounds=15, rounds_quick=5) as duo:
        side = int(duo.is_peer)
        poll, block = polling[side], blocking[side]
        poll.setblocking(False)
        adaptive_context, adaptive = channel_of(duo, "adaptive")
        duo.pin()
        spin_context, spin = channel_of(duo, "spin")
        cases = {
            "eastwest": (trips_of(duo.is_peer, spin.send, spin.recv), 10_000),
            "adaptive": (trips_of(duo.is_peer, adaptive.send, adaptive.recv), 10_000),
            "bare": (trips_of(duo.is_peer, spin.try_send, tried(spin)), 10_000),
            "poll": (trips_of(duo.is_peer, poll.send, polled(poll)), 2_000),
            "block": (trips_of(duo.is_peer, block.send, lambda: block.recv(64)), 500),
        }
        ends = ice.pair(duo)
        if ends is not None:
            cases["iceoryx2"] = (trips_of(duo.is_peer, ends[0], ends[1]), 2_000)
        for _ in range(duo.rounds):
            for name, (run, count) in cases.items():
                measure(duo, name, run, count)
        duo.meet()
        if ends is not None:
            ends[2]()
        for channel in (spin, adaptive):
            channel.abort()
        for context in (spin_context, adaptive_context):
            context.close()
    duo.print("python-roundtrip", "ns")


if __name__ == "__main__":
    main()
