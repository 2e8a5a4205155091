"""Some of the contract over memif, which cannot sleep, and over a cable between two hosts."""

from collections.abc import Iterator

import pytest

from tests.conformance import contract_end, contract_messages, contract_pressure
from tests.conformance.conftest import MakePair
from tests.conformance.far import Far, far_over, of_two_ends

SOME = (
    "test_random_sizes_arrive_in_a_random_order_of_calls",
    "test_both_directions_carry_a_dialogue",
    "test_close_delivers_what_was_sent_then_the_end",
    "test_close_wakes_a_peer_that_is_blocked_in_send",
    "test_abort_shows_as_a_lost_peer",
    "test_send_goes_on_as_soon_as_there_is_room",
    "test_flush_is_true_once_the_peer_has_received",
)
_ALL = of_two_ends(contract_messages, contract_end, contract_pressure)
globals().update({name: _ALL[name] for name in SOME})


AF_XDP = pytest.param("af_xdp", marks=pytest.mark.deep)  # one context in each process, as here


@pytest.fixture(scope="module", params=["memif", "af_packet", AF_XDP])
def far(request: pytest.FixtureRequest) -> Iterator[Far]:
    with far_over(request.param) as made:
        yield made


@pytest.fixture
def make_pair(far: Far) -> Iterator[MakePair]:
    yield far.pair
    far.end_test()
