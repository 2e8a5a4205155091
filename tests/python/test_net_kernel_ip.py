"""What our stack and the kernel tell each other below TCP: echoes, errors, datagrams, path MTUs."""

from __future__ import annotations

import random
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.net import fixtures
from tests.net.kernel import (
    DEVICE,
    KERNEL,
    OURS,
    SOON,
    Event,
    Host,
    Pair,
    at,
    drain,
)

device, pair = fixtures.device, fixtures.pair
BOTH = fixtures.BOTH
ECHO = {4: (8, 0), 6: (128, 129)}  # request, answer
ICMP = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
IP_RECVERR, IPV6_RECVERR, IPV6_UNICAST_HOPS = 11, 25, 16
BEYOND = {4: "10.10.0.2", 6: "fd10::2"}  # on the other side of the kernel
TWICE = 3  # enum net_address_state


def until(wanted: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not wanted():
        assert time.monotonic() < end


# ------------------------------------------------------------------ echo


def ip_sum(data: bytes) -> int:
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ping(pair: Pair, family: int, data: bytes, sequence: int) -> bytes:
    """Send an echo request; return the data of the answer."""
    with pair.host.open_socket(family, socket.SOCK_RAW, ICMP[family]) as sock:
        request, answer = ECHO[family]
        head = struct.pack("!BBHHH", request, 0, 0, 77, sequence)
        if family == 4:
            head = struct.pack("!BBHHH", request, 0, ip_sum(head + data), 77, sequence)
        sock.sendto(head + data, (OURS[family], 0))
        while True:
            got = sock.recv(1 << 16)
            got = got[20:] if family == 4 else got
            kind, _, _, who, number = struct.unpack("!BBHHH", got[:8])
            if (kind, who, number) == (answer, 77, sequence):
                return got[8:]


@BOTH
@pytest.mark.parametrize("tap", [False, True])
def test_ping_whole_and_in_fragments(
    pair: Pair, family: int, tap: bool, rng: random.Random
) -> None:
    pair.start(tap=tap)
    for number, size in enumerate((0, 1, 56, 1472, 1473, 4000, 20000, 60000)):
        data = rng.randbytes(size)
        assert ping(pair, family, data, number) == data


@BOTH
def test_ping_over_a_bad_wire(pair: Pair, family: int, rng: random.Random) -> None:
    # catches: fragments in another order; two datagrams mixed
    pair.start(f"-s{rng.randrange(1 << 32)}")
    for way in ("in", "out"):
        pair.peer.ask(f"wire {way} 0 500000 2000")
    for number in range(20):
        data = rng.randbytes(7000)
        assert ping(pair, family, data, number) == data


# ------------------------------------------------------------------ UDP


@BOTH
def test_datagrams_come_back(pair: Pair, family: int, rng: random.Random) -> None:
    pair.start()
    pair.peer.ask(f"udp {at(family, OURS[family], 7)} echo")
    with pair.host.open_socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((OURS[family], 7))
        for size in (0, 1, 1472, 1473, 9000, 60000):
            data = rng.randbytes(size)
            sock.send(data)
            assert sock.recv(1 << 16) == data
            said = pair.peer.wait("datagram")
            assert (said["bytes"], said["crc"]) == (size, zlib.crc32(data))


@BOTH
def test_datagrams_of_ours_arrive(pair: Pair, family: int) -> None:
    pair.start()
    with pair.host.open_socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((KERNEL[family], 9))
        there = at(family, KERNEL[family], 9)
        ours = pair.peer.ask(f"udp {at(family, OURS[family], 0)} sink {there}")["id"]
        for size in (0, 1, 1472, 1473, 9000, 60000):
            pair.peer.ask(f"udp-send {ours} {there} {size}")
            data, address = sock.recvfrom(1 << 16)
            assert len(data) == size
            sock.sendto(data, address)
            said = pair.peer.wait("datagram")
            assert (said["bytes"], said["crc"]) == (size, zlib.crc32(data))


@BOTH
def test_no_such_port_of_ours(pair: Pair, family: int) -> None:
    pair.start()
    with pair.host.open_socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((OURS[family], 9))
        sock.send(b"anybody there?")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(1)


@BOTH
def test_no_such_port_of_the_kernel(pair: Pair, family: int) -> None:
    pair.start()
    there = at(family, KERNEL[family], 9)
    ours = pair.peer.ask(f"udp {at(family, OURS[family], 0)} sink {there}")["id"]
    pair.peer.ask(f"udp-send {ours} {there} 100")
    assert pair.peer.wait("udp-error", ours)["error"] == "ECONNREFUSED"


@BOTH
def test_a_trace_ends_at_our_host(pair: Pair, family: int) -> None:
    """A hop limit of 1 reaches us; a port that is nobody's is the end of a trace."""
    pair.start()
    with pair.host.open_socket(family, socket.SOCK_DGRAM) as sock:
        if family == 4:
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_UNICAST_HOPS, 1)
        sock.sendto(bytes(32), (OURS[family], 33434))
        until(lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0)
        _, notes, _, _ = sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)
        kind, code = struct.unpack("=IBBBBII", notes[0][2][:16])[2:4]
        assert (kind, code) == ((3, 3) if family == 4 else (1, 4))


# ------------------------------------------------------------------ beyond the kernel


