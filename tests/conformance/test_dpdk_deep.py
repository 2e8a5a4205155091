"""The contract over devices that two processes can share, with threads as well."""

import pytest

from tests.conformance import contract_end, contract_messages, contract_pressure, contract_threads
from tests.conformance.far import far_over_each, of_two_ends
from tests.conformance.far import make_pair as make_pair

pytestmark = pytest.mark.deep
globals().update(of_two_ends(contract_messages, contract_end, contract_pressure, contract_threads))
far = far_over_each("virtio_user", "memif", "af_packet")
