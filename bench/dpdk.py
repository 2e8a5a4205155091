"""Our TCP/IP on DPDK against the kernel's over veth: the same program with another stack.

bench/net/stack_load.c runs as client and server, one process each, pinned to a core each, both
spinning, with 64 byte messages; the kernel's pair lives in two namespaces joined by a veth pair
(offloads on, as the kernel likes it), ours on virtio_user and vhost, without and with tso=1, or on
memif; bulk also over the kernel's loopback. Rounds are interleaved; each begins when the machine
is idle.

rtt       median round trip of one connection, ns
requests  64 connections, each with one request under way, requests a second
connect   connect, one exchange, close, connections a second; the kernel's client rotates addresses
bulk      one stream, Gbit/s; MTU 1500
cpu       ns of CPU for a request: ours with both ends in one thread, the kernel's both processes
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.compare.machine import wait_for_idle
from bench.python.duo import Series, document

ROOT = Path(__file__).resolve().parents[1]
LOAD = ROOT / "build/dev/bench/stack_load"
PLUGIN = ROOT / "bindings/dpdk/eastwest_dpdk/eastwest_dpdk_plugin.so"
ROUNDS, ROUNDS_QUICK = 10, 2
PORT = 7411
SOURCES = 100  # addresses of the kernel's client
PATIENCE_S = 60
Result = dict[str, float]


@dataclass(frozen=True, slots=True)
class Side:
    """How one end is started."""

    prefix: tuple[str, ...]
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two ends that reach each other."""

    name: str
    client: Side
    server: Side
    at: str
    sources: tuple[str, ...] = ()


# ------------------------------------------------------------------ the machine


def run(*command: str) -> None:
    """Run, or say what failed."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench.dpdk: {' '.join(command)}: {done.stderr.strip()}")


@contextmanager
def kernel_pair() -> Iterator[Pair]:
    """Two namespaces and a veth pair."""
    tag = f"ewb{os.getpid()}"
    names = [f"{tag}a", f"{tag}b"]
    with ExitStack() as stack:
        for name in names:
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "del", name)
        run("ip", "link", "add", f"{tag}x", "netns", names[0], "type", "veth",
            "peer", "name", f"{tag}y", "netns", names[1])  # fmt: skip
        for name, device, host in ((names[0], f"{tag}x", 1), (names[1], f"{tag}y", 2)):
            run("ip", "-n", name, "addr", "add", f"10.78.0.{host}/16", "dev", device)
            run("ip", "-n", name, "link", "set", device, "up")
        for each in range(SOURCES):
            run("ip", "-n", names[0], "addr", "add", f"10.78.1.{each}/16", "dev", f"{tag}x")
        yield Pair(
            "kernel",
            Side(("ip", "netns", "exec", names[0]), ("stack=kernel",)),
            Side(("ip", "netns", "exec", names[1]), ("stack=kernel",)),
            f"10.78.0.2:{PORT}",
            ("from=10.78.1.0:0", f"sources={SOURCES}"),
        )


@contextmanager
def loopback_pair() -> Iterator[Pair]:
    """Both in one namespace, for bulk."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    side = Side((), ("stack=kernel",))
    yield Pair("loopback", side, side, f"127.0.0.1:{port}")


def ours(name: str, client: str, server: str) -> Pair:
    """Two ends on devices of ours."""

    def side(device: str, host: int) -> Side:
        text = f"device={device};address=10.79.0.{host}/24;detect=off"
        return Side((), (f"stack={PLUGIN}", f"text={text}"))

    return Pair(name, side(client, 1), side(server, 2), f"10.79.0.2:{PORT}")


@contextmanager
def virtio_pair() -> Iterator[Pair]:
    """virtio_user, and vhost as its other end."""
    with tempfile.TemporaryDirectory(prefix="eastwest-bench-") as folder:
        path = f"{folder}/vhost"
        yield ours("virtio", f"virtio_user:path={path}", f"vhost:path={path}")


@contextmanager
def segments_pair() -> Iterator[Pair]:
    """The same with segmentation offload: frames of 64 KiB."""
    with tempfile.TemporaryDirectory(prefix="eastwest-bench-") as folder:
        path = f"{folder}/vhost,tso=1"
        yield ours("virtio-tso", f"virtio_user:path={path}", f"vhost:path={path}")


