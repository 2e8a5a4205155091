"""Goodput of our TCP and of the kernel's over loss and round-trip time.

kernel   kernel to kernel, CUBIC on both
ours     our stack (tests/net/tun_peer.c, CUBIC) to the kernel
both     our stack at both ends

All go through bench/c/net_relay.c: 200 Mbit/s, a queue of one bandwidth-delay product (at least
64 KiB), seeded loss of data packets, two namespaces. A value is what the receiver got in the first
seconds after it accepted, in Mbit/s; round N has the same seed for each. Not a peak: two processes
and the relay share the machine's cores, so the rate is one that they carry.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

from bench.python.duo import Series, document
from tests.net.kernel import KERNEL, OURS, PROGRAM, Doing, Event, Host, Peer, reset_on_close

ROOT = Path(__file__).resolve().parents[1]
RELAY = Path(os.environ.get("EW_NET_RELAY", ROOT / "build/dev/bench/net_relay"))
BITS_PER_S = 200_000_000
LOSSES = (0.0, 0.1, 1.0, 3.0, 10.0)  # percent
ROUND_TRIPS = (1, 10, 50)  # ms
QUICK = ((1.0, 10),)
WHO = ("kernel", "ours", "both")
PORT, DEVICE, SOCKET_BYTES = 80, "t0", 8 << 20
ENDLESS = 1 << 40
RECV_BYTES = 6 << 20
SO_SNDBUFFORCE = 32  # asm-generic/socket.h


class Way:
    """The relay between two hosts; an end is a TUN device, or a descriptor for our stack."""

    def __init__(self, stack: ExitStack, who: str, loss: float, ms: int, seed: int) -> None:
        self._stack = stack
        self.hosts = [Host(), Host()]
        for host in self.hosts:
            stack.callback(host.close)
        self.who = who
        is_ours = {"kernel": (False, False), "ours": (True, False), "both": (True, True)}[who]
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in is_ours]
        for sock in sum(pairs, ()):
            stack.callback(sock.close)
            sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BYTES)
        ends = [
            str(pair[1].fileno()) if ours else host.path
            for ours, pair, host in zip(is_ours, pairs, self.hosts, strict=True)
        ]
        queue = max(BITS_PER_S // 8 * ms // 1000, 1 << 16)
        self._relay = subprocess.Popen(
            [RELAY, f"-s{seed}", f"-r{BITS_PER_S}", f"-d{ms * 500}", f"-q{queue}",
             f"-l{round(loss * 10_000)}", f"-n{DEVICE}", *ends],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            pass_fds=[pair[1].fileno() for pair in pairs],
        )  # fmt: skip
        stack.callback(self.end)
        assert self._relay.stdout is not None
        assert self._relay.stdout.readline() == "ready\n"
        self.peers = [
            self._attach(*each) for each in zip(is_ours, pairs, self.hosts, (0, 1), strict=True)
        ]

    def _attach(
        self, is_ours: bool, pair: tuple[socket.socket, socket.socket], host: Host, end: int
    ) -> Peer | None:
        address = (OURS, KERNEL)[end][4]
        if is_ours:
            options = ("-q", f"-a{address}/24", "-s7")
            peer = Peer(host, *options, descriptor=pair[0].fileno())
            self._stack.callback(peer.kill)
            return peer
        host.sysctl("ipv4/tcp_no_metrics_save", "1")
        host.ip(
            f"link set {DEVICE} addrgenmode none",
            f"addr add {address}/24 dev {DEVICE}",
            f"link set {DEVICE} up",
        )
        return None

    def end(self) -> Event:
        """What the relay did."""
        if self._relay.returncode is not None:
            return {}
        said, _ = self._relay.communicate()
        found: Event = json.loads(said)
        return found


# ------------------------------------------------------------------ the ends


def kernel_source(sock: socket.socket) -> None:
    """Send until the connection ends."""
    piece = bytes(1 << 18)
    try:
        sock.connect((KERNEL[4], PORT))
        while True:
            sock.sendall(piece)
    except OSError:
        pass


@contextmanager
def sending(way: Way) -> Iterator[None]:
    """The first host sends."""
    peer = way.peers[0]
    if peer is not None:
        peer.connect(4, PORT, "source", ENDLESS)
        yield
        return
    with way.hosts[0].open_socket(4) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        sender = Doing(lambda: kernel_source(sock))
        yield
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sender.join()


def received_by_kernel(door: socket.socket, seconds: float) -> int:
    """Bytes in so many seconds after accept."""
    got = 0
    sock = door.accept()[0]
    try:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                got += len(sock.recv(1 << 18))
            except TimeoutError:
                break
    finally:
        reset_on_close(sock)
    return got


def received_by_ours(peer: Peer, seconds: float) -> int:
    """The same, at our stack."""
    while "1" not in peer.ask("counters", "counters")["open"]:
        pass
    time.sleep(seconds)
    return int(peer.info(1)["received"])


def goodput(who: str, loss: float, ms: int, seed: int, seconds: float) -> tuple[float, Event]:
    """Measure once: Mbit/s, and what the sender says of itself."""
    with ExitStack() as stack:
        way = Way(stack, who, loss, ms, seed)
        receiver, sender = way.peers[1], way.peers[0]
        if receiver is not None:
            receiver.ask(f"set * recv_bytes {RECV_BYTES}")  # the kernel grows to as much by itself
            receiver.ask(f"listen {KERNEL[4]}:{PORT} sink")
            with sending(way):
                got = received_by_ours(receiver, seconds)
        else:
            with way.hosts[1].listen(4, PORT) as door, sending(way):
                got = received_by_kernel(door, seconds)
        info = sender.info(0)["info"] if sender is not None else {}
        return got * 8 / seconds / 1e6, {**info, "relay": way.end()}


# ------------------------------------------------------------------ tables


def name_of(who: str, loss: float, ms: int) -> str:
    """Return the name of a case."""
    return f"{who}/{loss:g}%/{ms}ms"


def table(series: dict[str, Series], cells: list[tuple[float, int]], who: list[str]) -> str:
    """Return medians and the medians of the rounds' ratios to the kernel."""
    lines = ["loss %  rtt ms" + "".join(f"{each:>9}" for each in who) + "   ours/kernel"]
    for loss, ms in cells:
        values = {each: series[name_of(each, loss, ms)].values for each in who}
        line = f"{loss:6g}{ms:8}" + "".join(f"{median(each):9.2f}" for each in values.values())
        if {"kernel", "ours"} <= set(values):
            pairs = zip(values["ours"], values["kernel"], strict=True)
            line += f"{median(ours / max(kernel, 1e-9) for ours, kernel in pairs):14.2f}"
        lines.append(line)
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.net_goodput", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 %% and 10 ms only, two rounds")
    parser.add_argument("--rounds", type=int, help="default 3")
    parser.add_argument("--seconds", type=float, help="of each measurement, default 2")
    parser.add_argument("--seed", type=int, default=1, help="of the first round, default 1")
    parser.add_argument("--loss", type=float, action="append", help="percent, instead of all")
    parser.add_argument("--rtt", type=int, action="append", help="ms, instead of all")
    parser.add_argument("--who", action="append", choices=WHO, help="instead of all")
    parser.add_argument("--table", action="store_true", help="a table instead of JSON")
    parser.add_argument("--facts", action="store_true", help="what each sender says, to stderr")
    return parser.parse_args()


def main() -> None:
    """Measure all cells, interleaved."""
    options = parse()
    if os.geteuid() != 0:
        sys.exit("bench.net_goodput: namespaces need root")
    if missing := [each for each in (RELAY, PROGRAM) if not Path(each).exists()]:
        sys.exit(f"bench.net_goodput: {missing[0]} is not built: ./dev build")
    rounds = options.rounds or (2 if options.quick else 3)
    seconds = options.seconds or 2.0
    cells = [(loss, ms) for loss in options.loss or LOSSES for ms in options.rtt or ROUND_TRIPS]
    if options.quick:
        cells = list(QUICK)
    who = options.who or list(WHO)
    series = {name_of(each, *cell): Series() for cell in cells for each in who}
    for number in range(rounds):
        for loss, ms in cells:
            for each in who:
                value, facts = goodput(each, loss, ms, options.seed + number, seconds)
                series[name_of(each, loss, ms)].values.append(value)
                if options.facts:
                    print(
                        name_of(each, loss, ms), round(value, 2), json.dumps(facts), file=sys.stderr
                    )
    if options.table:
        print(table(series, cells, who))
    else:
        print(json.dumps(document("net-goodput", "Mbit/s", rounds, series)))


if __name__ == "__main__":
    main()
