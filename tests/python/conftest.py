"""Fixtures of the tests that look at the repository itself."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the checkout."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def package(root: Path) -> Path:
    """The Python package, with the libraries that ./dev build put there."""
    return root / "fabric" / "eastwest"
