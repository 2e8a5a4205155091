"""The kernel's sockets in Python: Unix stream and seqpacket, TCP.

wait=block calls ``recv`` and sleeps in the kernel; wait=spin calls it without blocking until the
message is there. Who waits adaptively has to write it: there is none.
"""

import os
import socket
from collections.abc import Callable
from typing import Final

from bench.compare.pair.ends import BYTES_MAX, Cannot, Ends, Setup, Side
from bench.compare.pair.loops import Recv, Send

ANSWER_BYTES: Final = 1024  # what the kernel counts for a short message, and more
SO_SNDBUFFORCE: Final = 32  # asm-generic/socket.h
SEQPACKET_MAX: Final = 128 << 10  # the kernel's buffers hold no more of one message


class Sockets(Ends):
    """Connected sockets of one kind; a message of a stream has the length that both know."""

    def __init__(self, setup: Setup, sockets: list[socket.socket], *, is_stream: bool) -> None:
        setup.require_wait("spin", "block", why="a socket sleeps in the kernel, or is polled")
        self.version = f"Linux {os.uname().release}"
        self.detail = setup.wait
        self._sockets = sockets
        self._is_spinning = setup.wait == "spin"
        self._is_stream = is_stream
        self._buffer = memoryview(bytearray(BYTES_MAX))
        for each in sockets:
            each.setblocking(not self._is_spinning)

    def prepare(self, size: int) -> None:
        """See ``Ends``."""
        if not self._is_stream and size > SEQPACKET_MAX:
            raise Cannot(f"a message of {size} B; the kernel takes {SEQPACKET_MAX}")
        super().prepare(size)

    def send_of(self, link: int) -> Send:
        """See ``Ends``."""
        sock = self._sockets[link]
        if not self._is_spinning:
            return sock.sendall if self._is_stream else sock.send
        return lambda message: _send_spinning(sock, message)

    def recv_of(self, link: int) -> Recv:
        """See ``Ends``."""
        view = self._buffer[: self.size]
        recv_into = self._sockets[link].recv_into
        if self._is_spinning:
            return lambda: _recv_spinning(recv_into, view)
        return lambda: recv_into(view, 0, socket.MSG_WAITALL)

    def hold(self, in_flight: int) -> None:
        """See ``Side``."""
        wanted = in_flight * (self.size + ANSWER_BYTES)
        option = SO_SNDBUFFORCE if os.geteuid() == 0 else socket.SO_SNDBUF
        for each in self._sockets:
            if (have := each.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)) < wanted:
                each.setsockopt(socket.SOL_SOCKET, option, wanted // 2 + 1)  # it takes twice that
                have = each.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            if have < wanted:
                raise Cannot(f"{in_flight} answers need {wanted} B, the kernel has {have}")

    def close(self) -> None:
        """See ``Ends``."""
        for each in self._sockets:
            each.close()


def _send_spinning(sock: socket.socket, message: bytes) -> None:
    sent = 0
    while sent < len(message):
        try:
            sent += sock.send(message[sent:] if sent else message)
        except BlockingIOError:
            continue


def _recv_spinning(recv_into: Callable[[memoryview], int], view: memoryview) -> None:
    have = 0
    while have < len(view):
        try:
            got = recv_into(view[have:] if have else view)
        except BlockingIOError:
            continue
        if not got:
            raise EOFError("the other process is gone")
        have += got


def _unix(kind: socket.SocketKind) -> Callable[[Setup], Side]:
    def made(setup: Setup) -> Side:
        path = f"{setup.folder}/socket"
        sockets = connected(setup, socket.AF_UNIX, kind, path)
        return Sockets(setup, sockets, is_stream=kind == socket.SOCK_STREAM)

    return made


def _tcp(setup: Setup) -> Side:
    sockets = connected(setup, socket.AF_INET, socket.SOCK_STREAM, (setup.host, 0))
    for each in sockets:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Sockets(setup, sockets, is_stream=True)


def connected(
    setup: Setup, family: socket.AddressFamily, kind: socket.SocketKind, at: str | tuple[str, int]
) -> list[socket.socket]:
    duo = setup.duo
    if not duo.is_peer:
        port = int(duo.tell(""))
        sockets = [socket.socket(family, kind) for _ in range(setup.links)]
        for each in sockets:
            each.connect(at if isinstance(at, str) else (at[0], port))
        return sockets
    with socket.socket(family, kind) as door:
        door.bind(at)
        door.listen(setup.links)
        name = door.getsockname()
        duo.tell("0" if isinstance(name, str) else str(name[1]))
        return [door.accept()[0] for _ in range(setup.links)]


SYSTEMS: dict[str, Callable[[Setup], Side]] = {
    "unix-stream": _unix(socket.SOCK_STREAM),
    "unix-seqpacket": _unix(socket.SOCK_SEQPACKET),
    "tcp": _tcp,
}
