"""The contract over devices that two processes can share, with threads as well."""

from collections.abc import Iterator

import pytest

from tests.conformance import contract_end, contract_messages, contract_pressure, contract_threads
from tests.conformance.conftest import MakePair
from tests.conformance.far import Far, far_over, of_two_ends

pytestmark = pytest.mark.deep
globals().update(of_two_ends(contract_messages, contract_end, contract_pressure, contract_threads))


@pytest.fixture(scope="module", params=["virtio_user", "memif", "af_packet"])
def far(request: pytest.FixtureRequest) -> Iterator[Far]:
    with far_over(request.param) as made:
        yield made


@pytest.fixture
def make_pair(far: Far) -> Iterator[MakePair]:
    yield far.pair
    far.end_test()
