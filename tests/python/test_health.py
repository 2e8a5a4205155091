"""Who goes behind the others, for how long, and what brings them back: in simulated time."""

import random
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest import Instance
from eastwest._health import Ejection, Group, Health, Mark, Rules, mark_of

TCP = Group("tcp", "eu")
NAMES = "abcdefgh"
A, B, C = (Mark("pricing", name, "shape") for name in "abc")
RULES = Rules(failures=3, seconds=4.0, seconds_max=30.0, jitter=0.0, trial_seconds=2.0)
FAST = 0.001


def health(**rules: object) -> Health:
    return Health(replace(RULES, **rules), random.Random(1))  # type: ignore[arg-type]


def fail(it: Health, mark: Mark, now: float, times: int = 1) -> None:
    for _ in range(times):
        it.failed(mark, "nobody there", "start it", now)


def ejection(it: Health, mark: Mark, now: float) -> Ejection | None:
    """Return that of one among enough others."""
    crowd = [Mark(mark.service, f"other{n}") for n in range(3)]
    return it.ejections([mark, *crowd], now)[0]


def is_out(it: Health, mark: Mark, now: float) -> bool:
    return ejection(it, mark, now) is not None


# ------------------------------------------------------------------ out and back


def test_failures_in_a_row_eject_and_the_reason_is_kept() -> None:
    it = health()
    fail(it, A, 0.0, times=2)
    assert not is_out(it, A, 0.0)
    fail(it, A, 0.8)
    found = ejection(it, A, 1.6)
    assert found is not None
    assert replace(found, seconds=0.0) == Ejection(0.0, 3, "nobody there", "start it")
    assert str(found) == "ejected for 3.2 s more after 3 failures: nobody there"
    assert not is_out(it, B, 1.6)


def test_success_between_failures_begins_the_row_anew() -> None:
    it = health()
    for _ in range(5):
        fail(it, A, 0.0, times=2)
        it.answered(A, TCP, FAST, 0.0)
    assert not is_out(it, A, 0.0)


def test_ejected_is_back_when_its_time_is_over() -> None:
    it = health()
    fail(it, A, 0.0, times=3)
    assert is_out(it, A, 3.9)
    assert not is_out(it, A, 4.0)


def test_one_connect_tries_it_and_the_others_go_elsewhere_meanwhile() -> None:
    it = health()
    fail(it, A, 0.0, times=3)
    assert not it.begins(A, 1.0)  # as the last choice
    assert it.begins(A, 4.0)
    assert is_out(it, A, 4.5)
    assert not it.begins(A, 4.5)


def test_trial_that_fails_ejects_at_once_and_for_twice_as_long() -> None:
    it = health()
    now, lengths = 0.0, []
    fail(it, A, now, times=3)
    for _ in range(6):
        out = ejection(it, A, now)
        assert out is not None
        lengths.append(out.seconds)
        now += out.seconds
        assert it.begins(A, now)
        fail(it, A, now)
    assert lengths == pytest.approx([4, 8, 16, 30, 30, 30])


def test_trial_that_nobody_heard_of_is_over_after_its_time() -> None:
    it = health()
    fail(it, A, 0.0, times=3)
    it.begins(A, 4.0)
    assert is_out(it, A, 5.9)
    assert not is_out(it, A, 6.0)
    assert it.begins(A, 6.0)


def test_one_success_heals_whatever_went_before() -> None:
    it = health()
    fail(it, A, 0.0, times=9)
    it.answered(A, TCP, FAST, 1.0)
    assert not is_out(it, A, 1.0)
    fail(it, A, 1.0, times=2)
    assert not is_out(it, A, 1.0)


def test_no_that_is_about_us_heals_too() -> None:
    it = health()
    fail(it, A, 0.0, times=3)
    it.is_well(A, 1.0)
    assert not is_out(it, A, 1.0)


def test_who_fails_again_soon_stays_longer_and_later_begins_anew() -> None:
    it = health()
    fail(it, A, 0.0, times=3)
    it.answered(A, TCP, FAST, 4.0)
    fail(it, A, 33.9, times=3)
    again = ejection(it, A, 33.9)
    it.answered(A, TCP, FAST, 40.0)
    fail(it, A, 70.0, times=3)
    later = ejection(it, A, 70.0)
    assert again is not None and again.seconds == pytest.approx(8.0)
    assert later is not None and later.seconds == pytest.approx(4.0)


def test_connects_that_began_before_do_not_make_it_longer() -> None:
    it = health()
    fail(it, A, 0.0, times=3)
    fail(it, A, 1.0, times=20)
    out = ejection(it, A, 1.0)
    assert out is not None and out.seconds == pytest.approx(3.0) and out.failures == 23


