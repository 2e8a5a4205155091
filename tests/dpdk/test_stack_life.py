"""Our stack when its program is killed, asleep, or busy with something else."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import pytest

from tests.dpdk import fixtures
from tests.dpdk.stack import KINDS, StackPeer, Wire, settings, wire
from tests.net.kernel import OURS, SOON, Event, Host, drain, exact, send_all

stack = fixtures.stack
MEGABYTE = fixtures.MEGABYTE
IDLE_SECONDS, IDLE_TRIES = 1.5, 3
IDLE_MOST = 0.001  # of a processor
THEIRS = {4: "10.9.0.3", 6: "fd09::3"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """For sockets, whose paths are short."""
    with tempfile.TemporaryDirectory(prefix="ew-") as name:
        yield Path(name)


class Memory:
    """Two of our stacks on a wire in shared memory.

    Their hardware addresses are given: who starts again with another one is not found before the
    neighbour asks again, or detect=on announces it.
    """

    FORMS: ClassVar = {
        "memif": ("memif:socket={},role=server", "memif:socket={},role=client"),
        "vhost": ("vhost:path={}", "virtio_user:path={}"),
        "vhost-client": ("virtio_user:path={},server=1", "vhost:path={},client=1"),
    }

    def __init__(self, stack: ExitStack, kind: str, folder: Path) -> None:
        self.host = Host()
        stack.callback(self.host.close)
        self._stack, self._kind = stack, kind
        self._forms = [form.format(folder / "wire") for form in self.FORMS[kind]]

    def start(self, end: int) -> StackPeer:
        text = settings(self._forms[end], f"mac=02:00:00:00:00:0{end + 2}")
        if end == 1:
            for family in (4, 6):
                text = text.replace(OURS[family], THEIRS[family])
        peer = StackPeer(self.host, text, seed=int.from_bytes(os.urandom(4), "little"))
        self._stack.callback(peer.kill)
        return peer

    def start_both(self) -> list[StackPeer]:
        """Start the server first; virtio_user as a server waits, as it opens, for its client."""
        with ThreadPoolExecutor(2 if self._kind == "vhost-client" else 1) as pool:
            return list(pool.map(self.start, (0, 1)))


def exchange(server: StackPeer, client: StackPeer, address: str, size: int, port: int) -> None:
    """Let the client send to the server, both of ours; what arrived is what was sent."""
    listen(server, f"{address}:{port}")
    sent = source(client, f"{address}:{port}", size)
    got = server.end(int(server.wait("accepted")["id"]))
    assert (got["received"], got["received_crc"]) == (size, sent["sent_crc"])
    assert sent["sent"] == size


def listen(server: StackPeer, address: str) -> None:
    """Listen, and try again while the wire is being mended."""
    end = time.monotonic() + SOON
    while True:
        server.tell(f"listen {address} sink")
        said = server.wait("done")
        if said["error"] != "ENETDOWN":
            assert said["error"] == "", said
            return
        assert time.monotonic() < end, said
        time.sleep(0.01)


def source(client: StackPeer, address: str, size: int) -> Event:
    """Send so much, and try again while the wire is being mended; return how it ended."""
    end = time.monotonic() + SOON
    while True:
        client.tell(f"connect {address} source {size}")
        said = client.wait("done")
        if said["error"] == "":
            said = client.wait("end", int(said["id"]))
        if said["error"] != "ENETDOWN":
            assert said["error"] == "", said
            return said
        assert time.monotonic() < end, said
        time.sleep(0.01)


# ------------------------------------------------------------------ killed


@pytest.mark.parametrize(
    ("kind", "end"), [("memif", 1), ("vhost", 1), ("vhost-client", 0), ("vhost-client", 1)]
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


@pytest.mark.parametrize("kind", ["memif", "vhost"])
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


@pytest.mark.parametrize("kind", ["vhost"])
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
