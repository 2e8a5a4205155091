"""How ./dev test runs its sections: nothing is lost on the way, whatever runs beside what."""

import pickle
import sys
from pathlib import Path

import pytest

from tests.sections import (
    BESIDE,
    COUNTING,
    MEASURING,
    RESULT,
    SECOND_HALF,
    SECTIONS,
    Neighbour,
    without_threads,
)
from tests.summary import Outcome


def test_the_parts_of_pytest_are_there_and_do_not_overlap(root: Path) -> None:
    # catches: a folder that was renamed, and whose tests run twice, or beside what they disturb
    parts = [*MEASURING, *COUNTING, *SECOND_HALF]
    assert all((root / part).exists() for part in parts)
    assert not [(a, b) for a in parts for b in parts if a != b and Path(a).is_relative_to(b)]
    assert set(BESIDE) < set(SECTIONS)


def test_programs_without_threads_are_told_from_those_with(root: Path) -> None:
    alone = without_threads(root / "build" / "dev")
    assert "c_test_record" in alone
    assert "c_test_lock" not in alone
    assert not [name for name in alone if name.startswith("c_test_order_")]


@pytest.fixture
def neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Neighbour:
    monkeypatch.chdir(tmp_path)
    RESULT.parent.mkdir()
    return Neighbour(["asan"], ["lint"])


def test_what_the_neighbour_found_is_taken(neighbour: Neighbour) -> None:
    found = ({"asan": "", "fuzz": "no clang"}, [Outcome("lint", passed=3)])
    code = f"from pathlib import Path; Path({str(RESULT)!r}).write_bytes({pickle.dumps(found)!r})"
    neighbour.command = [sys.executable, "-c", code]
    with neighbour:
        neighbour.start()
        neighbour.wait()
    assert (neighbour.problems, neighbour.outcomes) == found


@pytest.mark.parametrize("start", [True, False])
def test_a_neighbour_that_dies_is_a_failure(
    neighbour: Neighbour, start: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    # catches: sections that were asked for and are not in the summary; an asan that is not built
    RESULT.write_bytes(pickle.dumps(({"asan": ""}, [])))  # of an earlier run
    neighbour.command = [sys.executable, "-c", "raise SystemExit('what it said')"]
    with neighbour:
        if start:
            neighbour.start()
        neighbour.wait()
    assert neighbour.problems["asan"]
    assert [(each.section, bool(each.failures)) for each in neighbour.outcomes] == [("lint", True)]
    assert "what it said" in capsys.readouterr().out


def test_a_neighbour_ends_with_us(neighbour: Neighbour) -> None:
    neighbour.command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with neighbour:
        neighbour.start()
    assert neighbour.process is not None
    assert neighbour.process.poll() is not None
