"""Our stack on devices of DPDK, against the kernel: over veth pairs and a TAP device."""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.net.kernel import (
    KERNEL,
    OURS,
    ROOT,
    SOON,
    Event,
    Host,
    drain,
    needs_device,
    send_all,
)

PROGRAM = ROOT / "build/dev/tests/dpdk_peer"
ECHO = {4: (8, 0, socket.IPPROTO_ICMP), 6: (128, 129, socket.IPPROTO_ICMPV6)}
HEADERS = {4: 20 + 8, 6: 40 + 8}
# What a receive queue holds when nothing moves: of AF_XDP and TAP, buffers lie in it.
AT_REST = {"af_packet": 0, "af_xdp": 2049, "tap": 256}


@pytest.fixture(scope="module", autouse=True)
def device() -> None:
    if not PROGRAM.exists():
        pytest.skip("needs DPDK: libdpdk-dev 22.11 (Debian 12) and ./dev build")
    needs_device()


class Ours:
    """A running dpdk_peer."""

    def __init__(self, host: Host, text: str, mtu: int) -> None:
        addresses = [f"{OURS[4]}/24", *([f"{OURS[6]}/64"] if mtu >= 1280 else [])]
        with host.inside():
            self.process = subprocess.Popen(
                [PROGRAM, text, str(mtu), *addresses],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "EASTWEST_DPDK_PAGES": "small"},
            )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said, self.end_of_errors()
        self.facts: Event = json.loads(said)

    def end_of_errors(self) -> str:
        return self.process.communicate(timeout=SOON)[1]

    def quit(self) -> Event:
        out, errors = self.process.communicate("end\n", timeout=SOON)
        assert self.process.returncode == 0, errors
        assert errors == ""  # neither DPDK nor libbpf prints
        said: Event = json.loads(out)
        return said

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=SOON)


class Setting:
    """A kernel with addresses, and where our end is."""

    def __init__(self, stack: ExitStack, kind: str, mtu: int) -> None:
        self.kernel, self.kind, self.mtu = Host(), kind, mtu
        stack.callback(self.kernel.close)
        self.other = self.kernel
        self.families = (4, 6) if mtu >= 1280 else (4,)
        self._stack = stack
        if kind != "tap":
            self.other = Host()
            stack.callback(self.other.close)
            self._join()

    def _join(self) -> None:
        self.kernel.ip(f"link add k0 type veth peer name d0 netns {self.other.path}")
        off = ("tx", "off", "gso", "off", "tso", "off", "gro", "off")
        self.kernel.run("ethtool", "-K", "k0", *off)
        settings = ("addrgenmode none", f"mtu {self.mtu}", "up")
        self.other.ip(*[f"link set d0 {each}" for each in settings])
        self._address("k0")

    def _address(self, name: str) -> None:
        self.kernel.ip(
            f"link set {name} mtu {self.mtu}",
            f"addr add {KERNEL[4]}/24 dev {name}",
            *([f"addr add {KERNEL[6]}/64 dev {name} nodad"] if self.mtu >= 1280 else []),
            f"link set {name} up",
        )

    def start(self) -> Ours:
        name = "k0" if self.kind == "tap" else "d0"
        ours = Ours(self.other, f"{self.kind}:iface={name}", self.mtu)
        self._stack.callback(ours.kill)
        if self.kind == "tap":
            self._address(name)
        return ours

    def ping(self, family: int, size: int) -> None:
        """Send an echo request of so much payload; the answer has the same."""
        request, answer, protocol = ECHO[family]
        data = random.Random(size).randbytes(size)
        packet = struct.pack("!BBHHH", request, 0, 0, 7, 1) + data
        if family == 4:
            packet = packet[:2] + struct.pack("!H", internet_sum(packet)) + packet[4:]
        with self.kernel.open_socket(family, socket.SOCK_RAW, protocol) as sock:
            sock.sendto(packet, (OURS[family], 0))
            while True:
                got = sock.recv(65536)
                got = got[(got[0] & 15) * 4 :] if family == 4 else got
                if got[0] == answer:
                    break
        assert got[4:] == packet[4:]

    def echo(self, family: int, size: int) -> None:
        """Send through a TCP connection; the same comes back."""
        data = random.Random(size).randbytes(size)
        with self.kernel.open_socket(family) as sock:
            sock.connect((OURS[family], 7))
            sender = send_all(sock, data)
            length, crc = drain(sock)
            sender.join()
        assert (length, crc) == (size, zlib.crc32(data))


def internet_sum(data: bytes) -> int:
    padded = data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


@contextmanager
def setting(kind: str, mtu: int) -> Iterator[Setting]:
    with ExitStack() as stack:
        yield Setting(stack, kind, mtu)


@pytest.mark.parametrize(
    ("kind", "mtu"),
    [
        ("af_packet", 576),
        ("af_packet", 1500),
        ("af_packet", 9000),
        ("af_xdp", 1500),
        ("af_xdp", 3506),
        ("tap", 576),
        ("tap", 1500),
    ],
)
def test_the_kernel_is_answered(kind: str, mtu: int) -> None:
    with setting(kind, mtu) as made:
        ours = made.start()
        assert (ours.facts["mtu"], ours.facts["can_sleep"]) == (mtu, True)
        for family in made.families:
            for size in (0, 56, mtu - HEADERS[family]):
                made.ping(family, size)
            made.echo(family, 200_000)
        said = ours.quit()
        late = 64 if kind == "af_xdp" else 0  # copies that the kernel has not given back yet
        assert AT_REST[kind] <= said["rx_used"] <= AT_REST[kind] + late, said
        assert said["tx_used"] <= 64, said  # armed
        assert (said["dropped"], said["errors"], said["no_buffer"]) == (0, 0, 0), said
        assert said["sleeps"] > 0


@pytest.mark.parametrize("kind", ["af_packet", "af_xdp", "tap"])
def test_what_a_killed_process_leaves_is_replaced(kind: str) -> None:
    with setting(kind, 1500) as made:
        ours = made.start()
        made.ping(4, 56)
        ours.kill()
        again = made.start()
        made.ping(4, 56)
        made.ping(6, 56)
        again.quit()
        if kind == "af_xdp":
            assert "xdp" not in made.other.run("ip", "link", "show", "d0")


def test_a_longer_mtu_than_the_interface_has_is_refused() -> None:
    with setting("af_packet", 1500) as made, made.other.inside():
        done = subprocess.run(
            [PROGRAM, "af_packet:iface=d0", "9000"], capture_output=True, text=True, timeout=SOON
        )
    assert "the interface has 1500; ip link set d0 mtu 9000" in done.stderr


def test_af_xdp_refuses_an_interface_that_is_too_wide() -> None:
    with setting("af_xdp", 9000) as made, made.other.inside():
        done = subprocess.run(
            [PROGRAM, "af_xdp:iface=d0", "1500"], capture_output=True, text=True, timeout=SOON
        )
    assert "AF_XDP takes at most 3506" in done.stderr


def test_only_the_plugin_symbol_is_exported() -> None:
    plugin = ROOT / "bindings/dpdk/eastwest_dpdk/eastwest_dpdk_plugin.so"
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", plugin], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    assert [line.split()[-1] for line in listed if line] == ["ewi_stack_plugin"]
    assert Path(plugin).stat().st_size < 6 << 20
