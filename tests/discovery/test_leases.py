"""Leases in simulated time: who wins, who lives, what pollers are told, and the limits."""

import pytest

from eastwest_discovery import _leases
from eastwest_discovery._errors import BadRecord, LimitReached
from eastwest_discovery._leases import START, Changes, Held, Leases, Limits, Position
from eastwest_discovery._record import Key, Record, decode, parse
from tests.discovery.records import make

BOOT = b"boot-one"


def fresh(limits: Limits | None = None) -> Leases:
    return Leases(BOOT, 100.0, limits=limits)


def put(leases: Leases, record: Record, client: str = "c") -> Held:
    return leases.put(client, record.encode(), parse(record.encode()))


def live(leases: Leases, service: str = "pricing", namespace: str = "default") -> set[str]:
    """Which instances a fresh poller is told, on one page."""
    changes = leases.poll(namespace, service, START)
    assert changes.snapshot and not changes.more
    return {decode(each).instance for each in changes.records}


def run(leases: Leases, until: float, *, step: float = 0.5) -> None:
    """Tick until a time, without a stall."""
    now = leases._now
    while now < until:
        now = min(now + step, until)
        leases.tick(now)


# ------------------------------------------------------------------ versions


def test_first_put_is_stored_and_the_same_again_renews() -> None:
    leases = fresh()
    assert put(leases, make()) == Held("stored", 1)
    before = leases.revision
    assert put(leases, make()) == Held("renewed", 1)
    assert leases.revision == before


def test_higher_version_wins_and_lower_is_told_what_is_held() -> None:
    leases = fresh()
    put(leases, make(version=2))
    assert put(leases, make(version=1)) == Held("superseded", 2)
    assert put(leases, make(version=3)) == Held("stored", 3)
    assert [decode(r).version for r in leases.poll("default", "pricing", START).records] == [3]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_owners_of_one_instance_end_alike_in_any_order(order: tuple[int, int]) -> None:
    both = [make(labels={"a": "1"}), make(labels={"a": "2"})]
    leases = fresh()
    for index in order:
        put(leases, both[index], client=str(index))
    winner = max(record.encode() for record in both)
    assert leases.poll("default", "pricing", START).records == (winner,)


def test_bad_value_is_refused_and_nothing_is_kept() -> None:
    leases = fresh()
    message = parse(make().encode())
    message.ttl = 4000
    with pytest.raises(BadRecord, match="ttl 4000"):
        leases.put("c", message.SerializeToString(), message)
    assert live(leases) == set()
    assert leases.clients == 0


# ------------------------------------------------------------------ withdrawal


def test_withdrawn_record_is_not_raised_by_its_own_version_but_by_a_higher_one() -> None:
    leases = fresh()
    put(leases, make(version=5))
    assert leases.delete(make().key, 5) == Held("withdrawn", 5)
    assert live(leases) == set()
    assert put(leases, make(version=5)) == Held("superseded", 5)
    assert live(leases) == set()
    assert put(leases, make(version=6)) == Held("stored", 6)
    assert live(leases) == {"a"}


def test_withdrawal_that_overtakes_its_put_counts() -> None:
    leases = fresh()
    assert leases.delete(make().key, 5) == Held("withdrawn", 5)
    assert put(leases, make(version=5)) == Held("superseded", 5)
    assert live(leases) == set()


def test_withdrawal_of_an_old_version_changes_nothing() -> None:
    leases = fresh()
    put(leases, make(version=5))
    assert leases.delete(make().key, 4) == Held("superseded", 5)
    assert live(leases) == {"a"}


def test_withdrawal_again_tells_nobody_twice() -> None:
    leases = fresh()
    put(leases, make(version=5))
    leases.delete(make().key, 5)
    before = leases.revision
    assert leases.delete(make().key, 5) == Held("withdrawn", 5)
    assert leases.revision == before


def test_tombstone_is_kept_twice_the_ttl() -> None:
    leases = fresh()
    put(leases, make(version=5, ttl=10))
    leases.delete(make().key, 5)
    run(leases, 119.9)
    assert put(leases, make(version=5, ttl=10)) == Held("superseded", 5)
    run(leases, 120.1)
    assert leases.dead == 0
    assert put(leases, make(version=5, ttl=10)) == Held("stored", 5)


# ------------------------------------------------------------------ leases


def test_lease_ends_when_it_is_not_renewed() -> None:
    leases = fresh()
    put(leases, make(ttl=10))
    run(leases, 109.9)
    assert live(leases) == {"a"}
    run(leases, 110.1)
    assert live(leases) == set()
    assert leases.counters.expired == 1
    assert leases.all.records == leases.all.bytes == leases.clients == 0


