"""What each file of tests of our stack on devices of DPDK begins with; as tests/net/fixtures.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dpdk.stack import KINDS, Wire, needs_stack, wire

MEGABYTE = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def stack() -> None:
    needs_stack("ethtool")


@pytest.fixture(params=KINDS)
def line(request: pytest.FixtureRequest) -> Iterator[Wire]:
    with wire(request.param) as made:
        yield made
