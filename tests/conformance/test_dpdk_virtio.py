"""The contract over virtio_user and vhost: DPDK's plug-in, each end in its process.

What needs contexts with other settings is in test_dpdk_deep.py.
"""

from tests.conformance import contract_end, contract_messages, contract_pressure, contract_threads
from tests.conformance.far import far_over_each, of_two_ends
from tests.conformance.far import make_pair as make_pair

SLOW = ("make_pair",)  # other settings need other contexts: a second for each
ALL = (contract_messages, contract_end, contract_pressure, contract_threads)
globals().update(of_two_ends(*ALL, without=SLOW))
far = far_over_each("virtio_user")
