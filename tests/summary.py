"""What ./dev test counted, and whether that is enough.

On a root Debian 12 machine everything can be installed, so there a skip is a failure, except
for reasons in MAY_SKIP. Elsewhere a skip is only reported.
"""

import os
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

MAY_SKIP = ("needs DPDK", "needs an unprivileged user", "needs a peer of ./dev bench")


@dataclass(frozen=True, slots=True)
class Skip:
    """One thing that was not tested."""

    name: str
    reason: str

    @property
    def is_allowed_everywhere(self) -> bool:
        return self.reason.startswith(MAY_SKIP)


@dataclass(slots=True)
class Outcome:
    """What one section counted. A section that could not run at all is one skip or one failure."""

    section: str
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    seconds: float = 0.0  # on the wall
    cpu_seconds: float = 0.0  # of processors
    deep: list[str] = field(default_factory=list)  # what of it only ./dev check-deep runs

    def check(self, name: str, is_good: bool) -> None:
        """Count one thing that either holds or does not."""
        if is_good:
            self.passed += 1
        else:
            self.failures.append(name)

    def skip(self, name: str, reason: str) -> None:
        self.skips.append(Skip(name, reason))

    def counts(self) -> str:
        return f"{self.passed} passed, {len(self.failures)} failed, {len(self.skips)} skipped"

    def times(self) -> str:
        return f"{self.seconds:.1f} s, {self.cpu_seconds:.1f} s of processors"


def add_junit(outcome: Outcome, path: Path) -> int:
    """Add the test cases of a JUnit file, as ctest and pytest write it; return how many it has."""
    if not path.exists():
        return 0
    cases = list(ElementTree.parse(path).iter("testcase"))
    for case in cases:
        name = "::".join(dict.fromkeys((case.get("classname") or "", case.get("name") or "")))
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failures.append(name)
        elif skipped is not None:
            said = re.search(r"^SKIP: (.*)$", case.findtext("system-out") or "", re.MULTILINE)
            outcome.skip(name, said[1] if said else skipped.get("message") or "no reason given")
        else:
            outcome.passed += 1
    return len(cases)


def add_left_out(outcome: Outcome, path: Path) -> None:
    """Add the tests for ./dev check-deep that tests/conftest.py noted in a JUnit file."""
    found = ElementTree.parse(path).iter("property") if path.exists() else ()
    outcome.deep += [each.get("value", "") for each in found if each.get("name") == "deep"]


def is_strict() -> bool:
    """Say whether this is a machine on which nothing may be missing: root on Debian 12."""
    if os.geteuid() != 0:
        return False
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return False
    return "ID=debian" in lines and 'VERSION_ID="12"' in lines


def report(
    outcomes: list[Outcome], not_asked: list[str], *, strict: bool, seconds: float = 0.0
) -> tuple[str, bool]:
    """Return the closing text, whose last line is the total, and whether the run is good."""
    lines = ["", "== summary =="]
    lines += [f"{o.section:8} {o.counts()}, {o.times()}" for o in outcomes]
    lines += [f"{'all':8} {seconds:.0f} s with set-up and builds"] if seconds else []
    failures = [f"{o.section}: {name}" for o in outcomes for name in o.failures]
    skips = [(o.section, skip) for o in outcomes for skip in o.skips]
    if failures:
        lines += ["", "Failed:"] + [f"  {failure}" for failure in failures]
    lines += ["", "Not tested, and why:"]
    is_good = not failures
    for section, skip in skips:
        forbidden = strict and not skip.is_allowed_everywhere
        is_good = is_good and not forbidden
        mark = "  [this machine can: fails the run]" if forbidden else ""
        lines.append(f"  {section}: {skip.name}: {skip.reason}{mark}")
    lines += [f"  {section}: not asked for" for section in not_asked]
    deep = [f"  {o.section}: {what}: ./dev check-deep" for o in outcomes for what in o.deep]
    lines += deep
    if not skips and not not_asked and not deep:
        lines.append("  nothing was left out")
    passed = sum(o.passed for o in outcomes)
    lines += ["", f"{passed} passed, {len(failures)} failed, {len(skips)} skipped"]
    return "\n".join(lines), is_good
