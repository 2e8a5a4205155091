"""The asyncio contract over shared memory."""

from pathlib import Path

import pytest

from tests.conformance.aio_contract import *  # noqa: F403
from tests.conformance.pairs import Way, shm_way


@pytest.fixture
def way(folder: Path) -> Way:
    return shm_way(folder)