@contextmanager
def memif_pair() -> Iterator[Pair]:
    """Two memifs."""
    with tempfile.TemporaryDirectory(prefix="eastwest-bench-") as folder:
        memif = f"memif:socket={folder}/memif"
        yield ours("memif", f"{memif},role=client", f"{memif},role=server")


MAKERS = {
    "kernel": kernel_pair,
    "virtio": virtio_pair,
    "virtio-tso": segments_pair,
    "memif": memif_pair,
    "loopback": loopback_pair,
}

# ------------------------------------------------------------------ one measurement


def _command(side: Side, role: str, mode: str, at: str, core: int, *more: str) -> list[str]:
    pin = ("taskset", "-c", str(core))
    return [*side.prefix, *pin, str(LOAD), role, mode, f"at={at}", *side.options, *more]


def _read(stream: Any) -> Result:
    line = stream.readline()
    if not line:
        sys.exit("bench.dpdk: stack_load ended without a word")
    found: Result = json.loads(line)
    return found


def measure(pair: Pair, mode: str, *options: str) -> Result:
    """Client and server, a core each."""
    server = subprocess.Popen(
        _command(pair.server, "server", mode, pair.at, 1),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        _read(server.stdout)
        client = subprocess.run(
            _command(pair.client, "client", mode, pair.at, 0, *options),
            stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S,
        )  # fmt: skip
        if client.returncode != 0:
            sys.exit(f"bench.dpdk: {pair.name} {mode}: the client ended with {client.returncode}")
        result: Result = json.loads(client.stdout)
        assert server.stdin is not None
        server.stdin.close()
        result["server_cpu_ns"] = _read(server.stdout)["cpu_ns"]
        return result
    finally:
        server.kill()
        server.wait()


def in_one_thread(pair: Pair, conns: int) -> float:
    """CPU for a request with both ends in one thread, ns."""
    command = _command(
        pair.client, "both", "echo", pair.at, 0, f"conns={conns}",
        *(each.replace("text=", "text2=") for each in pair.server.options if "text=" in each),
    )  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S)
    if done.returncode != 0:
        sys.exit(f"bench.dpdk: {pair.name} in one thread: ended with {done.returncode}")
    return float(json.loads(done.stdout.splitlines()[-1])["cpu_ns_per_request"])


def one_round(pair: Pair, series: dict[str, Series], seconds: float) -> None:
    """Every case once."""

    def put(case: str, value: float) -> None:
        series.setdefault(f"{case}/{pair.name}", Series()).values.append(value)

    length = f"seconds={seconds}"
    if pair.name == "loopback":
        put("bulk", measure(pair, "bulk", length)["gbit_per_s"])
        return
    put("rtt", measure(pair, "echo", length)["median_ns"])
    busy = measure(pair, "echo", "conns=64", length)
    put("requests", busy["per_second"])
    put("connect", measure(pair, "connect", "conns=16", length, *pair.sources)["per_second"])
    put("bulk", measure(pair, "bulk", length)["gbit_per_s"])
    if pair.name == "kernel":
        requests = busy["per_second"] * seconds
        put("cpu", busy["cpu_ns_per_request"] + busy["server_cpu_ns"] / requests)
    else:
        put("cpu", in_one_thread(pair, 64))


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(prog="bench.dpdk", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{ROUNDS_QUICK} rounds")
    parser.add_argument("--rounds", type=int, default=0, help=f"default {ROUNDS}")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    parser.add_argument("--only", action="append", choices=MAKERS)
    given = parser.parse_args()
    rounds = given.rounds or (ROUNDS_QUICK if given.quick else ROUNDS)
    if os.geteuid() != 0:
        sys.exit("bench.dpdk: namespaces need root")
    if given.only != ["kernel"] and not PLUGIN.exists():
        sys.exit(f"bench.dpdk: {PLUGIN} is not built: install libdpdk-dev, then ./dev build")
    series: dict[str, Series] = {}
    late = 0
    with ExitStack() as stack:
        pairs = [stack.enter_context(MAKERS[each]()) for each in given.only or MAKERS]
        for _ in range(rounds):
            for pair in pairs:
                late += not wait_for_idle()
                one_round(pair, series, given.seconds)
    if late:
        print(f"bench.dpdk: the machine was not idle before {late} measurements", file=sys.stderr)
    print(json.dumps(document("dpdk", "ns, 1/s or Gbit/s", rounds, series)))


if __name__ == "__main__":
    main()
