"""What somebody who is no Eastwest says to a listener: hellos, descriptors and regions by hand.

The layout is that of docs/reference/wire.md, shm/record.h and shm/outbox.h, written down again
here, so that a change of it by mistake is seen.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
from array import array
from collections.abc import Iterable
from typing import Any

HELLO, WELCOME, REFUSE = 32, 33, 34
OPEN, RESUME, QUERY = 1, 2, 3
HELLO_BYTES = 528
OUTBOX_BYTES = 64 * 1024
RING_AT = 512

F_ADD_SEALS, SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE = 1033, 1, 2, 4, 8, 16
ALL_SEALS = SEAL | SHRINK | GROW | FUTURE_WRITE

OFFSETS: dict[str, tuple[int, str]] = {
    "magic": (8, "<4s"),
    "version": (12, "<H"),
    "version_min": (14, "<H"),
    "features": (16, "<Q"),
    "required": (24, "<Q"),
    "intent": (32, "<B"),
    "intent_padding": (33, "<7s"),
    "generation": (40, "<Q"),
    "channel": (48, "<16s"),
    "instance": (64, "<16s"),
    "secret": (80, "<16s"),
    "nonce": (96, "<16s"),
    "mac": (112, "<16s"),
    "start": (128, "<Q"),
    "taken": (136, "<Q"),
    "outbox": (144, "<Q"),
    "offset": (152, "<I"),
    "pid": (156, "<I"),
    "message_max": (160, "<Q"),
    "limit": (168, "<Q"),
    "channels": (176, "<Q"),
    "reserved": (184, "<Q"),
    "namespace": (192, "<64s"),
    "service": (256, "<208s"),
    "protocol": (464, "<64s"),
}


def header(length: int, kind: int, flags: int = 0, reserved: int = 0) -> bytes:
    return struct.pack("<IBBH", length, kind, flags, reserved)


def hello(path: str, **fields: Any) -> bytes:
    """Return a good hello, but for the *fields*."""
    values: dict[str, Any] = {
        "magic": b"EWH1",
        "version": 1,
        "version_min": 1,
        "intent": OPEN,
        "generation": 1,
        "channel": os.urandom(16),
        "secret": os.urandom(16),
        "nonce": os.urandom(16),
        "outbox": OUTBOX_BYTES if path == "shm" else 0,
        "pid": os.getpid(),
        "message_max": 1 << 20,
        "limit": 0 if path == "shm" else 256 * 1024,
        "namespace": b"default",
        "service": b"crash",
    }
    message = bytearray(HELLO_BYTES)
    message[:8] = fields.pop("header", header(HELLO_BYTES, HELLO))
    for name, value in {**values, **fields}.items():
        at, form = OFFSETS[name]
        struct.pack_into(form, message, at, value)
    return bytes(message)


def region(
    size: int = OUTBOX_BYTES,
    seals: int = ALL_SEALS,
    *,
    holes: bool = False,
    sealing: bool = True,
    ring: bytes = b"",
    ended: int = 0,
    ring_bytes: int | None = None,
) -> int:
    """Return the descriptor of an outbox: a good one by default, with *ring* in its ring."""
    fd = os.memfd_create("hostile", os.MFD_CLOEXEC | (os.MFD_ALLOW_SEALING if sealing else 0))
    os.ftruncate(fd, size)
    if size and not holes:
        os.posix_fallocate(fd, 0, size)
    if size >= RING_AT:
        length = (size - RING_AT) & ~63 if ring_bytes is None else ring_bytes
        os.pwrite(fd, struct.pack("<4sIQ", b"EWBO", 1, length), 0)
        os.pwrite(fd, struct.pack("<II", 0, ended), 256)
        os.pwrite(fd, ring, RING_AT)
    if sealing and seals:
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def data(payload: bytes, flags: int = 0) -> bytes:
    """Return one DATA record."""
    padding = bytes(-len(payload) % 8)
    return header(8 + len(payload), 1, flags) + payload + padding


class Stranger:
    """A connection to a listener, by its address, without the library."""

    def __init__(self, address: str) -> None:
        if address.startswith("shm:"):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.socket.settimeout(10.0)
            folder, _, name = address.removeprefix("shm:").rpartition("/")
            at = os.open(folder, os.O_PATH)
            try:
                self.socket.connect(f"/proc/self/fd/{at}/{name}")
            finally:
                os.close(at)
        else:
            host, _, port = address.removeprefix("tcp://").rpartition(":")
            self.socket = socket.create_connection((host, int(port)), timeout=10.0)

    def say(self, data: bytes, fds: Iterable[int] = ()) -> None:
        """Send bytes; a listener that has hung up already is no error."""
        fds = list(fds)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendmsg([data], ancillary)

    def hears(self, timeout: float = 10.0) -> bytes | None:
        """Return the next answer, b"" at the end of the connection, None when there is silence."""
        ready, _, _ = select.select([self.socket], [], [], timeout)
        if not ready:
            return None
        try:
            answer, fds, _, _ = socket.recv_fds(self.socket, 1 << 16, 8)
        except ConnectionResetError:
            return b""
        for fd in fds:
            os.close(fd)
        return answer

    def ends(self, timeout: float) -> bool:
        """Say whether the listener hangs up; what it says before does not count, but a welcome."""
        while (answer := self.hears(timeout)) is not None:
            if answer == b"":
                return True
            assert kind(answer) != WELCOME, "it was welcomed"
        return False

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Stranger":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def kind(answer: bytes | None) -> int:
    return answer[4] if answer and len(answer) >= 8 else 0
