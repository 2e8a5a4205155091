"""./dev check-deep: the runs that take long. usage: python -m tests.deep [MINUTES]"""

import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests import models
from tests.commands import JOBS
from tests.ctests import ctest
from tests.sections import build_all, fuzz_targets, pytest, run_section
from tests.summary import Outcome, report
from tests.weaken import notice as weaken

SEEDS = 200
SWITCHES_SIMULATED, SWITCHES_REAL = 1_000_000, 10_000
LINKS_OF_A_RUN = 8  # of the simulation, at least, in the mean
TAKES_SEED = re.compile(r"\b(harness_seed|HARNESS_FOR_EACH_SEED|begin_stress)\(")


def programs() -> list[str]:
    """The C tests that take a seed."""
    sources = itertools.chain.from_iterable(
        Path("tests", folder).glob("test_*.c") for folder in ("c", "sim", "pkt")
    )
    return [
        f"build/dev/tests/{source.parent.name}_{source.stem}"
        for source in sources
        if TAKES_SEED.search(source.read_text())
    ]


def seeds(outcome: Outcome, seconds: float) -> None:
    """Run each program with fresh seeds for its share of the time, or SEEDS of them.

    The first seed that fails is shown.
    """
    names = programs()
    for name in names:
        end, count = time.monotonic() + seconds / len(names), 0
        for seed in random.sample(range(2**32), SEEDS):
            count += 1
            done = subprocess.run(
                [name, "--seed", str(seed)], capture_output=True, text=True, timeout=240
            )
            is_good = done.returncode in (0, 77)
            if not is_good:
                print(f"{name} --seed {seed}\n{done.stdout}{done.stderr}", flush=True)
            if not is_good or time.monotonic() > end:
                break
        print(f"{name}: {count} seeds", flush=True)
        outcome.check(f"{name} (--seed {seed})", is_good)


def switches(outcome: Outcome) -> None:
    """Replace a link a million times in simulation, ten thousand times between two namespaces."""
    runs = SWITCHES_SIMULATED // LINKS_OF_A_RUN
    program = ["build/dev/tests/sim_test_session", "--runs", str(runs)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=3600)
    print(done.stdout + done.stderr, flush=True)
    found = re.search(r"(\d+) links up", done.stdout)
    is_good = done.returncode == 0 and found is not None and int(found[1]) >= SWITCHES_SIMULATED
    outcome.check(f"{SWITCHES_SIMULATED} simulated switches", is_good)
    environment = {**os.environ, "EW_TEST_SWITCHES": str(SWITCHES_REAL)}
    moving = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--timeout=3600",
        "tests/moving/test_two_hosts.py",
    ]
    done = subprocess.run(moving, env=environment, capture_output=True, text=True, timeout=3600)
    print(done.stdout[-2000:], flush=True)
    outcome.check(f"{SWITCHES_REAL} switches between namespaces", done.returncode == 0)


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    targets = max(1, len(list(Path("tests/fuzz").glob("*.c"))))
    rounds = -(-targets // JOBS)
    fuzz_seconds = max(1, round(minutes * 60 / rounds))
    presets = ["dev", "asan", "tsan"] + (["fuzz"] if shutil.which("clang") else [])
    start = time.monotonic()
    problems = build_all(presets, every=True)
    print(f"-- build: {time.monotonic() - start:.1f} s", flush=True)
    outcomes = [
        run_section("seeds", lambda o: seeds(o, minutes * 60), {"dev": problems["dev"]}),
        run_section("tsan", ctest("tsan"), {"tsan": problems["tsan"]}),
        run_section("asan", ctest("asan"), {"asan": problems["asan"]}),
        run_section("switches", switches, {"dev": problems["dev"]}),
        run_section("models", lambda o: models.run(o, deep=True, seconds=1800), {}),
        run_section("weaken", weaken.verify, {"dev": problems["dev"], "tsan": problems["tsan"]}),
        run_section("pytest", lambda o: pytest(o, ["-m", "deep"]), {"dev": problems["dev"]}),
        run_section(
            "fuzz",
            lambda o: fuzz_targets(o, fuzz_seconds),
            {"fuzz": problems.get("fuzz", "needs clang")},
        ),
    ]
    text, is_good = report(outcomes, [], strict=False)
    print(text, flush=True)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
