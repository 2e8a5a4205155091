"""The contract over kernel TCP with the default grace: what does not wait for the end of it."""

from pathlib import Path

import pytest

from tests.conformance.contract_end import *  # noqa: F403
from tests.conformance.contract_messages import *  # noqa: F403
from tests.conformance.contract_pressure import *  # noqa: F403
from tests.conformance.pairs import Way, resuming_way


@pytest.fixture
def way(folder: Path) -> Way:
    return resuming_way(folder)
