"""The contract over memif, which cannot sleep, and over a cable between two hosts.

What needs contexts with other settings, or is asked of each end, is in test_dpdk_deep.py.
"""

import pytest

from tests.conformance import contract_end, contract_messages, contract_pressure, contract_threads
from tests.conformance.far import far_over_each, of_two_ends
from tests.conformance.far import make_pair as make_pair

SLOW = ("make_pair", "both_ways")  # other settings need other contexts: a second for each
ALL = (contract_messages, contract_end, contract_pressure, contract_threads)
globals().update(of_two_ends(*ALL, without=SLOW))
AF_XDP = pytest.param("af_xdp", marks=pytest.mark.deep)
far = far_over_each("memif", "af_packet", AF_XDP)
