"""The contract over kernel TCP."""

from pathlib import Path

import pytest

from tests.conformance.channel_contract import *  # noqa: F403
from tests.conformance.pairs import Way, static_registry


@pytest.fixture
def way(folder: Path) -> Way:
    return Way(
        "tcp",
        {"paths": ["tcp"], "bind": "127.0.0.1:0"},
        lambda listener: {"paths": ["tcp"], "registry": [static_registry(folder, listener)]},
    )
