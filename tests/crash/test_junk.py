"""Junk on either kind of socket: dropped within the deadline, nothing kept, others served.

The fixture ``target`` checks after every case that no descriptor, no half-open connection, no
channel and no memory is left, and that a real client is served.
"""

import os
import random
import struct
import time
from contextlib import ExitStack

import pytest

import eastwest
from tests.conformance.pairs import SOON, Task, wait_until
from tests.crash.conftest import HELLO_SECONDS, Target
from tests.crash.hostile import (
    HELLO,
    HELLO_BYTES,
    QUERY,
    REFUSE,
    RESUME,
    WELCOME,
    Stranger,
    header,
    hello,
    kind,
    region,
)

DROPPED = HELLO_SECONDS + SOON
BAD_FIELDS = {
    "magic": {"magic": b"HTTP"},
    "no_magic": {"magic": b""},
    "future_version": {"version": 9, "version_min": 9},
    "version_zero": {"version": 0, "version_min": 0},
    "versions_the_wrong_way_round": {"version": 1, "version_min": 2},
    "unknown_required_feature": {"required": 1 << 63, "features": 1 << 63},
    "intent_zero": {"intent": 0},
    "unknown_intent": {"intent": 77},
    "resume_of_nothing": {"intent": RESUME},
    "intent_padding": {"intent_padding": b"\1"},
    "generation_zero": {"generation": 0},
    "reserved": {"reserved": 1},
    "other_instance": {"instance": b"\xff" * 16},
    "start_behind": {"start": 1},
    "start_far_behind": {"start": 2**64 - 8},
    "taken_too_much": {"taken": 8},
    "no_message_fits": {"message_max": 0},
    "other_namespace": {"namespace": b"another"},
    "unterminated_namespace": {"namespace": b"x" * 64},
    "empty_namespace": {"namespace": b""},
    "other_service": {"service": b"another"},
    "unterminated_service": {"service": b"x" * 208},
    "empty_service": {"service": b""},
    "slashes": {"service": b"../../etc/passwd"},
    "junk_behind_a_name": {"service": b"crash\0junk"},
    "control_characters": {"service": b"cra\nsh"},
    "not_utf8": {"service": b"\xff\xfe"},
    "other_protocol": {"protocol": b"grpc"},
    "unterminated_protocol": {"protocol": b"x" * 64},
    "header_of_another_kind": {"header": header(HELLO_BYTES, 1)},
    "header_with_flags": {"header": header(HELLO_BYTES, HELLO, 7)},
    "header_with_reserved": {"header": header(HELLO_BYTES, HELLO, 0, 1)},
    "header_too_short": {"header": header(8, HELLO)},
    "header_too_long": {"header": header(0xFFFFFFFF, HELLO)},
    "header_of_nothing": {"header": bytes(8)},
}


def say(target: Target, stranger: Stranger, message: bytes) -> None:
    """Say it, with a good region where one belongs to a hello."""
    if target.way.path == "shm":
        fd = region()
        stranger.say(message, [fd])
        os.close(fd)
    else:
        stranger.say(message)


def test_a_good_hello_by_hand_is_welcomed(target: Target) -> None:
    # else every test below would pass for the wrong reason
    with Stranger(target.address) as stranger:
        say(target, stranger, hello(target.way.path))
        answer = stranger.hears()
        assert kind(answer) == WELCOME
        channel = target.listener.accept(timeout=SOON)
        assert channel.service == "crash"
        channel.abort()


def test_a_query_by_hand_is_answered(target: Target) -> None:
    with Stranger(target.address) as stranger:
        stranger.say(hello(target.way.path, intent=QUERY, generation=0, secret=b"", outbox=0))
        answer = stranger.hears()
    assert kind(answer) in (WELCOME, REFUSE)


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_a_hello_with_one_wrong_field_is_not_welcomed(target: Target, name: str) -> None:
    # catches: a field that is taken as it comes
    with Stranger(target.address) as stranger:
        say(target, stranger, hello(target.way.path, **BAD_FIELDS[name]))
        assert stranger.ends(DROPPED)


@pytest.mark.parametrize("name", ["future_version", "other_protocol", "other_service"])
def test_a_wrong_version_protocol_or_service_is_told_so(target: Target, name: str) -> None:
    with Stranger(target.address) as stranger:
        say(target, stranger, hello(target.way.path, **BAD_FIELDS[name]))
        assert kind(stranger.hears()) == REFUSE


def test_silence_is_dropped_at_the_deadline(target: Target) -> None:
    # catches: no deadline, or one that starts with the first byte
    began = time.monotonic()
    with Stranger(target.address) as stranger:
        assert stranger.ends(DROPPED)
    assert time.monotonic() - began >= HELLO_SECONDS * 0.5


