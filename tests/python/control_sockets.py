"""Control sockets made by hand: what a process that is no Eastwest says to who looks in."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from eastwest import Channel, Config, Context
from eastwest.cli._control import Looked, Place, look, sockets

Talk = Callable[[socket.socket], None]


def place_of(directory: Path, pid: int | None = None) -> Place:
    """The control socket of a process, which has one."""
    wanted = os.getpid() if pid is None else pid
    (place,) = (each for each in sockets(str(directory)) if each.pid == wanted)
    return place


def look_at(directory: Path, pid: int | None = None) -> Looked:
    return look(place_of(directory, pid))


def connected(place: Place) -> socket.socket:
    """A plain connection to a control socket."""
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(10)
    try:
        ours.connect(os.path.join(place.directory, "proc", place.name))
    except OSError:
        ours.close()
        raise
    return ours


def last_words(ours: socket.socket) -> bytes:
    """What it says; that it hung up on what we said is told once, before that."""
    with suppress(ConnectionResetError):
        return ours.recv(1 << 16)
    return ours.recv(1 << 16)


def stranger_name(pid: int) -> str:
    return f"{pid}-{os.urandom(8).hex()}.sock"


@contextmanager
def stranger(directory: Path, talk: Talk, pid: int = 7) -> Iterator[Place]:
    """Somebody who listens at the name of a control socket; *talk* gets each connection."""
    folder = directory / "proc"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = stranger_name(pid)
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.bind(str(folder / name))
    ours.listen()

    def serve() -> None:
        while True:
            try:
                theirs, _ = ours.accept()
            except OSError:
                return
            with theirs, suppress(OSError):  # they hung up
                talk(theirs)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Place(str(directory), name, pid)
    finally:
        ours.shutdown(socket.SHUT_RDWR)
        ours.close()
        thread.join()
        (folder / name).unlink(missing_ok=True)


def says(*packets: bytes) -> Talk:
    """A stranger who answers each request with the next packet, and the last one for ever."""

    def talk(theirs: socket.socket) -> None:
        for packet in packets:
            if not theirs.recv(4096):
                return
            theirs.send(packet)
        while theirs.recv(4096):
            theirs.send(packets[-1])

    return talk


@contextmanager
def ends(path: str, directory: Path, **more: Any) -> Iterator[tuple[Channel, Channel]]:
    """Both ends of a channel in one context of this process."""
    service = f"pricing-{os.getpid()}"
    settings: dict[str, Any] = {"runtime_dirs": (str(directory),), "paths": (path,), **more}
    if path == "tcp":
        file = directory / "services.toml"
        settings |= {"bind": "127.0.0.1:0", "registry": (f"static:{file}",)}
        file.write_text("")
    with Context(Config(**settings)) as context, context.listen(service) as listener:
        if path == "tcp":
            (tcp,) = listener.instance.addresses
            file.write_text(f'[[service]]\nname = "{service}"\naddresses = ["{tcp}"]\n')
        opened = context.connect(service)
        yield opened, listener.accept(timeout=10)


def by_role(channels: Any) -> dict[bool, Any]:
    return {row["opener"]: row for row in channels}
