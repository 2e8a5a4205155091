"""The contract over shared memory."""

from pathlib import Path

import pytest

from tests.conformance.channel_contract import *  # noqa: F403
from tests.conformance.pairs import Way


@pytest.fixture
def way(folder: Path) -> Way:
    here = {"runtime_dirs": [str(folder)], "paths": ["shm"]}
    return Way("shm", here, lambda listener: here)
