"""What is asked of one server, and when, in simulated time."""

import pytest

from eastwest_discovery._backoff import FIRST_SECONDS
from eastwest_discovery._errors import DiscoveryError, LimitReached, NotAllowed
from eastwest_discovery._link import (
    ANSWER_SECONDS,
    OUTSTANDING_MAX,
    POLL_PAUSE_SECONDS,
    POLL_SECONDS,
    Delete,
    Link,
    Poll,
    Put,
    Request,
)
from eastwest_discovery._record import Record

TTL = 15
WATCHED = ("default", "pricing")


def record(version: int = 1, instance: str = "k") -> Record:
    return Record(service="pricing", instance=instance, version=version, ttl=TTL)


@pytest.fixture
def link() -> Link:
    link = Link()
    link.opened()
    return link


def sent(link: Link, now: float) -> list[Request]:
    return [request for _, request in link.due(now)]


def answer(link: Link, now: float) -> list[Request]:
    """Send all that is due, and have the server do it."""
    requests = []
    for number, _ in list(link.due(now)):
        request = link.answered(number, now)
        assert request is not None
        requests.append(request)
        if isinstance(request, Poll):
            link.polled(request, now)
        else:
            link.accepted(request, now, 0.0)
    return requests


def test_link_without_work_wants_no_socket() -> None:
    link = Link()
    assert not link.wants_socket(0.0) and link.next() is None
    link.watch(WATCHED, 0.0)
    assert link.wants_socket(0.0)


def test_lease_is_renewed_at_a_third_of_its_ttl(link: Link) -> None:
    link.publish(record(), 0.0)
    assert answer(link, 0.0) == [Put(record())]
    assert link.next() == TTL / 3
    assert sent(link, TTL / 3 - 0.1) == []
    assert answer(link, TTL / 3) == [Put(record())]


def test_newer_version_is_sent_at_once_and_an_answer_to_the_older_changes_nothing(
    link: Link,
) -> None:
    link.publish(record(1), 0.0)
    ((number, _),) = link.due(0.0)
    link.publish(record(2), 0.1)
    old = link.answered(number, 0.2)
    assert isinstance(old, Put)
    link.accepted(old, 0.2, 0.0)
    assert sent(link, 0.2) == [Put(record(2))]


def test_older_version_does_not_replace_a_newer_one(link: Link) -> None:
    link.publish(record(2), 0.0)
    link.publish(record(1), 0.0)
    assert sent(link, 0.0) == [Put(record(2))]


def test_another_start_of_the_server_is_noticed(link: Link) -> None:
    assert not link.is_other_start(b"one")
    assert not link.is_other_start(b"one")
    assert link.is_other_start(b"two")
    link.failed("lost", 0.0, 0.0)
    link.opened()
    assert not link.is_other_start(b"two")


def test_refused_for_good_is_not_sent_again(link: Link) -> None:
    link.publish(record(), 0.0)
    ((number, _),) = link.due(0.0)
    request = link.answered(number, 0.0)
    assert isinstance(request, Put)
    link.refused(request, DiscoveryError("no such record"), 0.0)
    assert sent(link, 1000.0) == [] and link.next() is None


@pytest.mark.parametrize("error", [LimitReached("full"), NotAllowed("key may not")])
def test_refused_for_now_is_tried_again(link: Link, error: DiscoveryError) -> None:
    # catches: a right that was taken and given back left its owner unpublished for ever
    link.publish(record(), 0.0)
    ((number, _),) = link.due(0.0)
    request = link.answered(number, 0.0)
    assert isinstance(request, Put)
    assert link.refused(request, error, 0.0)
    ((number, _),) = link.due(TTL / 3)
    assert link.answered(number, TTL / 3) == Put(record())
    assert not link.refused(request, type(error)(str(error)), TTL / 3)  # nothing new to log


def test_withdrawal_is_sent_with_its_version_until_it_is_done(link: Link) -> None:
    link.publish(record(7), 0.0)
    answer(link, 0.0)
    link.withdraw(record().key, 1.0)
    assert sent(link, 1.0) == [Delete(record().key, 7, TTL)]
    assert sent(link, 1.1) == []  # on its way
    link.failed("lost", 2.0, 0.0)
    link.opened()
    assert answer(link, 3.0) == [Delete(record().key, 7, TTL)]
    assert sent(link, 4.0) == []


def test_withdrawal_is_given_up_when_the_lease_has_run_out(link: Link) -> None:
    link.publish(record(), 0.0)
    link.withdraw(record().key, 0.0)
    assert sent(link, float(TTL)) == []


