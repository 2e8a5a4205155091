"""A provider that is followed: what is known at once, when it grows stale, and what is on disk."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eastwest_discovery import _agent, _follow
from eastwest_discovery._backoff import Backoff
from eastwest_discovery._client import open_client
from eastwest_discovery._errors import BadAddress, DiscoveryError, Unavailable
from eastwest_discovery._follow import Follower
from eastwest_discovery._provider import Cursor, Update
from eastwest_discovery._record import Key, Record
from tests.discovery.records import make
from tests.discovery.registries import eventually

SECONDS = 10.0


class Script:
    """A provider that is changed by the test."""

    source = "script:"

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.records: tuple[Record, ...] = ()
        self.problem = ""
        self.is_complete = True
        self.generation = 1
        self.polls = 0
        self.withdrawn: list[Key] = []
        self.is_closed = False
        self.is_confused = False  # answers as if it had been asked before

    def now(self, *records: Record, problem: str = "", complete: bool = True) -> None:
        with self.changed:
            self.records, self.problem, self.is_complete = records, problem, complete
            self.generation += 1
            self.changed.notify_all()

    def publish(self, record: Record) -> None:
        self.now(*self.records, record)

    def withdraw(self, key: Key) -> None:
        self.withdrawn.append(key)

    def problem_of(self, key: Key) -> str:
        return "" if any(each.key == key for each in self.records) else "not yet"

    def poll(self, namespace: str, service: str, cursor: Cursor, timeout: float) -> Update:
        with self.changed:
            self.polls += 1
            self.changed.wait_for(
                lambda: self.is_closed or cursor != b"%d" % self.generation, timeout
            )
            if self.is_closed:
                raise DiscoveryError("closed")
            if self.problem:
                raise Unavailable(self.problem)
            is_new = cursor != b"%d" % self.generation and not self.is_confused
            records = self.records if is_new else ()
            return Update(records, (), b"%d" % self.generation, is_new, self.is_complete)

    def close(self) -> None:
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def follower(script: Script) -> Iterator[Follower]:
    one = Follower(script)
    yield one
    one.close()


def seen(follower: Follower) -> dict[str, bool]:
    view = follower.view("default", "pricing")
    assert view is not None
    return {each.record.instance: each.is_stale for each in view.entries}


def look(follower: Follower, timeout: float = SECONDS) -> dict[str, bool]:
    follower.look("default", "pricing", timeout)
    return seen(follower)


def test_first_question_waits_and_the_next_does_not(follower: Follower, script: Script) -> None:
    assert follower.view("default", "pricing") is None
    script.now(make("a"))
    assert look(follower) == {"a": False}
    assert follower.states("default", "pricing") == {"script:": ""}
    polls = script.polls
    assert look(follower) == {"a": False}
    assert script.polls <= polls + 1


def test_changes_are_seen_without_a_question(follower: Follower, script: Script) -> None:
    script.now(make("a"))
    look(follower)
    script.now(make("b"), make("a", version=2))
    eventually(lambda: seen(follower) == {"a": False, "b": False})
    script.now(make("b"))
    eventually(lambda: seen(follower) == {"b": False})


def test_source_that_fails_is_named_and_proves_nothing(follower: Follower, script: Script) -> None:
    script.now(problem="no route")
    began = time.monotonic()
    assert look(follower) == {} and time.monotonic() - began < SECONDS / 2
    view = follower.view("default", "pricing")
    assert view is not None and (view.complete, view.asked) == (False, 0)
    assert follower.states("default", "pricing") == {"script:": "no route"}


def test_what_was_known_grows_stale_after_its_ttl_though_nobody_is_asked_meanwhile(
    follower: Follower, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_follow, "Backoff", lambda: Backoff(first=600.0, last=600.0))
    script.now(make("a", ttl=1))
    look(follower)
    script.now(problem="gone")
    eventually(lambda: seen(follower) == {"a": True})
    assert follower.age_seconds() > 0


def test_what_was_stale_is_confirmed_again(follower: Follower, script: Script) -> None:
    script.now(make("a", ttl=1))
    look(follower)
    script.now(problem="gone")
    eventually(lambda: seen(follower) == {"a": True})
    script.now(make("a", ttl=1))
    eventually(lambda: seen(follower) == {"a": False})


def test_incomplete_source_says_that_it_has_just_started(
    follower: Follower, script: Script
) -> None:
    script.now(complete=False)
    look(follower)
    assert follower.states("default", "pricing") == {"script:": _agent.STARTED}


def test_source_that_answers_another_question_is_asked_again_later(
    follower: Follower, script: Script
) -> None:
    script.is_confused = True
    assert look(follower) == {}
    assert follower.states("default", "pricing") == {"script:": "an answer to another question"}
    assert script.polls == 1
    script.is_confused = False
    script.now(make("a"))
    eventually(lambda: seen(follower) == {"a": False})


def test_slow_source_is_not_waited_for_longer_than_asked(
    follower: Follower, script: Script
) -> None:
    with script.changed:  # nothing is answered meanwhile
        began = time.monotonic()
        assert look(follower, 0.05) == {}
        assert 0.05 <= time.monotonic() - began < 5.0
    assert follower.states("default", "pricing") != {}


def test_known_is_on_disk_for_a_restart_during_an_outage(script: Script, tmp_path: Path) -> None:
    script.now(make("a"))
    before = Follower(script, cache=tmp_path)
    look(before)
    script.now(make("a"), make("b"))  # at once: the file was just written
    eventually(lambda: len(seen(before)) == 2)
    before.close()
    again = Script()
    again.now(problem="down")
    after = Follower(again, cache=tmp_path)
    assert look(after) == {"a": True, "b": True}
    after.close()
    assert [each.stat().st_mode & 0o777 for each in tmp_path.iterdir()] == [0o600]


def test_nobody_asks_and_it_is_forgotten(
    follower: Follower, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_agent, "IDLE_ALL_SECONDS", 0.0)
    began = time.monotonic()
    follower.look("default", "", SECONDS)  # forgotten before it was answered
    assert time.monotonic() - began < SECONDS / 2
    script.now()  # the poll ends, and it looks at the clock
    eventually(lambda: follower.view("default", "") is None)


def test_the_least_asked_for_makes_room(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_follow, "WATCHES_MAX", 2)
    for service in ("a", "b", "c"):
        follower.look("default", service, SECONDS)
    assert follower.view("default", "a") is None
    assert follower.view("default", "c") is not None


def test_publication_is_the_providers_and_withdrawal_waits_for_nobody(
    follower: Follower, script: Script
) -> None:
    record = make("a")
    assert follower.published(record.key) == {"script:": "not yet"}
    follower.publish(record)
    assert follower.published(record.key) == {"script:": ""}
    follower.withdraw(record.key)
    eventually(lambda: script.withdrawn == [record.key])


def test_end_of_it_ends_its_threads_and_wakes_who_waits(script: Script) -> None:
    follower = Follower(script)
    look(follower)
    follower.close()
    follower.close()
    assert not [each for each in threading.enumerate() if each.name == "eastwest-follow"]
    with pytest.raises(DiscoveryError, match="closed"):
        follower.look("default", "pricing", 1.0)


def test_urls_choose_the_source() -> None:
    for url in ("zmq://127.0.0.1:1", "etcd://127.0.0.1:1/p", "dns:{service}.x:1"):
        client = open_client(url)
        assert client.source == url
        client.close()
    with pytest.raises(BadAddress, match="want one of dns, etcd, zmq"):
        open_client("ftp://x")
