"""The waits between attempts: they grow, they end, and nobody comes back together."""

from hypothesis import given
from hypothesis import strategies as st

from eastwest_discovery._backoff import FIRST_SECONDS, LAST_SECONDS, LASTING_SECONDS, Backoff
from eastwest_discovery._record import TTL_DEFAULT
from eastwest_discovery._zmq_thread import CONNECT_SECONDS

randoms = st.floats(0, 1, exclude_max=True)


@given(st.lists(randoms, min_size=1, max_size=80))
def test_wait_is_positive_and_below_a_ceiling_that_doubles(draws: list[float]) -> None:
    backoff = Backoff()
    for count, random in enumerate(draws):
        backoff, wait = backoff.failed(0.0, random)
        assert 0 < wait <= min(LAST_SECONDS, FIRST_SECONDS * 2**count)


def test_owners_are_back_before_a_server_that_has_started_is_complete() -> None:
    # catches: an instance that is alive goes, as its owner still waits while nobody misses it
    assert CONNECT_SECONDS + LAST_SECONDS < TTL_DEFAULT


def test_ten_thousand_clients_that_lose_a_server_come_back_evenly() -> None:
    waits = [Backoff(failures=9).failed(0.0, index / 10_000)[1] for index in range(10_000)]
    for second in range(int(LAST_SECONDS)):
        here = sum(second < wait <= second + 1 for wait in waits)
        assert abs(here - 10_000 / LAST_SECONDS) <= 1


def test_success_that_does_not_last_keeps_the_waits_long() -> None:
    backoff = Backoff(failures=5).succeeded(100.0)
    again, wait = backoff.failed(100.0 + LASTING_SECONDS - 0.1, 0.0)
    assert (again.failures, wait) == (6, LAST_SECONDS)


def test_success_that_lasts_starts_over() -> None:
    backoff = Backoff(failures=5).succeeded(100.0).succeeded(104.0)
    again, wait = backoff.failed(100.0 + LASTING_SECONDS, 0.0)
    assert (again.failures, wait) == (1, FIRST_SECONDS)


def test_success_before_a_failure_counts_once_only() -> None:
    backoff, _ = Backoff(failures=5).succeeded(0.0).failed(1.0, 0.0)
    again, _ = backoff.failed(1000.0, 0.0)
    assert again.failures == 7
