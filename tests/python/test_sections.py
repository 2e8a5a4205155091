"""How ./dev test runs its sections: nothing is lost on the way, whatever runs beside what."""

import pickle
import sys
from pathlib import Path

import pytest

from tests.ctests import without_threads
from tests.parts import PARTS, arguments_of_part, paths_by_part
from tests.sections import BESIDE, RESULT, SECTIONS, Neighbour
from tests.summary import Outcome


def test_every_test_file_belongs_to_one_part_of_pytest(root: Path) -> None:
    # catches: a folder that was renamed: its tests run twice, never, or beside what they disturb
    def has(part: tuple[str, ...], file: Path) -> bool:
        asked, left_out = paths_by_part()[part], arguments_of_part(part)
        return any(file.is_relative_to(each) for each in asked) and not any(
            file.is_relative_to(each.removeprefix("--ignore=")) for each in left_out[len(asked) :]
        )

    files = [file.relative_to(root) for file in (root / "tests").rglob("test_*.py")]
    assert len(files) > 50
    for file in files:
        assert len([part for part in PARTS if has(part, file)]) == 1, file
    assert all(paths_by_part().values())


def test_what_runs_beside_the_others_is_there() -> None:
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
