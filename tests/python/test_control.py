"""Looking into processes: what a context tells at its control socket, to whom, and what is kept."""

import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import eastwest
from eastwest import Config, Context
from eastwest._rundir import control_dir
from eastwest.cli._control import (
    PAGES_MAX,
    LookError,
    Place,
    directories,
    look,
    look_around,
    sockets,
    text,
    whole,
)
from tests.python.command_line import serving
from tests.python.control_sockets import (
    by_role,
    connected,
    ends,
    last_words,
    look_at,
    place_of,
    says,
    stranger,
)
from tests.python.threads import beside

OTHER_UID = 12345
SMALL: dict[str, Any] = {"outbox_bytes": 16384, "inbox_bytes": 65536, "pages": "small"}
HEAD = b'{"control":1,"reply":"x","version":"0","pid":7,"now_ns":1}\n'


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# ------------------------------------------------------------------ what it tells


@pytest.mark.parametrize("path", ["shm", "tcp"])
def test_counters_are_those_of_the_channel(path: str, runtime_dir: Path) -> None:
    """catches: a counter under the name of another, or of the other end."""
    with ends(path, runtime_dir) as (a, b):
        for n in range(5):
            a.send(bytes(n))
        b.recv(timeout=10), b.recv(timeout=10)
        b.send(b"xyz")
        a.recv(timeout=10)
        looked = look_at(runtime_dir)
        told = by_role(looked.channels)
        for end, row in ((a, told[True]), (b, told[False])):
            stats = end.stats()
            for name in ("messages_sent", "messages_received", "bytes_sent", "bytes_received"):
                assert row[name] == getattr(stats, name), name
            assert row["path"] == path == end.path
        assert (told[True]["messages_sent"], told[False]["messages_received"]) == (5, 2)
        assert told[True]["id"] == told[False]["id"]
        assert (looked.pid, looked.uid) == (os.getpid(), os.geteuid())
        assert looked.context["channels"] == 2
        assert [row["service"] for row in looked.listeners] == [a.service]


def test_a_thousand_channels_come_in_pages(runtime_dir: Path) -> None:
    """catches: ask_all that stops after one page; a page that repeats or leaves out a row."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
    config = Config(runtime_dirs=(str(runtime_dir),), paths=("shm",), **SMALL)
    try:
        with Context(config) as context, context.listen("pricing") as listener:
            pairs = [(context.connect("pricing"), listener.accept(timeout=10)) for _ in range(500)]
            pairs[123][0].send(b"here")
            looked = look_at(runtime_dir)
            numbers = [row["number"] for row in looked.channels]
            assert sorted(numbers) == list(range(1, 1001))
            assert sum(row["messages_sent"] for row in looked.channels) == 1
            for pair in pairs:
                for each in pair:
                    each.abort()
            assert look_at(runtime_dir).channels == ()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_looking_in_leaves_no_descriptor(runtime_dir: Path) -> None:
    with ends("shm", runtime_dir):
        look_at(runtime_dir)
        place = place_of(runtime_dir)
        before = descriptors()
        for _ in range(50):
            look(place)
            with connected(place) as ours:
                ours.send(os.urandom(40))
                assert b"error" in ours.recv(4096)
                assert ours.recv(4096) == b""
        look(place)
        # this process is both sides: its reactor hangs up after we have
        for _ in range(1000):
            if descriptors() == before:
                break
            look(place)
        assert descriptors() == before


def test_messages_go_on_while_many_look(runtime_dir: Path) -> None:
    """catches: a lock of the channel held while a reply is sent."""
    with ends("shm", runtime_dir) as (a, b):
        place = place_of(runtime_dir)
        with beside(lambda: look(place), threads=3):
            for n in range(2000):
                a.send(n.to_bytes(4, "little"))
                assert b.recv(timeout=10) == n.to_bytes(4, "little")
        assert by_role(look(place).channels)[True]["messages_sent"] == 2000


# ------------------------------------------------------------------ who may look


@contextmanager
def child_of(uid: int, work: Callable[[int, int], object]) -> Iterator[tuple[int, int]]:
    """A child of ours with that uid; yields its pid, and the pipe that it tells us through.

    Args:
        work: runs in the child, and gets the other end of that pipe, and one in which there is
            something to read when the block ends. The child ends with it.
    """
    told, tell = os.pipe()
    stop, stopped = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            work(tell, stop)
        finally:
            os._exit(0)
    os.close(tell)
    try:
        yield pid, told
    finally:
        os.write(stopped, b"x")
        os.waitpid(pid, 0)
        for fd in (told, stop, stopped):
            os.close(fd)


def asked_as(uid: int, place: Place) -> bytes:
    """What the process answers to a child of ours with that uid."""

    def ask(tell: int, _: int) -> None:
        try:
            with connected(place) as ours:
                with suppress(BrokenPipeError):  # it has refused already
                    ours.send(b"eastwest/1 channels")
                os.write(tell, last_words(ours)[:4096])
        except OSError as error:
            os.write(tell, type(error).__name__.encode())

    with child_of(uid, ask) as (_, told):
        return os.read(told, 4096)


def test_another_uid_is_refused_unless_it_is_on_the_list(runtime_dir: Path) -> None:
    """catches: admit() without ewi_access_*; the folder `proc` open to everybody."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    with ends("shm", runtime_dir):
        place = place_of(runtime_dir)
        assert asked_as(OTHER_UID, place) == b"PermissionError"  # the folder has mode 0700
        runtime_dir.chmod(0o711)
        (runtime_dir / "proc").chmod(0o711)
        assert b'"error":"access"' in asked_as(OTHER_UID, place)
        assert b'"id"' not in asked_as(OTHER_UID, place)
        assert b'"id"' in asked_as(0, place)
    with ends("shm", runtime_dir, allow=("uid:self", f"uid:{OTHER_UID}")):
        assert b'"id"' in asked_as(OTHER_UID, place_of(runtime_dir))


