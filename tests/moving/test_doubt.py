"""A switch whose answer is lost: nobody knows where the peer is, and the channel lives."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import eastwest
from eastwest import Channel, Config, Context
from tests.conformance.pairs import LONG, numbered

BYTES = 65536


@contextmanager
def swallowing(target: str) -> Iterator[str]:
    """A port that forwards what it hears to the target, and nothing of what that one answers."""
    host, _, port = target.removeprefix("tcp://").rpartition(":")
    door = socket.create_server(("127.0.0.1", 0))

    def forward() -> None:
        client, _ = door.accept()
        with client, socket.create_connection((host, int(port))) as server, suppress(OSError):
            while data := client.recv(BYTES):
                server.sendall(data)

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()
    with door:
        yield f"tcp://127.0.0.1:{door.getsockname()[1]}"
        thread.join(LONG)


def exchange(opened: Channel, accepted: Channel, first: int) -> None:
    for number in range(first, first + 10):
        opened.send(numbered(number, 100), timeout=LONG)
        accepted.send(numbered(number, 200), timeout=LONG)
    for number in range(first, first + 10):
        assert accepted.recv(timeout=LONG) == numbered(number, 100)
        assert opened.recv(timeout=LONG) == numbered(number, 200)


def test_a_switch_whose_welcome_is_lost_is_undone(tmp_path: Path) -> None:
    # catches: a replaced link closed before a dialler without an answer has dialled again
    settings = Config(runtime_dirs=(str(tmp_path),), bind="127.0.0.1:0", security="none")
    with Context(settings) as context, context.listen("doubt") as listener:
        (tcp,) = (each for each in listener.instance.addresses if each.startswith("tcp:"))
        opened = context.connect("doubt", timeout=LONG)
        accepted = listener.accept(timeout=LONG)
        assert opened.path == "shm"
        with swallowing(tcp) as address:
            opened.send(b"before")
            began = time.monotonic()
            with pytest.raises(eastwest.EastwestError):
                opened.switch(address, timeout=LONG)
            assert time.monotonic() - began < LONG / 2
            assert accepted.recv(timeout=LONG) == b"before"
            exchange(opened, accepted, 0)
            assert opened.path == accepted.path == "shm"
        exchange(opened, accepted, 10)
        opened.abort()
        accepted.abort()


def test_a_channel_closed_in_doubt_is_read_to_its_end(tmp_path: Path) -> None:
    # catches: a ring that the peer leaves with its link, although it has heard nothing on the next
    settings = Config(
        runtime_dirs=(str(tmp_path),), bind="127.0.0.1:0", security="none", grace=0.5
    )
    with Context(settings) as context, context.listen("doubt") as listener:
        (tcp,) = (each for each in listener.instance.addresses if each.startswith("tcp:"))
        opened = context.connect("doubt", timeout=LONG)
        accepted = listener.accept(timeout=LONG)
        for number in range(20):
            opened.send(numbered(number, 3000))
        assert accepted.recv(timeout=LONG) == numbered(0, 3000)
        for door in filter(Path.is_socket, list(tmp_path.iterdir())):
            door.unlink()  # nobody finds back over shared memory
        with swallowing(tcp) as address:
            with pytest.raises(eastwest.EastwestError):
                opened.switch(address, timeout=LONG)
            assert accepted.path == "tcp"
            opened.close()
        for number in range(1, 20):
            assert accepted.recv(timeout=LONG) == numbered(number, 3000)
        with pytest.raises(eastwest.EndOfChannel):
            accepted.recv(timeout=LONG)
        accepted.close()
