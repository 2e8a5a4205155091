"""A channel on a worse path is moved by its context when a better one appears; draining."""

import gc
import os
import threading
import weakref
from pathlib import Path

import pytest

import eastwest
from eastwest import Config, Context
from eastwest._keeper import Keeper
from tests.conformance.pairs import LONG, Task, wait_until


def folders(parent: Path, *names: str) -> list[Path]:
    made = [parent / name for name in names]
    for each in made:
        each.mkdir(mode=0o700)
    return made


def test_a_neighbour_that_was_taken_for_a_stranger_is_reached_over_shm(tmp_path: Path) -> None:
    # catches: a context that never looks again; a switch that leaves the accepting end behind
    there_dir, here_dir = folders(tmp_path, "there", "here")
    with (
        Context(Config(runtime_dirs=(str(there_dir),), bind="127.0.0.1:0")) as there,
        there.listen("pricing") as listener,
    ):
        (tcp,) = (each for each in listener.instance.addresses if each.startswith("tcp:"))
        file = tmp_path / "services.toml"
        file.write_text(f'[[service]]\nname = "pricing"\naddresses = ["{tcp}"]\n')
        settings = Config(runtime_dirs=(str(here_dir),), registry=(f"static:{file}",))
        with Context(settings) as here, here.connect("pricing", timeout=LONG) as channel:
            assert channel.path == "tcp"
            accepted = listener.accept(timeout=LONG)
            channel.send(b"one")
            (socket,) = (each for each in there_dir.iterdir() if each.suffix == ".sock")
            os.link(socket, here_dir / socket.name)
            wait_until(lambda: channel.path == "shm", "it moves")
            channel.send(b"two")
            assert [accepted.recv(timeout=LONG) for _ in range(2)] == [b"one", b"two"]
            assert accepted.path == "shm"
            assert len(channel.stats().changes) == 1
            accepted.abort()


class Fake:
    """A channel that counts how often it is moved."""

    service, instance = "s", "i"

    def __init__(self) -> None:
        self.path, self.ended, self.moves = "tcp", False, 0
        self.refuses = 0
        self.refusal: Exception = eastwest.Unreachable("not now")
        self.moved = threading.Event()

    def switch(self, to: str, *, timeout: float | None) -> None:
        self.moves += 1
        if self.refuses:
            self.refuses -= 1
            raise self.refusal
        self.path = "shm"
        self.moved.set()


@pytest.mark.parametrize("refusal", [eastwest.Unreachable("not now"), OSError("a defect")])
def test_a_move_that_fails_is_tried_again(refusal: Exception) -> None:
    # catches: a keeper that dies of what it did not expect, and leaves every channel where it is
    keeper, fake = Keeper(lambda service, instance: "shm:x", 0.01), Fake()
    fake.refuses, fake.refusal = 2, refusal
    keeper.watch(fake)
    assert fake.moved.wait(LONG)
    assert fake.moves == 3
    keeper.close()


def test_the_keeper_ends_with_its_last_channel_and_keeps_none_alive() -> None:
    # catches: a thread, or a channel, for ever
    keeper, fake = Keeper(lambda service, instance: None, 0.01), Fake()
    gone = weakref.ref(fake)
    keeper.watch(fake)
    del fake
    wait_until(lambda: gc.collect() is not None and gone() is None, "the channel is gone")
    wait_until(
        lambda: not any(each.name == "eastwest-paths" for each in threading.enumerate()),
        "the thread is gone",
    )
    keeper.close()


def test_drain_asks_the_peers_and_waits_for_them(tmp_path: Path) -> None:
    for path in ("shm", "tcp"):
        (folder,) = folders(tmp_path, path)
        settings = Config(runtime_dirs=(str(folder),), bind="127.0.0.1:0")
        with Context(settings) as context, context.listen("pricing") as listener:
            channel = context.connect("pricing", timeout=LONG)
            accepted = listener.accept(timeout=LONG)
            channel.switch(path, timeout=LONG)
            assert not channel.draining
            assert listener.drain(timeout=0.05) is False
            wait_until(lambda channel=channel: _looks(channel).draining, "it is told")
            with pytest.raises(eastwest.Refused) as refused:
                context.connect("pricing", timeout=0.5)
            assert refused.value.reason == "draining"
            draining = Task(lambda listener=listener: listener.drain(timeout=LONG))
            channel.close()
            accepted.close()
            assert draining.result() is True


def _looks(channel: eastwest.Channel) -> eastwest.Channel:
    channel.try_recv()  # a hint is seen by who looks at the channel
    return channel