def test_others_never_take_all_places(runtime_dir: Path) -> None:
    """catches: no count of clients of other uids (CONTROL_FOREIGN_MAX)."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    with ends("shm", runtime_dir, allow=("uid:self", f"uid:{OTHER_UID}")):
        place = place_of(runtime_dir)
        runtime_dir.chmod(0o711)
        (runtime_dir / "proc").chmod(0o711)

        def hold(tell: int, stop: int) -> None:
            held = [connected(place) for _ in range(8)]
            for each in held:
                each.send(b"eastwest/1 context")
                assert b'"uid"' in each.recv(1 << 16)
            with connected(place) as ours:
                os.write(tell, last_words(ours))
            os.read(stop, 1)

        with child_of(OTHER_UID, hold) as (_, told):
            assert b'"error":"full"' in os.read(told, 4096)
            assert len(look(place).channels) >= 1  # there is room for us


def test_root_looks_into_a_directory_of_another_user(runtime_dir: Path) -> None:
    """catches: directories() that asks for an owner of our own."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    os.chown(runtime_dir, OTHER_UID, OTHER_UID)

    def serve(tell: int, stop: int) -> None:
        with ends("shm", runtime_dir):
            os.write(tell, b"x")
            os.read(stop, 1)

    with child_of(OTHER_UID, serve) as (pid, told):
        assert os.read(told, 1) == b"x"
        view = look_around(Config(runtime_dirs=(str(runtime_dir),)))
        assert [(each.pid, each.uid) for each in view.looked] == [(pid, OTHER_UID)]


# ------------------------------------------------------------------ processes that end


def test_killed_process_leaves_a_socket_that_is_swept(runtime_dir: Path) -> None:
    """catches: sweep_control left out of look_around."""
    with serving("pricing") as server:
        assert [each.pid for each in sockets(str(runtime_dir))] == [server.pid]
        assert look_at(runtime_dir, server.pid).pid == server.pid
        server.kill()
        server.wait()
        (stale,) = sockets(str(runtime_dir))
        with pytest.raises(LookError) as caught:
            look(stale)
        assert caught.value.kind == "gone"
        view = look_around(Config(runtime_dirs=(str(runtime_dir),)))
        assert (view.looked, view.problems) == ([], [])
        assert sockets(str(runtime_dir)) == []


def test_child_of_a_fork_has_a_socket_of_its_own(runtime_dir: Path) -> None:
    """catches: a child that answers for its parent, or removes its socket when it ends."""
    with ends("shm", runtime_dir):
        mine = place_of(runtime_dir)
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                with ends("shm", runtime_dir):
                    assert look_at(runtime_dir).pid == os.getpid()
                    os.write(tell, b"x")
            finally:
                os._exit(0)
        os.close(tell)
        assert os.read(told, 1) == b"x"
        os.waitpid(pid, 0)
        assert look(mine).pid == os.getpid()
        assert sockets(str(runtime_dir)) == [mine]
        os.close(told)


def test_first_directory_that_may_be_written_is_the_one(tmp_path: Path) -> None:
    """catches: control_dir that makes a directory, or takes one that cannot be made."""
    made, missing = tmp_path / "made", tmp_path / "missing"
    made.mkdir()

    def check(directory: str, create: bool) -> str | None:
        assert not create
        return None if os.path.isdir(directory) else "does not exist"

    assert control_dir((str(missing), str(made)), {}, check) == str(missing)
    assert control_dir((str(missing / "deep"), str(made)), {}, check) == str(made)
    assert control_dir((), {"EASTWEST_RUNTIME_DIR": "/nonexistent/a"}, check) is None
    assert not missing.exists()


def test_directory_that_was_named_and_is_missing_is_an_error() -> None:
    with pytest.raises(eastwest.ConfigurationError):
        directories(Config(runtime_dirs=("/nonexistent/run",)))