def test_late_answer_to_a_withdrawal_does_not_end_a_later_one(link: Link) -> None:
    # catches: the withdrawal of version 2 was never sent, and it lived on until its lease ended
    link.publish(record(1), 0.0)
    link.withdraw(record().key, 0.0)
    ((number, _),) = link.due(0.0)
    link.publish(record(2), 0.0)
    link.withdraw(record().key, 0.0)
    old = link.answered(number, 0.1)
    assert isinstance(old, Delete) and old.version == 1
    link.accepted(old, 0.1, 0.0)
    assert link.is_withdrawing
    assert answer(link, 0.1) == [Delete(record().key, 2, TTL)]
    assert not link.is_withdrawing


def test_withdrawals_go_out_a_few_at_a_time(link: Link) -> None:
    # catches: thousands at once found no room, and the server was given up as one that is silent
    for index in range(3 * OUTSTANDING_MAX):
        link.publish(record(instance=f"i{index}"), 0.0)
    while answer(link, 0.0):
        pass
    for key in link.published():
        link.withdraw(key, 1.0)
    assert [len(answer(link, 1.0)) for _ in range(4)] == [OUTSTANDING_MAX] * 3 + [0]


def test_withdrawal_of_what_was_not_published_sends_nothing(link: Link) -> None:
    link.withdraw(record().key, 0.0)
    assert sent(link, 0.0) == []


def test_published_again_is_no_longer_withdrawn(link: Link) -> None:
    link.publish(record(1), 0.0)
    link.withdraw(record().key, 0.0)
    link.publish(record(2), 0.0)
    assert sent(link, 0.0) == [Put(record(2))]


def test_first_poll_of_a_connection_does_not_wait_and_the_next_ones_do(link: Link) -> None:
    link.watch(WATCHED, 0.0)
    assert answer(link, 0.0) == [Poll(WATCHED, 0.0)]
    assert sent(link, POLL_PAUSE_SECONDS / 2) == []
    assert sent(link, POLL_PAUSE_SECONDS) == [Poll(WATCHED, POLL_SECONDS)]
    assert sent(link, 1.0) == []


def test_long_poll_is_overdue_after_its_wait_only(link: Link) -> None:
    link.watch(WATCHED, 0.0)
    answer(link, 0.0)
    sent(link, 1.0)
    assert link.overdue(1.0 + POLL_SECONDS + ANSWER_SECONDS - 0.1) is None
    assert link.overdue(1.0 + POLL_SECONDS + ANSWER_SECONDS) is not None


def test_unwatched_is_polled_no_more(link: Link) -> None:
    link.watch(WATCHED, 0.0)
    ((number, _),) = link.due(0.0)
    link.unwatch(WATCHED)
    assert link.answered(number, 0.0) is None
    assert sent(link, 10.0) == []
    assert link.overdue(100.0) is None


def test_request_without_an_answer_is_overdue_and_all_comes_again(link: Link) -> None:
    link.publish(record(), 0.0)
    link.watch(WATCHED, 0.0)
    first = sent(link, 0.0)
    assert link.next() == ANSWER_SECONDS
    problem = link.overdue(ANSWER_SECONDS)
    assert problem == "no answer to a put for 3 s"
    wait = link.failed(problem, ANSWER_SECONDS, 0.5)
    assert wait == FIRST_SECONDS / 2
    assert not link.wants_socket(ANSWER_SECONDS + wait - 0.01)
    assert link.next() == ANSWER_SECONDS + wait
    assert link.wants_socket(ANSWER_SECONDS + wait)
    link.opened()
    assert sent(link, ANSWER_SECONDS + wait) == first


def test_answer_that_comes_late_or_twice_belongs_to_nothing(link: Link) -> None:
    link.publish(record(), 0.0)
    ((number, _),) = link.due(0.0)
    assert link.answered(number, 1.0) is not None
    assert link.answered(number, 1.0) is None
    link.failed("lost", 1.0, 0.0)
    assert not link.is_answering


def test_publications_go_out_a_few_at_a_time(link: Link) -> None:
    for index in range(3 * OUTSTANDING_MAX):
        link.publish(record(instance=f"i{index}"), 0.0)
    rounds = 0
    while requests := answer(link, 0.0):
        assert len(requests) <= OUTSTANDING_MAX
        rounds += 1
    assert rounds == 3


def test_every_failure_without_an_answer_between_waits_longer(link: Link) -> None:
    link.watch(WATCHED, 0.0)
    waits = []
    for _ in range(4):
        waits.append(link.failed("refused", 0.0, 0.0))
        link.opened()
    assert waits == [FIRST_SECONDS * 2**count for count in range(4)]
