"""Our stack when its program is killed, asleep, or busy with something else."""

from __future__ import annotations

import os
import random
import signal
import time
import zlib
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.dpdk import fixtures, in_memory
from tests.dpdk.in_memory import THEIRS, Memory, exchange
from tests.dpdk.stack import KINDS, StackPeer, Wire, wire
from tests.net.kernel import OURS, SOON, drain, exact, send_all

stack = fixtures.stack
MEGABYTE = fixtures.MEGABYTE
IDLE_SECONDS, IDLE_TRIES = 1.5, 3
IDLE_MOST = 0.001  # of a processor
folder = in_memory.folder


# ------------------------------------------------------------------ killed


@pytest.mark.parametrize(
    ("kind", "end"),
    [("memif", 1), ("vhost", 1), ("vhost-client", 0), ("vhost-client", 1), ("tso", 1)],
)
def test_who_was_killed_starts_again(kind: str, end: int, folder: Path) -> None:
    """On the same path, beside the one that lived."""
    with ExitStack() as stack:
        memory = Memory(stack, kind, folder)
        peers = memory.start_both()
        exchange(peers[0], peers[1], OURS[4], MEGABYTE, 80)
        peers[end].kill()
        peers[end] = memory.start(end)
        exchange(peers[0], peers[1], OURS[4], MEGABYTE, 81)
        exchange(peers[1], peers[0], f"[{THEIRS[6]}]", MEGABYTE, 82)
        for peer in peers:
            peer.quit()


@pytest.mark.parametrize("kind", ["memif", "vhost", "vhost-client"])
def test_both_were_killed_and_start_again(kind: str, folder: Path) -> None:
    with ExitStack() as stack:
        memory = Memory(stack, kind, folder)
        for _ in range(2):
            peers = memory.start_both()
            exchange(peers[0], peers[1], OURS[4], MEGABYTE, 80)
            for peer in peers:
                peer.kill()


@pytest.mark.parametrize("kind", ["memif", "vhost", "tso"])
def test_a_server_that_was_killed_is_missed_until_it_is_back(kind: str, folder: Path) -> None:
    """Its client's driver joins once: another takes its place."""
    with ExitStack() as stack:
        memory = Memory(stack, kind, folder)
        server, client = memory.start_both()
        for port in (80, 81):
            server.listen(4, port, "talk")
            stream = int(client.ask(f"connect {OURS[4]}:{port} talk")["id"])
            client.wait("connected", stream)
            client.until_reopened()  # there is no need
            server.kill()
            client.end(stream, "ENETDOWN")
            assert client.reopen()["error"] != ""
            server = memory.start(0)
            client.until_reopened()
            exchange(server, client, OURS[4], MEGABYTE, port + 10)
        server.quit()
        client.quit()


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_that_was_deleted_and_made_again_is_opened_again(
    kind: str, rng: random.Random
) -> None:
    with wire(kind) as line:
        peer = line.start()
        for port in (90, 91):
            with line.host.listen(4, port) as door:
                stream = peer.connect(4, port, "talk")
                with door.accept()[0]:
                    line.remove()
                    peer.end(stream, "ENETDOWN")
            if kind != "tap":  # which makes it itself
                assert "No such device" in peer.reopen()["reason"]
            line.make_again()
            line.to_kernel(4, MEGABYTE)
            line.from_kernel(6, rng.randbytes(MEGABYTE))


def test_a_program_that_was_killed_leaves_no_xdp_program(rng: random.Random) -> None:
    """Or what it left is taken away by the next, even of another kind."""
    with wire("af_xdp") as line:
        for _ in range(3):
            line.start()
            line.to_kernel(4, MEGABYTE)
            line.peer.kill()
        line.kind = "af_packet"
        line.start()
        line.from_kernel(6, rng.randbytes(MEGABYTE))


# ------------------------------------------------------------------ asleep


def idle_share(*peers: StackPeer) -> float:
    """Return what part of a processor the busiest takes, when what was before has come to rest."""
    share = 1.0
    for _ in range(IDLE_TRIES):
        before = [peer.cpu_ns() for peer in peers]
        time.sleep(IDLE_SECONDS)  # what is measured is that nothing happens
        spent = [peer.cpu_ns() - start for peer, start in zip(peers, before, strict=True)]
        share = max(spent) / 1e9 / IDLE_SECONDS
        if share < IDLE_MOST:
            break
    return share


@pytest.mark.parametrize("kind", KINDS)
def test_an_idle_connection_costs_nothing(kind: str) -> None:
    with wire(kind) as line:
        peer = line.start()
        peer.listen(4, 7, "echo")
        with line.host.connect(4, 7) as sock:
            sock.sendall(b"awake")
            assert exact(sock, 5) == b"awake"
            assert idle_share(peer) < IDLE_MOST
            sock.sendall(b"and awake again")
            assert exact(sock, 15) == b"and awake again"


@pytest.mark.parametrize("kind", ["vhost", "tso"])
def test_an_idle_connection_in_memory_costs_nothing(kind: str, folder: Path) -> None:
    with ExitStack() as stack:
        memory = Memory(stack, kind, folder)
        server, client = memory.start_both()
        server.listen(4, 80, "talk")
        stream = int(client.ask(f"connect {OURS[4]}:80 talk")["id"])
        client.wait("connected", stream)
        client.say(stream, b"awake")
        there = int(server.wait("accepted")["id"])
        assert server.heard(there, 5) == b"awake"
        assert idle_share(server, client) < IDLE_MOST
        server.say(there, b"and awake again")
        assert client.heard(stream, 15) == b"and awake again"


# ------------------------------------------------------------------ away


def away(line: Wire, seconds: float, data: bytes) -> None:
    """Leave a connection alone while the kernel sends; then the same with the program stopped."""
    peer = line.start("recv_bytes=65536")
    peer.listen(4, 80, "sink")
    with line.host.connect(4, 80) as sock:
        stream = int(peer.wait("accepted")["id"])
        half = len(data) // 2
        sock.settimeout(2 * seconds + SOON)
        sock.sendall(data[:1000])
        peer.until(stream, lambda said: said["received"] == 1000)
        peer.ask(f"stop {stream}")
        sender = send_all(sock, data[1000:])
        time.sleep(seconds)  # what is tested is a time in which the application does nothing
        assert sender.is_alive(), "all of it was taken"
        peer.ask(f"go {stream}")
        peer.until(stream, lambda said: said["received"] > half)
        os.kill(peer.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(peer.pid, signal.SIGCONT)
        sender.join()
        assert drain(sock) == (0, 0)
    assert peer.end(stream)["received_crc"] == zlib.crc32(data)


def test_an_application_that_is_away_for_a_while(rng: random.Random) -> None:
    with wire("af_packet") as line:
        away(line, 1.5, rng.randbytes(32 * MEGABYTE))


@pytest.mark.deep
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_an_application_that_is_away_for_a_minute(kind: str, rng: random.Random) -> None:
    with wire(kind) as line:
        away(line, 60, rng.randbytes(32 * MEGABYTE))