# ------------------------------------------------------------------ strangers


def kind_of(directory: Path, talk: Any) -> str:
    with stranger(directory, talk) as place, pytest.raises(LookError) as caught:
        look(place)
    return caught.value.kind


@pytest.mark.parametrize(
    "packet",
    [
        b"\0" * 100,
        b"[]\n",
        b"{}\n",
        b"{",
        b"[" * 60000,
        b'{"control":2}\n',
        b'{"control":true}\n',
        b'{"control":1}\n7\n',
        b'{"error":"size","detail":5}\n',
    ],
    ids=repr,
)
def test_nonsense_is_strange(packet: bytes, runtime_dir: Path) -> None:
    """catches: RecursionError or a TypeError instead of a sentence."""
    assert kind_of(runtime_dir, says(packet)) == "strange"


def test_refusal_and_silence_have_their_names(runtime_dir: Path) -> None:
    assert kind_of(runtime_dir, says(b'{"error":"access","detail":"no"}\n')) == "refused"
    assert kind_of(runtime_dir, lambda theirs: None) == "gone"
    released = threading.Event()

    def say_nothing(theirs: socket.socket) -> None:
        released.wait(30)

    with stranger(runtime_dir, say_nothing) as place:
        with pytest.raises(LookError) as caught:
            look(place)
        released.set()
    assert caught.value.kind == "silent"


def test_rows_of_wrong_types_are_left_out_and_terminals_are_safe(runtime_dir: Path) -> None:
    """catches: a text that moves the cursor; `next` that goes up and never ends."""
    row = b'{"number":9,"id":"\\u001b[2J\\u009bx\\n","messages_sent":"many","path":[1]}\n'
    endless = says(HEAD + row + b'{"next":9}\n')
    with stranger(runtime_dir, endless) as place:
        looked = look(place)
    assert len(looked.channels) < PAGES_MAX
    channel = looked.channels[0]
    assert text(channel, "id") == "?[2J?x?"
    assert (whole(channel, "messages_sent"), text(channel, "path")) == (0, "")


def test_files_that_are_no_sockets_are_left_alone(runtime_dir: Path) -> None:
    """catches: connect(2) through a symbolic link."""
    with ends("shm", runtime_dir):
        mine = place_of(runtime_dir)
        folder = runtime_dir / "proc"
        link, plain = folder / f"8-{'0' * 16}.sock", folder / f"9-{'0' * 16}.sock"
        link.symlink_to(mine.name)
        plain.write_text("")
        (folder / "README").write_text("")
        assert len(sockets(str(runtime_dir))) == 3
        for name, pid in ((link.name, 8), (plain.name, 9)):
            with pytest.raises(LookError) as caught:
                look(Place(str(runtime_dir), name, pid))
            assert caught.value.kind == "strange"
        look_around(Config(runtime_dirs=(str(runtime_dir),)))
        assert link.is_symlink() and plain.exists()


def test_socket_is_there_from_the_first_listener_on_and_gone_with_the_context(
    runtime_dir: Path,
) -> None:
    """catches: a socket opened by every Context, or left behind."""
    with Context() as context:
        context.services()
        assert not (runtime_dir / "proc").exists()
        with context.listen("pricing"):
            assert len(sockets(str(runtime_dir))) == 1
            mode = (runtime_dir / "proc").stat().st_mode & 0o777
            assert mode == 0o700
        assert len(sockets(str(runtime_dir))) == 1  # its channels live on
    assert sockets(str(runtime_dir)) == []


def test_flood_of_connections_does_not_stop_the_process(runtime_dir: Path) -> None:
    """catches: accept without a limit for each wake-up, places that are not given back."""
    with ends("shm", runtime_dir) as (a, b):
        place = place_of(runtime_dir)
        held: list[socket.socket] = []
        for n in range(300):
            try:
                ours = connected(place)
            except BlockingIOError:  # as many wait as may
                continue
            if n % 3 == 0:
                held.append(ours)
            else:
                ours.close()
        a.send(b"x")
        assert b.recv(timeout=10) == b"x"
        for each in held:
            each.close()
        assert retried(place) == 2


def retried(place: Place) -> int:
    """Channels of a process that may still be busy with hanging up."""
    for _ in range(1000):
        try:
            return len(look(place).channels)
        except LookError as error:
            assert error.kind == "refused"
    raise AssertionError("it stays full")


def test_channel_keeps_why_connect_chose_it(runtime_dir: Path) -> None:
    """catches: set_note left out of Channel.opened_by."""
    with ends("shm", runtime_dir) as (a, _):
        place = place_of(runtime_dir)
        number = by_role(look(place).channels)[True]["number"]
        with connected(place) as ours:
            ours.send(b"eastwest/1 channel %d" % number)
            packet = ours.recv(1 << 16).decode()
        assert "its memory was handed over" in packet
        assert a.explain().chosen is not None
