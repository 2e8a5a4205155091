"""Our stack over real devices and the kernel: bytes each way, IPv4 and IPv6.

./dev test asan runs this with EW_STACK_PRESET=asan and on huge pages, too.
"""

from __future__ import annotations

import random
import socket

import pytest

from tests.dpdk import fixtures
from tests.dpdk.stack import KINDS, Wire, wire
from tests.net.kernel import exact

stack, line = fixtures.stack, fixtures.line
MEGABYTE = fixtures.MEGABYTE
BOTH = pytest.mark.parametrize("family", [4, 6])


def test_bulk_in_each_direction_and_both(line: Wire, rng: random.Random) -> None:
    line.start(seed=rng.randrange(1 << 32))
    for family in (4, 6):
        line.to_kernel(family, 4 * MEGABYTE)
        line.from_kernel(family, rng.randbytes(4 * MEGABYTE))
        line.echo(family, rng.randbytes(MEGABYTE))


@pytest.mark.parametrize("kind", KINDS)
def test_bulk_on_small_pages(
    kind: str, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where objects do not fill their pages, the driver of AF_XDP loses the last ones."""
    monkeypatch.setenv("EASTWEST_DPDK_PAGES", "small")
    with wire(kind) as line:
        line.start()
        line.to_kernel(4, 24 * MEGABYTE)  # more segments than there are buffers
        line.from_kernel(4, rng.randbytes(24 * MEGABYTE))


def test_half_close_of_each_side(line: Wire) -> None:
    peer = line.start()
    for family in (4, 6):
        with line.host.listen(family, 80) as door:
            stream = peer.connect(family, 80, "talk")
            with door.accept()[0] as sock:
                peer.ask(f"shutdown {stream}")
                assert sock.recv(1) == b""
                sock.sendall(b"still here")
                assert peer.heard(stream, 10) == b"still here"
                sock.shutdown(socket.SHUT_WR)
                assert peer.end(stream)["peer_ended"]
            stream = peer.connect(family, 80, "talk")
            with door.accept()[0] as sock:
                sock.shutdown(socket.SHUT_WR)
                peer.until(stream, lambda said: bool(said["peer_ended"]))
                peer.say(stream, b"still here, too")
                assert exact(sock, 15) == b"still here, too"
                peer.ask(f"shutdown {stream}")
                assert sock.recv(1) == b""
            peer.end(stream)