def test_renewed_lease_lives_on() -> None:
    leases = fresh()
    for second in range(5, 50, 5):
        put(leases, make(ttl=10))
        run(leases, 100.0 + second)
    assert live(leases) == {"a"}


def test_expired_record_comes_back_with_its_version_but_not_with_an_older_one() -> None:
    leases = fresh()
    put(leases, make(version=5, ttl=10))
    run(leases, 111)
    assert put(leases, make(version=4, ttl=10)) == Held("superseded", 5)
    assert put(leases, make(version=5, ttl=10)) == Held("stored", 5)
    assert live(leases) == {"a"}


def test_shorter_ttl_of_a_new_version_counts_at_once() -> None:
    leases = fresh()
    put(leases, make(ttl=1000))
    put(leases, make(version=2, ttl=2))
    run(leases, 102.1)
    assert live(leases) == set()


def test_changing_ttls_leave_nothing_behind() -> None:
    leases = fresh()
    for version in range(1, 200):
        put(leases, make(version=version, ttl=3600 if version % 2 else 1))
        run(leases, leases._now + 0.9)
    assert live(leases) == {"a"}
    assert len(leases._heap) < 25


@pytest.mark.parametrize("stall", [1.1, 60.0, 1e6])
def test_own_stall_extends_all_leases(stall: float) -> None:
    leases = fresh()
    put(leases, make(ttl=10))
    run(leases, 109)
    leases.tick(109 + stall)
    run(leases, 109.9 + stall)
    assert live(leases) == {"a"}
    assert leases.counters.stalls == 1
    run(leases, 110.1 + stall)
    assert live(leases) == set()


def test_clock_that_goes_back_ends_no_lease_and_lasts_none_longer() -> None:
    leases = fresh()
    put(leases, make(ttl=10))
    run(leases, 105)
    leases.tick(5.0)
    run(leases, 9.9)
    assert live(leases) == {"a"}
    run(leases, 10.1)
    assert live(leases) == set()


def test_absence_proves_nothing_for_one_ttl_after_the_start() -> None:
    leases = fresh()
    assert not leases.complete
    run(leases, 114.9)
    assert not leases.complete
    run(leases, 115.1)
    assert leases.complete


# ------------------------------------------------------------------ polls


def test_nothing_new_is_false_and_a_snapshot_of_nothing_is_true() -> None:
    leases = fresh()
    first = leases.poll("default", "pricing", START)
    assert first
    assert first == Changes((), (), Position(BOOT, 0, 0), snapshot=True, more=False)
    assert not leases.poll("default", "pricing", first.position)


def test_poller_is_told_what_changed_since_and_nothing_twice() -> None:
    leases = fresh()
    put(leases, make("a"))
    put(leases, make("b"))
    position = leases.poll("default", "pricing", START).position
    put(leases, make("c"))
    leases.delete(make("a").key, 1)
    put(leases, make("b"))  # a renewal: no news
    changes = leases.poll("default", "pricing", position)
    assert not changes.snapshot
    assert [decode(r).instance for r in changes.records] == ["c"]
    assert changes.gone == (Key("default", "pricing", "a"),)
    assert not leases.poll("default", "pricing", changes.position)


def test_poll_of_a_namespace_has_all_its_services_and_no_other_namespace() -> None:
    leases = fresh()
    put(leases, make("a", service="x"))
    put(leases, make("b", service="y"))
    put(leases, make("c", service="x", namespace="secret"))
    assert live(leases, "") == {"a", "b"}
    assert live(leases, "x") == {"a"}
    assert live(leases, "", "secret") == {"c"}
    assert leases.take_changed() == {
        ("default", "x"),
        ("default", "y"),
        ("default", ""),
        ("secret", "x"),
        ("secret", ""),
    }
    assert leases.take_changed() == set()


def test_cursor_of_another_boot_or_from_the_future_starts_over() -> None:
    leases = fresh()
    put(leases, make())
    for position in (
        Position(b"boot-two", 1, 1),
        Position(BOOT, 2, 1),
        Position(BOOT, 1, 2),
        Position(BOOT, 2**64 - 1, 2**64 - 1),
    ):
        changes = leases.poll("default", "pricing", position)
        assert changes.snapshot
        assert changes.position == Position(BOOT, 1, 1)


