"""Descriptors and regions that a correct peer never sends, with an otherwise good hello."""

import ctypes
import fcntl
import mmap
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import eastwest
from tests.conformance.pairs import LONG, SOON, Way, shm_way
from tests.crash.conftest import HELLO_SECONDS, Target
from tests.crash.hostile import (
    ALL_SEALS,
    F_ADD_SEALS,
    FUTURE_WRITE,
    GROW,
    OUTBOX_BYTES,
    SEAL,
    SHRINK,
    WELCOME,
    Stranger,
    data,
    header,
    hello,
    kind,
    region,
)

DROPPED = HELLO_SECONDS + SOON


@pytest.fixture
def way(folder: Path) -> Way:
    return shm_way(folder)


def _null() -> int:
    return os.open("/dev/null", os.O_RDWR)


def _zero() -> int:
    return os.open("/dev/zero", os.O_RDWR)


def _folder() -> int:
    return os.open("/", os.O_RDONLY)


def _path_only() -> int:
    return os.open("/", os.O_PATH)


def _pipe() -> int:
    ours, theirs = os.pipe()
    os.close(theirs)
    return ours


def _socket() -> int:
    return socket.socket().detach()


def _file() -> int:
    fd = os.open("/tmp", os.O_TMPFILE | os.O_RDWR)
    os.posix_fallocate(fd, 0, OUTBOX_BYTES)
    return fd


def _dev_shm() -> int:
    fd = os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR)
    os.posix_fallocate(fd, 0, OUTBOX_BYTES)
    return fd


def _read_only_memfd() -> int:
    fd = region(seals=0)
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    finally:
        os.close(fd)


def _punched() -> int:
    """A region with a hole in the middle, made after it was allocated."""
    fd = region(seals=0)
    keep_size, punch = 1, 2
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    assert libc.fallocate(fd, keep_size | punch, 16384, 4096) == 0
    fcntl.fcntl(fd, F_ADD_SEALS, ALL_SEALS)
    return fd


