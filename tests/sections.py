"""./dev test: run the sections, show each as it goes, end with a summary.

usage: python -m tests.sections [SECTION...] [-- PYTEST-ARGUMENT...]
"""

import os
import pickle
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tests import models
from tests.commands import JOBS, SECTION_SECONDS_MAX, ended, run, started
from tests.ctests import BUILD, SANITIZERS, Which, c_tests, ctest, without_threads
from tests.parts import (
    BESIDE_COUNTING,
    COUNTING,
    MEASURING,
    OTHERS,
    PARTS,
    TIDY,
    arguments_of_part,
)
from tests.summary import Outcome, add_junit, add_left_out, is_strict, report
from tests.weaken import notice as weaken

RESULT = BUILD / "beside.pickle"
NICE = 10  # beside pytest: a test that wakes up goes first, a tenth of a busy processor is left
SLOWEST = "--durations=5"
STACK_BASICS = "tests/dpdk/test_stack_basics.py"
AT_ONCE = JOBS + 1 if JOBS > 1 else 1  # parts of pytest, as tests mostly wait; alone one more
FUZZ_SECONDS = 3  # on the wall; beside pytest more than one and a half of a processor
FUZZ_LONGER = {"fuzz_net_stack": 5}  # times as long: a whole TCP/IP
HUGE_PAGES = 64  # 128 MiB


