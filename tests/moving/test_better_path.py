"""A channel on a worse path is moved by its context when a better one appears; draining."""

import gc
import os
import signal
import threading
import time
import weakref
from pathlib import Path

import pytest

import eastwest
from eastwest import Config, Context
from eastwest._keeper import Keeper, Standing, Ways
from eastwest._values import Path as PathKind
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
            (change,) = channel.stats().changes
            assert (change.reason, change.lost) == ("a better path appeared", False)
            accepted.abort()


class FakeNews:
    """The news of a context, told by the test."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.numbers: list[int] = []
        self.woken = False
        self.idle = False

    def tell(self, *numbers: int) -> None:
        with self.changed:
            self.numbers += numbers
            self.woken = True
            self.changed.notify_all()

    def wake(self) -> None:
        self.tell()

    def wait_news(self, seconds: float | None) -> list[int]:
        with self.changed:
            self.changed.wait_for(lambda: self.woken, seconds)
            numbers, self.numbers, self.woken = self.numbers, [], False
            return numbers

    def is_idle(self) -> bool:
        return self.idle


class Fake:
    """A channel that counts how often it is moved."""

    service, instance, number, address = "s", "i", 7, "tcp://1.2.3.4:5"
    path_now: PathKind = "tcp"

    def __init__(self, standing: Standing = "worse", *, stays: bool = False) -> None:
        self.standing: Standing = standing
        self.stays = stays
        self.moves: list[tuple[str, str]] = []
        self.refuses = 0
        self.refusal: Exception = eastwest.Unreachable("not now")
        self.moved = threading.Event()
        self.logged = 0

    def log_news(self) -> None:
        self.logged += 1

    def move(self, to: str, reason: str, *, only_if_lost: bool, timeout: float) -> None:
        assert only_if_lost is (self.standing == "lost")
        self.moves.append((to, reason))
        if self.refuses:
            self.refuses -= 1
            raise self.refusal
        self.standing = "well"
        self.moved.set()


NOWHERE = Ways(lambda service, instance: (), lambda service, instance, path: None)
LOCAL = Ways(lambda service, instance: (), lambda service, instance, path: "shm:x")


@pytest.mark.parametrize("refusal", [eastwest.Unreachable("not now"), OSError("a defect")])
def test_a_move_that_fails_is_tried_again(refusal: Exception) -> None:
    # catches: a keeper that dies of what it did not expect, and leaves every channel where it is
    keeper, fake = Keeper(FakeNews(), LOCAL, 0.01), Fake()
    fake.refuses, fake.refusal = 2, refusal
    keeper.watch(fake)
    assert fake.moved.wait(LONG)
    assert fake.moves == [("shm:x", "a better path appeared")] * 3
    keeper.close()


def test_the_keeper_ends_with_its_last_channel_and_keeps_none_alive() -> None:
    # catches: a thread, or a channel, for ever
    news = FakeNews()
    keeper, fake = Keeper(news, NOWHERE, 0.01), Fake()
    gone = weakref.ref(fake)
    keeper.watch(fake)
    del fake
    wait_until(lambda: gc.collect() is not None and gone() is None, "the channel is gone")
    news.tell()  # as the context does
    wait_until(
        lambda: not any(each.name == "eastwest-paths" for each in threading.enumerate()),
        "the thread is gone",
    )
    keeper.close()


def test_a_channel_that_is_over_keeps_no_thread() -> None:
    # catches: a closed channel that somebody still holds
    news = FakeNews()
    keeper, fake = Keeper(news, NOWHERE, 0.01), Fake("over")
    keeper.watch(fake)
    news.idle = True
    news.tell()
    wait_until(
        lambda: not any(each.name == "eastwest-paths" for each in threading.enumerate()),
        "the thread is gone",
    )
    keeper.close()


def test_the_keeper_takes_no_signals() -> None:
    # catches: a signal for the main thread that is delivered where nobody waits for it
    news, fake = FakeNews(), Fake("lost")
    masks: list[set[int]] = []

    def look(service: str, instance: str) -> tuple[str, ...]:
        masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        return ("shm:x",)

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    keeper = Keeper(news, Ways(look, None))
    keeper.watch(fake)
    assert fake.moved.wait(LONG)
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1} <= masks[0]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    keeper.close()


def test_idle_channels_wake_nobody() -> None:
    # catches: a keeper that looks now and then although nothing can be done
    news = FakeNews()
    waits: list[float | None] = []
    wait_news = news.wait_news
    news.wait_news = lambda seconds: (waits.append(seconds), wait_news(seconds))[1]  # type: ignore[method-assign]
    keeper, fake = Keeper(news, LOCAL, 0.01), Fake("well")
    keeper.watch(fake)
    wait_until(lambda: waits == [None], "it sleeps without a time limit")
    news.tell(7)
    wait_until(lambda: waits == [None, None], "it sleeps again")
    assert fake.logged == 1
    keeper.close()


def test_a_lost_channel_is_tried_at_every_other_address_of_its_instance() -> None:
    # catches: a loss that nobody hears of; the address that the library dials itself, twice
    news, fake = FakeNews(), Fake("well")
    ways = Ways(lambda service, instance: ("shm:x", fake.address, "tcp://there"), None)
    keeper = Keeper(news, ways)
    keeper.watch(fake)
    fake.standing, fake.refuses = "lost", 3
    news.tell(7)
    assert fake.moved.wait(LONG)
    lost = "the link was lost"
    assert fake.moves == [("shm:x", lost), ("tcp://there", lost)] * 2
    keeper.close()


def test_a_link_that_was_chosen_is_given_time_to_come_back() -> None:
    # catches: a channel that leaves for another path at the first hiccup of the one it was put on
    news, fake = FakeNews(), Fake("lost", stays=True)
    keeper = Keeper(news, Ways(lambda service, instance: ("shm:x",), None), patience=0.3)
    began = time.monotonic()
    keeper.watch(fake)
    assert fake.moved.wait(LONG)
    assert time.monotonic() - began >= 0.3
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
