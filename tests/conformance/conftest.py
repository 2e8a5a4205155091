"""Fixtures of the contract: a folder for sockets, and pairs over the way of the test file."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.conformance.loops import Run, runner
from tests.conformance.pairs import Pair, Way, open_pair

pytest.register_assert_rewrite(
    *(f"tests.conformance.{each.stem}" for each in Path(__file__).parent.glob("*contract*.py"))
)

MakePair = Callable[..., Pair]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of mode 0700 with a short path."""
    with TemporaryDirectory(prefix="ew-") as name:
        yield Path(name)


@pytest.fixture
def make_pair(way: Way) -> Iterator[MakePair]:
    """Make pairs, with more settings of the connecting (a=) and the accepting side (b=)."""
    with ExitStack() as stack:

        def make(**options: Any) -> Pair:
            return stack.enter_context(open_pair(way, **options))

        yield make


@pytest.fixture
def pair(make_pair: MakePair) -> Pair:
    return make_pair()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Runs a coroutine function in a new loop, with a limit of time."""
    try:
        return runner(request.param)
    except ImportError:
        pytest.skip("needs uvloop")


@pytest.fixture(params=["opener_sends", "acceptor_sends"])
def both_ways(request: pytest.FixtureRequest, pair: Pair) -> Pair:
    """A pair whose *a* sends and *b* receives, once for either being the one that connected."""
    return pair if request.param == "opener_sends" else pair.swapped()
