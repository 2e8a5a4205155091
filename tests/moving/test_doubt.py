"""A switch whose answer is lost: nobody knows where the peer is, and the channel lives."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import eastwest
from eastwest import Channel, Config, Context
from tests.conformance.pairs import LONG, numbered, wait_until

BYTES = 65536


@contextmanager
def swallowing(target: str, *, hears: bool = True) -> Iterator[str]:
    """A port that lets the question through whether somebody is awake, and no answer after it.

    ``hears``: the target hears what comes then.
    """
    host, _, port = target.removeprefix("tcp://").rpartition(":")
    door = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, to: socket.socket | None) -> None:
        with suppress(OSError):
            while data := source.recv(BYTES):
                if to is not None:
                    to.sendall(data)

    def forward() -> None:
        client, _ = door.accept()
        with client, socket.create_connection((host, int(port))) as server:
            server.sendall(client.recv(BYTES))
            pump(server, client)
        client, _ = door.accept()
        with client, socket.create_connection((host, int(port))) as server:
            pump(client, server if hears else None)

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()
    with door:
        yield f"tcp://127.0.0.1:{door.getsockname()[1]}"
        thread.join(LONG)


ECHO = """
import json, eastwest
with eastwest.listen("doubt") as listener:
    print(json.dumps(listener.instance.addresses), flush=True)
    with listener.accept() as channel:
        for message in channel:
            channel.send(message)
"""


@contextmanager
def echo_process(folder: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """A process that echoes on one channel: its pid, and its addresses by path."""
    settings = {
        "EASTWEST_RUNTIME_DIR": str(folder),
        "EASTWEST_BIND": "127.0.0.1:0",
        "EASTWEST_SECURITY": "none",
    }
    with subprocess.Popen(
        [sys.executable, "-c", ECHO],
        stdout=subprocess.PIPE,
        env={**os.environ, **settings},
        text=True,
    ) as child:
        assert child.stdout is not None
        try:
            addresses = json.loads(child.stdout.readline())
            yield child.pid, {each.partition(":")[0]: each for each in addresses}
            assert child.wait(LONG) == 0
        finally:
            child.kill()


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{pid}/task")
    wait_until(
        lambda: all(
            (each / "stat").read_text().rpartition(")")[2].split()[0] == "T"
            for each in tasks.iterdir()
        ),
        "every thread stands still",
        LONG,
    )


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
    settings = Config(runtime_dirs=(str(tmp_path),), bind="127.0.0.1:0", security="none", grace=0.5)
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


def test_doubt_lasts_as_long_as_the_link_does(tmp_path: Path) -> None:
    # catches: a grace time that runs out while the link that may be left carries every message
    grace = 0.3
    settings = Config(
        runtime_dirs=(str(tmp_path),), bind="127.0.0.1:0", security="none", grace=grace
    )
    with Context(settings) as context, context.listen("doubt") as listener:
        (tcp,) = (each for each in listener.instance.addresses if each.startswith("tcp:"))
        opened = context.connect("doubt", timeout=LONG)
        accepted = listener.accept(timeout=LONG)
        for door in filter(Path.is_socket, list(tmp_path.iterdir())):
            door.unlink()  # nobody can ask the peer where it is
        with swallowing(tcp, hears=False) as address:
            with pytest.raises(eastwest.EastwestError):
                opened.switch(address, timeout=LONG)
            since = time.monotonic()
            number = 0
            while time.monotonic() < since + 3 * grace:
                exchange(opened, accepted, number)
                number += 10
            assert opened.path == accepted.path == "shm"
        opened.abort()
        accepted.abort()


def test_a_switch_leaves_a_stopped_peer_alone(tmp_path: Path) -> None:
    # catches: a channel that rests, or is given up, because its peer's process was stopped
    settings = Config(runtime_dirs=(str(tmp_path),), bind="127.0.0.1:0", security="none", grace=0.3)
    with echo_process(tmp_path) as (pid, addresses), Context(settings) as context:
        channel = context.connect("doubt", timeout=LONG)
        for path in ("tcp", "shm"):
            stop(pid)
            for _ in range(2):
                with pytest.raises(eastwest.Timeout):
                    channel.switch(addresses[path], timeout=0.5)
                assert channel.try_send(b"while it is stopped")
            os.kill(pid, signal.SIGCONT)
            for _ in range(2):
                assert channel.recv(timeout=LONG) == b"while it is stopped"
            channel.switch(addresses[path], timeout=LONG)
            assert channel.path == path
        channel.close()