def test_cursor_from_before_something_was_forgotten_starts_over() -> None:
    leases = fresh()
    put(leases, make("a", ttl=1))
    put(leases, make("b", ttl=1000))
    old = leases.poll("default", "pricing", START).position
    put(leases, make("other", service="other", ttl=1000))
    run(leases, 101.1)
    assert leases.poll("default", "pricing", old).gone == (make("a").key,)
    run(leases, 104)
    changes = leases.poll("default", "pricing", old)
    assert changes.snapshot
    assert [decode(r).instance for r in changes.records] == ["b"]
    assert not leases.poll("default", "other", Position(BOOT, 3, 3))


def test_what_was_forgotten_with_its_whole_service_starts_over_too() -> None:
    leases = fresh()
    put(leases, make("a", ttl=1))
    old = leases.poll("default", "pricing", START).position
    run(leases, 104)
    assert leases.count_scopes() == (0, 0)
    assert leases.poll("default", "pricing", old).snapshot
    put(leases, make("b"))
    assert leases.poll("default", "pricing", old).snapshot


def test_long_answers_come_in_pages_that_are_consistent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_leases, "PAGE_RECORDS", 10)
    leases = fresh()
    for number in range(35):
        put(leases, make(f"i{number}", ttl=1000))
    leases.delete(make("i0").key, 1)
    known: set[str] = set()
    position, more, pages = START, True, 0
    while more:
        changes = leases.poll("default", "pricing", position)
        assert changes.snapshot is (pages == 0)
        known |= {decode(r).instance for r in changes.records}
        known -= {key.instance for key in changes.gone}
        position, more, pages = changes.position, changes.more, pages + 1
        if pages == 2:  # while the pages are read: a known one goes, an unknown one goes, one comes
            leases.delete(make("i1").key, 1)
            leases.delete(make("i34").key, 1)
            put(leases, make("new"))
    assert known == {f"i{n}" for n in range(2, 34)} | {"new"}
    assert pages == 4


def test_snapshot_in_pages_ends_although_something_was_forgotten_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_leases, "PAGE_RECORDS", 1)
    leases = fresh()
    put(leases, make("a", ttl=1000))
    put(leases, make("b", ttl=1000))
    put(leases, make("c", ttl=1))
    run(leases, 104)
    first = leases.poll("default", "pricing", START)
    second = leases.poll("default", "pricing", first.position)
    assert first.snapshot and first.more
    assert not second.snapshot and not second.more


# ------------------------------------------------------------------ limits


def test_limit_of_records_of_one_client_is_its_own() -> None:
    leases = fresh(Limits(records_per_client=2))
    put(leases, make("a"), "one")
    put(leases, make("b"), "one")
    with pytest.raises(LimitReached, match=r"3 records of one client .* 2"):
        put(leases, make("c"), "one")
    assert put(leases, make("b", 2), "one").outcome == "stored"
    assert put(leases, make("c"), "two").outcome == "stored"
    leases.delete(make("a").key, 1)
    assert put(leases, make("d"), "one").outcome == "stored"
    assert leases.counters.refused == 1


def test_limit_of_bytes_counts_what_is_replaced() -> None:
    size = len(make("a").encode())
    leases = fresh(Limits(bytes_per_client=2 * size))
    put(leases, make("a"))
    put(leases, make("b"))
    assert put(leases, make("b", 2)).outcome == "stored"
    with pytest.raises(LimitReached, match="bytes of records of one client"):
        put(leases, make("b", 3, labels={"more": ""}))
    assert leases.all.bytes == 2 * size


def test_limits_of_all_clients_together() -> None:
    leases = fresh(Limits(records=1))
    put(leases, make("a"), "one")
    with pytest.raises(LimitReached, match=r"2 records .* 1"):
        put(leases, make("b"), "two")
    leases = fresh(Limits(bytes=10))
    with pytest.raises(LimitReached, match="bytes of records"):
        put(leases, make("a"))


def test_record_counts_to_who_put_it_last() -> None:
    leases = fresh(Limits(records_per_client=1))
    put(leases, make("a"), "one")
    assert put(leases, make("a"), "two") == Held("renewed", 1)
    assert put(leases, make("b"), "one").outcome == "stored"
    with pytest.raises(LimitReached):
        put(leases, make("c"), "two")


def test_oldest_dead_is_forgotten_when_there_are_too_many() -> None:
    leases = fresh(Limits(dead=2))
    old = leases.poll("default", "pricing", START).position
    for name in ("a", "b", "c"):
        leases.delete(make(name).key, 1)
    assert leases.dead == 2
    assert leases.counters.forgotten == 1
    assert leases.poll("default", "pricing", old).snapshot
    assert put(leases, make("a")).outcome == "stored"
    assert put(leases, make("c")).outcome == "superseded"
    run(leases, 150)
    assert leases.dead == 0
