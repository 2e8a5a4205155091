"""``./dev bench discovery`` runs and gives every figure. How large they are is no test."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from bench.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.deep
def test_quick_run_gives_every_figure_and_shows_how_far_it_is(tmp_path: Path) -> None:
    made = tmp_path / "report.json"
    command = [sys.executable, "-m", "bench.aims", "--quick", "--json", str(made), "discovery"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    report = json.loads(made.read_text())
    assert report["failed"] == {}
    wanted = [each.text for each in TARGETS if each.benchmark == "discovery"]
    assert [each["target"]["text"] for each in report["verdicts"]] == wanted
    for each in report["verdicts"]:
        assert each["rounds"] > 0 and math.isfinite(each["value"]) and each["value"] > 0, each
    assert "watchers: round 1" in done.stderr
