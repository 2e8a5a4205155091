"""./dev check-deep: the runs that take long. usage: python -m tests.deep [MINUTES of fuzzing]"""

import itertools
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests import models
from tests.sections import JOBS, build_all, fuzz_targets, pytest, run_section
from tests.summary import Outcome, report
from tests.weaken import notice as weaken

SEEDS = 200
TAKES_SEED = re.compile(r"\bharness_seed\(|\bHARNESS_FOR_EACH_SEED\(")


def seeds(outcome: Outcome) -> None:
    """Run each C test that takes a seed with fresh seeds; the first failing seed is shown."""
    for source in itertools.chain.from_iterable(
        Path("tests", folder).glob("test_*.c") for folder in ("c", "sim", "pkt")
    ):
        if not TAKES_SEED.search(source.read_text()):
            continue
        program = f"build/dev/tests/{source.parent.name}_{source.stem}"
        for seed in random.sample(range(2**32), SEEDS):
            done = subprocess.run(
                [program, "--seed", str(seed)], capture_output=True, text=True, timeout=120
            )
            if done.returncode not in (0, 77):
                print(f"{program} --seed {seed}\n{done.stdout}{done.stderr}", flush=True)
                break
        outcome.check(f"{program} (--seed {seed})", done.returncode in (0, 77))


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    targets = max(1, len(list(Path("tests/fuzz").glob("*.c"))))
    rounds = -(-targets // JOBS)
    fuzz_seconds = max(1, round(minutes * 60 / rounds))
    presets = ["dev", "tsan", "crash"] + (["fuzz"] if shutil.which("clang") else [])
    start = time.monotonic()
    problems = build_all(presets)
    print(f"-- build: {time.monotonic() - start:.1f} s", flush=True)
    outcomes = [
        run_section("seeds", seeds, {"dev": problems["dev"]}),
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
