"""The tables of the documents are those of the stored run, and stay so."""

import json
from pathlib import Path

import pytest

from bench.compare.page.__main__ import main
from bench.compare.page.stored import (
    BEGIN,
    DOCUMENTS,
    END,
    NONE_YET,
    STORED,
    load,
    publish,
    rewritten,
    stored,
)
from bench.compare.results import Results, Series
from tests.bench import made_up

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tables_of_this_repository_are_those_of_its_stored_run(name: str) -> None:
    """catches: a number in README or docs/benchmarks.md that was changed by hand."""
    assert (ROOT / name).read_text() == rewritten(ROOT / name, load(ROOT))


def test_stored_run_of_this_repository_is_a_whole_one() -> None:
    found = load(ROOT)
    assert found is None or not found.is_quick


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in DOCUMENTS:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# A\n\nbefore\n\n{BEGIN}\n{NONE_YET}\n{END}\n\nafter\n")
    return tmp_path


def texts(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text() for name in (*DOCUMENTS, str(STORED))}


def test_publishing_is_idempotent_and_touches_nothing_else(checkout: Path) -> None:
    publish(made_up.results(), checkout)
    first = texts(checkout)
    publish(made_up.results(), checkout)
    assert texts(checkout) == first
    for name in DOCUMENTS:
        assert first[name].startswith("# A\n\nbefore\n\n" + BEGIN)
        assert first[name].endswith(END + "\n\nafter\n")
        assert NONE_YET not in first[name]
        assert first[name] == rewritten(checkout / name, load(checkout))


def test_a_changed_number_is_seen(checkout: Path) -> None:
    publish(made_up.results(), checkout)
    path = checkout / "README.md"
    path.write_text(path.read_text().replace("times as fast", "times faster", 1))
    assert path.read_text() != rewritten(path, load(checkout))


def test_stored_run_is_read_as_it_was_written(checkout: Path) -> None:
    publish(made_up.results(), checkout)
    found, made = load(checkout), stored(made_up.results())
    assert found == made
    assert found is not None and len(found.rows) > 10 and found.losses and found.limits


def test_documents_have_cases_losses_and_what_was_missing(checkout: Path) -> None:
    publish(made_up.results(), checkout)
    readme, whole = (texts(checkout)[name] for name in DOCUMENTS)
    row = next(line for line in readme.splitlines() if "Python, 64 B round trip, spin" in line)
    assert "eastwest-shm, spin" in row and "best of 4" in row
    assert "`./dev bench`, 2026-01-02, on Example Processor" in readme
    assert "### Where Eastwest loses" in whole and "iceoryx2" in whole
    assert "apt-get install libecal-dev" in whole
    assert len(readme) < 8000


def test_hostile_names_stay_in_their_cell(checkout: Path) -> None:
    name = "pipe|`</b>\n![x](y)"
    ours, other = (
        Series("local", system, "c", "spin", "trip", 64, values=[1.0])
        for system in ("eastwest-shm", name)
    )
    publish(Results({"cpu": name}, "now", False, series=[ours, other]), checkout)
    row = next(line for line in texts(checkout)["README.md"].splitlines() if "eastwest-shm" in line)
    assert row.replace("\\|", "").count("|") == 7
    assert "\\[x\\]" in row and "\\</b\\>" in row


@pytest.mark.parametrize("text", ["no markers", f"{BEGIN}", f"{END} {BEGIN}", f"{BEGIN}{END}" * 2])
def test_document_without_markers_is_left_alone(text: str, checkout: Path) -> None:
    """Nothing is written at all: no half of a run."""
    (checkout / "docs/benchmarks.md").write_text(text)
    before = (checkout / "README.md").read_text()
    with pytest.raises(ValueError, match=r"want .* once each"):
        publish(made_up.results(), checkout)
    assert (checkout / "README.md").read_text() == before
    assert not (checkout / STORED).exists()


def test_quick_run_is_refused_unless_forced(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkout / "results.json"
    made_up.results(is_quick=True).write(path)
    arguments = [str(path), "--readme", "--root", str(checkout)]
    assert main(arguments) == 1
    assert "quick run" in capsys.readouterr().err
    assert not (checkout / STORED).exists()
    assert main([*arguments, "--force"]) == 0
    assert "a quick run of" in (checkout / "README.md").read_text()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "eastwest-benchmarks-1", "rows": 3}'])
def test_broken_stored_run_is_told(text: str, checkout: Path) -> None:
    (checkout / STORED).write_text(text)
    with pytest.raises(ValueError, match="no summary"):
        load(checkout)


def test_stored_run_is_plain_json(checkout: Path) -> None:
    publish(made_up.results(), checkout)
    document = json.loads((checkout / STORED).read_text())
    assert document["schema"] == "eastwest-benchmarks-1"


@pytest.mark.parametrize(
    ("rounds", "says"),
    [
        ([0.99, 1.0, 1.01], "as fast"),
        ([0.5, 0.5, 1.1], "2.0 times as fast, not in every round"),
        ([0.9, 2.0, 2.0], "slower, 2.0 times, not in every round"),
        ([2.0, 2.0, 2.0], "slower, 2.0 times"),
    ],
)
def test_doubt_is_no_excuse(checkout: Path, rounds: list[float], says: str) -> None:
    """catches: half the speed of another one that is called as fast, as one round went well"""
    ours = Series("local", "eastwest-shm", "c", "spin", "trip", 64, values=rounds, cpu_ns=7.0)
    other = Series("local", "pipe", "c", "spin", "trip", 64, values=[1.0] * 3, cpu_ns=9.0)
    publish(Results({}, "now", False, series=[ours, other]), checkout)
    row = next(line for line in texts(checkout)["README.md"].splitlines() if "eastwest-shm" in line)
    assert row.endswith(f"| {says} | 7.00 ns / 9.00 ns |")