def test_jitter_makes_it_shorter_by_at_most_its_part() -> None:
    lengths = set()
    for seed in range(50):
        it = Health(replace(RULES, jitter=0.25), random.Random(seed))
        fail(it, A, 0.0, times=3)
        out = ejection(it, A, 0.0)
        assert out is not None and 3.0 <= out.seconds <= 4.0
        lengths.add(out.seconds)
    assert len(lengths) == 50


def test_other_shape_is_another_instance() -> None:
    it = health()
    fail(it, A, 0.0, times=3)
    moved = A._replace(shape="another")
    assert not is_out(it, moved, 0.0)
    fail(it, moved, 0.0, times=1)
    assert not is_out(it, moved, 0.0) and not is_out(it, A, 0.0)


def test_mark_is_the_id_or_an_address_and_its_shape_version_and_addresses() -> None:
    base = Instance("pricing", "a" * 32, {}, "", 1, ("tcp://h:2", "tcp://h:1"), False, "static:f")
    swapped = replace(base, addresses=base.addresses[::-1], source="zmq:", stale=True, age=9.0)
    assert mark_of(base) == mark_of(swapped)
    assert mark_of(base).who == "a" * 32
    assert mark_of(replace(base, id="")).who == "tcp://h:1"
    assert mark_of(base) != mark_of(replace(base, addresses=("tcp://h:3",)))
    assert mark_of(base) != mark_of(replace(base, version=1))


# ------------------------------------------------------------------ late


def test_late_is_what_takes_many_times_as_long_as_the_others() -> None:
    it = health()
    for mark in (B, C):
        it.answered(mark, TCP, 0.05, 0.0)
    for now in range(3):
        it.answered(A, TCP, 0.41, now)
    out = ejection(it, A, 2.0)
    assert out is not None
    assert out.reason == "it answered after 0.41 s, others after 0.05 s"


def test_what_the_others_took_is_their_median() -> None:
    it = health()
    for mark, seconds in ((B, 0.02), (C, 0.1), (Mark("pricing", "d"), 0.5)):
        it.answered(mark, TCP, seconds, 0.0)
    assert not it.is_late(A, TCP, 0.8)
    assert it.is_late(A, TCP, 0.81)


def test_below_the_floor_nothing_is_late() -> None:
    it = health()
    it.answered(B, TCP, 0.00002, 0.0)
    assert not it.is_late(A, TCP, 0.1)
    assert it.is_late(A, TCP, 0.11)


def test_who_is_alone_is_compared_with_nobody() -> None:
    it = health()
    for now in range(9):
        it.answered(A, TCP, 5.0, now)
    assert not is_out(it, A, 9.0)
    assert it.is_late(A, TCP, 0.21) and not it.is_late(A, TCP, 0.2)


def test_far_zone_is_not_compared_with_a_near_one() -> None:
    it = health()
    far = Group("tcp", "us")
    it.answered(B, TCP, FAST, 0.0)
    it.answered(C, far, 0.3, 0.0)
    assert it.is_late(A, TCP, 0.5) and not it.is_late(A, far, 0.5)


def test_when_everybody_gets_slow_nobody_is_late() -> None:
    it = health()
    marks = [Mark("pricing", name) for name in NAMES]
    for each in marks:
        it.answered(each, TCP, FAST, 0.0)
    for now in range(1, 20):
        for each in marks:
            it.answered(each, TCP, 2.0, now)
    assert it.ejections(marks, 20.0) == [None] * len(marks)


def test_one_slow_one_among_many_does_not_move_the_median() -> None:
    it = health()
    for now in range(50):
        it.answered(A, TCP, 3.0, now)
        it.answered(B, TCP, FAST, now)
        it.answered(C, TCP, FAST, now)
    assert is_out(it, A, 50.0) and not is_out(it, B, 50.0) and not is_out(it, C, 50.0)


# ------------------------------------------------------------------ share and memory


def test_share_that_may_be_behind_is_kept_and_the_longest_stay() -> None:
    it = health(percent_max=50)
    marks = [Mark("pricing", name) for name in "abcd"]
    for now, each in enumerate(marks[:3]):
        fail(it, each, now, times=3)
    found = it.ejections(marks, 3.0)
    assert [each is not None for each in found] == [False, True, True, False]


@pytest.mark.parametrize(("count", "most"), [(1, 0), (2, 1), (3, 2), (4, 2), (10, 7)])
def test_default_share(count: int, most: int) -> None:
    it = Health()
    marks = [Mark("pricing", str(n)) for n in range(count)]
    for each in marks:
        fail(it, each, 0.0, times=3)
    assert sum(each is not None for each in it.ejections(marks, 0.0)) == most


