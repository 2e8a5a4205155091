"""Two of our stacks on a wire in shared memory, each in its process."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import pytest

from tests.dpdk.stack import IMPAIRED, PLUGIN, StackPeer, settings
from tests.net.kernel import OURS, SOON, Event, Host

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
        "tso": ("vhost:path={},tso=1", "virtio_user:path={},tso=1"),
        "tso-client": ("virtio_user:path={},server=1,tso=1", "vhost:path={},client=1,tso=1"),
    }

    def __init__(self, stack: ExitStack, kind: str, folder: Path, bad: str = "") -> None:
        self.host = Host()
        stack.callback(self.host.close)
        self._stack, self._kind = stack, kind
        self.forms = [form.format(folder / "wire") for form in self.FORMS[kind]]
        self._plugin = IMPAIRED if bad else PLUGIN
        if bad:
            self.forms = [f"impair:{bad}/{each}" for each in self.forms]

    def start(self, end: int) -> StackPeer:
        text = settings(self.forms[end], f"mac=02:00:00:00:00:0{end + 2}")
        if end == 1:
            for family in (4, 6):
                text = text.replace(OURS[family], THEIRS[family])
        seed = int.from_bytes(os.urandom(4), "little")
        peer = StackPeer(self.host, text, seed, self._plugin)
        self._stack.callback(peer.kill)
        return peer

    def start_both(self) -> list[StackPeer]:
        """Start the server first; virtio_user as a server waits, as it opens, for its client."""
        with ThreadPoolExecutor(2 if self._kind.endswith("-client") else 1) as pool:
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
