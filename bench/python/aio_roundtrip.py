"""What does a 64-byte round trip between two event loops cost, beside asyncio streams?

hot            aio.Channel over shared memory, wait policy adaptive; the peer answers at once
hot-streams    asyncio streams over a Unix socket
hot-uv         both under uvloop, if it is installed
hot-uv-streams
idle           aio.Channel, policy block: both ends always sleep in the loop, as after a pause
sync           Channel.send and recv without a loop, adaptive, for comparison

The base of "idle" is hot-streams: a stream never spins, so its hot path is its idle path.

Value of a round: nanoseconds for each round trip, the median of blocks of ten between two looks at
the clock. Percentiles come from a second pass with a look for each trip.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from time import perf_counter_ns as clock
from typing import Any

import eastwest
from eastwest import aio

from .duo import Duo
from .roundtrip import BLOCK, MESSAGE, channel_of, keep, measure, trips_of

Trips = Callable[[int], Awaitable[None]]
Runner = Callable[[Coroutine[Any, Any, None]], None]


def channel_trips(channel: aio.Channel, is_peer: bool) -> Trips:
    """Return what makes so many round trips of this side."""

    async def ask(count: int) -> None:
        for _ in range(count):
            await channel.send(MESSAGE)
            await channel.recv()

    async def answer(count: int) -> None:
        for _ in range(count):
            await channel.recv()
            await channel.send(MESSAGE)

    return answer if is_peer else ask


def stream_trips(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_peer: bool
) -> Trips:
    """Return the same for a stream; drain never waits here, and is what a program would call."""

    async def ask(count: int) -> None:
        for _ in range(count):
            writer.write(MESSAGE)
            await writer.drain()
            await reader.readexactly(len(MESSAGE))

    async def answer(count: int) -> None:
        for _ in range(count):
            await reader.readexactly(len(MESSAGE))
            writer.write(MESSAGE)
            await writer.drain()

    return answer if is_peer else ask


async def measure_here(duo: Duo, name: str, run: Trips, trips: int) -> None:
    """Run one case for one round."""
    await run(trips // BLOCK)
    blocks = [clock()]
    for _ in range(trips // BLOCK):
        await run(BLOCK)
        blocks.append(clock())
    singles = [clock()]
    for _ in range(trips):
        await run(1)
        singles.append(clock())
    keep(duo, name, blocks, singles)


async def over_channel(duo: Duo, name: str, channel: eastwest.Channel, trips: int) -> None:
    """Measure a channel in this loop."""
    wrapped = aio.Channel(channel)
    await measure_here(duo, name, channel_trips(wrapped, duo.is_peer), trips)


async def over_stream(duo: Duo, name: str, sock: socket.socket, trips: int) -> None:
    """Measure a socket in this loop; the socket lives on."""
    reader, writer = await asyncio.open_unix_connection(sock=sock.dup())
    await measure_here(duo, name, stream_trips(reader, writer, duo.is_peer), trips)
    await writer.drain()
    duo.meet()  # before either end closes
    writer.close()


def runners() -> dict[str, Runner]:
    """Return what runs a loop, by the suffix of its cases."""
    found: dict[str, Runner] = {"": asyncio.run}
    try:
        import uvloop
    except ImportError:
        return found
    return {**found, "-uv": uvloop.run}


def main() -> None:
    """Run all cases, interleaved."""
    sockets = socket.socketpair()
    with Duo(rounds=11, rounds_quick=3) as duo:
        sock = sockets[int(duo.is_peer)]
        sock.setblocking(False)
        adaptive_context, adaptive = channel_of(duo, "adaptive")
        block_context, block = channel_of(duo, "block")
        duo.pin()
        for _ in range(duo.rounds):
            for suffix, run in runners().items():
                duo.meet()
                run(over_channel(duo, f"hot{suffix}", adaptive, 5_000))
                duo.meet()
                run(over_channel(duo, f"idle{suffix}", block, 500))
                duo.meet()
                run(over_stream(duo, f"hot{suffix}-streams", sock, 500))
            measure(duo, "sync", trips_of(duo.is_peer, adaptive.send, adaptive.recv), 5_000)
        duo.meet()
        for channel in (adaptive, block):
            channel.abort()
        for context in (adaptive_context, block_context):
            context.close()
    duo.print("aio-roundtrip", "ns")


if __name__ == "__main__":
    main()
