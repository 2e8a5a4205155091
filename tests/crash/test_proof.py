"""Who comes back to a channel: the MAC of RESUME and WELCOME, made by hand and changed."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

import eastwest
from eastwest import Channel, Config, Context
from tests.conformance.pairs import LONG, Task, context, forget, shm_way, wait_until
from tests.crash.conftest import Target
from tests.crash.hostile import (
    HELLO_BYTES,
    OFFSETS,
    OUTBOX_BYTES,
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
from tests.crash.proof import MAC, NO_NONCE, NONCE, SECRET, mac, signed

THE_CHANNEL, THE_SECRET = b"c" * 16, b"s" * 16
INSTANCE = slice(OFFSETS["instance"][0], OFFSETS["instance"][0] + 16)
OTHERS = {  # another value for each field of which a listener without a MAC would take any
    "features": 1,
    "generation": 3,
    "instance": b"i" * 16,
    "nonce": b"n" * 16,
    "start": 8,
    "taken": 8,
    "outbox": 2 * OUTBOX_BYTES,
    "offset": 8,
    "pid": 1,
    "message_max": 1 << 21,
    "limit": 1 << 21,
    "channels": 1,
    "namespace": b"another",
    "protocol": b"another",
}


def say(stranger: Stranger, path: str, message: bytes) -> bytes:
    """Say a hello, with memory where it belongs to one; return the answer."""
    fds = [region()] if path == "shm" else []
    stranger.say(message, fds)
    for fd in fds:
        os.close(fd)
    return stranger.hears() or b""


@contextmanager
def opened_by_hand(target: Target) -> Iterator[Channel]:
    """A channel whose opener is nobody, but for us."""
    with Stranger(target.address) as stranger:
        message = hello(target.way.path, channel=THE_CHANNEL, secret=THE_SECRET)
        assert kind(say(stranger, target.way.path, message)) == WELCOME
        channel = target.listener.accept(timeout=LONG)
        yield channel
        channel.abort()


def resume(path: str) -> bytes:
    """Return a good RESUME of that channel."""
    plain = hello(path, intent=RESUME, generation=2, channel=THE_CHANNEL, secret=b"")
    return signed(plain, THE_SECRET)


def changed(message: bytes, field: str, value: object) -> bytes:
    at, form = OFFSETS[field]
    other = bytearray(message)
    struct.pack_into(form, other, at, value)
    assert other != message
    return bytes(other)


def test_a_resume_by_hand_is_welcomed_and_so_is_its_nonce(target: Target) -> None:
    # catches: another MAC than the documented one; a WELCOME whose MAC is without the nonce that
    # it answers; one that says the secret back
    path, message = target.way.path, resume(target.way.path)
    with opened_by_hand(target) as channel, Stranger(target.address) as stranger:
        welcome = say(stranger, path, message)[:HELLO_BYTES]
        assert kind(welcome) == WELCOME
        assert welcome[MAC] == mac(welcome, THE_SECRET, message[NONCE])
        assert welcome[MAC] != mac(welcome, THE_SECRET, NO_NONCE)
        assert welcome[SECRET] == bytes(16)
        assert channel.stats().path_changes == 1


@pytest.mark.parametrize("field", OTHERS)
def test_a_resume_with_a_field_changed_under_its_mac_is_refused(target: Target, field: str) -> None:
    # catches: a MAC over less than all of the message
    path = target.way.path
    with opened_by_hand(target) as channel:
        with Stranger(target.address) as stranger:
            answer = say(stranger, path, changed(resume(path), field, OTHERS[field]))
            assert kind(answer) == REFUSE
            assert b"this channel is not known here" in answer
        assert channel.stats().path_changes == 0


LIES = {  # under the right MAC, by one who knows the secret
    "offset": {"offset": 8},
    "offset_outside": {"offset": OUTBOX_BYTES},
    "start_ahead": {"start": 8},  # what is before it would be lost
    "start_far_ahead": {"start": 2**64 - 8},
    "taken_ahead": {"taken": 2**63},
    "taken_half_a_record": {"taken": 8},
    "outbox_larger_than_its_memory": {"outbox": 2 * OUTBOX_BYTES},
    "outbox_smaller_than_its_memory": {"outbox": OUTBOX_BYTES // 2},
    "outbox_of_no_size": {"outbox": 1},
    "no_outbox": {"outbox": 0},
}


@pytest.mark.parametrize("lie", LIES)
def test_over_shm_a_resume_that_lies_is_refused_and_the_channel_goes_on(
    folder: Path, lie: str
) -> None:
    # catches: a field of a RESUME believed because its MAC is right
    way = shm_way(folder)
    there = context(way.serving)
    with there.listen("crash") as listener:
        target = Target(way, there, listener)
        with opened_by_hand(target) as channel, Stranger(target.address) as stranger:
            channel.send(b"sixteen bytes ..", timeout=LONG)
            message = hello(
                "shm",
                **{"intent": RESUME, "generation": 2, "channel": THE_CHANNEL, "secret": b""}
                | LIES[lie],
            )
            assert kind(say(stranger, "shm", signed(message, THE_SECRET))) == REFUSE
            assert channel.stats().path_changes == 0
            assert channel.try_recv() is None
            assert channel.try_send(b"still here")
        wait_until(lambda: there.stats().memory_bytes == 0, "nothing of it is left")
    forget(there)


OTHER_UID = 12345


def said_as(uid: int, address: str, message: bytes) -> bytes:
    """What a listener on this host answers to a child of ours with that uid."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with Stranger(address) as stranger:
                os.write(tell, say(stranger, "shm", message))
        finally:
            os._exit(0)
    os.close(tell)
    with open(told, "rb") as stream:
        answer = stream.read()
    os.waitpid(pid, 0)
    return answer


