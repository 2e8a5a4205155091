"""The asyncio contract over kernel TCP."""

from pathlib import Path

import pytest

from tests.conformance.aio_contract import *  # noqa: F403
from tests.conformance.pairs import Way, tcp_way


@pytest.fixture
def way(folder: Path) -> Way:
    return tcp_way(folder)
