"""The summary of ./dev test: what it counts, and when a skip fails the run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import words
from tests.summary import Outcome, add_junit, add_left_out, report

JUNIT = """<testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="x"/></testcase>
<testcase classname="a" name="broken"><error message="x"/></testcase>
<testcase classname="a" name="left"><skipped message="needs DPDK 22.11"/></testcase>
<testcase classname="c" name="c"><skipped message="77"/><system-out>
SKIP: needs huge pages
</system-out></testcase></testsuite>"""


def outcome_of(tmp_path: Path) -> Outcome:
    path = tmp_path / "junit.xml"
    path.write_text(JUNIT)
    outcome = Outcome("c")
    assert add_junit(outcome, path) == 5
    return outcome


def test_junit_is_counted(tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path)
    assert outcome.counts() == "1 passed, 2 failed, 2 skipped"
    assert outcome.failures == ["a::bad", "a::broken"]
    assert [skip.reason for skip in outcome.skips] == ["needs DPDK 22.11", "needs huge pages"]


def test_last_line_is_the_total(tmp_path: Path) -> None:
    text, is_good = report([outcome_of(tmp_path)], ["fuzz"], strict=False)
    assert text.splitlines()[-1] == "1 passed, 2 failed, 2 skipped"
    assert "  c: c: needs huge pages" in text.splitlines()
    assert "  fuzz: not asked for" in text.splitlines()
    assert not is_good


def test_what_only_the_deep_check_runs_is_told_and_fails_nothing(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    case = '<properties><property name="deep" value="3 of tests/a.py"/></properties>'
    path.write_text(f"<testsuites><testsuite>{case}</testsuite></testsuites>")
    outcome = Outcome("pytest", passed=1)
    add_left_out(outcome, path)
    text, is_good = report([outcome], [], strict=True)
    assert "  pytest: 3 of tests/a.py: ./dev check-deep" in text.splitlines()
    assert "nothing was left out" not in text and is_good
    assert "nothing was left out" in report([Outcome("pytest", passed=1)], [], strict=True)[0]


def test_what_pytest_deselects_is_in_its_results(root: Path, tmp_path: Path) -> None:
    # catches: a new pytest without the hook, a marker with another name
    results = tmp_path / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not deep"]
    command += [f"--junitxml={results}", "tests/conformance/test_dpdk_deep.py"]
    subprocess.run(command, cwd=root, check=False, stdout=subprocess.DEVNULL)
    outcome = Outcome("pytest")
    add_left_out(outcome, results)
    (line,) = outcome.deep
    assert re.fullmatch(r"\d\d+ of tests/conformance/test_dpdk_deep\.py", line)


@pytest.mark.parametrize(
    ("reason", "strict", "is_good"),
    [
        ("needs huge pages", False, True),
        ("needs huge pages", True, False),
        ("needs DPDK", True, True),
        ("needs an unprivileged user", True, True),
        ("has no need, but says needs DPDK", True, False),
    ],
)
def test_skip_fails_the_run_where_nothing_may_be_missing(
    reason: str, strict: bool, is_good: bool
) -> None:
    outcome = Outcome("c", passed=1)
    outcome.skip("x", reason)
    assert report([outcome], [], strict=strict)[1] is is_good


def test_words_of_a_model_comment() -> None:
    model = "/* ring.pml */\n/* verify: -m1000 -DN=2 */\n/* mutants: LOSE\n * SWAP */"
    assert words(model, "verify") == ["-m1000", "-DN=2"]
    assert words(model, "deep") == []
    assert words(model, "mutants") == ["LOSE", "SWAP"]