def test_over_shm_another_user_does_not_come_back_in_our_place(folder: Path) -> None:
    # catches: a secret that got out, and is enough
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    folder.chmod(0o711)
    way = shm_way(folder)
    there = context(way.serving, allow=("uid:self", f"uid:{OTHER_UID}"))
    with there.listen("crash") as listener:
        target = Target(way, there, listener)
        message = hello("shm", service=b"crash")
        assert kind(said_as(OTHER_UID, target.address, message)) == WELCOME
        listener.accept(timeout=LONG).abort()  # so far it may come
        with opened_by_hand(target) as channel:
            answer = said_as(OTHER_UID, target.address, resume("shm"))
            assert kind(answer) == REFUSE
            assert b"belongs to another user" in answer
            assert kind(said_as(os.geteuid(), target.address, resume("shm"))) == WELCOME
            assert channel.stats().path_changes == 1
    forget(there)


# ------------------------------------------------------------------ the end that dials


class Host:
    """A listener on TCP, by hand, with one channel."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self._door.settimeout(LONG)
        self.address = f"tcp://127.0.0.1:{self._door.getsockname()[1]}"
        self.lines: list[socket.socket] = []

    def hears(self) -> bytes:
        """Return the next hello; a question whether somebody is awake is answered by silence."""
        while True:
            line, _ = self._door.accept()
            message = line.recv(HELLO_BYTES, socket.MSG_WAITALL)
            self.lines.append(line)
            if message[OFFSETS["intent"][0]] != QUERY:
                return message
            line.close()

    def says(self, welcome: bytes) -> None:
        with suppress(OSError):
            self.lines[-1].sendall(welcome + header(16, 16) + bytes(8))

    def close(self) -> None:
        for each in (self._door, *self.lines):
            each.close()


def welcome_to(message: bytes) -> bytes:
    """Return the WELCOME to a hello, without its MAC."""
    answer = bytearray(message)
    answer[:8] = header(HELLO_BYTES, WELCOME)
    answer[SECRET] = answer[MAC] = bytes(16)
    answer[INSTANCE] = b"h" * 16
    return bytes(answer)


@dataclass
class Dialled:
    """A channel to a listener by hand, and its secret."""

    host: Host
    channel: Channel
    secret: bytes

    def switches(self) -> tuple[Task[None], bytes]:
        """Let it dial; return the attempt, and the RESUME that it says."""
        attempt = Task(lambda: self.channel.switch(self.host.address, timeout=LONG))
        message = self.host.hears()
        assert message[OFFSETS["intent"][0]] == RESUME
        return attempt, message


@pytest.fixture
def dialled(tmp_path: Path) -> Iterator[Dialled]:
    host = Host()
    file = tmp_path / "services.toml"
    file.write_text(f'[[service]]\nname = "crash"\naddresses = ["{host.address}"]\n')
    config = Config(paths=("tcp",), registry=(f"static:{file}",), grace=0.0)
    with Context(config) as context:
        opening = Task(lambda: context.connect("crash", timeout=LONG))
        message = host.hears()
        host.says(welcome_to(message))
        channel = opening.result()
        yield Dialled(host, channel, message[SECRET])
        channel.abort()
        host.close()


def test_a_good_welcome_by_hand_is_believed(dialled: Dialled) -> None:
    # else the tests below would pass for the wrong reason
    attempt, message = dialled.switches()
    assert message[MAC] == mac(message, dialled.secret)
    assert message[SECRET] == bytes(16)
    dialled.host.says(signed(welcome_to(message), dialled.secret, message[NONCE]))
    attempt.result()
    assert dialled.channel.stats().path_changes == 1


@pytest.mark.parametrize("nonce", [NO_NONCE, b"n" * 16], ids=["none", "another"])
def test_a_welcome_that_answers_another_nonce_is_refused(dialled: Dialled, nonce: bytes) -> None:
    # catches: a MAC of the WELCOME without the nonce of the hello
    attempt, message = dialled.switches()
    dialled.host.says(signed(welcome_to(message), dialled.secret, nonce))
    with pytest.raises(eastwest.EastwestError, match="does not know the channel's secret"):
        attempt.result()
    assert dialled.channel.stats().path_changes == 0


def test_a_recorded_welcome_is_refused(dialled: Dialled) -> None:
    # catches: a WELCOME of another generation; one that was made current again under its old MAC
    attempt, message = dialled.switches()
    recorded = signed(welcome_to(message), dialled.secret, message[NONCE])
    dialled.host.says(recorded)
    attempt.result()
    attempt, message = dialled.switches()
    dialled.host.says(changed(recorded, "generation", 3))
    with pytest.raises(eastwest.EastwestError, match="does not know the channel's secret"):
        attempt.result()
    assert dialled.channel.stats().path_changes == 1


@pytest.mark.parametrize("field", [each for each in OTHERS if each != "nonce"])
def test_a_welcome_with_a_field_changed_under_its_mac_is_refused(
    dialled: Dialled, field: str
) -> None:
    attempt, message = dialled.switches()
    good = signed(welcome_to(message), dialled.secret, message[NONCE])
    dialled.host.says(changed(good, field, OTHERS[field]))
    with pytest.raises(eastwest.EastwestError):
        attempt.result()
    assert dialled.channel.stats().path_changes == 0
