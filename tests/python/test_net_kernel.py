"""Our TCP/IP and the kernel's: what both mean by opening, sending, ending, and by bad luck."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

import pytest

from tests.net import fixtures
from tests.net.kernel import (
    OURS,
    Pair,
    drain,
    echo_each,
    exact,
    reset_on_close,
)

device, pair = fixtures.device, fixtures.pair
MEGABYTE, BOTH = fixtures.MEGABYTE, fixtures.BOTH


# ------------------------------------------------------------------ many bytes


@BOTH
def test_bulk_in_each_direction_and_both(pair: Pair, family: int, rng: random.Random) -> None:
    pair.start()
    pair.to_kernel(family, 16 * MEGABYTE)
    pair.from_kernel(family, rng.randbytes(16 * MEGABYTE))
    pair.echo(family, rng.randbytes(4 * MEGABYTE))


@BOTH
@pytest.mark.parametrize("mtu", [1280, 9000])
def test_bulk_at_other_mtus(pair: Pair, family: int, mtu: int, rng: random.Random) -> None:
    pair.start(mtu=mtu)
    end = pair.to_kernel(family, MEGABYTE)
    assert end["info"]["send_mss"] == mtu - (40 if family == 4 else 60) - 12
    pair.from_kernel(family, rng.randbytes(MEGABYTE))


def test_bulk_at_the_least_mtu_of_ipv4(pair: Pair, rng: random.Random) -> None:
    pair.start(mtu=576)
    assert pair.to_kernel(4, MEGABYTE)["info"]["send_mss"] == 576 - 52
    pair.from_kernel(4, rng.randbytes(MEGABYTE))


@BOTH
def test_bulk_over_ethernet(pair: Pair, family: int, rng: random.Random) -> None:
    # catches: ARP and NDP that only we understand
    pair.start(tap=True)
    pair.to_kernel(family, MEGABYTE)
    pair.from_kernel(family, rng.randbytes(MEGABYTE))


def test_packets_without_a_reference_are_copied(pair: Pair, rng: random.Random) -> None:
    pair.start("-c")
    pair.echo(4, rng.randbytes(2 * MEGABYTE))


def test_five_hundred_connections(pair: Pair, rng: random.Random) -> None:
    pair.start()
    pair.peer.listen(4, 7, "echo", 0, 1024)
    data = rng.randbytes(3000)
    with ExitStack() as stack:
        socks = [stack.enter_context(pair.host.connect(4, 7)) for _ in range(500)]
        echo_each(socks, data)
    for _ in socks:
        assert pair.peer.wait("end")["received"] == len(data)


def test_two_hundred_connections_to_the_kernel(pair: Pair) -> None:
    pair.start()
    with pair.host.listen(6, 80) as door:
        streams = [pair.peer.connect(6, 80, "ask", 640, 64) for _ in range(200)]
        for _ in streams:
            with door.accept()[0] as sock:
                for _ in range(10):
                    sock.sendall(exact(sock, 64))
                assert sock.recv(1) == b""
        for stream in streams:
            assert pair.peer.end(stream)["received"] == 640


def test_questions_and_answers(pair: Pair) -> None:
    # catches: a delayed ACK or Nagle that waits for the other end's
    pair.start()
    with pair.host.listen(4, 80) as door:
        stream = pair.peer.connect(4, 80, "ask", 64 * 1000, 64)
        with door.accept()[0] as sock:
            for _ in range(1000):
                sock.sendall(exact(sock, 64))
            assert sock.recv(1) == b""
    end = pair.peer.end(stream)
    assert end["received"] == 64000
    assert end["ns"] < 5e9


# ------------------------------------------------------------------ the end


@BOTH
def test_half_closed_by_us(pair: Pair, family: int) -> None:
    pair.start()
    with pair.host.listen(family, 80) as door:
        stream = pair.peer.connect(family, 80, "source", 5)
        with door.accept()[0] as sock:
            assert drain(sock)[0] == 5
            pair.peer.until(stream, lambda said: said["info"]["state"] == "FIN_WAIT_2")
            sock.sendall(bytes(MEGABYTE))
        assert pair.peer.end(stream)["received"] == MEGABYTE


@BOTH
def test_half_closed_by_the_kernel(pair: Pair, family: int) -> None:
    pair.start()
    pair.peer.listen(family, 80, "sink", MEGABYTE)
    with pair.host.connect(family, 80) as sock:
        sock.sendall(b"five!")
        sock.shutdown(socket.SHUT_WR)
        length, crc = drain(sock)
    end = pair.peer.end(pair.peer.wait("accepted")["id"])
    assert (length, crc) == (MEGABYTE, end["sent_crc"])
    assert end["received"] == 5


def test_both_close_at_once(pair: Pair) -> None:
    pair.start()
    with pair.host.listen(4, 80) as door:
        for _ in range(20):
            stream = pair.peer.connect(4, 80, "source", 0)
            with door.accept()[0] as sock:
                sock.shutdown(socket.SHUT_WR)
                assert sock.recv(1) == b""
            pair.peer.end(stream)


@BOTH
def test_the_kernel_resets(pair: Pair, family: int) -> None:
    pair.start()
    pair.peer.listen(family, 80, "hold")
    sock = pair.host.connect(family, 80)
    stream = pair.peer.wait("accepted")["id"]
    sock.sendall(b"five!")
    pair.peer.until(stream, lambda said: said["received"] == 5)
    reset_on_close(sock)
    assert pair.peer.end(stream, "ECONNRESET")["received"] == 5


def test_the_kernel_resets_because_something_was_not_read(pair: Pair) -> None:
    pair.start()
    with pair.host.listen(4, 80) as door:
        stream = pair.peer.connect(4, 80, "hold")
        sock = door.accept()[0]
        pair.peer.tell(f"send {stream} 1000")
        exact(sock, 1)
        sock.close()
    pair.peer.end(stream, "ECONNRESET")


@BOTH
def test_we_reset(pair: Pair, family: int) -> None:
    pair.start()
    with pair.host.listen(family, 80) as door:
        stream = pair.peer.connect(family, 80, "hold")
        with door.accept()[0] as sock:
            pair.peer.wait("connected", stream)
            pair.peer.tell(f"finish {stream} reset")
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        pair.peer.end(stream)


@BOTH
def test_nobody_listens(pair: Pair, family: int) -> None:
    pair.start()
    pair.peer.end(pair.peer.connect(family, 81, "hold"), "ECONNREFUSED")
    with pytest.raises(ConnectionRefusedError):
        pair.host.connect(family, 81)


def test_the_process_behind_the_kernel_dies(pair: Pair) -> None:
    pair.start()
    pair.peer.listen(4, 80, "hold")
    program = f"import socket; s = socket.create_connection(('{OURS[4]}', 80)); s.recv(1)"
    process = pair.host.start(program)
    stream = pair.peer.wait("accepted")["id"]
    process.kill()
    process.communicate()
    pair.peer.until(stream, lambda said: said["info"]["state"] == "CLOSE_WAIT")
    pair.peer.tell(f"shutdown {stream}")
    pair.peer.end(stream)
