"""Messages and ends over memif, which cannot sleep, and over a cable between two hosts.

The rest of the contract over these devices is in test_dpdk_deep.py.
"""

import pytest

from tests.conformance import contract_end, contract_messages, contract_pressure
from tests.conformance.far import far_over_each, of_two_ends
from tests.conformance.far import make_pair as make_pair

SLOW = ("make_pair", "both_ways")  # other settings need other contexts: a second for each
SOME = (
    "test_close_delivers_what_was_sent_then_the_end",
    "test_close_wakes_a_peer_that_is_blocked_in_send",
    "test_abort_shows_as_a_lost_peer",
    "test_send_goes_on_as_soon_as_there_is_room",
    "test_flush_is_true_once_the_peer_has_received",
)
_ALL = of_two_ends(contract_end, contract_pressure)
globals().update(of_two_ends(contract_messages, contract_end, without=SLOW))
globals().update({name: _ALL[name] for name in SOME})
AF_XDP = pytest.param("af_xdp", marks=pytest.mark.deep)
far = far_over_each("memif", "af_packet", AF_XDP)
