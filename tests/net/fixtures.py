"""What each file of tests of our TCP/IP against the kernel's begins with.

A file takes them by assignment (``pair = fixtures.pair``), since other tests have a ``pair`` too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.net.kernel import Pair, kernel_and_ours, needs_device

MEGABYTE = 1 << 20
BOTH = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module", autouse=True)
def device() -> None:
    needs_device()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with kernel_and_ours() as made:
        yield made
