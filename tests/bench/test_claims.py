"""The index of claims in docs/benchmarks.md knows the commands and records of all documents."""

import re
from pathlib import Path

import pytest

from bench import aims
from bench.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
INDEX = (ROOT / "docs/benchmarks.md").read_text().partition("## Every claim")[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def benchmarks(text: str) -> set[str]:
    """Return the names after ``./dev bench``; without one it is the comparison."""
    found = re.findall(r"\./dev bench((?: [a-z][a-z-]*)+)", text)
    return {name for names in found for name in names.split()}


def test_index_names_benchmarks_that_there_are() -> None:
    assert benchmarks(INDEX)
    assert benchmarks(INDEX) <= set(aims.NAMES)


def test_every_benchmark_with_an_aim_is_in_the_index() -> None:
    assert {target.benchmark for target in TARGETS} <= benchmarks(INDEX)


def test_every_benchmark_that_a_document_names_is_in_the_index() -> None:
    """catches: a claim with a command of its own that the index does not list."""
    named = {name for path in DOCUMENTS for name in benchmarks(path.read_text())}
    assert named & set(aims.NAMES) <= benchmarks(INDEX)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs/adr").glob("*.md")), ids=lambda path: path.stem
)
def test_every_decision_that_measured_is_in_the_index(path: Path) -> None:
    if "**Measured" in path.read_text() or "measured**" in path.read_text():
        assert f"(adr/{path.name})" in INDEX


def test_files_that_the_index_names_are_there() -> None:
    for name in re.findall(r"`(?:pytest (?:-s )?)?((?:tests|bench)/[\w/.]+)`", INDEX):
        assert (ROOT / name).exists(), name
