"""The contract over a stack from a plug-in."""

from pathlib import Path

import pytest

from tests.conformance.channel_contract import *  # noqa: F403
from tests.conformance.pairs import Way, dpdk_way


@pytest.fixture
def way(folder: Path) -> Way:
    return dpdk_way(folder)
