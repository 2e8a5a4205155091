"""A lost channel goes on wherever its instance is reached; what happens to links is logged."""

import logging
import select
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import eastwest
from eastwest import Channel, Config, Context, Listener
from tests.conformance.pairs import LONG, wait_until
from tests.moving.cutter import Cutter

LOST = "the link was lost"


@contextmanager
def shm_and_tcp(folder: Path) -> Iterator[tuple[Channel, Channel, Cutter, Listener]]:
    """Two ends on shared memory, and a Cutter before the TCP port."""
    settings = Config(runtime_dirs=(str(folder),), bind="127.0.0.1:0", security="none", grace=LONG)
    with ExitStack() as stack:
        there = stack.enter_context(Context(settings))
        here = stack.enter_context(Context(settings))
        listener = stack.enter_context(there.listen("ways"))
        (tcp,) = (each for each in listener.instance.addresses if each.startswith("tcp:"))
        cutter = stack.enter_context(Cutter(tcp))
        opened = here.connect("ways", timeout=LONG)
        stack.callback(opened.abort)
        accepted = listener.accept(timeout=LONG)
        stack.callback(accepted.abort)
        yield opened, accepted, cutter, listener


def exchange(opened: Channel, accepted: Channel) -> None:
    opened.send(b"there")
    accepted.send(b"here")
    assert accepted.recv(timeout=LONG) == b"there"
    assert opened.recv(timeout=LONG) == b"here"


def test_a_path_that_dies_is_left_for_one_that_lives(tmp_path: Path) -> None:
    # catches: a lost channel that is dialled at its last address only: PeerLost beside a live peer
    with shm_and_tcp(tmp_path) as (opened, accepted, cutter, _):
        opened.switch(cutter.address, timeout=LONG)
        assert opened.path == "tcp"
        cutter.refuse()
        opened.send(b"before")
        cutter.cut()
        assert accepted.recv(timeout=LONG) == b"before"
        exchange(opened, accepted)
        assert opened.path == accepted.path == "shm"
        change = opened.stats().changes[-1]
        assert (change.before, change.after, change.lost) == ("tcp", "shm", True)
        assert change.reason == LOST


def test_a_port_that_dies_is_left_for_another_of_the_instance(tmp_path: Path) -> None:
    # catches: only shared memory as the other way; a line of a file, whose instance is unknown
    with ExitStack() as stack:
        plain = Config(paths=("tcp",), bind="127.0.0.1:0", security="none", grace=LONG)
        listener = stack.enter_context(stack.enter_context(Context(plain)).listen("ways"))
        (tcp,) = listener.instance.addresses
        cutter = stack.enter_context(Cutter(tcp))
        file = tmp_path / "services.toml"
        file.write_text(f'[[service]]\nname = "ways"\naddresses = ["{cutter.address}"]\n')
        settings = Config(paths=("tcp",), registry=(f"static:{file}",), grace=LONG)
        here = stack.enter_context(Context(settings))
        opened = here.connect("ways", timeout=LONG)
        stack.callback(opened.abort)
        accepted = listener.accept(timeout=LONG)
        stack.callback(accepted.abort)
        file.write_text(f'[[service]]\nname = "ways"\naddresses = ["{cutter.address}", "{tcp}"]\n')
        cutter.refuse()
        cutter.cut()
        exchange(opened, accepted)
        assert opened.peer.address == tcp


def test_a_channel_stays_where_the_application_put_it(tmp_path: Path) -> None:
    # catches: a keeper that undoes a switch; one that leaves alone what nobody switched
    with shm_and_tcp(tmp_path) as (opened, accepted, cutter, _):
        assert opened.standing == accepted.standing == "well"
        opened.move(cutter.address, "a test", only_if_lost=False, timeout=LONG)
        assert (opened.path, opened.standing) == ("tcp", "worse")
        with pytest.raises(eastwest.EastwestError):
            opened.switch("tcp://127.0.0.1:1", timeout=LONG)
        assert opened.standing == "worse"
        opened.switch(cutter.address, timeout=LONG)
        assert (opened.path, opened.standing) == ("tcp", "well")


def test_a_channel_that_has_a_link_is_not_moved_as_lost(tmp_path: Path) -> None:
    # catches: two who mend the same loss, one after the other
    with shm_and_tcp(tmp_path) as (opened, _accepted, cutter, _):
        opened.move(cutter.address, LOST, only_if_lost=True, timeout=LONG)
        assert opened.path == "shm"
        assert opened.stats().path_changes == 0


def logged(caplog: pytest.LogCaptureFixture) -> Counter[tuple[Any, ...]]:
    fields = [vars(each).get("eastwest", {}) for each in list(caplog.records)]
    names = ("link_lost", "path_change", "peer_draining")
    keys = ("event", "path", "from", "to", "reason")
    return Counter(
        tuple(each[key] for key in keys if key in each) for each in fields if each["event"] in names
    )


def test_both_ends_log_what_happens_to_the_link(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # catches: a change that only the end logs which asked for it; a loss that nobody hears of
    with (
        caplog.at_level(logging.INFO, "eastwest"),
        shm_and_tcp(tmp_path) as (opened, accepted, cutter, _),
    ):
        opened.switch(cutter.address, timeout=LONG)
        asked = Counter(
            [
                ("path_change", "shm", "tcp", "asked for"),
                ("path_change", "shm", "tcp", "the peer asked for it"),
            ]
        )
        wait_until(lambda: logged(caplog) == asked, "both ends have logged it", LONG)
        cutter.refuse()
        cutter.cut()
        lost = asked + Counter([("link_lost", "tcp")] * 2)
        wait_until(lambda: lost <= logged(caplog), "both ends have lost it", LONG)
        cutter.refuse(False)
        exchange(opened, accepted)
        after = opened.path
        found = lost + Counter([("path_change", "tcp", after, LOST)] * 2)
        wait_until(lambda: logged(caplog) == found, "both ends have found it", LONG)
    times = [vars(each)["eastwest"].get("seconds", 1) for each in caplog.records]
    assert all(0 < each < LONG for each in times)


@pytest.mark.parametrize("path", ["shm", "tcp"])
def test_a_loop_and_the_log_learn_that_the_peer_drains(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    # catches: a flag that only who asks for it finds
    with (
        caplog.at_level(logging.INFO, "eastwest"),
        shm_and_tcp(tmp_path) as (opened, _accepted, cutter, listener),
    ):
        if path == "tcp":
            opened.switch(cutter.address, timeout=LONG)
        poll = select.poll()
        poll.register(opened.fileno(), select.POLLIN)
        while opened.arm():
            assert opened.try_recv() is None
        assert listener.drain(timeout=0) is False
        assert poll.poll(LONG * 1000), "fileno() tells of it"
        assert not opened.arm()
        drained = ("peer_draining",)
        wait_until(lambda: logged(caplog)[drained] == 1, "it is logged", LONG)
        assert opened.draining
        assert opened.path == path, "nobody moves it: every way leads there"


def test_a_drain_that_nobody_heard_is_told_on_the_next_link(tmp_path: Path) -> None:
    # catches: a flag in the memory that a move leaves behind
    with shm_and_tcp(tmp_path) as (opened, _accepted, cutter, listener):
        assert listener.drain(timeout=0) is False
        opened.move(cutter.address, "a test", only_if_lost=False, timeout=LONG)
        wait_until(lambda: opened.draining, "it is told", LONG)