@contextmanager
def beyond(pair: Pair, mtu: int) -> Iterator[Host]:
    """Make a second host behind the kernel, which forwards; the way between them may be narrow."""
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        pair.host.sysctl(name, "1")
    host = Host()
    try:
        pair.host.ip(
            "link add v0 type veth peer name v1",
            f"link set v1 netns {host.path}",
            f"link set v0 mtu {mtu} up",
            "addr add 10.10.0.1/24 dev v0",
            *(["addr add fd10::1/64 dev v0 nodad"] if mtu >= 1280 else []),
        )
        host.ip(
            "link set v1 up",
            f"addr add {BEYOND[4]}/24 dev v1",
            "route add default via 10.10.0.1",
            *([f"addr add {BEYOND[6]}/64 dev v1 nodad"] if mtu >= 1280 else []),
            *(["route add default via fd10::1"] if mtu >= 1280 else []),
        )
        yield host
    finally:
        host.close()


ROUTES = (f"-r10.10.0.0/24,{KERNEL[4]}", f"-rfd10::/64,{KERNEL[6]}")


def send_beyond(pair: Pair, host: Host, family: int, size: int) -> Event:
    with host.open_socket(family) as door:
        door.bind((BEYOND[family], 80))
        door.listen()
        there = at(family, BEYOND[family], 80)
        stream = pair.peer.ask(f"connect {there} source {size}")["id"]
        with door.accept()[0] as sock:
            length, crc = drain(sock)
        end = pair.peer.end(stream)
    assert (length, crc) == (size, end["sent_crc"])
    return end


@pytest.mark.parametrize(("family", "mtu"), [(4, 576), (4, 1400), (6, 1280), (6, 1400)])
def test_the_kernel_says_that_our_packets_are_too_long(pair: Pair, family: int, mtu: int) -> None:
    """RFC 1191, RFC 8201: the kernel's answer makes the next segments shorter."""
    pair.start(*ROUTES)
    pair.peer.ask("set * timeouts 2")  # a second: none is for want of a processor
    with beyond(pair, mtu) as host:
        for _ in range(2):  # the second connection knows
            end = send_beyond(pair, host, family, 500_000)
            assert end["info"]["path_mtu"] == mtu
            assert end["info"]["timeouts"] == 0


@BOTH
def test_a_black_hole_is_found(pair: Pair, family: int) -> None:
    """RFC 2923 section 2.1: long packets vanish and nobody says so."""
    pair.start()
    pair.peer.ask("wire out 0 0 0 1400")
    assert pair.to_kernel(family, 300_000)["info"]["path_mtu"] <= 1400


@BOTH
def test_a_narrow_way_to_us(pair: Pair, family: int, rng: random.Random) -> None:
    """The kernel's route has a lower MTU, then its device: it sends less, or in pieces."""
    pair.start()
    pair.host.ip(f"route add {OURS[family]} dev {DEVICE} mtu 1300")
    pair.from_kernel(family, rng.randbytes(300_000))
    data = rng.randbytes(1452)
    assert ping(pair, family, data, 1) == data
    pair.host.ip(f"link set {DEVICE} mtu 1280")
    pair.from_kernel(family, rng.randbytes(300_000), 81)


@BOTH
def test_a_hop_limit_that_ends_at_the_kernel(pair: Pair, family: int) -> None:
    pair.start(*ROUTES)
    with beyond(pair, 1500) as host, host.open_socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((BEYOND[family], 9))
        there = at(family, BEYOND[family], 9)
        ours = pair.peer.ask(f"udp {at(family, OURS[family], 0)} sink {there}")["id"]
        pair.peer.ask(f"udp-send {ours} {there} 100 1")
        assert pair.peer.wait("udp-error", ours)["error"] == "EHOSTUNREACH"
        pair.peer.ask(f"udp-send {ours} {there} 100 2")
        assert len(sock.recv(1 << 16)) == 100


@BOTH
def test_nobody_behind_the_kernel(pair: Pair, family: int) -> None:
    """No route there: a SYN's error is soft (RFC 1122 section 4.2.3.9), so time decides."""
    pair.start(*ROUTES)
    pair.host.sysctl("ipv4/ip_forward", "1")
    pair.host.sysctl("ipv6/conf/all/forwarding", "1")
    pair.peer.ask("set * syn_retries 0")
    there = at(family, BEYOND[family], 80)
    stream = pair.peer.ask(f"connect {there} hold")["id"]
    assert pair.peer.wait("end", stream)["error"] in ("ENETUNREACH", "EHOSTUNREACH", "ETIMEDOUT")


# ------------------------------------------------------------------ neighbours


@BOTH
def test_an_address_that_the_kernel_has_is_not_used(pair: Pair, family: int) -> None:
    """RFC 5227, RFC 4862: the kernel defends its address."""
    pair.host.add_device(tap=True)
    bits = 24 if family == 4 else 64
    peer = pair.attach(f"-a?{KERNEL[family]}/{bits}", tap=True)
    state = f"address {KERNEL[family]}/{bits}"
    until(lambda: peer.ask(state, "address")["state"] == TWICE)


def test_a_neighbour_that_went_away(pair: Pair) -> None:
    pair.start(tap=True)
    stream = pair.peer.ask(f"connect {at(4, '10.9.0.99', 80)} hold")["id"]
    assert pair.peer.wait("end", stream)["error"] == "EHOSTUNREACH"


@BOTH
def test_the_kernel_changes_its_hardware_address(pair: Pair, family: int) -> None:
    pair.start(tap=True)
    pair.to_kernel(family, 100_000)
    pair.host.ip(f"link set {DEVICE} address 02:00:5e:00:00:77")
    assert ping(pair, family, b"here I am", 1) == b"here I am"
    pair.to_kernel(family, 100_000)
