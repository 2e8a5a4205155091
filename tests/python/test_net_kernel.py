"""Our TCP/IP and the kernel's: what both mean by opening, sending, ending, and by bad luck."""

from __future__ import annotations

import socket
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.net.kernel import (
    KERNEL,
    OURS,
    Host,
    Peer,
    at,
    drain,
    exact,
    log_sockets,
    needs_device,
    send_all,
)

MEGABYTE = 1 << 20
BOTH = pytest.mark.parametrize("family", [4, 6])


class Pair:
    """A host, and our stack beside its kernel."""

    def __init__(self, stack: ExitStack) -> None:
        self.host = Host()
        stack.callback(self.host.close)
        self._stack = stack
        self.peer: Peer

    def start(self, *options: str, mtu: int = 1500, tap: bool = False) -> Peer:
        self.host.add_device(mtu, tap)
        self.peer = Peer(self.host, *options, mtu=mtu, tap=tap)
        self._stack.callback(self.peer.kill)
        return self.peer


@pytest.fixture(scope="module", autouse=True)
def device() -> None:
    needs_device()


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with ExitStack() as stack:
        made = Pair(stack)
        try:
            yield made
            made.peer.quit()
        except AssertionError:
            log_sockets(made.host)
            raise


# ------------------------------------------------------------------ many bytes


def to_kernel(pair: Pair, family: int, size: int) -> dict[str, object]:
    """Send to a kernel listener; what arrived is what was sent."""
    with pair.host.listen(family, 80) as door:
        stream = pair.peer.connect(family, 80, "source", size)
        with door.accept()[0] as sock:
            length, crc = drain(sock)
            sock.shutdown(socket.SHUT_WR)
            end = pair.peer.end(stream)
    assert (length, crc) == (size, end["sent_crc"])
    return end


def from_kernel(pair: Pair, family: int, data: bytes, port: int = 80) -> dict[str, object]:
    """Let the kernel send to a listener of ours."""
    pair.peer.listen(family, port, "sink")
    with pair.host.connect(family, port) as sock:
        stream = pair.peer.wait("accepted")["id"]
        sender = send_all(sock, data)
        assert drain(sock) == (0, 0)
        sender.join()
    end = pair.peer.end(stream)
    assert (end["received"], end["received_crc"]) == (len(data), zlib.crc32(data))
    return end


def echo(pair: Pair, family: int, data: bytes, port: int = 7) -> dict[str, object]:
    """Both directions at once."""
    pair.peer.listen(family, port, "echo")
    with pair.host.connect(family, port) as sock:
        sender = send_all(sock, data)
        assert drain(sock) == (len(data), zlib.crc32(data))
        sender.join()
    return pair.peer.end(pair.peer.wait("accepted")["id"])


@BOTH
def test_bulk_in_each_direction_and_both(pair: Pair, family: int, rng) -> None:
    pair.start()
    to_kernel(pair, family, 16 * MEGABYTE)
    from_kernel(pair, family, rng.randbytes(16 * MEGABYTE))
    echo(pair, family, rng.randbytes(4 * MEGABYTE))