def test_oldest_is_forgotten_when_there_are_too_many() -> None:
    it = health(marks_max=2)
    for now, mark in enumerate((A, B, C)):
        fail(it, mark, now, times=3)
    assert [is_out(it, mark, 2.0) for mark in (A, B, C)] == [False, True, True]


def test_oldest_is_the_one_that_failed_the_longest_ago() -> None:
    it = health(marks_max=2)
    for mark in (A, B, A, C):
        fail(it, mark, 0.0, times=3)
    assert [is_out(it, mark, 0.0) for mark in (A, B, C)] == [True, False, True]


def test_times_of_the_last_ones_are_kept() -> None:
    it = health(others_max=2)
    for mark, seconds in ((A, 5.0), (B, 0.1), (C, 0.1)):
        it.answered(mark, TCP, seconds, 0.0)
    assert len(it._took[TCP]) == 2 and it.is_late(Mark("pricing", "d"), TCP, 0.81)


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that are interrupted as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_threads_may_use_it_at_the_same_time() -> None:
    it = Health(Rules(failures=1, marks_max=4, groups_max=2, others_max=2))
    marks = [Mark("pricing", name) for name in NAMES]
    errors: list[Exception] = []

    def work(number: int) -> None:
        rng = random.Random(number)
        try:
            for now in range(2000):
                mark, group = rng.choice(marks), Group("tcp", rng.choice(NAMES))
                it.begins(mark, now)
                fail(it, mark, now)
                if rng.random() < 0.5:
                    it.answered(mark, group, FAST, now)
                assert len(it.ejections(marks, now)) == len(marks)
        except Exception as error:  # noqa: BLE001 shown by the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == [] and len(it._records) <= 4 and len(it._took) <= 2


# ------------------------------------------------------------------ anything at all

events = st.lists(
    st.tuples(
        st.sampled_from(["fail", "answer", "late", "well", "begin", "shape"]),
        st.integers(0, len(NAMES) - 1),
        st.floats(0.0, 10.0),
    ),
    max_size=60,
)
FEW = Rules(failures=2, marks_max=5, groups_max=2, others_max=3, jitter=0.5)


def run(it: Health, happened: list[tuple[str, int, float]]) -> tuple[list[Mark], float]:
    """Let everything happen; return the marks as they are then, and the time."""
    marks, now = [Mark("pricing", name, 0) for name in NAMES], 0.0
    for what, index, seconds in happened:
        now += seconds
        mark, group = marks[index], Group("tcp", NAMES[int(seconds) % 4])
        if what == "fail":
            fail(it, mark, now)
        elif what == "answer":
            it.answered(mark, group, FAST, now)
        elif what == "late":
            it.answered(mark, group, 1.0 + index, now)
        elif what == "well":
            it.is_well(mark, now)
        elif what == "begin":
            it.begins(mark, now)
        else:
            marks[index] = mark._replace(shape=now)
    return marks, now


@given(events, st.integers(0, 100), st.sets(st.integers(0, len(NAMES) - 1)))
def test_no_more_than_the_share_is_behind(
    happened: list[tuple[str, int, float]], percent: int, chosen: set[int]
) -> None:
    it = Health(replace(FEW, percent_max=percent), random.Random(0))
    marks, now = run(it, happened)
    some = [marks[index] for index in sorted(chosen)]
    found = it.ejections(some, now)
    assert len(found) == len(some)
    assert sum(each is not None for each in found) <= len(some) * percent / 100


@given(events, st.integers(0, len(NAMES) - 1))
def test_whatever_happened_one_success_heals(
    happened: list[tuple[str, int, float]], index: int
) -> None:
    it = Health(FEW, random.Random(0))
    marks, now = run(it, happened)
    it.answered(marks[index], TCP, FAST, now)
    assert not is_out(it, marks[index], now)
    fail(it, marks[index], now)
    assert not is_out(it, marks[index], now)


@given(events)
def test_whatever_happened_everybody_gets_another_try(
    happened: list[tuple[str, int, float]],
) -> None:
    it = Health(FEW, random.Random(0))
    marks, now = run(it, happened)
    for each in it.ejections(marks, now):
        assert each is None or 0.0 < each.seconds <= FEW.seconds_max
    later = now + FEW.seconds_max
    assert it.ejections(marks, later) == [None] * len(marks)


@given(events)
def test_memory_is_bounded(happened: list[tuple[str, int, float]]) -> None:
    it = Health(FEW, random.Random(0))
    run(it, happened)
    assert len(it._records) <= 5
    assert len(it._took) <= 2 and all(len(each) <= 3 for each in it._took.values())
