"""./dev test: run the sections, show each as it goes, end with a summary.

usage: python -m tests.sections [SECTION...] [-- PYTEST-ARGUMENT...]
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from tests import models
from tests.summary import Outcome, add_junit, is_strict, report
from tests.weaken import notice as weaken

BUILD = Path("build")
TIDY = "tests/python/test_tidy.py"
JOBS = os.cpu_count() or 2
FUZZ_SECONDS = 5
SECTION_SECONDS_MAX = 1200
HUGE_PAGES = 64  # 128 MiB
STARTS_THREAD = " pthread_create"
SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:die_after_fork=0",
}


def run(command: list[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run a command with our standard output; end it and its children at the limit."""
    sys.stdout.flush()
    process = subprocess.Popen(command, env={**os.environ, **(env or {})}, start_new_session=True)
    try:
        return process.wait(SECTION_SECONDS_MAX)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, KeyboardInterrupt):
            raise
        print(f"{command[0]}: ended after {SECTION_SECONDS_MAX} s", flush=True)
        return 124


def build(preset: str) -> str:
    """Build a preset; return what went wrong, or nothing."""
    done = subprocess.run(
        ["./dev", "build", preset], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout if done.returncode else ""


@contextmanager
def huge_pages(wanted: int) -> Iterator[None]:
    """As root: have so many free 2 MiB pages while the tests run, and as before afterwards."""
    pool = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
    before = None
    if os.geteuid() == 0 and (pool / "nr_hugepages").exists():
        free = int((pool / "free_hugepages").read_text())
        before = int((pool / "nr_hugepages").read_text())
        if free < wanted:
            with suppress(OSError):
                (pool / "nr_hugepages").write_text(str(before + wanted - free))
    try:
        yield
    finally:
        if before is not None:
            with suppress(OSError):
                (pool / "nr_hugepages").write_text(str(before))


# ------------------------------------------------------------------ sections


def lint(outcome: Outcome) -> None:
    folders = [
        f
        for f in ("fabric", "discovery", "bench", "tests/python", "tests/weaken")
        if Path(f).is_dir()
    ]
    python = [f for f in folders if any(Path(f).rglob("*.py"))]
    own = [str(path) for path in sorted(Path("tests").glob("*.py"))]
    outcome.check("ruff check", run(["ruff", "check", "."]) == 0)
    outcome.check("ruff format --check", run(["ruff", "format", "--check", "."]) == 0)
    outcome.check("mypy --strict", run(["mypy", "--strict", *python, *own]) == 0)
    pytest(outcome, ["-q", TIDY])


def without_threads(preset: str) -> list[str]:
    """The C tests that cannot start a thread: nothing races there, and they are slow to watch."""
    programs = sorted((BUILD / preset / "tests").glob("*_test_*"))
    done = subprocess.run(["nm", "-Au", *map(str, programs)], capture_output=True, text=True)
    starting = {line.split(":")[0] for line in done.stdout.splitlines() if STARTS_THREAD in line}
    return [path.name for path in programs if starting and str(path) not in starting]


def ctest(preset: str, *, every: bool = False) -> Callable[[Outcome], None]:
    def section(outcome: Outcome) -> None:
        results = (BUILD / f"{preset}-ctest.xml").resolve()
        results.unlink(missing_ok=True)
        command = ["ctest", "--test-dir", f"build/{preset}", "--output-on-failure"]
        command += ["-j", str(JOBS), "--output-junit", str(results), "--no-tests=ignore"]
        if preset == "tsan" and not every and (alone := without_threads(preset)):
            print(f"{len(alone)} programs start no thread: ./dev check-deep runs them as well")
            command += ["-E", f"^({'|'.join(alone)})$"]
        if preset == "tsan" and subprocess.run(["setarch", "-R", "true"]).returncode == 0:
            command = ["setarch", "-R", *command]  # gcc 12: no shadow for a high mmap base
        status = run(command, env=SANITIZERS)
        if add_junit(outcome, results) == 0:
            outcome.skip("C tests", "there are none")
        elif status != 0 and not outcome.failures:
            outcome.failures.append(f"ctest exits with {status}")

    return section


def verify_models(outcome: Outcome) -> None:
    if not any(models.models()):
        outcome.skip("models", "there are none")
    elif shutil.which("spin") is None:
        outcome.skip("models", "needs spin")
    else:
        models.run(outcome)


def fuzz(outcome: Outcome) -> None:
    fuzz_targets(outcome, FUZZ_SECONDS)


def fuzz_targets(outcome: Outcome, seconds: int) -> None:
    """Run each fuzz target for some seconds, as many at once as there are processors."""
    names = sorted(path.stem for path in Path("tests/fuzz").glob("*.c"))
    if not names:
        outcome.skip("fuzz targets", "there are none")
    with ThreadPoolExecutor(JOBS) as pool:
        for name, output in zip(
            names, pool.map(lambda name: fuzz_one(name, seconds), names), strict=True
        ):
            outcome.check(name, not output)
            print(f"{name}, {seconds} s: {output or 'ok'}", flush=True)


def fuzz_one(name: str, seconds: int) -> str:
    """Run one target; return its output if it found something."""
    found = BUILD / "fuzz" / "corpus" / name  # what it learns stays there
    found.mkdir(parents=True, exist_ok=True)
    known = Path("tests/fuzz/corpus") / name
    command = [f"build/fuzz/fuzz/fuzz_{name}", f"-max_total_time={seconds}", "-timeout=10"]
    command += [f"-artifact_prefix=build/fuzz/{name}-", "-rss_limit_mb=2048", str(found)]
    command += [str(known)] if known.is_dir() else []
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds + 60,
        )
    except subprocess.TimeoutExpired:
        return "did not end"
    return done.stdout[-8000:] or "failed" if done.returncode else ""


