"""The summary of ./dev test: what it counts, and when a skip fails the run."""

from pathlib import Path

import pytest

from tests.models import words
from tests.summary import Outcome, add_junit, report

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
