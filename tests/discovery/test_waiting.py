"""Polls that wait: woken by their scope, by their time, and not too many of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest_discovery._errors import LimitReached
from eastwest_discovery._leases import START, Limits
from eastwest_discovery._waiting import GRAIN_SECONDS, Poll, Waiting

X, Y = ("default", "x"), ("default", "y")


def make(client: str = "c", scope: tuple[str, str] = X, deadline: float = 10.0) -> Poll:
    return Poll(client, b"route", b"number", scope, START, deadline)


def test_only_polls_of_the_scope_are_woken_and_once() -> None:
    waiting = Waiting(Limits())
    x, y = make(), make(scope=Y)
    waiting.add(x)
    waiting.add(y)
    assert waiting.take_of(X) == [x]
    assert waiting.take_of(X) == []
    assert waiting.take_all() == [y]
    assert len(waiting) == 0


def test_poll_gives_up_at_its_time_and_not_much_later() -> None:
    waiting = Waiting(Limits())
    poll = make(deadline=10.0)
    waiting.add(poll)
    assert waiting.take_due(9.99) == []
    assert waiting.take_due(10.0 + GRAIN_SECONDS) == [poll]


def test_limit_of_one_client_leaves_room_for_others() -> None:
    waiting = Waiting(Limits(polls_per_client=2))
    waiting.add(make("one"))
    waiting.add(make("one"))
    with pytest.raises(LimitReached, match=r"3 waiting polls of one client .* 2"):
        waiting.add(make("one"))
    waiting.add(make("two"))
    waiting.take_of(X)
    waiting.add(make("one"))


def test_limit_of_all() -> None:
    waiting = Waiting(Limits(polls=1))
    waiting.add(make("one"))
    with pytest.raises(LimitReached, match=r"2 waiting polls .* 1"):
        waiting.add(make("two"))
    assert len(waiting) == 1


polls = st.builds(
    make, st.sampled_from("ab"), st.sampled_from([X, Y]), st.floats(0, 30, allow_nan=False)
)


@given(st.lists(polls, max_size=30), st.floats(0, 40), st.sampled_from([X, Y]))
def test_each_poll_is_taken_once(several: list[Poll], now: float, scope: tuple[str, str]) -> None:
    waiting = Waiting(Limits())
    for poll in several:
        waiting.add(poll)
    due = waiting.take_due(now)
    assert all(poll.deadline <= now for poll in due)
    woken = waiting.take_of(scope)
    assert all(poll.scope == scope for poll in woken)
    rest = waiting.take_all()
    assert all(poll.deadline > now - GRAIN_SECONDS for poll in woken + rest)
    assert sorted(map(id, due + woken + rest)) == sorted(map(id, several))
    assert (waiting._by_scope, waiting._by_time, waiting._of_client) == ({}, {}, {})
