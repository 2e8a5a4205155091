"""Three real registry servers, killed and started again, and their clients."""

import dataclasses
import itertools
import os
import signal
import threading
import time
import timeit
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from eastwest_discovery import _zmq_thread
from eastwest_discovery._errors import BadAddress, DiscoveryError, LimitReached, Unavailable
from eastwest_discovery._record import Record
from eastwest_discovery._zmq import ASK_SECONDS, Zmq
from tests.discovery.registries import (
    Registry,
    clients,
    eventually,
    registries,
    start_all,
    unused_port,
    url,
)

Three = tuple[Registry, ...]


VERSIONS = itertools.count(1)  # what was withdrawn by one test does not hide the next one's


def record(instance: str = "k", ttl: int = 3) -> Record:
    tcp = {"tcp": ("127.0.0.1:1",)}
    version = next(VERSIONS)
    return Record(service="pricing", instance=instance, version=version, ttl=ttl, addresses=tcp)


def seen(client: Zmq) -> dict[str, bool]:
    """Return the instances that the client would offer, and which are stale."""
    view = client.view("default", "pricing")
    assert view is not None
    return {each.record.instance: each.is_stale for each in view.entries}


@pytest.fixture(scope="module")
def servers() -> Iterator[Three]:
    with registries(3) as several:
        yield several


@pytest.fixture
def three(servers: Three) -> Three:
    """Three servers that run; what a test did to them is mended."""
    for each in servers:
        if each.process is not None:
            each.signal(signal.SIGCONT)
    start_all(servers)
    return servers


def ask(client: Zmq) -> None:
    client.poll("default", "pricing", b"", 0.0)


def test_kill_of_one_server_is_not_noticed(three: Three) -> None:
    with clients(Zmq(url(three)), Zmq(url(three))) as (owner, reader):
        owner.publish(record(ttl=1))
        ask(reader)
        three[0].kill()
        owner.publish(record("later", ttl=1))
        eventually(lambda: seen(reader) == {"k": False, "later": False})
        time_is_up = time.monotonic() + 1.5  # longer than the ttl: it is renewed at the others
        while time.monotonic() < time_is_up:
            assert seen(reader) == {"k": False, "later": False}
            reader.poll("default", "pricing", reader.poll("default", "pricing", b"", 0).cursor, 0.2)


def test_kill_of_all_leaves_everything_stale_and_a_restart_confirms_it(three: Three) -> None:
    with clients(Zmq(url(three)), Zmq(url(three))) as (owner, reader):
        owner.publish(record())
        ask(reader)
        for each in three:
            each.kill()
        eventually(lambda: seen(reader) == {"k": True})
        start_all(three)
        eventually(lambda: seen(reader) == {"k": False})


def test_dead_owner_is_gone_after_its_ttl_though_one_server_is_dead(three: Three) -> None:
    with clients(Zmq(url(three))) as (reader,):
        owner = os.fork()
        if owner == 0:
            try:
                Zmq(url(three)).publish(record(ttl=1))
                signal.pause()
            finally:
                os._exit(1)  # never on with the tests
        try:
            ask(reader)
            eventually(lambda: seen(reader) == {"k": False})
            three[1].kill()
        finally:
            os.kill(owner, signal.SIGKILL)
            os.waitpid(owner, 0)
        assert eventually(lambda: seen(reader) == {}) < 10.0


def test_client_that_starts_during_an_outage_finds_stale_peers(
    three: Three, tmp_path: Path
) -> None:
    with clients(Zmq(url(three)), Zmq(url(three), cache=tmp_path)) as (owner, before):
        owner.publish(record())
        ask(before)
        before.close()
        for each in three:
            each.kill()
        with clients(Zmq(url(three), cache=tmp_path)) as (after,):
            update = after.poll("default", "pricing", b"", 0.0)
            assert [each.instance for each in update.records] == ["k"]
            assert update.snapshot and not update.complete
            assert seen(after) == {"k": True}
            view = after.view("default", "pricing")
            assert view is not None and 0 <= view.entries[0].age(time.monotonic()) < 60
            three[2].start().wait()
            eventually(lambda: seen(after) == {"k": False})