def build(preset: str, targets: Iterable[str] = ()) -> str:
    """Build a preset, or these targets of it; return what went wrong, or nothing."""
    done = subprocess.run(
        ["./dev", "build", preset],
        env={**os.environ, "EW_TARGETS": " ".join(targets)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
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
    tests = ("python", "weaken", "dpdk", "discovery", "bench")
    folders = ["fabric", "discovery", "bench", *(f"tests/{each}" for each in tests)]
    python = [f for f in folders if any(Path(f).rglob("*.py"))]
    own = [str(path) for path in sorted(Path("tests").glob("*.py"))]
    outcome.check("ruff check", run(["ruff", "check", "."]) == 0)
    outcome.check("ruff format --check", run(["ruff", "format", "--check", "."]) == 0)
    outcome.check("mypy --strict", run(["mypy", "--strict", *python, *own]) == 0)
    pytest(outcome, ["-q", TIDY])


def verify_models(outcome: Outcome) -> None:
    if not any(models.models()):
        outcome.skip("models", "there are none")
    elif shutil.which("spin") is None:
        outcome.skip("models", "needs spin")
    else:
        models.run(outcome)
        outcome.deep += [f"{name} at its full size" for name in models.larger()]


def fuzz(outcome: Outcome) -> None:
    fuzz_targets(outcome, FUZZ_SECONDS)
    outcome.deep.append("minutes for each target, not seconds")


def fuzz_targets(outcome: Outcome, seconds: int) -> None:
    """Run each fuzz target for some seconds, as many at once as there are processors."""
    names = sorted(path.stem for path in Path("tests/fuzz").glob("*.c"))
    if not names:
        outcome.skip("fuzz targets", "there are none")
    with ThreadPoolExecutor(JOBS) as pool:
        for name, output in zip(
            names,
            pool.map(lambda name: fuzz_one(name, fuzz_seconds(name, seconds)), names),
            strict=True,
        ):
            outcome.check(name, not output)
            print(f"{name}, {fuzz_seconds(name, seconds)} s: {output or 'ok'}", flush=True)


def fuzz_seconds(name: str, seconds: int) -> int:
    return seconds * FUZZ_LONGER.get(name, 1)


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


def asan(outcome: Outcome) -> None:
    """The C tests with threads, and our stack on real devices beside the kernel."""
    ctest("asan", Which.WITH_THREADS)(outcome)
    env = {**SANITIZERS, "EW_STACK_PRESET": "asan"}
    env["EASTWEST_DPDK_PAGES"] = "auto"  # huge ones: nobody else wants them now
    pytest(outcome, ["-q", STACK_BASICS], env=env)


def pytest(
    outcome: Outcome,
    arguments: list[str],
    part: str = "",
    *,
    env: Mapping[str, str] | None = None,
) -> None:
    command, results = pytest_command(outcome, arguments, part)
    count_pytest(outcome, run(command, env=env), results)


def pytest_command(outcome: Outcome, arguments: list[str], part: str) -> tuple[list[str], Path]:
    """Return the command, and where it leaves its results."""
    results = BUILD / f"{outcome.section}{part}-pytest.xml"
    results.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    return [*command, f"--junitxml={results}", *arguments], results


def count_pytest(outcome: Outcome, status: int, results: Path) -> None:
    failed_before = len(outcome.failures)
    cases = add_junit(outcome, results)
    if status == 5 and cases == 0:
        outcome.skip("pytest", "no tests were selected")
    elif status != 0 and len(outcome.failures) == failed_before:
        outcome.failures.append(f"pytest exits with {status}")
    add_left_out(outcome, results)


@dataclass
class Run:
    """A pytest that runs beside others; it is shown when it has ended."""

    part: tuple[str, ...]
    process: subprocess.Popen[bytes]
    results: Path
    output: IO[str]

    def finish(self, outcome: Outcome) -> None:
        """Wait for its end, show it, count what it did."""
        status = ended(self.process)
        self.output.seek(0)
        print(" ".join(self.part), self.output.read(), sep="\n", flush=True)
        count_pytest(outcome, status, self.results)


@contextmanager
def running(outcome: Outcome, part: tuple[str, ...]) -> Iterator[Run]:
    arguments = ["-q", SLOWEST, *arguments_of_part(part)]
    command, results = pytest_command(outcome, arguments, f"-{PARTS.index(part)}")
    with TemporaryFile("w+") as output, started(command, output=output) as process:
        yield Run(part, process, results, output)


def first_to_end(runs: list[Run]) -> Run:
    """Wait until one has ended; if none does in time, the oldest is asked for."""
    by_fd = {os.pidfd_open(each.process.pid): each for each in runs}
    try:
        ready = select.select(by_fd, [], [], SECTION_SECONDS_MAX)[0]
    finally:
        for fd in by_fd:
            os.close(fd)
    return by_fd[ready[0]] if ready else runs[0]


def pytest_in_parts(outcome: Outcome, neighbour: "Neighbour | None" = None) -> None:
    waiting = [COUNTING, *BESIDE_COUNTING, *OTHERS]
    runs: list[Run] = []
    with ExitStack() as stack:
        while waiting or runs:
            is_counting = any(run.part == COUNTING for run in runs)
            most = AT_ONCE + (AT_ONCE > 1 and not (neighbour and neighbour.is_running))
            if waiting and len(runs) < most and not (is_counting and waiting[0] in OTHERS):
                runs.append(stack.enter_context(running(outcome, waiting.pop(0))))
                continue
            runs.remove(run := first_to_end(runs))
            run.finish(outcome)
    if neighbour:
        neighbour.wait()
    pytest(outcome, ["-q", SLOWEST, *MEASURING], "-measuring")


# ------------------------------------------------------------------ the run

SECTIONS: dict[str, tuple[Callable[[Outcome], None], tuple[str, ...]]] = {
    "c": (ctest("dev"), ("dev",)),  # name: what runs, presets that it needs
    "tsan": (ctest("tsan", Which.WITH_THREADS), ("dev", "tsan")),  # dev tells which they are
    "pytest": (pytest_in_parts, ("dev",)),
    "weaken": (lambda outcome: weaken.verify(outcome, quick=True), ("dev", "tsan")),
    "asan": (asan, ("dev", "asan")),
    "lint": (lint, ("dev",)),
    "models": (verify_models, ()),
    "fuzz": (fuzz, ("fuzz",)),
    "still": (ctest("asan", Which.WITHOUT, is_short=True), ("dev", "asan")),
}
# What only computes runs beside the others up to pytest, whose tests mostly wait; so does what is
# built late. Weakenings are noticed by threads that meet: they come when that is over.
BESIDE = ("lint", "models", "fuzz", "still")
BUILT_LATE = ("asan", "fuzz")


def build_all(presets: list[str], *, every: bool = False) -> dict[str, str]:
    """Build the presets, two at a time; return what went wrong with each."""
    start, cpu = time.monotonic(), cpu_seconds()
    print(f"== build {' '.join(presets)} ==", flush=True)
    at_once = [each for each in presets if each != "tsan" or every]
    with ThreadPoolExecutor(2) as pool:
        problems = dict(zip(at_once, pool.map(build, at_once), strict=True))
    if "tsan" not in problems and "tsan" in presets:
        problems["tsan"] = build_tsan()
    seconds, cpu = time.monotonic() - start, cpu_seconds() - cpu
    print(f"-- build: {seconds:.1f} s, {cpu:.1f} s of processors", flush=True)
    return problems


def build_tsan() -> str:
    """Build the programs that start threads, as dev shows, which is built."""
    if problem := build("tsan", ["ew_static"]):
        return problem
    alone = set(without_threads(BUILD / "dev"))
    return build("tsan", [name for name in c_tests(BUILD / "tsan") if name not in alone])


def cpu_seconds() -> float:
    """Of this process and of those that it waited for."""
    return sum(os.times()[:4])


def run_section(name: str, section: Callable[[Outcome], None], problems: dict[str, str]) -> Outcome:
    outcome = Outcome(name)
    start, cpu = time.monotonic(), cpu_seconds()
    print(f"\n== {name} ==", flush=True)
    for preset, problem in problems.items():
        if problem and preset == "fuzz" and shutil.which("clang") is None:
            outcome.skip("fuzz targets", "needs clang")
        elif problem:
            outcome.failures.append(f"preset {preset} does not build")
            print(problem, flush=True)
    if name == "lint" or not any(problems.values()):  # style can be judged before it compiles
        section(outcome)
    outcome.seconds, outcome.cpu_seconds = time.monotonic() - start, cpu_seconds() - cpu
    print(f"-- {name}: {outcome.counts()}, {outcome.times()}", flush=True)
    return outcome


def presets_of(names: list[str]) -> list[str]:
    return list(dict.fromkeys(preset for name in names for preset in SECTIONS[name][1]))


class Neighbour:
    """Builds and sections that run beside others, at low priority; shown when all have ended."""

    def __init__(self, presets: list[str], names: list[str]) -> None:
        failure = "what runs beside pytest did not come to its end"
        self.problems = dict.fromkeys(presets, failure)
        self.outcomes = [Outcome(name, failures=[failure]) for name in names]
        self.command = ["nice", "-n", str(NICE), sys.executable, "-m", "tests.beside"]
        self.command += ["--build", *presets, "--run", *names]
        self.process: subprocess.Popen[bytes] | None = None
        self.is_over = False

    def start(self) -> None:
        if not (self.problems or self.outcomes):
            return
        with (BUILD / "beside.log").open("w") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=subprocess.STDOUT)

    def wait(self) -> None:
        """Wait for the end, show what was said, take what was found."""
        if self.process is None:
            self.start()
        if self.process is None or self.is_over:
            return
        self.is_over = True
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(SECTION_SECONDS_MAX)
        print((BUILD / "beside.log").read_text(errors="replace"), flush=True)
        if self.process.returncode == 0:
            self.problems, self.outcomes = pickle.loads(RESULT.read_bytes())

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def __enter__(self) -> "Neighbour":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.is_running:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()


def needed(name: str, problems: dict[str, str]) -> dict[str, str]:
    return {preset: problems[preset] for preset in SECTIONS[name][1]}


def run_all(names: list[str], extra: list[str]) -> list[Outcome]:
    """Run the sections one after the other, but beside those up to pytest what may run there."""
    beside = [name for name in names if name in BESIDE and "pytest" in names]
    front = [name for name in names if name not in beside]
    late = [each for each in presets_of(names) if each in BUILT_LATE and "pytest" in names]
    outcomes = []
    with Neighbour(late, beside) as neighbour:
        neighbour.start()
        problems = build_all([each for each in presets_of(front) if each not in late])

        def pytest_and_neighbour(outcome: Outcome) -> None:
            if extra:
                pytest(outcome, extra)
            else:
                pytest_in_parts(outcome, neighbour)

        for name in front:
            work = pytest_and_neighbour if name == "pytest" else SECTIONS[name][0]
            outcomes.append(run_section(name, work, needed(name, problems)))
            if name == "pytest":
                neighbour.wait()
                problems |= neighbour.problems
    return outcomes + neighbour.outcomes


def arguments_of(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the sections that are asked for, and what stands behind ``--``."""
    cut = words.index("--") if "--" in words else len(words)
    asked, extra = words[:cut], words[cut + 1 :]
    if unknown := [name for name in asked if name not in SECTIONS]:
        sys.exit(f"no section {unknown[0]!r}; there are: {' '.join(SECTIONS)}")
    return [name for name in SECTIONS if not asked or name in asked], extra


def main() -> None:
    names, extra = arguments_of(sys.argv[1:])
    start = float(os.environ.get("EW_STARTED", time.time()))
    print(f"-- set-up: {time.time() - start:.0f} s", flush=True)
    with huge_pages(HUGE_PAGES):
        outcomes = run_all(names, extra)
    left_out = [name for name in SECTIONS if name not in names]
    seconds = time.time() - start
    text, is_good = report(outcomes, left_out, strict=is_strict(), seconds=seconds)
    print(text, flush=True)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
