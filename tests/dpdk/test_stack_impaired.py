"""Our stack and the kernel over a wire that delays, reorders, repeats, damages and loses frames.

The wire is bad in front of our device (tests/dpdk/impaired), both ways; the seed is the run's.
"""

from __future__ import annotations

import random

import pytest

from tests.dpdk.stack import Wire, needs_stack, wire

SIZE = 2 << 20
NS_PER_MS = 1_000_000
WIRES = {
    "delay": "delay_us=5000",
    "reordering": "delay_us=1000,reorder_ppm=20000,hold_us=3000",
    "much_reordering": "delay_us=500,reorder_ppm=200000,hold_us=2000",
    "all": "delay_us=1000,reorder_ppm=10000,hold_us=2000,loss_ppm=5000,duplicate_ppm=10000,"
    "corrupt_ppm=5000",
}


@pytest.fixture(scope="module", autouse=True)
def stack() -> None:
    needs_stack("ethtool")


def treated_badly(line: Wire) -> tuple[int, int]:
    """Return how many frames were, of those that came and of those that went."""
    (port,) = line.peer.rows("port")
    return port["rx_missed"], port["tx_dropped"]


@pytest.mark.parametrize("kind", ["af_packet", "af_xdp"])
@pytest.mark.parametrize("bad", WIRES)
def test_bulk_arrives_whole_over_a_bad_wire(kind: str, bad: str, rng: random.Random) -> None:
    with wire(kind) as line:
        line.bad = WIRES[bad]
        line.start(seed=rng.getrandbits(32))
        line.to_kernel(4, SIZE)
        line.from_kernel(6, rng.randbytes(SIZE))
        line.echo(4, rng.randbytes(SIZE // 4))
        came, went = treated_badly(line)
        assert (min(came, went) > 0) == (bad != "delay")


def test_a_round_trip_is_what_the_wire_takes(rng: random.Random) -> None:
    # catches: a wire that only seems to delay; a measure of the round trip that is not one
    with wire("af_packet") as line:
        line.bad = WIRES["delay"]
        peer = line.start(seed=rng.getrandbits(32))
        with line.host.listen(4, 80) as door:
            stream = peer.connect(4, 80, "talk")
            peer.wait("connected", stream)
            with door.accept()[0]:
                (row,) = peer.rows("conn")
            assert 10 * NS_PER_MS <= row["min_rtt_ns"] < 1000 * NS_PER_MS
            peer.ask(f"finish {stream}")
            peer.end(stream)
