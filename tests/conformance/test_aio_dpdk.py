"""The asyncio contract over a stack from a plug-in.

In uvloop by ./dev check-deep only: over TCP and shared memory both loops are tested.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.conformance.aio_contract import *  # noqa: F403
from tests.conformance.loops import Run, runner
from tests.conformance.pairs import Way, dpdk_way


@pytest.fixture
def way(folder: Path) -> Way:
    return dpdk_way(folder)


@pytest.fixture(params=["asyncio", pytest.param("uvloop", marks=pytest.mark.deep)])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    return runner(request.param)
