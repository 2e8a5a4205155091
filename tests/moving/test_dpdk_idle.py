"""Two processes that have nothing to say over DPDK. Nothing else runs beside this (parts.py)."""

from contextlib import ExitStack

import pytest

from tests.moving.fabric_ends import ends_on, exchange

IDLE_S, WINDOWS = 1.5, 2
SLEEPS_MAX, POLLS_MAX = 0.001, 0.05  # of a processor


MOST = {"virtio_user": SLEEPS_MAX, "af_packet": SLEEPS_MAX, "memif": POLLS_MAX}


@pytest.mark.parametrize("kinds", [("virtio_user", "memif"), ("af_packet",)], ids="-".join)
def test_an_idle_channel_takes_no_processor(kinds: tuple[str, ...]) -> None:
    # catches: a thread that polls a device that could wake it; a timer that is always due
    with ExitStack() as stack:
        idle = {kind: stack.enter_context(ends_on(kind)) for kind in kinds}
        for ends in idle.values():
            assert exchange(ends.children)
        for ends in idle.values():  # all at the same time: none takes what another one wants
            for child in ends.children:
                child.tell(["cpu_shares", IDLE_S, WINDOWS])
        for kind, ends in idle.items():
            # the first window has the last acknowledgements, and any a neighbour's cold caches
            shares = [min(child.hears()[0]) for child in ends.children]
            print(f"{kind}: idle, {' and '.join(f'{100 * each:.3f} %' for each in shares)}")
            assert max(shares) < MOST[kind], (kind, shares)
