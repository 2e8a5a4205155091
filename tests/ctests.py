"""The C tests of a build: all, or those that start threads, or the others."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from tests.commands import JOBS, run
from tests.summary import Outcome, add_junit

BUILD = Path("build")
# With ASan, what starts no thread and has run with all seeds as it is: one fixed seed, a fresh one,
# without the slowest, whose code others run.
FEW_SEEDS = {"EW_TEST_SEEDS": "1"}
SLOW_STILL = ("pkt_steps", "c_test_net_cc_cubic", r"sim_test_net_sim_(?!chaos$).*")
SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:die_after_fork=0",
}


def c_tests(folder: Path) -> dict[str, list[str]]:
    """The C tests of a build, and the command of each that is built."""
    command = ["ctest", "--test-dir", str(folder), "--show-only=json-v1"]
    done = subprocess.run(command, capture_output=True, text=True)
    tests = json.loads(done.stdout)["tests"] if done.returncode == 0 else []
    return {test["name"]: test.get("command", []) for test in tests}


def without_threads(folder: Path) -> list[str]:
    """The C tests that cannot start a thread: nothing races there, and they are slow to watch."""
    tests = c_tests(folder)
    files = {word for command in tests.values() for word in command if os.path.isfile(word)}
    threaded = starting_threads(sorted(files))
    return [name for name, command in tests.items() if command and threaded.isdisjoint(command)]


def starting_threads(files: list[str]) -> set[str]:
    """Return those among the files that are programs, or shared objects, that start threads."""
    done = subprocess.run(["nm", "-A", "-u", *files], capture_output=True, text=True)
    return set(re.findall(r"^(.+?):\s+U pthread_create\b", done.stdout, re.MULTILINE))


class Which(Enum):
    """Of the C tests."""

    ALL = ""
    WITH_THREADS = "-E"  # of ctest, in front of the names of the others
    WITHOUT = "-R"


def ctest(
    preset: str, which: Which = Which.ALL, *, is_short: bool = False
) -> Callable[[Outcome], None]:
    """Return what runs the C tests of a preset; short: with few seeds, without the slowest."""

    def section(outcome: Outcome) -> None:
        results = (BUILD / f"{outcome.section}-ctest.xml").resolve()
        results.unlink(missing_ok=True)
        command = ["ctest", "--test-dir", f"build/{preset}", "--output-on-failure"]
        command += ["-j", str(JOBS), "--output-junit", str(results), "--no-tests=ignore"]
        if which != Which.ALL and (alone := without_threads(BUILD / "dev")):
            if is_short:
                slow = [each for each in alone if re.fullmatch("|".join(SLOW_STILL), each)]
                alone = [each for each in alone if each not in slow]
                outcome.deep += ["more than two seeds", *slow]
            command += [which.value, f"^({'|'.join(alone)})$"]
            if preset == "tsan":
                outcome.deep.append(f"{len(alone)} C tests that start no thread")
        if preset == "tsan" and subprocess.run(["setarch", "-R", "true"]).returncode == 0:
            command = ["setarch", "-R", *command]  # gcc 12: no shadow for a high mmap base
        status = run(command, env={**SANITIZERS, **(FEW_SEEDS if is_short else {})})
        if add_junit(outcome, results) == 0:
            outcome.skip("C tests", "there are none")
        elif status != 0 and not outcome.failures:
            outcome.failures.append(f"ctest exits with {status}")

    return section
