"""Fair service over each path."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.contract_fair import *  # noqa: F403
from tests.conformance.pairs import Way, dpdk_way, shm_way, tcp_way


@pytest.fixture(params=[shm_way, dpdk_way, tcp_way], ids=["shm", "dpdk", "tcp"])
def way(request: pytest.FixtureRequest, folder: Path) -> Way:
    make: Callable[[Path], Way] = request.param
    return make(folder)
