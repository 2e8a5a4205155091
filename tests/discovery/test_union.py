"""The union of servers that disagree, in simulated time."""

import pytest

from eastwest_discovery import _union
from eastwest_discovery._provider import Update
from eastwest_discovery._record import Key, Record
from eastwest_discovery._union import STALE_SECONDS_MAX, Union

TTL = 10
K = Key("default", "pricing", "k")


def record(version: int = 1, *, instance: str = "k", host: str = "") -> Record:
    return Record(service="pricing", instance=instance, version=version, ttl=TTL, host=host)


class Servers:
    """Servers that say what the test wants, and the union of them."""

    def __init__(self, *names: str) -> None:
        self.union = Union("default", "pricing", names)
        self.now = 100.0
        self.answers = 0

    def say(
        self,
        server: str,
        *records: Record,
        gone: tuple[Key, ...] = (),
        snapshot: bool = True,
        complete: bool = True,
    ) -> bool:
        self.answers += 1
        update = Update(records, gone, b"%d" % self.answers, snapshot, complete)
        return self.union.apply(server, self.union.cursor(server), update, self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.union.turn(self.now)

    def seen(self) -> list[tuple[int, bool]]:
        """Return (version, is stale) of all there is."""
        self.union.turn(self.now)
        return [(each.record.version, each.is_stale) for each in self.union.view().entries]


def test_highest_version_of_all_servers_wins() -> None:
    servers = Servers("a", "b", "c")
    for name, version in (("a", 2), ("b", 7), ("c", 5)):
        servers.say(name, record(version))
    assert servers.seen() == [(7, False)]
    assert servers.union.view().entries[0].sources == ("b",)


def test_two_contents_of_one_version_are_decided_alike_in_any_order() -> None:
    one, other = Servers("a", "b"), Servers("a", "b")
    one.say("a", record(host="x"))
    one.say("b", record(host="y"))
    other.say("b", record(host="x"))
    other.say("a", record(host="y"))
    first, second = (each.union.view().entries[0].record for each in (one, other))
    assert first == second


def test_absence_from_an_incomplete_answer_removes_nothing() -> None:
    servers = Servers("a")
    servers.say("a", record())
    servers.union.lost("a", servers.now)
    servers.wait(3.0)
    servers.say("a", complete=False)
    assert servers.seen() == [(1, True)]
    assert servers.union.view().entries[0].age(servers.now + 1.0) == 4.0


def test_absence_from_every_complete_server_removes() -> None:
    servers = Servers("a", "b")
    servers.say("a", record())
    servers.say("b")
    assert servers.seen() == [(1, False)]
    servers.say("a", complete=False)
    assert servers.seen() == []


def test_withdrawal_is_believed_from_a_server_that_has_just_started() -> None:
    servers = Servers("a")
    servers.say("a", record(), complete=False)
    servers.say("a", gone=(K,), snapshot=False, complete=False)
    assert servers.seen() == []


def test_withdrawn_version_hides_older_ones_for_two_ttls() -> None:
    servers = Servers("a", "b")
    servers.say("a", record(7))
    servers.say("b", record(5))
    servers.say("a", gone=(K,), snapshot=False)
    assert servers.seen() == []
    servers.wait(2 * TTL - 0.1)
    assert servers.seen() == []
    servers.wait(0.1)
    assert servers.seen() == [(5, False)]


def test_newer_version_than_the_withdrawn_one_is_alive() -> None:
    servers = Servers("a", "b")
    servers.say("a", record(7))
    servers.say("a", gone=(K,), snapshot=False)
    servers.say("b", record(8))
    assert servers.seen() == [(8, False)]


def test_lease_that_ran_out_at_one_server_lives_on_at_another() -> None:
    servers = Servers("a", "b")
    servers.say("a", record(7))
    servers.say("b", record(7))
    servers.say("a", gone=(K,), snapshot=False)
    assert servers.seen() == [(7, False)]


def test_word_of_a_lost_server_holds_for_one_ttl() -> None:
    servers = Servers("a", "b")
    servers.say("a", record())
    servers.say("b")
    servers.union.lost("a", servers.now)
    servers.wait(TTL - 0.1)
    assert servers.seen() == [(1, False)]
    servers.wait(0.1)
    assert servers.seen() == []  # b is complete and lacks it


def test_all_servers_lost_leaves_it_stale_with_its_age() -> None:
    servers = Servers("a", "b")
    servers.say("a", record())
    servers.say("b", record())
    for name in ("a", "b"):
        servers.union.lost(name, servers.now, heard=servers.now - 2.0)
    servers.wait(TTL)
    assert servers.seen() == [(1, True)]
    view = servers.union.view()
    assert (view.complete, view.asked) == (False, 0)
    assert view.entries[0].age(servers.now) == TTL  # heard of after its answer: no earlier


def test_stale_is_forgotten_in_the_end() -> None:
    servers = Servers("a")
    servers.say("a", record())
    servers.union.lost("a", servers.now)
    servers.wait(STALE_SECONDS_MAX - 1)
    assert servers.seen() == [(1, True)]
    servers.wait(2)
    assert servers.seen() == []
    assert servers.union.turn(servers.now) is None  # nothing is left to wait for


def test_stale_comes_after_what_is_present_and_the_youngest_first() -> None:
    servers = Servers("a")
    servers.union.remember(record(1, instance="a"), servers.now - 20, servers.now)
    servers.union.remember(record(2, instance="b"), servers.now - 10, servers.now)
    servers.say("a", record(3, instance="c"), complete=False)
    assert servers.seen() == [(3, False), (2, True), (1, True)]


def test_remembered_goes_when_a_complete_server_lacks_it() -> None:
    servers = Servers("a")
    servers.union.remember(record(), 0.0, servers.now)
    servers.say("a", complete=False)
    assert servers.seen() == [(1, True)]
    servers.say("a", complete=True)
    assert servers.seen() == []


def test_remembered_does_not_replace_what_a_server_has() -> None:
    servers = Servers("a")
    servers.say("a", record(3))
    servers.union.remember(record(9), 0.0, servers.now)
    assert servers.seen() == [(3, False)]


def test_nobody_could_be_asked_is_not_there_is_none() -> None:
    servers = Servers("a", "b")
    assert (servers.union.view().asked, servers.union.view().complete) == (0, False)
    servers.say("a", complete=False)
    assert (servers.union.view().asked, servers.union.view().complete) == (1, False)
    servers.say("b")
    assert (servers.union.view().asked, servers.union.view().complete) == (2, True)


def test_late_answer_changes_nothing() -> None:
    servers = Servers("a")
    servers.say("a", record(2))
    late = Update((record(9),), (), b"x", True, True)
    assert not servers.union.apply("a", b"", late, servers.now)
    assert servers.seen() == [(2, False)]


def test_older_version_in_a_change_does_not_win() -> None:
    servers = Servers("a")
    servers.say("a", record(5))
    servers.say("a", record(4), snapshot=False)
    assert servers.seen() == [(5, False)]


def test_records_that_nobody_asked_for_are_dropped() -> None:
    servers = Servers("a")
    servers.say(
        "a",
        Record(service="other", instance="k", version=1),
        Record(namespace="secret", service="pricing", instance="k", version=1),
    )
    assert servers.seen() == []


def test_changes_name_what_appeared_and_what_went() -> None:
    servers = Servers("a")
    servers.say("a", record(5))
    assert servers.union.changes() == {K: record(5)}
    servers.say("a", record(5))
    assert servers.union.changes() == {}
    servers.say("a", gone=(K,), snapshot=False)
    assert servers.union.changes() == {K: None}


def test_lost_server_is_asked_from_the_start() -> None:
    servers = Servers("a")
    servers.say("a", record())
    assert servers.union.cursor("a") != b""
    servers.union.lost("a", servers.now)
    assert servers.union.cursor("a") == b""


def test_one_of_two_servers_lost_leaves_it_confirmed() -> None:
    servers = Servers("a", "b")
    servers.say("a", record())
    servers.say("b", record())
    servers.union.lost("a", servers.now)
    assert servers.union.view().entries[0].age(servers.now + 1) == 0


def test_withdrawal_told_before_a_restart_says_nothing_after_it() -> None:
    servers = Servers("a", "b")
    servers.say("b", record())
    servers.say("a", record(), complete=False)
    servers.say("a", gone=(K,), snapshot=False, complete=False)
    servers.union.lost("a", servers.now)
    servers.say("a", complete=False)
    servers.union.lost("b", servers.now)
    servers.wait(TTL)
    assert servers.seen() == [(1, True)]


def test_remembered_does_not_raise_the_withdrawn() -> None:
    servers = Servers("a")
    servers.say("a", record(7), complete=False)
    servers.say("a", gone=(K,), snapshot=False, complete=False)
    servers.say("a", complete=False)
    servers.union.remember(record(7), 0.0, servers.now)
    assert servers.seen() == []


def test_server_that_withdraws_an_older_version_again_frees_nothing() -> None:
    servers = Servers("a", "b")
    servers.say("a", record(7))
    servers.say("a", gone=(K,), snapshot=False)
    servers.say("a", record(2), snapshot=False)
    servers.say("a", gone=(K,), snapshot=False)
    servers.say("b", record(5))
    assert servers.seen() == []


def test_server_that_lists_too_many_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_union, "INSTANCES_MAX", 2)
    servers = Servers("a")
    assert servers.say("a", record(instance="a"), record(instance="b"))
    assert not servers.say("a", record(instance="c"), snapshot=False)
    assert not servers.say("a", *(record(instance=each) for each in "abc"))
    assert len(servers.seen()) == 2