def test_a_slow_hello_does_not_extend_the_deadline(target: Target) -> None:
    # catches: a deadline that starts anew with each byte
    if target.way.path == "shm":
        pieces = [hello("shm")[:100]]  # a packet is whole or junk
    else:
        pieces = [bytes([each]) for each in hello("tcp")]
    began = time.monotonic()
    with Stranger(target.address) as stranger:
        for piece in pieces:
            stranger.say(piece)
            if stranger.hears(0.02) is not None:
                break
        else:
            assert stranger.ends(DROPPED)
    assert time.monotonic() - began < DROPPED


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, HELLO_BYTES - 1])
def test_part_of_a_hello_is_dropped(target: Target, length: int) -> None:
    with Stranger(target.address) as stranger:
        stranger.say(hello(target.way.path)[:length])
        assert stranger.ends(DROPPED)


@pytest.mark.parametrize("length", [0, 1, 8, 100, HELLO_BYTES - 1])
def test_part_of_a_hello_then_hanging_up_is_forgotten_at_once(target: Target, length: int) -> None:
    dropped = target.there.stats().dropped
    with Stranger(target.address) as stranger:
        stranger.say(hello(target.way.path)[:length])
    wait_until(lambda: target.there.stats().half_open == 0, "it is forgotten", SOON)
    wait_until(lambda: target.there.stats().dropped > dropped, "it is counted", SOON)


def test_hanging_up_after_a_good_hello_leaves_nothing(target: Target) -> None:
    # catches: a channel that nobody accepts and nobody ends
    for _ in range(20):
        with Stranger(target.address) as stranger:
            say(target, stranger, hello(target.way.path))
    wait_until(lambda: target.there.stats().half_open == 0, "no hello is open", SOON)
    _take_all(target)


def _take_all(target: Target) -> None:
    """Accept and end what was welcomed."""
    while True:
        try:
            target.listener.accept(timeout=0.05).abort()
        except eastwest.Timeout:
            return


@pytest.mark.parametrize("length", [1, 8, 64, 528, 529, 1552, 4096, 65536])
def test_random_bytes_are_dropped(target: Target, length: int, rng: random.Random) -> None:
    for _ in range(4):
        with Stranger(target.address) as stranger:
            stranger.say(rng.randbytes(length))
            assert stranger.ends(DROPPED)


@pytest.mark.parametrize(
    "text", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"SSH-2.0-x\r\n"]
)
def test_other_protocols_are_dropped(target: Target, text: bytes) -> None:
    with Stranger(target.address) as stranger:
        stranger.say(text)
        assert stranger.ends(DROPPED)


def test_a_good_hello_with_random_bytes_changed_breaks_nothing(
    target: Target, rng: random.Random
) -> None:
    for _ in range(100):
        message = bytearray(hello(target.way.path))
        for _ in range(rng.randrange(1, 6)):
            message[rng.randrange(HELLO_BYTES)] = rng.randrange(256)
        with Stranger(target.address) as stranger:
            say(target, stranger, bytes(message))
            stranger.hears(0.002)
    _take_all(target)


def test_others_are_served_while_strangers_are_silent(target: Target) -> None:
    strangers = [Stranger(target.address) for _ in range(20)]
    began = time.monotonic()
    target.serves()
    assert time.monotonic() - began < SOON
    for each in strangers:
        each.close()


def test_a_storm_of_connections_ends_and_a_real_client_gets_through(target: Target) -> None:
    # catches: no cap on half-open connections, a cap that is never given back, a full backlog
    # that stalls the reactor
    with ExitStack() as stack:
        strangers: list[Stranger] = []

        def storm() -> None:
            for _ in range(300):
                try:
                    strangers.append(stack.enter_context(Stranger(target.address)))
                except OSError:  # refused, or the backlog is full: it is up to the listener
                    continue

        storming = Task(storm)
        wait_until(lambda: len(strangers) > 30 or storming.ended_at, "the storm is on")
        wait_until(lambda: _is_served(target), "a real client is served, if not at once", DROPPED)
        storming.result()
        for each in strangers:
            assert each.ends(DROPPED)


def _is_served(target: Target) -> bool:
    try:
        target.serves()
    except eastwest.ConnectError as error:  # a clear error is allowed while the storm is on
        assert "too many" in str(error)
        return False
    return True


def test_a_stranger_that_never_reads_its_answer_stalls_nobody(target: Target) -> None:
    strangers = []
    for _ in range(30):
        stranger = Stranger(target.address)
        say(target, stranger, hello(target.way.path, protocol=b"other"))
        strangers.append(stranger)
    began = time.monotonic()
    target.serves()
    assert time.monotonic() - began < SOON
    for each in strangers:
        each.close()


def test_a_hello_that_claims_huge_numbers_allocates_nothing(target: Target) -> None:
    before = target.there.stats().memory_bytes
    for field in ("outbox", "message_max", "limit"):
        with Stranger(target.address) as stranger:
            say(target, stranger, hello(target.way.path, **{field: 2**63}))
            stranger.hears(0.2)
            assert target.there.stats().memory_bytes <= before + (16 << 20)
    _take_all(target)


def test_records_instead_of_hello_are_dropped(target: Target) -> None:
    for number in (1, 3, 4, 5, 16, 17, 18, 33, 34, 35, 255):
        with Stranger(target.address) as stranger:
            stranger.say(header(16, number) + struct.pack("<Q", 2**64 - 1))
            assert stranger.ends(DROPPED)