BAD: dict[str, Callable[[], int]] = {
    "null_device": _null,
    "zero_device": _zero,
    "folder": _folder,
    "path_only": _path_only,
    "pipe": _pipe,
    "socket": _socket,
    "file": _file,
    "file_in_dev_shm": _dev_shm,
    "memfd_that_cannot_be_sealed": lambda: region(sealing=False),
    "read_only_memfd": _read_only_memfd,
    "no_seals": lambda: region(seals=0),
    "may_shrink": lambda: region(seals=ALL_SEALS & ~SHRINK),
    "may_grow": lambda: region(seals=ALL_SEALS & ~GROW),
    "may_be_written": lambda: region(seals=ALL_SEALS & ~FUTURE_WRITE),
    "may_be_sealed": lambda: region(seals=ALL_SEALS & ~SEAL),
    "too_small": lambda: region(OUTBOX_BYTES - 4096),
    "too_large": lambda: region(OUTBOX_BYTES + 4096),
    "not_whole_pages": lambda: region(OUTBOX_BYTES + 1),
    "empty": lambda: region(0),
    "all_holes": lambda: region(holes=True),
    "one_hole": _punched,
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_descriptor_is_not_welcomed(target: Target, name: str) -> None:
    # catches: one missing check of ewi_region_attach; the reader would get SIGBUS later
    fd = BAD[name]()
    with Stranger(target.address) as stranger:
        stranger.say(hello("shm"), [fd])
        os.close(fd)
        assert stranger.ends(DROPPED)


@pytest.mark.parametrize("size", [0, 1, 4096, 16383, 16384 - 4096, 65537, 1 << 40, 2**64 - 4096])
def test_a_size_that_no_outbox_has_is_not_welcomed(target: Target, size: int) -> None:
    with Stranger(target.address) as stranger:
        actual = size if size <= 65537 else OUTBOX_BYTES
        fd = region(actual)
        stranger.say(hello("shm", outbox=size), [fd])
        os.close(fd)
        assert stranger.ends(DROPPED)


@pytest.mark.parametrize("offset", [4, 8, OUTBOX_BYTES, 2**32 - 8])
def test_an_offset_outside_or_askew_is_not_welcomed(target: Target, offset: int) -> None:
    with Stranger(target.address) as stranger:
        fd = region()
        stranger.say(hello("shm", offset=offset), [fd])
        os.close(fd)
        if offset == 8:  # inside: refused, or welcomed and an empty ring from there on
            answer = stranger.hears(DROPPED)
            assert answer is not None
            if kind(answer) == WELCOME:
                target.listener.accept(timeout=SOON).abort()
        else:
            assert stranger.ends(DROPPED)


def test_a_hello_without_a_descriptor_is_not_welcomed(target: Target) -> None:
    with Stranger(target.address) as stranger:
        stranger.say(hello("shm"))
        assert stranger.ends(DROPPED)


@pytest.mark.parametrize("count", [2, 3, 100, 253])
def test_more_descriptors_than_one_are_not_welcomed_and_all_closed(
    target: Target, count: int
) -> None:
    # catches: descriptors beyond the first that stay open (the fixture counts them)
    fds = [region() for _ in range(count)]
    with Stranger(target.address) as stranger:
        stranger.say(hello("shm"), fds)
        for fd in fds:
            os.close(fd)
        assert stranger.ends(DROPPED)


def test_descriptors_with_junk_are_closed(target: Target) -> None:
    for message in (b"x", bytes(8), hello("shm", version=9, version_min=9), b"y" * 5000):
        fds = [region() for _ in range(50)]
        with Stranger(target.address) as stranger:
            stranger.say(message, fds)
            for fd in fds:
                os.close(fd)
            assert stranger.ends(DROPPED)


def test_descriptors_after_the_hello_are_closed(target: Target) -> None:
    # catches: the bell's socket read without looking for SCM_RIGHTS
    with welcomed(target, b"") as (stranger, channel):
        for _ in range(20):
            fds = [_null() for _ in range(50)]
            stranger.say(b"k", fds)
            for fd in fds:
                os.close(fd)
        with pytest.raises(eastwest.EastwestError):
            channel.recv(timeout=0.2)
        channel.abort()


def test_regions_of_one_user_are_bounded(target: Target) -> None:
    # catches: a peer that makes us map as much as it likes (peer_bytes_max: 256 MiB by default)
    said = []
    with ExitStack() as stack:
        for _ in range(24):
            stranger = stack.enter_context(Stranger(target.address))
            fd = region(16 << 20)
            stranger.say(hello("shm", outbox=16 << 20), [fd])
            os.close(fd)
            said.append(kind(stranger.hears(DROPPED)))
    while target.listener.stats().waiting:
        target.listener.accept(timeout=SOON).abort()
    assert said[:10] == [WELCOME] * 10, "some of it is allowed"
    assert said.count(WELCOME) <= 16


# ------------------------------------------------------------------ after the welcome


@contextmanager
def welcomed(
    target: Target, ring: bytes, **more: int
) -> Iterator[tuple[Stranger, eastwest.Channel]]:
    """A stranger with this in its ring, and the channel that it got."""
    with Stranger(target.address) as stranger:
        fd = region(ring=ring, **more)
        stranger.say(hello("shm"), [fd])
        os.close(fd)
        assert kind(stranger.hears(LONG)) == WELCOME
        channel = target.listener.accept(timeout=LONG)
        yield stranger, channel
        channel.abort()


def test_a_good_record_by_hand_is_received(target: Target) -> None:
    with welcomed(target, data(b"by hand")) as (_, channel):
        assert channel.recv(timeout=SOON) == b"by hand"


IMPOSSIBLE = "a record that cannot be"
NOT_HERE = "a fragment where none can be"
SUM = "fragments that do not add up to the message's length"
EXTENSION = "an extension block that is malformed or not known here"
BAD_RINGS = {  # what the error says, and the ring
    "longer_than_a_record_may_be": (IMPOSSIBLE, header(65536 + 8, 1) + bytes(1000)),
    "longer_than_the_ring": (IMPOSSIBLE, header(0x7FFFFFFF, 1)),
    "longest": (IMPOSSIBLE, header(0xFFFFFFFF, 1)),
    "shorter_than_its_header": (IMPOSSIBLE, header(7, 1)),
    "unknown_kind": (IMPOSSIBLE, header(16, 99) + bytes(8)),
    "control_kind_in_a_ring": (IMPOSSIBLE, header(16, 17) + bytes(8)),
    "hello_in_a_ring": (IMPOSSIBLE, header(528, 32) + bytes(520)),
    "reserved_bits": (IMPOSSIBLE, header(16, 1, 0, 1) + bytes(8)),
    "unknown_flags": (IMPOSSIBLE, header(16, 1, 0x80) + bytes(8)),
    "close_with_payload": (IMPOSSIBLE, header(16, 4) + bytes(8)),
    "eof_with_payload": (IMPOSSIBLE, header(16, 3) + bytes(8)),
    "abort_of_nothing": ("an ABORT without a message", header(8, 2)),
    "total_without_more": (NOT_HERE, header(24, 1, 2) + bytes(16)),
    "total_too_large": (
        "a message longer than our message_bytes_max",
        header(24, 1, 3) + (1 << 50).to_bytes(8, "little") + bytes(8),
    ),
    "total_missing": (NOT_HERE, data(b"12345678", 1) + data(b"12345678")),
    "second_total": (NOT_HERE, (header(24, 1, 3) + (100).to_bytes(8, "little") + bytes(8)) * 2),
    "more_than_total": (SUM, header(24, 1, 3) + (9).to_bytes(8, "little") + bytes(8) + data(b"xx")),
    "less_than_total": (SUM, header(24, 1, 3) + (99).to_bytes(8, "little") + bytes(8) + data(b"x")),
    "eof_in_a_message": (
        "an end in the middle of a message",
        header(24, 1, 3) + (99).to_bytes(8, "little") + bytes(8) + header(8, 3),
    ),
    "data_after_eof": ("a message after the end", header(8, 3) + data(b"x")),
    "data_after_close": ("a message after the end", header(8, 4) + data(b"x")),
    "pad_longer_than_the_rest": (IMPOSSIBLE, header(65536 * 4, 5)),
    "extension_longer_than_the_record": (EXTENSION, header(16, 1, 4) + b"\xff\xff" + bytes(6)),
    "mandatory_extension": (EXTENSION, header(24, 1, 4) + b"\x08\0\0\0\x80\0\0\0" + bytes(8)),
}


@pytest.mark.parametrize("name", BAD_RINGS)
def test_a_lie_in_the_ring_ends_its_channel_only(target: Target, name: str) -> None:
    # catches: a field of a record used before it is checked, or refused by luck for another reason
    why, ring = BAD_RINGS[name]
    with welcomed(target, ring) as (_, channel):
        got: list[bytes] = []
        with pytest.raises(eastwest.PeerLost, match=f"^{why}$"):
            for _ in range(3):
                got.append(channel.recv(timeout=SOON))
        assert got == [], "part of a lie was delivered"


def test_a_position_beyond_what_was_sent_is_no_room(target: Target) -> None:
    # catches: taken believed: the sender would overwrite, or the counter wrap
    with Stranger(target.address) as stranger:
        fd = region(seals=0)
        with mmap.mmap(fd, OUTBOX_BYTES) as mine:
            fcntl.fcntl(fd, F_ADD_SEALS, ALL_SEALS)
            stranger.say(hello("shm"), [fd])
            os.close(fd)
            assert kind(stranger.hears(LONG)) == WELCOME
            channel = target.listener.accept(timeout=LONG)
            channel.send(b"one", timeout=SOON)
            struct.pack_into("<Q", mine, 128, 2**63)
            with pytest.raises(eastwest.EastwestError):
                for _ in range(100_000):
                    channel.send(bytes(1000), timeout=0.2)
            with pytest.raises(eastwest.ChannelEnded):
                channel.recv(timeout=SOON)
            channel.abort()
