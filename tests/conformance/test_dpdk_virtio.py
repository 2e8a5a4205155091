"""Messages and ends over virtio_user and vhost: DPDK's plug-in, each end in its process.

The rest of the contract is in test_dpdk_deep.py.
"""

from tests.conformance import contract_end, contract_messages
from tests.conformance.far import far_over_each, of_two_ends
from tests.conformance.far import make_pair as make_pair

SLOW = ("make_pair",)  # other settings need other contexts: a second for each
globals().update(of_two_ends(contract_messages, contract_end, without=SLOW))
far = far_over_each("virtio_user")
