"""Fixtures of every Python test: a repeatable seed and a runtime directory of one's own."""

import gc
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from _pytest.junitxml import xml_key

hypothesis.settings.register_profile("eastwest", deadline=None, print_blob=True, database=None)
hypothesis.settings.load_profile("eastwest")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="seed of the random tests (default: a fresh one)")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of a random test: --seed N, else a fresh one. Shown when the test fails."""
    asked = request.config.getoption("--seed")
    value = int.from_bytes(os.urandom(4), "little") if asked is None else int(asked)
    print(f"repeat with --seed {value}")
    return value


@pytest.fixture
def rng(seed: int) -> random.Random:
    """Random numbers that depend on the seed only."""
    return random.Random(seed)


@pytest.fixture
def runtime_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty runtime directory, in the environment; its path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="ew-") as name:
        monkeypatch.setenv("EASTWEST_RUNTIME_DIR", name)
        yield Path(name)


def pytest_collection_finish() -> None:
    """Keep the tests themselves out of every collection to come: many a test waits for one."""
    gc.collect()
    gc.freeze()


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Note in the JUnit file, for the summary of ./dev test, what only ./dev check-deep runs."""
    deep = Counter(
        item.nodeid.partition("::")[0] for item in items if item.get_closest_marker("deep")
    )
    results = items[0].config.stash.get(xml_key, None) if items else None
    if results is not None:
        for file, count in sorted(deep.items()):
            results.add_global_property("deep", f"{count} of {file}")
