"""Our TCP and the kernel's where something is missing: options, windows, segments, answers."""

from __future__ import annotations

import errno
import random
import select
import socket
import sys
import time
import zlib
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.net import fixtures
from tests.net.kernel import (
    DEVICE,
    KERNEL,
    OURS,
    SOON,
    Doing,
    Pair,
    at,
    drain,
    reset_on_close,
    send_all,
)

device, pair = fixtures.device, fixtures.pair
MEGABYTE, BOTH = fixtures.MEGABYTE, fixtures.BOTH
NS = 1_000_000_000
TCPI_OPT_TIMESTAMPS, TCPI_OPT_SACK, TCPI_OPT_WSCALE, TCPI_OPT_ECN = 1, 2, 4, 8
TCPI_OPT_ECN_SEEN = 16
CONGESTION = {"newreno": 0, "cubic": 1, "dctcp": 2}  # enum net_cc_kind


def options_of(sock: socket.socket) -> int:
    """Return tcpi_options of the kernel's end."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5]


# ------------------------------------------------------------------ options that one end lacks


@pytest.mark.parametrize("side", ["kernel", "ours"])
@pytest.mark.parametrize(
    ("option", "bit"),
    [("timestamps", TCPI_OPT_TIMESTAMPS), ("sack", TCPI_OPT_SACK), ("scale", TCPI_OPT_WSCALE)],
)
def test_an_option_that_one_side_does_not_have(
    pair: Pair, option: str, bit: int, side: str, rng: random.Random
) -> None:
    pair.start()
    pair.peer.ask("wire in 10000 10000 300")
    pair.peer.ask("wire out 10000 10000 300")
    if side == "kernel":
        name = {"scale": "tcp_window_scaling"}.get(option, f"tcp_{option}")
        pair.host.sysctl(f"ipv4/{name}", "0")
    else:
        pair.peer.ask(f"set * {option} 0")
    pair.peer.listen(4, 7, "echo")
    data = rng.randbytes(300_000)
    with pair.host.listen(4, 80) as door, ExitStack() as stack:
        ours = pair.peer.connect(4, 80, "source", 300_000)
        accepted = stack.enter_context(door.accept()[0])
        opened = stack.enter_context(pair.host.connect(4, 7))
        for sock in (accepted, opened):
            assert not options_of(sock) & bit
            assert options_of(sock) & 7 == 7 & ~bit
        accepted.shutdown(socket.SHUT_WR)
        _, crc = drain(accepted)
        sender = send_all(opened, data)
        assert drain(opened) == (len(data), zlib.crc32(data))
        sender.join()
    end = pair.peer.end(ours)
    assert end["sent_crc"] == crc
    assert not end["info"]["scaled" if option == "scale" else option]


def test_neither_has_any_option(pair: Pair, rng: random.Random) -> None:
    pair.start()
    pair.peer.ask("wire in 10000 0 0")
    pair.peer.ask("wire out 10000 0 0")
    for option in ("timestamps", "sack", "scale"):
        pair.peer.ask(f"set * {option} 0")
    pair.to_kernel(4, 200_000)
    pair.from_kernel(4, rng.randbytes(200_000))


@BOTH
def test_explicit_congestion_notification(pair: Pair, family: int, rng: random.Random) -> None:
    pair.start()
    pair.host.sysctl("ipv4/tcp_ecn", "1")
    pair.peer.ask("set * ecn 1")
    pair.peer.listen(family, 80, "sink")
    with pair.host.connect(family, 80) as sock:
        sender = send_all(sock, rng.randbytes(MEGABYTE))
        drain(sock)
        sender.join()
        assert options_of(sock) & TCPI_OPT_ECN
    assert pair.peer.end(pair.peer.wait("accepted")["id"])["info"]["ecn"]
    with pair.host.listen(family, 81) as door:
        stream = pair.peer.connect(family, 81, "source", MEGABYTE)
        with door.accept()[0] as sock:
            drain(sock)
            assert options_of(sock) & (TCPI_OPT_ECN | TCPI_OPT_ECN_SEEN) == 24
        assert pair.peer.end(stream)["info"]["ecn"]


DELIVERED_CE = slice(196, 200)  # of struct tcp_info


@BOTH
def test_marks_of_a_router_are_echoed_and_heeded(
    pair: Pair, family: int, rng: random.Random
) -> None:
    """RFC 3168 section 6.1: the receiver tells the sender, who sends less, and nothing again."""
    pair.start()
    pair.host.sysctl("ipv4/tcp_ecn", "1")
    pair.peer.ask("set * ecn 1")
    for way in ("in", "out"):
        pair.peer.ask(f"wire {way} 0 0 0 65535 5000")
    pair.peer.listen(family, 80, "sink")
    with pair.host.connect(family, 80) as sock:
        sender = send_all(sock, rng.randbytes(2 * MEGABYTE))
        drain(sock)
        sender.join()
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 200)[DELIVERED_CE]
    assert int.from_bytes(told, sys.byteorder) > 0
    info = pair.to_kernel(family, 2 * MEGABYTE, 81)["info"]
    assert info["segments_resent"] == 0
    assert info["ssthresh"] < 1 << 20
    assert pair.peer.quit()["wire_marked"] > 0


def test_ecn_that_only_one_side_asks_for(pair: Pair) -> None:
    pair.start()
    pair.host.sysctl("ipv4/tcp_ecn", "1")
    pair.peer.ask("set * ecn 2")
    pair.peer.listen(4, 80, "hold")
    with pair.host.connect(4, 80) as sock:
        assert not options_of(sock) & TCPI_OPT_ECN
        pair.peer.tell(f"shutdown {pair.peer.wait('accepted')['id']}")
        assert sock.recv(1) == b""


KINDS = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


@pytest.mark.parametrize("congestion", KINDS.read_text().split() if KINDS.exists() else [])
def test_congestion_control_of_the_kernel(pair: Pair, congestion: str, rng: random.Random) -> None:
    pair.start()
    pair.peer.ask("wire in 10000 0 0")
    pair.peer.listen(4, 80, "sink")
    data = rng.randbytes(MEGABYTE)
    with pair.host.open_socket(4) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
        sock.connect((OURS[4], 80))
        sender = send_all(sock, data)
        drain(sock)
        sender.join()
    assert pair.peer.end(pair.peer.wait("accepted")["id"])["received_crc"] == zlib.crc32(data)


@pytest.mark.parametrize("congestion", ["newreno", "cubic", "dctcp"])
def test_congestion_control_of_ours(pair: Pair, congestion: str) -> None:
    pair.start()
    pair.peer.ask("wire out 10000 0 0")
    pair.peer.ask(f"set * congestion {CONGESTION[congestion]}")
    assert pair.to_kernel(4, 2 * MEGABYTE)["info"]["congestion"] == congestion


# ------------------------------------------------------------------ segments that do not arrive


@pytest.mark.parametrize("loss", [10_000, 100_000])
@BOTH
def test_loss_and_reordering(pair: Pair, family: int, loss: int, rng: random.Random) -> None:
    """Loss in parts of a million, in both directions; as many frames are late by up to 1 ms."""
    pair.start(f"-s{rng.randrange(1 << 32)}")
    size = 2 * MEGABYTE if loss == 10_000 else MEGABYTE // 8
    for way in ("in", "out"):
        pair.peer.ask(f"wire {way} {loss} {loss} 1000")
    pair.to_kernel(family, size)
    pair.from_kernel(family, rng.randbytes(size))
    pair.echo(family, rng.randbytes(size // 4))
    assert pair.peer.quit()["wire_lost"] > 10


def test_reordering_alone_is_found_out(pair: Pair) -> None:
    """Frames are late by more than a round trip, so RACK must err; DSACK says so (RFC 2883).

    Timeouts are the standard's, a second at least: one of 20 ms tells when a busy machine had no
    processor for the kernel's reader, and this test is about what RACK leaves to them.
    """
    pair.start()
    pair.peer.ask("set * timeouts 2")
    pair.peer.ask("wire out 0 50000 500")
    info = pair.to_kernel(4, 8 * MEGABYTE)["info"]
    assert info["timeouts"] == 0
    assert info["undone"] > 0


# ------------------------------------------------------------------ windows


@BOTH
def test_a_kernel_reader_that_stops_and_goes_on(pair: Pair, family: int) -> None:
    pair.start()
    pair.host.sysctl("ipv4/tcp_invalid_ratelimit", "0")
    pair.peer.ask("set * timeouts 1")
    with pair.host.listen(family, 80) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        stream = pair.peer.connect(family, 80, "source", MEGABYTE)
        with door.accept()[0] as sock:
            pair.peer.until(stream, lambda said: said["info"]["probes"] >= 1)
            pair.peer.until_counted("rx_packets", 2)  # answers to our probes
            length, crc = drain(sock)
            sock.shutdown(socket.SHUT_WR)
            end = pair.peer.end(stream)
    assert (length, crc) == (MEGABYTE, end["sent_crc"])


@BOTH
def test_a_reader_of_ours_that_stops_and_goes_on(
    pair: Pair, family: int, rng: random.Random
) -> None:
    pair.start()
    listener = pair.peer.listen(family, 80, "hold")
    pair.peer.ask(f"set {listener} recv_bytes 40000")
    data = rng.randbytes(MEGABYTE)
    with pair.host.connect(family, 80) as sock:
        stream = pair.peer.wait("accepted")["id"]
        pair.peer.ask(f"still {stream} 1")
        sender = send_all(sock, data)
        pair.peer.until(stream, lambda said: said["info"]["receive_window"] == 0)
        before = pair.peer.counters()
        now = pair.peer.until_counted("rx_packets", 2)  # the kernel's probes, answered
        assert now["tx_frames"] >= before["tx_frames"] + 2
        pair.peer.ask(f"still {stream} 0")
        said = pair.peer.until(stream, lambda said: said["received"] == MEGABYTE)
        assert said["received_crc"] == zlib.crc32(data)
        sender.join()
        pair.peer.tell(f"shutdown {stream}")
        assert sock.recv(1) == b""
    pair.peer.end(stream)


def test_one_byte_at_a_time(pair: Pair, rng: random.Random) -> None:
    # catches: a small segment that pins a large buffer and closes the window for good
    pair.start()
    pair.peer.listen(4, 80, "sink")
    data = rng.randbytes(20_000)
    with pair.host.connect(4, 80) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = pair.peer.wait("accepted")["id"]
        pair.peer.ask(f"still {stream} 1")

        def work() -> None:
            for each in data:
                sock.sendall(bytes((each,)))
            sock.shutdown(socket.SHUT_WR)

        sender = Doing(work)
        pair.peer.until(stream, lambda said: said["info"]["readable"] == len(data))
        pair.peer.ask(f"still {stream} 0")
        sender.join()
        drain(sock)
    assert pair.peer.end(stream)["received_crc"] == zlib.crc32(data)


# ------------------------------------------------------------------ nobody answers


def test_the_device_goes_down_and_our_user_timeout_ends_it(pair: Pair) -> None:
    pair.start()
    pair.peer.ask(f"set * user_timeout_ns {NS // 4}")
    with pair.host.listen(4, 80) as door:
        stream = pair.peer.connect(4, 80, "hold")
        with door.accept()[0]:
            pair.peer.wait("connected", stream)
            pair.host.ip(f"link set {DEVICE} down")
            pair.peer.tell(f"send {stream} 5000")
            pair.peer.end(stream, "ETIMEDOUT")


def test_our_process_dies_and_the_next_one_resets(pair: Pair) -> None:
    pair.start()
    pair.peer.listen(4, 80, "hold")
    with pair.host.connect(4, 80) as sock:
        pair.peer.wait("accepted")
        pair.peer.kill()
        pair.attach()
        sock.sendall(b"are you there?")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_keepalive_of_the_kernel_is_answered(pair: Pair) -> None:
    pair.start()
    pair.peer.listen(4, 80, "hold")
    with pair.host.connect(4, 80) as sock:
        stream = pair.peer.wait("accepted")["id"]
        before = pair.peer.counters()["tx_frames"]
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        pair.peer.until_counted("rx_packets", 1)
        assert pair.peer.counters()["tx_frames"] == before + 1
        pair.peer.tell(f"shutdown {stream}")
        assert sock.recv(1) == b""


def test_our_keepalive_is_answered(pair: Pair) -> None:
    """Linux answers what is outside the window twice a second, unless it is told otherwise."""
    pair.start()
    pair.host.sysctl("ipv4/tcp_invalid_ratelimit", "0")
    for option, value in (("ns", NS // 50), ("interval_ns", NS // 50), ("count", 2)):
        pair.peer.ask(f"set * keepalive_{option} {value}")
    with pair.host.listen(6, 80) as door:
        stream = pair.peer.connect(6, 80, "hold")
        with door.accept()[0] as sock:
            pair.peer.wait("connected", stream)
            pair.peer.until_counted("rx_packets", 5)
            assert pair.peer.info(stream)["info"]["state"] == "ESTABLISHED"
            pair.host.ip(f"link set {DEVICE} down")
            pair.peer.end(stream, "ETIMEDOUT")
            reset_on_close(sock)


# ------------------------------------------------------------------ opening under stress


@BOTH
def test_our_syn_cookies(pair: Pair, family: int, rng: random.Random) -> None:
    pair.start()
    pair.peer.ask("set * syn_cookies 2")
    info = pair.echo(family, rng.randbytes(MEGABYTE))["info"]
    assert info["sack"] and info["scaled"] and info["timestamps"]  # they were in the timestamp
    assert info["send_window"] > 65535
    assert pair.peer.counters()["tcp_cookies_taken"] == 1


def test_our_syn_cookies_without_timestamps(pair: Pair, rng: random.Random) -> None:
    pair.start()
    pair.host.sysctl("ipv4/tcp_timestamps", "0")
    pair.peer.ask("set * syn_cookies 2")
    pair.echo(4, rng.randbytes(MEGABYTE))
    assert pair.peer.counters()["tcp_cookies_taken"] == 1


@BOTH
def test_syn_cookies_of_the_kernel(pair: Pair, family: int) -> None:
    pair.start()
    pair.host.sysctl("ipv4/tcp_syncookies", "2")
    pair.to_kernel(family, MEGABYTE)


def test_a_full_backlog_of_the_kernel(pair: Pair) -> None:
    """The SYN that the kernel drops is sent again; nothing is lost once somebody accepts."""
    pair.start()
    with pair.host.listen(4, 80, 0) as door, ExitStack() as stack:
        streams = [pair.peer.connect(4, 80, "source", 1000) for _ in range(2)]
        end = time.monotonic() + SOON
        while listen_overflows(pair) == 0:
            assert time.monotonic() < end, "no SYN was dropped"
        socks = [stack.enter_context(door.accept()[0]) for _ in streams]
        assert all(drain(sock)[0] == 1000 for sock in socks)
        for sock in socks:
            sock.shutdown(socket.SHUT_WR)
        for stream in streams:
            pair.peer.end(stream)


def listen_overflows(pair: Pair) -> int:
    """Return how many connections the kernel has dropped because too many wait to be accepted."""
    lines = [line.split() for line in pair.host.run("cat", "/proc/net/netstat").splitlines()]
    names, values = (line for line in lines if line[0] == "TcpExt:")
    return int(values[names.index("ListenOverflows")])


def test_a_full_backlog_of_ours(pair: Pair) -> None:
    pair.start()
    listener = pair.peer.listen(4, 80, "sink", 0, 2)
    pair.peer.ask(f"still {listener} 1")
    with ExitStack() as stack:
        socks = [stack.enter_context(pair.host.open_socket(4)) for _ in range(4)]
        for sock in socks:
            sock.setblocking(False)
            assert sock.connect_ex((OURS[4], 80)) != 0
        end = time.monotonic() + SOON
        while pair.peer.counters()["drop_tcp_backlog"] == 0:
            assert time.monotonic() < end
        pair.peer.ask(f"still {listener} 0")
        for sock in socks:
            sock.settimeout(SOON)
            while sock.connect_ex((OURS[4], 80)) not in (0, 106):
                assert time.monotonic() < end
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""


def test_both_open_at_once(pair: Pair) -> None:
    """RFC 9293 section 3.5: two SYNs cross, one connection. What comes to us is lost at first."""
    pair.start()
    pair.peer.ask("wire in 1000000 0 0")
    with pair.host.open_socket(4) as sock:
        sock.bind((KERNEL[4], 4000))
        sock.setblocking(False)
        assert sock.connect_ex((OURS[4], 5000)) == errno.EINPROGRESS
        until_lost(pair, 1)
        stream = pair.peer.connect(4, 4000, "source", 1000, "-", f"{OURS[4]}:5000")
        until_lost(pair, 2)  # the kernel's SYN-ACK: both are in SYN-RECEIVED, or will be
        pair.peer.ask("wire in 0 0 0")
        sock.settimeout(SOON)
        assert select.select([], [sock], [], SOON)[1]
        assert drain(sock)[0] == 1000
        sock.shutdown(socket.SHUT_WR)
        pair.peer.end(stream)


def until_lost(pair: Pair, count: int) -> None:
    end = time.monotonic() + SOON
    while pair.peer.ask("counters", "counters")["wire_lost"] < count:
        assert time.monotonic() < end


# ------------------------------------------------------------------ the same four numbers again


@pytest.mark.parametrize("we_first", [True, False])
def test_a_connection_of_ours_is_opened_again(pair: Pair, we_first: bool) -> None:
    """One end is in TIME-WAIT: RFC 6191, and RFC 9293 section 3.6.1. Ours asks for a second."""
    pair.start()
    again = f"connect {at(4, KERNEL[4], 80)} {'source' if we_first else 'sink'} 0 - {OURS[4]}:4000"
    with pair.host.listen(4, 80) as door:
        for _ in range(2 if we_first else 5):
            pair.peer.tell(again)
            while (said := pair.peer.wait("done"))["error"] == "EADDRINUSE":
                pair.peer.tell(again)
            assert said["error"] == ""
            with door.accept()[0] as sock:
                if not we_first:
                    sock.shutdown(socket.SHUT_WR)
                assert sock.recv(1) == b""
            pair.peer.end(said["id"])


@pytest.mark.parametrize("we_first", [True, False])
def test_a_connection_of_the_kernel_is_opened_again_at_once(pair: Pair, we_first: bool) -> None:
    pair.start()
    pair.host.sysctl("ipv4/tcp_tw_reuse", "1")
    pair.host.sysctl("ipv4/tcp_tw_reuse_delay", "1")
    pair.peer.listen(4, 80, "hold" if we_first else "sink")
    for _ in range(5):
        with pair.host.connect(4, 80, 4000) as sock:
            stream = pair.peer.wait("accepted")["id"]
            if we_first:
                pair.peer.tell(f"shutdown {stream}")
            else:
                sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
        pair.peer.end(stream)
