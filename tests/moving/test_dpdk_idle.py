"""Two processes that have nothing to say over DPDK. Nothing else runs beside this (parts.py)."""

import pytest

from tests.moving.fabric_ends import ends_on, exchange

IDLE_S, WINDOWS = 1.5, 8
SLEEPS_MAX, POLLS_MAX = 0.001, 0.05  # of a processor


@pytest.mark.parametrize(
    ("kind", "most"),
    [("virtio_user", SLEEPS_MAX), ("af_packet", SLEEPS_MAX), ("memif", POLLS_MAX)],
)
def test_an_idle_channel_takes_no_processor(kind: str, most: float) -> None:
    # catches: a thread that polls a device that could wake it; a timer that is always due
    with ends_on(kind) as ends:
        assert exchange(ends.children)
        for child in ends.children:
            child.tell(["idle_share", IDLE_S, most, WINDOWS])
        shares = [child.hears()[0] for child in ends.children]
    print(f"{kind}: idle, {' and '.join(f'{100 * each:.3f} %' for each in shares)}")
    assert max(shares) < most, shares