def pytest(outcome: Outcome, arguments: list[str]) -> None:
    results = BUILD / f"{outcome.section}-pytest.xml"
    results.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    status = run([*command, f"--junitxml={results}", *arguments])
    failed_before = len(outcome.failures)
    cases = add_junit(outcome, results)
    if status == 5 and cases == 0:
        outcome.skip("pytest", "no tests were selected")
    elif status != 0 and len(outcome.failures) == failed_before:
        outcome.failures.append(f"pytest exits with {status}")


# ------------------------------------------------------------------ the run

SECTIONS: dict[str, tuple[Callable[[Outcome], None], tuple[str, ...]]] = {
    "lint": (lint, ("dev",)),  # name: what runs, presets that it needs
    "c": (ctest("dev"), ("dev",)),
    "asan": (ctest("asan"), ("asan",)),
    "tsan": (ctest("tsan"), ("tsan",)),
    "models": (verify_models, ()),
    "fuzz": (fuzz, ("fuzz",)),
    "weaken": (lambda outcome: weaken.verify(outcome, quick=True), ("dev", "tsan")),
    "pytest": (lambda outcome: pytest(outcome, ["--durations=5", f"--ignore={TIDY}"]), ("dev",)),
}


def build_all(presets: list[str]) -> dict[str, str]:
    """Build the presets, two at a time; return what went wrong with each."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(presets, pool.map(build, presets), strict=True))


def run_section(name: str, section: Callable[[Outcome], None], problems: dict[str, str]) -> Outcome:
    outcome = Outcome(name)
    start = time.monotonic()
    print(f"\n== {name} ==", flush=True)
    for preset, problem in problems.items():
        if problem and preset == "fuzz" and shutil.which("clang") is None:
            outcome.skip("fuzz targets", "needs clang")
        elif problem:
            outcome.failures.append(f"preset {preset} does not build")
            print(problem, flush=True)
    if name == "lint" or not any(problems.values()):  # style can be judged before it compiles
        section(outcome)
    outcome.seconds = time.monotonic() - start
    print(f"-- {name}: {outcome.counts()}, {outcome.seconds:.1f} s", flush=True)
    return outcome


def presets_of(names: list[str]) -> list[str]:
    presets = dict.fromkeys(preset for name in names for preset in SECTIONS[name][1])
    if "pytest" in names and any(Path("tests/crash").glob("*")):
        presets["crash"] = None  # the crash suite runs programs of build/crash
    return list(presets)


def main() -> None:
    arguments = sys.argv[1:]
    extra: list[str] = []
    if "--" in arguments:
        cut = arguments.index("--")
        arguments, extra = arguments[:cut], arguments[cut + 1 :]
    if unknown := [name for name in arguments if name not in SECTIONS]:
        sys.exit(f"no section {unknown[0]!r}; there are: {' '.join(SECTIONS)}")
    names = [name for name in SECTIONS if not arguments or name in arguments]
    sections = dict(SECTIONS)
    if extra:
        sections["pytest"] = (lambda outcome: pytest(outcome, extra), SECTIONS["pytest"][1])

    start = time.monotonic()
    print(f"== build {' '.join(presets_of(names))} ==", flush=True)
    problems = build_all(presets_of(names))
    print(f"-- build: {time.monotonic() - start:.1f} s", flush=True)
    if problems.get("crash"):
        print(problems["crash"])

    outcomes = []
    with huge_pages(HUGE_PAGES):
        for name in names:
            section, presets = sections[name]
            needs = {preset: problems[preset] for preset in presets}
            outcomes.append(run_section(name, section, needs))
    text, is_good = report(
        outcomes, [name for name in SECTIONS if name not in names], strict=is_strict()
    )
    print(text, flush=True)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
