"""Fixtures of the tests that look at the repository itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.python.message_pairs import Pair, connected


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the checkout."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def package(root: Path) -> Path:
    """The Python package, with the libraries that ./dev build put there."""
    return root / "fabric" / "eastwest"


@pytest.fixture
def pair(runtime_dir: Path) -> Iterator[Pair]:
    with connected() as made:
        yield made


@pytest.fixture(params=["adaptive", "block", "spin"])
def waiting(runtime_dir: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A pair of each wait policy."""
    with connected(request.param) as made:
        yield made
