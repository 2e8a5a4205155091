"""Does a test notice? Runs one row, or looks for a test for a place that has none."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests import models
from tests.summary import Outcome
from tests.weaken import table
from tests.weaken.build import WORK, Preset, build

JOBS = min(2, len(os.sched_getaffinity(0)))
RUN_SECONDS_MAX = 60
TRIES = {"tsan": 2, "run": 10}  # what is seen by chance only is looked for again
PRESETS = {"tsan": "tsan", "run": "dev"}
TSAN_OPTIONS = "halt_on_error=1:die_after_fork=0:exitcode=66"
EXIT_SKIPPED = 77


@cache
def preset(kind: str) -> Preset:
    return Preset(PRESETS[kind])


def runs(command: Path) -> bool:
    """Say whether a test program passes; the sanitizer's runtime wants a low mmap base."""
    prefix = ["setarch", "-R"] if shutil.which("setarch") else []
    with TemporaryDirectory(prefix="ew-") as folder:  # one that fails leaves something there
        try:
            done = subprocess.run(
                [*prefix, str(command), "--seed", "1"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "TSAN_OPTIONS": TSAN_OPTIONS, "TMPDIR": folder},
                timeout=RUN_SECONDS_MAX,
            )
        except subprocess.TimeoutExpired:
            return False  # a wake-up that never came
    return done.returncode in (0, EXIT_SKIPPED)


def is_noticed(name: str, how: str) -> bool:
    """Run one row; models are verified by their own section and here only looked up."""
    kind, _, rest = how.partition(" ")
    if kind == "argued":
        return len(rest) > 20
    if kind == "model":
        model, mutant = rest.split()
        text = (models.MODELS / f"{model}.pml").read_text()
        return mutant in models.words(text, "mutants") and f"ifdef {mutant}" in text.replace(
            "ifndef", "ifdef"
        )
    place, weaker = table.all_keys()[name]
    folder = WORK / "".join(c if c.isalnum() else "-" for c in f"{name}-{rest}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        program = build(preset(kind), rest, place, weaker, folder)
        return program is not None and not all(runs(program) for _ in range(TRIES[kind]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def each(names: Iterable[str], work: Callable[[str], bool]) -> Iterable[tuple[str, bool]]:
    names = list(names)
    with ThreadPoolExecutor(JOBS) as pool:
        yield from zip(names, pool.map(work, names), strict=True)


def verify(outcome: Outcome, *, quick: bool = False) -> None:
    """Every place has a row; what a row says is so; the table is what the rows say."""
    rows = table.read_rows()
    wrong = table.out_of_step(rows)
    for line in wrong:
        print(f"{line}\n    add it: python -m tests.weaken --search", flush=True)
    outcome.check("every atomic has a row in tests/weaken/noticed.toml", not wrong)
    is_same = table.TABLE.exists() and table.TABLE.read_text() == table.render(rows)
    outcome.check(f"{table.TABLE} is what the rows say", is_same)
    keys = table.all_keys()
    if JOBS == 1:  # two threads never pass the same code at the same moment
        for name in [name for name, how in rows.items() if how.startswith("run ")]:
            outcome.skip(name, "needs two processors")
            del rows[name]
    chosen = [name for name in rows if name in keys and (not quick or is_quick(name, rows[name]))]
    programs = sorted({rows[name] for name in chosen if rows[name].split()[0] in PRESETS})
    for how in programs:  # unchanged they pass: else they prove nothing
        kind, program = how.split()
        outcome.check(f"{how}, unchanged", runs(Path("build", PRESETS[kind], "tests", program)))
    for kind in {how.split()[0] for how in programs}:
        preset(kind)  # made once, before there are threads
    for name, is_good in each(chosen, lambda name: is_noticed(name, rows[name])):
        outcome.check(f"{name}: not noticed by {rows[name]}", is_good)
        if not is_good:
            print(f"{name}: NOT noticed by {rows[name]}", flush=True)
    if rest := len(keys) - len(chosen):
        outcome.deep.append(f"{rest} of {len(keys)} weakenings of memory order")
    print(f"{len(chosen)} of {len(keys)} weakenings: {outcome.counts()}", flush=True)


def is_quick(name: str, how: str) -> bool:
    """The shared memory core, whatever notices; elsewhere what needs no build."""
    return name.startswith("shm/") or how.split()[0] not in PRESETS


def search(rows: dict[str, str]) -> dict[str, str]:
    """Find a test program for each place without a row; the others stay."""
    sources = sorted(Path("tests/c").glob("test_order_*.c"))
    candidates = [f"tsan c_{source.stem}" for source in sources]
    missing = [name for name in table.all_keys() if name not in rows]

    preset("tsan")

    def find(name: str) -> str:
        for how in candidates:
            if is_noticed(name, how):
                return how
        return ""

    with ThreadPoolExecutor(JOBS) as pool:
        for name, how in zip(missing, pool.map(find, missing), strict=True):
            print(f"{name}: {how or 'NOT noticed'}", flush=True)
            if how:
                rows[name] = how
    return rows
