"""Our stack over real devices and the kernel, in trouble: many, large, lost, dead, flooded."""

from __future__ import annotations

import random
import resource
import socket
import zlib
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.dpdk import fixtures
from tests.dpdk.stack import IPV6_MTU_MIN, KINDS, Wire, end_process, needs_stack, wire
from tests.net.kernel import (
    FAMILIES,
    KERNEL,
    OURS,
    SOON,
    Doing,
    drain,
    echo_each,
    exact,
    reset_on_close,
    send_all,
)

stack, line = fixtures.stack, fixtures.line
MEGABYTE = fixtures.MEGABYTE
CONNECTIONS = 1000


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS + 200
    if before[1] != resource.RLIM_INFINITY:
        wanted = min(wanted, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, before[0]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


# ------------------------------------------------------------------ many


@pytest.mark.usefixtures("many_descriptors")
def test_a_thousand_connections(line: Wire, rng: random.Random) -> None:
    """From the kernel, all of them open; then a fifth of that to the kernel."""
    peer = line.start()
    for family in (4, 6):
        peer.listen(family, 7, "echo", 0, CONNECTIONS)
    data = rng.randbytes(500)
    with ExitStack() as stack:
        socks = [
            stack.enter_context(line.host.connect(4 if index % 2 else 6, 7))
            for index in range(CONNECTIONS)
        ]
        echo_each(socks, data)
    for _ in socks:
        assert peer.wait("end")["received"] == len(data)
    with line.host.listen(4, 80) as door:
        streams = [peer.connect(4, 80, "ask", 640, 64) for _ in range(CONNECTIONS // 5)]
        for _ in streams:
            with door.accept()[0] as sock:
                for _ in range(10):
                    sock.sendall(exact(sock, 64))
                assert sock.recv(1) == b""
        for stream in streams:
            assert peer.end(stream)["received"] == 640


# ------------------------------------------------------------------ large and small


def sizes(kind: str) -> list[int]:
    """Return what the device can; 1500 is what all others have."""
    more = {"af_packet": [3500, 9000], "af_xdp": [3500], "tap": []}
    return [576, 1280, *more[kind]]


@pytest.mark.parametrize(("kind", "mtu"), [(kind, mtu) for kind in KINDS for mtu in sizes(kind)])
def test_bulk_at_other_mtus(kind: str, mtu: int, rng: random.Random) -> None:
    with wire(kind, mtu) as line:
        line.start()
        for family in (4, 6) if mtu >= IPV6_MTU_MIN else (4,):
            line.to_kernel(family, MEGABYTE)
            with line.host.listen(family, 81) as door:
                stream = line.peer.connect(family, 81, "talk")
                with door.accept()[0] as sock:
                    mss = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
                    assert mss == mtu - (40 if family == 4 else 60) - 12
                line.peer.ask(f"finish {stream}")
            line.from_kernel(family, rng.randbytes(MEGABYTE))


# ------------------------------------------------------------------ no room


def test_a_window_that_closes_and_opens(line: Wire, rng: random.Random) -> None:
    line.start("recv_bytes=65536")
    for family in (4, 6):
        ours_closes(line, family, rng.randbytes(4 * MEGABYTE))
        theirs_closes(line, family)


def ours_closes(line: Wire, family: int, data: bytes) -> None:
    peer = line.peer
    peer.listen(family, 80, "sink")
    with line.host.connect(family, 80) as sock:
        stream = int(peer.wait("accepted")["id"])
        peer.ask(f"stop {stream}")
        sock.setblocking(False)
        sent = fill(sock, data)
        assert 0 < sent < len(data)
        peer.ask(f"go {stream}")
        sock.settimeout(SOON)
        send_all(sock, data[sent:]).join()
        assert drain(sock) == (0, 0)
    assert peer.end(stream)["received_crc"] == zlib.crc32(data)


def theirs_closes(line: Wire, family: int) -> None:
    peer = line.peer
    with line.host.listen(family, 81) as door:
        stream = peer.connect(family, 81, "source", 16 * MEGABYTE)
        with door.accept()[0] as sock:
            before = -1
            while (now := int(peer.info(stream)["sent"])) != before or now == 0:
                before = now
                socket_is_full(sock)
            assert now < 16 * MEGABYTE
            length, crc = drain(sock)
        end = peer.end(stream)
    assert (length, crc) == (16 * MEGABYTE, end["sent_crc"])


def fill(sock: socket.socket, data: bytes) -> int:
    """Send until nothing more is taken for a while; return how much was."""
    sent = 0
    sock.settimeout(0.3)  # longer than the kernel's first probes of a closed window
    while sent < len(data):
        try:
            sent += sock.send(data[sent : sent + 65536])
        except TimeoutError:
            break
    return sent


def socket_is_full(sock: socket.socket) -> None:
    """Wait until what arrives is no more than what has arrived."""
    seen = -1
    while seen != (seen := len(sock.recv(1 << 24, socket.MSG_PEEK))):
        pass


# ------------------------------------------------------------------ lost


@pytest.mark.parametrize(("percent", "size"), [(1, 2 * MEGABYTE), (10, MEGABYTE // 8)])
@pytest.mark.parametrize("kind", KINDS)
def test_loss_on_the_way(kind: str, percent: int, size: int, rng: random.Random) -> None:
    """A connection that is open when it begins: a lost SYN is repeated after a second, and two."""
    needs_stack("nft")
    data = rng.randbytes(size)
    with wire(kind, bridged=True) as line, ExitStack() as stack:
        peer = line.start(seed=rng.randrange(1 << 32))
        peer.listen(4, 80, "sink", size)
        socks = [stack.enter_context(line.host.connect(4, 80))]
        door = stack.enter_context(line.host.listen(6, 80))
        streams = [int(peer.wait("accepted")["id"]), peer.connect(6, 80, "sink", size)]
        socks.append(stack.enter_context(door.accept()[0]))
        line.lose(percent)
        for sock, stream in zip(socks, streams, strict=True):
            sender = send_all(sock, data)
            length, crc = drain(sock)
            sender.join()
            end = peer.end(stream)
            assert end["received_crc"] == zlib.crc32(data)
            assert (length, crc) == (size, end["sent_crc"])
        assert line.counted("lost") > 0


# ------------------------------------------------------------------ dead


def test_the_kernels_program_dies(line: Wire) -> None:
    peer = line.start()
    peer.listen(4, 80, "talk")
    program = (
        "import socket, sys\n"
        f"s = socket.create_connection(({OURS[4]!r}, 80))\n"
        "s.sendall(b'alive')\n"
        "print('up', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = line.host.start(program)
    try:
        stream = int(peer.wait("accepted")["id"])
        assert peer.heard(stream, 5) == b"alive"
        peer.say(stream, b"never read")
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    peer.end(stream, "ECONNRESET")
    line.echo(4, b"and nothing else is hurt")


def test_our_program_dies_and_starts_again(line: Wire, rng: random.Random) -> None:
    """The kernel hears nothing of it; a connection of the dead is reset by the new stack."""
    peer = line.start(seed=rng.randrange(1 << 32))
    peer.listen(4, 80, "echo")
    with line.host.connect(4, 80) as sock:
        sock.sendall(b"alive")
        assert exact(sock, 5) == b"alive"
        peer.kill()
        sock.sendall(b"nobody hears it")
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        line.start(seed=rng.randrange(1 << 32))
        for family in (4, 6):
            line.echo(family, rng.randbytes(MEGABYTE), 80)
            line.to_kernel(family, MEGABYTE, 81)
        sock.settimeout(SOON)
        if line.kind != "tap":  # its interface went with its program, and the address with it
            with pytest.raises(ConnectionResetError):
                sock.recv(1)


def test_a_reset_of_each_side(line: Wire) -> None:
    peer = line.start()
    for family in (4, 6):
        peer.listen(family, 80, "talk")
        with line.host.connect(family, 80) as sock:
            peer.ask(f"abort {peer.wait('accepted')['id']}")
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        sock = line.host.connect(family, 80)
        stream = int(peer.wait("accepted")["id"])
        while stream != int(peer.info(stream)["id"]):
            pass
        reset_on_close(sock)
        peer.end(stream, "ECONNRESET")


# ------------------------------------------------------------------ flooded


# From ports below those that connections are given: their resets would be missed, too.
FLOOD = """
import os, socket, struct, sys
kind = {kind}
raw = socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_TCP)
pseudo = socket.inet_pton(kind, {source!r}) + socket.inet_pton(kind, {target!r})
pseudo += struct.pack("!HH", socket.IPPROTO_TCP, 20)
for _ in range({count}):
    port, sequence = struct.unpack("!H", os.urandom(2))[0] >> 1, os.urandom(4)
    head = struct.pack("!HH4sIBBH", port, 80, sequence, 0, 0x50, 2, 65535)
    total = sum(struct.unpack(f"!{{len(pseudo + head) // 2}}H", pseudo + head))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    raw.sendto(head + struct.pack("!HH", ~total & 0xFFFF, 0), ({target!r}, 0))
"""
REQUESTS = 5000
NO_RESETS = """
table inet flood {
  counter answers { }
  chain out {
    type filter hook output priority 0;
    tcp flags & rst == rst drop
  }
  chain in {
    type filter hook input priority 0;
    tcp flags & (syn | ack) == (syn | ack) counter name answers
  }
}
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_of_requests_to_connect(kind: str, rng: random.Random) -> None:
    """A connection goes on and new ones are made, while thousands are asked for by nobody."""
    needs_stack("nft")
    data = rng.randbytes(MEGABYTE // 8)
    with wire(kind) as line, ExitStack() as stack:
        line.host.run("nft", "-f", "-", stdin=NO_RESETS)
        for family in (4, 6):
            line.peers or line.start()
            line.peer.listen(family, 80, "echo", 0, 64)
            old = stack.enter_context(line.host.connect(family, 80))
            flood = line.host.start(
                FLOOD.format(
                    kind=int(FAMILIES[family]),
                    source=KERNEL[family],
                    target=OURS[family],
                    count=REQUESTS,
                )
            )
            stack.callback(end_process, flood)
            rounds = 0
            while flood.poll() is None or rounds == 0:
                rounds += 1
                echo_open(old, data)
                with line.host.connect(family, 80) as new:
                    echo_each([new], data[:5000])
            assert flood.wait(SOON) == 0
        assert line.counted("answers") > 0


def echo_open(sock: socket.socket, data: bytes) -> None:
    sender = Doing(lambda: sock.sendall(data))
    assert exact(sock, len(data)) == data
    sender.join()
