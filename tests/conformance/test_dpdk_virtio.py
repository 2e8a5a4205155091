"""Messages and ends over virtio_user and vhost: DPDK's plug-in, each end in its process.

All of the contract on all devices is in test_dpdk_deep.py.
"""

from collections.abc import Iterator

import pytest

from tests.conformance import contract_end, contract_messages
from tests.conformance.conftest import MakePair
from tests.conformance.far import Far, far_over, of_two_ends

SLOW = ("make_pair", "both_ways")  # other settings need other contexts: a second for each
globals().update(of_two_ends(contract_messages, contract_end, without=SLOW))


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    with far_over("virtio_user") as made:
        yield made


@pytest.fixture
def make_pair(far: Far) -> Iterator[MakePair]:
    yield far.pair
    far.end_test()