def test_nobody_to_ask_names_every_server_and_why() -> None:
    with unused_port() as one, unused_port() as two, ExitStack() as stack:
        (client,) = stack.enter_context(clients(Zmq(f"zmq://127.0.0.1:{one},127.0.0.1:{two}")))
        with pytest.raises(Unavailable) as caught:
            client.poll("default", "pricing", b"", 5.0)
        for port in (one, two):
            assert f"127.0.0.1:{port}: cannot connect" in str(caught.value)


def test_publication_during_an_outage_comes_through_later(three: Three) -> None:
    for each in three:
        each.kill()
    with clients(Zmq(url(three)), Zmq(url(three))) as (owner, reader):
        start = time.monotonic()
        owner.publish(record())
        assert time.monotonic() - start < 2 * ASK_SECONDS
        with pytest.raises(Unavailable):
            ask(reader)
        three[0].start().wait()
        eventually(lambda: seen(reader) == {"k": False})


def test_there_is_none_needs_a_complete_server() -> None:
    with registries(1, settle=60.0) as young, clients(Zmq(url(young))) as (client,):
        update = client.poll("default", "pricing", b"", 0.0)
        assert (update.records, update.complete) == ((), False)
    with registries(1, settle=0.0) as old, clients(Zmq(url(old))) as (client,):
        eventually(lambda: client.poll("default", "pricing", b"", 0.0).complete)


def test_hanging_server_does_not_hide_what_the_others_have(three: Three) -> None:
    three[0].signal(signal.SIGSTOP)
    with clients(Zmq(url(three)), Zmq(url(three))) as (owner, reader):
        owner.publish(record())
        ask(reader)
        assert seen(reader) == {"k": False}
        eventually(lambda: "no answer to a poll for 3 s" in reader.problems())


def test_forked_child_asks_and_publishes_for_itself(three: Three) -> None:
    with clients(Zmq(url(three)), Zmq(url(three))) as (parent, reader):
        parent.publish(record("parent"))
        ask(parent)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                found = parent.poll("default", "pricing", b"", 0.0).records
                parent.publish(record("child"))
                status = 0 if [each.instance for each in found] == ["parent"] else 2
                parent.close()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        ask(reader)
        eventually(lambda: seen(reader) == {"parent": False})  # the child withdrew its own only
        parent.publish(record("again"))
        eventually(lambda: seen(reader) == {"parent": False, "again": False})


def test_child_of_a_fork_during_an_outage_knows_what_the_parent_knew(three: Three) -> None:
    with clients(Zmq(url(three)), Zmq(url(three))) as (owner, parent):
        owner.publish(record())
        ask(parent)
        for each in three:
            each.kill()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                found = parent.poll("default", "pricing", b"", 0.0).records
                status = 0 if len(found) == 1 else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_refused_version_leaves_the_one_before_published() -> None:
    # catches: an update for which there was no room took down what was published and alive
    with (
        registries(1, "--limit", "bytes_per_client=400", settle=0.0) as full,
        clients(Zmq(url(full)), Zmq(url(full))) as (owner, reader),
    ):
        first = record(ttl=1)
        owner.publish(first)
        later = dataclasses.replace(
            first, version=first.version + 1, labels={"big": "x" * 250, "bigger": "x" * 250}
        )
        with pytest.raises(LimitReached, match="limit of this server, 400"):
            owner.publish(later)
        cursor = reader.poll("default", "pricing", b"", 0.0).cursor
        assert not reader.poll("default", "pricing", cursor, 1.2).gone  # longer than the ttl
        assert seen(reader) == {"k": False}
        assert reader.poll("default", "pricing", b"", 0.0).records == (first,)
        owner.withdraw(first.key)
        eventually(lambda: seen(reader) == {})


def test_waiting_poll_ends_when_something_comes_and_when_its_client_is_closed(
    three: Three,
) -> None:
    with clients(Zmq(url(three)), Zmq(url(three))) as (owner, reader):
        eventually(lambda: reader.poll("default", "pricing", b"", 0.0).complete)
        cursor = reader.poll("default", "pricing", b"", 0.0).cursor
        timer = threading.Timer(0.1, owner.publish, [record()])
        timer.start()
        update = reader.poll("default", "pricing", cursor, 20.0)
        assert [each.instance for each in update.records] == ["k"] and not update.snapshot
        timer.join()
        threading.Timer(0.1, reader.close).start()
        with pytest.raises(DiscoveryError, match="closed"):
            while True:
                update = reader.poll("default", "pricing", update.cursor, 20.0)


