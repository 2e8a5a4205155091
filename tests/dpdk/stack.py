"""Our stack behind its plug-in, on a device, beside the kernel of a network namespace.

As in tests/net/kernel.py the kernel is 10.9.0.1 and fd09::1, ours is 10.9.0.2 and fd09::2, and
the kernel's side is plain sockets of this process. Ours is tests/dpdk/stack_peer.c, in the
namespace, on one end of a veth pair (af_packet, af_xdp) or on a TAP device that its driver makes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.net.kernel import (
    KERNEL,
    OURS,
    ROOT,
    SOON,
    Event,
    Host,
    Peer,
    drain,
    log_sockets,
    send_all,
)

PRESET = os.environ.get("EW_STACK_PRESET", "dev")  # another build of all that is ours
BUILD = ROOT / "build" / PRESET
PROGRAM = BUILD / "tests/dpdk_stack_peer"
IN_PLACE = ROOT / "bindings/dpdk/eastwest_dpdk"
PLUGIN = (IN_PLACE if PRESET == "dev" else BUILD / "transport/dpdk") / "eastwest_dpdk_plugin.so"
IMPAIRED = BUILD / "tests/dpdk_impaired.so"  # the plug-in with a bad wire in front of its device
EXAMPLES = BUILD / "bindings/dpdk/examples"
KINDS = ["af_packet", "af_xdp", "tap"]
KERNEL_END, OUR_END, BRIDGE = "k0", "d0", "b0"
NO_OFFLOADS = ["tx", "off", "tso", "off", "gso", "off", "gro", "off"]
IPV6_MTU_MIN = 1280
LOSS = """
table netdev to_kernel {{
  counter lost {{ }}
  chain in {{
    type filter hook ingress device {device} priority 0;
    {drop}
  }}
}}
table bridge to_ours {{
  counter lost {{ }}
  chain out {{
    type filter hook output priority 0;
    {drop}
  }}
}}
"""


def needs_stack(*programs: str) -> None:
    """Skip where the plug-in is not built, or a namespace or a program cannot be had."""
    if not PLUGIN.exists() or not PROGRAM.exists():
        pytest.skip("needs DPDK: no plug-in was built")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and network namespaces")
    try:
        Host().close()
    except OSError:
        pytest.skip("needs root and network namespaces")
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


def settings(device: str, *more: str, mtu: int = 1500) -> str:
    """Return the text of our stack at its usual addresses."""
    addresses = [f"address={OURS[4]}/24", *([f"address={OURS[6]}/64"] * (mtu >= IPV6_MTU_MIN))]
    return "\n".join([f"device={device}", f"mtu={mtu}", "detect=off", *addresses, *more])


def environment() -> dict[str, str]:
    """Ours, with small pages if it says nothing: others count huge ones, or take the last."""
    return {"EASTWEST_DPDK_PAGES": "small", **os.environ}


class StackPeer(Peer):
    """A running stack_peer. It answers as tun_peer does, but for what stack.h cannot tell."""

    def __init__(self, host: Host, text: str, seed: int = 1, plugin: Path = PLUGIN) -> None:
        self._start(host, [str(PROGRAM), str(plugin), text, str(seed)], [], environment())

    @property
    def pid(self) -> int:
        return self._process.pid

    def say(self, stream: int, data: bytes) -> None:
        self.ask(f"say {stream} {data.hex()}")

    def heard(self, stream: int, size: int) -> bytes:
        """Return what a talking stream is told, so many bytes at least."""
        got = b""
        while len(got) < size:
            got += bytes.fromhex(self.wait("said", stream)["hex"])
        return got

    def rows(self, question: str) -> list[dict[str, Any]]:
        """Return the answer to a tool's question."""
        said = self.ask(f"ask {question}", "answer")
        rows: list[dict[str, Any]] = said["rows"]
        return [row for row in rows if list(row) != ["next"]]

    def stack(self) -> Event:
        return self.ask("stack", "stack")

    def reopen(self) -> Event:
        """Try once to have another device in the place of one that is lost."""
        return self.ask("reopen", "reopened")

    def until_reopened(self) -> None:
        end = time.monotonic() + SOON
        while (said := self.reopen())["error"]:
            assert time.monotonic() < end, said
            time.sleep(0.01)

    def cpu_ns(self) -> int:
        """Return for how long processors have worked for it."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


class Wire:
    """A namespace with a device of one kind: the kernel at one end, ours at the other.

    With a bridge in between, what is lost there was sent: a local firewall would tell the sender.
    """

    def __init__(self, stack: ExitStack, kind: str, mtu: int = 1500, bridged: bool = False) -> None:
        self._stack = stack
        self.kind, self.mtu, self.bridged = kind, mtu, bridged
        self.host = Host()
        stack.callback(self.host.close)
        self.peers: list[StackPeer] = []
        self.bad = ""  # how frames are treated by tests/dpdk/impaired
        if kind != "tap":
            self._add_pair()

    @property
    def device(self) -> str:
        device = f"{self.kind}:iface={KERNEL_END if self.kind == 'tap' else OUR_END}"
        return f"impair:{self.bad}/{device}" if self.bad else device

    @property
    def peer(self) -> StackPeer:
        """The stack that was started last."""
        return self.peers[-1]

    def remove(self) -> None:
        """Take the device away, both ends of it."""
        self.host.ip(f"link del {KERNEL_END}")

    def make_again(self) -> None:
        """Have it, or what our stack makes of it, as it was before."""
        if self.kind == "tap":
            self.peer.until_reopened()
            self._set_up_kernel()
        else:
            self._add_pair()
            self.peer.until_reopened()

    def _add_pair(self) -> None:
        self.host.ip(
            f"link add {KERNEL_END} mtu {self.mtu} type veth peer name {OUR_END} mtu {self.mtu}",
            *([f"link set {OUR_END} addrgenmode none"] * (self.mtu >= IPV6_MTU_MIN)),
            f"link set {OUR_END} up",
        )
        self.host.run("ethtool", "-K", KERNEL_END, *NO_OFFLOADS)
        self._set_up_kernel()

    def _set_up_kernel(self) -> None:
        end = BRIDGE if self.bridged else KERNEL_END
        if self.bridged:
            self.host.ip(
                f"link add {BRIDGE} type bridge forward_delay 0 mcast_snooping 0",
                f"link set {KERNEL_END} master {BRIDGE} up",
            )
            self.host.run("ethtool", "-K", BRIDGE, *NO_OFFLOADS)
        self.host.ip(f"link set {end} mtu {self.mtu}", f"addr add {KERNEL[4]}/24 dev {end}")
        if self.mtu >= IPV6_MTU_MIN:
            self.host.ip(
                f"link set {end} addrgenmode none", f"addr add {KERNEL[6]}/64 dev {end} nodad"
            )
        self.host.ip(f"link set {end} up")

    def lose(self, percent: int) -> None:
        """Lose so many frames of each direction, on the bridge."""
        assert self.bridged
        drop = f"numgen random mod 100 < {percent} counter name lost drop"
        self.host.run("nft", "-f", "-", stdin=LOSS.format(device=KERNEL_END, drop=drop))

    def counted(self, name: str) -> int:
        """Return what nft's counters of this name have counted, packets."""
        listed = json.loads(self.host.run("nft", "-j", "list", "counters"))["nftables"]
        counters = [each["counter"] for each in listed if "counter" in each]
        return sum(int(each["packets"]) for each in counters if each["name"] == name)

    def start(self, *more: str, seed: int = 1) -> StackPeer:
        """Start our stack, once more, on the device."""
        text = settings(self.device, *more, mtu=self.mtu)
        self.peers.append(StackPeer(self.host, text, seed, IMPAIRED if self.bad else PLUGIN))
        self._stack.callback(self.peer.kill)
        if self.kind == "tap":
            self._set_up_kernel()
        return self.peer

    def run_example(self, name: str, port: int) -> subprocess.Popen[bytes]:
        """Start an example server of ours on the device; it ends with us."""
        command = [str(EXAMPLES / f"ew_example_{name}"), str(PLUGIN), str(port)]
        with self.host.inside():
            process = subprocess.Popen(
                [*command, settings(self.device, mtu=self.mtu)],
                stderr=subprocess.PIPE,
                env=environment(),
            )
        self._stack.callback(end_process, process)
        assert process.stderr is not None
        said = process.stderr.readline()
        while said and b"listening" not in said:  # libbpf says what it does
            said = process.stderr.readline()
        assert said, "it ended"
        return process

    def to_kernel(self, family: int, size: int, port: int = 80) -> Event:
        """Send to a kernel listener; what arrived is what was sent."""
        with self.host.listen(family, port) as door:
            stream = self.peer.connect(family, port, "source", size)
            with door.accept()[0] as sock:
                length, crc = drain(sock)
            end = self.peer.end(stream)
        assert (length, crc) == (size, end["sent_crc"])
        return end

    def from_kernel(self, family: int, data: bytes, port: int = 80) -> Event:
        """Let the kernel send to a listener of ours."""
        listener = self.peer.listen(family, port, "sink")
        with self.host.connect(family, port) as sock:
            sender = send_all(sock, data)
            assert drain(sock) == (0, 0)
            sender.join()
        end = self.peer.end(self.peer.wait("accepted")["id"])
        assert (end["received"], end["received_crc"]) == (len(data), zlib.crc32(data))
        self.peer.ask(f"finish {listener}")
        self.peer.end(listener)
        return end

    def echo(self, family: int, data: bytes, port: int = 7) -> Event:
        """Both directions at once."""
        listener = self.peer.listen(family, port, "echo")
        with self.host.connect(family, port) as sock:
            sender = send_all(sock, data)
            assert drain(sock) == (len(data), zlib.crc32(data))
            sender.join()
        end = self.peer.end(self.peer.wait("accepted")["id"])
        self.peer.ask(f"finish {listener}")
        self.peer.end(listener)
        return end

    def end(self) -> None:
        for peer in self.peers:
            peer.quit()


def end_process(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@contextmanager
def wire(kind: str, mtu: int = 1500, bridged: bool = False) -> Iterator[Wire]:
    """A wire that ends well, or shows what the kernel thinks of its connections."""
    with ExitStack() as stack:
        made = Wire(stack, kind, mtu, bridged)
        try:
            yield made
            made.end()
        except AssertionError:
            log_sockets(made.host)
            raise
