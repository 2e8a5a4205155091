"""An application that is away from its channel over DPDK; what is left of one that was killed."""

import pytest

from tests.conformance.pairs import LONG
from tests.moving.fabric_ends import ask, ends_on, exchange

AWAY_S, AWAY_DEEP_S = 3.0, 60.0


def _is_away(kind: str, seconds: float, times: int) -> None:
    with ends_on(kind) as ends:
        for away, other in [ends.children, ends.children[::-1]][:times]:
            away.tell(["compute", seconds])
            other.tell(["send_one", 20_000])  # its stack has to take this without it
            assert other.hears() == [None]
            assert away.hears(seconds + LONG)[0] > 0
            assert ask(away, "receive_one", 20_000)
        assert exchange(ends.children)
        for child in ends.children:
            seen = ask(child, "look")
            assert (seen["path"], seen["changes"]) == ("dpdk", [])


@pytest.mark.parametrize("kind", ["virtio_user", "af_packet"])
def test_an_application_that_computes_keeps_its_channel(kind: str) -> None:
    # catches: a stack that only moves while somebody calls it; a timer that nobody serves
    _is_away(kind, AWAY_S, 1)


@pytest.mark.deep
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["virtio_user", "memif", "af_packet"])
def test_an_application_that_computes_for_a_minute_keeps_its_channel(kind: str) -> None:
    _is_away(kind, AWAY_DEEP_S, 2)


@pytest.mark.parametrize("kind", ["virtio_user", pytest.param("memif", marks=pytest.mark.deep)])
def test_what_a_killed_process_leaves_does_not_stop_the_next(kind: str) -> None:
    # catches: a socket file that is taken for a living server; shared memory that stays mapped
    with ends_on(kind) as ends:
        for child in ends.children:
            child.kill()
        ends.children = [ends.start(1), ends.start(2)]
        ends.meet()
        assert exchange(ends.children)
