"""What do ten thousand idle channels of one process cost? Are a thousand busy ones served fairly?

Of each idle channel, at the end that connected; the peer process accepted all:

private/new     private bytes, by /proc/self/smaps_rollup, when it is open
private/used    the same after one message each way
pss/used        the share of all memory, what is shared with the peer counted half
touched/used    private bookkeeping and pages touched: all that is resident, but for the peer's
                outbox, which is reserved when the channel is opened and counted in `charged`
charged         bytes of the context's budget: what is reserved, touched or not
descriptors     of the process
connects        connections in a second, one after the other

busy            nanoseconds of a round trip when 1,000 channels between two event loops are busy
                at once; the percentiles are over all round trips of all channels
busy/slowest    the round trips that the slowest channel had done when half of all were done, as a
                share of its own half: 1 is fair, 0 is starved

Small outboxes (16 KiB) on small pages, as the test of as many channels has them. The idle ones are
looked at once: later rounds would find their memory in the allocator already.

``--idle N`` looks at N idle ones and at nothing else.
"""

import argparse
import asyncio
import os
import resource
import sys
import time
from pathlib import Path
from statistics import median

import eastwest
from eastwest import Channel, Config, Context, Listener, aio

from .duo import Duo

IDLE, IDLE_QUICK = 10_000, 2_000
OUTBOX_BYTES = 16 << 10
BUSY, TRIPS = 1000, 20
FDS_OF_A_PROCESS = 1000
PATIENCE_S = 60.0
MESSAGE = b"x" * 64


def config(directory: str) -> Config:
    """Return the settings of both processes."""
    return Config(
        runtime_dirs=(directory,),
        outbox_bytes=OUTBOX_BYTES,
        pages="small",
        memory_bytes_max=8 << 30,
        peer_bytes_max=8 << 30,
    )


def raise_limit(wanted: int) -> None:
    """Let this process have so many descriptors; root may raise the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, wanted),) * 2)
    except ValueError:
        sys.exit(f"bench: needs {wanted} open files, the limit is {hard}")


def memory() -> tuple[int, int, int]:
    """Return the private bytes of this process, its proportional share, and what is resident."""
    found: dict[str, int] = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, kib = line.split()[:2]
        found[name] = int(kib) << 10
    return found["Private_Clean:"] + found["Private_Dirty:"], found["Pss:"], found["Rss:"]


def descriptors() -> int:
    """Return how many this process has."""
    return len(os.listdir("/proc/self/fd"))


# ------------------------------------------------------------------ idle


def touch(duo: Duo, channels: list[Channel]) -> None:
    """Send one message each way."""
    if not duo.is_peer:
        for each in channels:
            each.send(MESSAGE, timeout=PATIENCE_S)
    for each in channels:
        each.recv(timeout=PATIENCE_S)
        if duo.is_peer:
            each.send(MESSAGE, timeout=PATIENCE_S)


def hold(duo: Duo, context: Context, listener: Listener | None, count: int) -> None:
    """Open so many channels, and look at what they cost."""
    private, pss, rss = memory()
    fds, began = descriptors(), time.perf_counter()
    if listener is not None:
        channels = [listener.accept(timeout=PATIENCE_S) for _ in range(count)]
    else:
        channels = [context.connect("bench", timeout=PATIENCE_S) for _ in range(count)]
    seconds = time.perf_counter() - began
    duo.meet()
    private_new, _, _ = memory()
    touch(duo, channels)
    duo.meet()
    private_used, pss_used, rss_used = memory()
    found = {
        "private/new": (private_new - private) / count,
        "private/used": (private_used - private) / count,
        "pss/used": (pss_used - pss) / count,
        "touched/used": (rss_used - rss) / count - OUTBOX_BYTES,
        "charged": context.stats().memory_bytes / count,
        "descriptors": (descriptors() - fds) / count,
        "connects": count / seconds,
    }
    duo.meet()
    for name, value in found.items():
        duo.case(name).values.append(value)
    for each in channels:
        each.abort()


# ------------------------------------------------------------------ busy


async def answer(channel: aio.Channel) -> None:
    """Echo until the peer ends."""
    async for message in channel:
        await channel.send(message)


async def accept_and_answer(listener: aio.Listener) -> None:
    """Serve a thousand channels until all have ended."""
    channels = [await listener.accept(timeout=PATIENCE_S) for _ in range(BUSY)]
    await asyncio.gather(*(answer(each) for each in channels))
    for each in channels:
        await each.close()


async def ask_all(duo: Duo, context: aio.Context) -> None:
    """Make round trips on all channels at once."""
    channels = [await context.connect("bench", timeout=PATIENCE_S) for _ in range(BUSY)]
    clock = time.perf_counter_ns
    took: list[int] = []
    done = [0] * BUSY
    slowest: list[int] = []

    async def ask(channel: aio.Channel, at: int) -> None:
        for _ in range(TRIPS):
            began = clock()
            await channel.send(MESSAGE)
            await channel.recv()
            took.append(clock() - began)
            done[at] += 1
            if len(took) == BUSY * TRIPS // 2:
                slowest.append(min(done))

    await asyncio.gather(*(ask(each, at) for at, each in enumerate(channels)))
    for each in channels:
        await each.close()
    busy = duo.case("busy")
    busy.values.append(median(took))
    busy.samples += took
    duo.case("busy/slowest").values.append(slowest[0] / (TRIPS / 2))


async def serve_or_ask(duo: Duo) -> None:
    """Run one round of the busy channels."""
    async with aio.Context(config(duo.directory)) as context:
        if duo.is_peer:
            async with context.listen("bench", max_channels=1 << 17) as listener:
                duo.meet()
                await accept_and_answer(listener)
        else:
            duo.meet()
            await ask_all(duo, context)
    duo.meet()


def main() -> None:
    """Run all rounds."""
    parser = argparse.ArgumentParser(prog="bench.python.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{IDLE_QUICK} idle ones, one round")
    parser.add_argument("--idle", type=int, help="this many, and no busy ones")
    given = parser.parse_args()
    count = given.idle or (IDLE_QUICK if given.quick else IDLE)
    raise_limit(count + (0 if given.idle else 4 * BUSY) + FDS_OF_A_PROCESS)
    with Duo(rounds=3, rounds_quick=1) as duo:
        with eastwest.Context(config(duo.directory)) as context:
            listener = context.listen("bench", max_channels=1 << 17) if duo.is_peer else None
            duo.meet()
            hold(duo, context, listener, count)
            duo.meet()
        for _ in range(0 if given.idle else duo.rounds):
            asyncio.run(serve_or_ask(duo))
        if not duo.is_peer:
            duo.print("python-scale", "as each case says")


if __name__ == "__main__":
    main()
