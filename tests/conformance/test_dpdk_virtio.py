"""The contract over virtio_user and vhost: the plug-in with DPDK, each end in its process."""

from collections.abc import Iterator

import pytest

from tests.conformance import contract_end, contract_messages, contract_pressure
from tests.conformance.conftest import MakePair
from tests.conformance.far import Far, far_over, of_two_ends

globals().update(of_two_ends(contract_messages, contract_end, contract_pressure))


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    with far_over("virtio_user") as made:
        yield made


@pytest.fixture
def make_pair(far: Far) -> Iterator[MakePair]:
    yield far.pair
    far.end_test()