def test_who_waits_is_told_when_the_thread_dies(
    three: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    # catches: a mistake of ours in the thread left callers waiting for what cannot come
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    with clients(Zmq(url(three))) as (client,):
        cursor = client.poll("default", "pricing", b"", 0.0).cursor

        def broken(_: _zmq_thread.Worker) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(_zmq_thread.Worker, "_turn", broken)
        client.withdraw(record().key)  # wakes it
        with pytest.raises(DiscoveryError, match="its thread has ended"):
            while True:
                cursor = client.poll("default", "pricing", cursor, 20.0).cursor
    assert len(died) == 1


def test_close_withdraws_and_leaves_nothing_behind(three: Three) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    with clients(Zmq(url(three))) as (reader,):
        with clients(Zmq(url(three))) as (owner,):
            owner.publish(record(ttl=3600))
            ask(reader)
            assert seen(reader) == {"k": False}
        eventually(lambda: seen(reader) == {}, 2.0)
    reader.close()
    with pytest.raises(DiscoveryError, match="closed"):
        ask(reader)
    names = {each.name for each in threading.enumerate()}
    assert "eastwest-discovery" not in names
    assert len(os.listdir("/proc/self/fd")) <= descriptors  # what others forgot may go meanwhile


@pytest.mark.parametrize("has_cache", [False, True])
def test_client_at_rest_sleeps(
    three: Three, has_cache: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # catches: without a cache the thread never came to the end of what was to be saved
    cache = tmp_path if has_cache else None
    with clients(Zmq(url(three), cache=cache)) as (client,):
        client.publish(record(ttl=3600))
        ask(client)
        turns: list[float] = []
        turn = _zmq_thread.Worker._turn

        def counted(worker: _zmq_thread.Worker) -> None:
            turns.append(time.monotonic())
            turn(worker)

        monkeypatch.setattr(_zmq_thread.Worker, "_turn", counted)
        cursor = client.poll("default", "pricing", b"", 0.0).cursor
        client.poll("default", "pricing", cursor, 1.5)  # a save comes within a second
        assert len(turns) < 50


def test_look_up_of_a_known_service_only_reads_memory(
    three: Three, capsys: pytest.CaptureFixture[str]
) -> None:
    with clients(Zmq(url(three))) as (client,):
        client.publish(record())
        ask(client)
        calls = 20_000
        best = min(timeit.repeat(lambda: client.view("default", "pricing"), number=calls, repeat=5))
        with capsys.disabled():
            print(f"\n  look-up of a known service: {best / calls * 1e6:.2f} us (wanted: <= 2)")
        for each in three:
            each.signal(signal.SIGSTOP)
        assert seen(client) == {"k": False}  # with every server hanging


@pytest.mark.parametrize(
    "bad",
    [
        "zmq://",
        "tcp://h:1",
        "zmq://h",
        "zmq://h:0",
        "zmq://h:65536",
        "zmq://h:1,",
        "zmq://h:1,h:1",
        "zmq://::1:7400",
        "zmq://h/x:1",
        "zmq://" + ",".join(f"h:{port}" for port in range(1, 18)),
    ],
)
def test_bad_url_is_refused_with_the_reason(bad: str) -> None:
    with pytest.raises(BadAddress):
        Zmq(bad)


def test_bad_keys_are_refused_and_the_secret_is_not_shown() -> None:
    keys = _zmq_thread.Curve("short", "very secret", ("x" * 40,))
    assert "very secret" not in repr(keys)
    with pytest.raises(BadAddress, match="40 characters"):
        Zmq("zmq://h:1", keys=keys)
    with pytest.raises(BadAddress, match="2 public keys for 3 servers"):
        Zmq("zmq://a:1,b:1,c:1", keys=_zmq_thread.Curve("x" * 40, "x" * 40, ("x" * 40,) * 2))
