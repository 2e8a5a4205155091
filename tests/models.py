"""Verify the Spin models of tests/model, and that each named mistake is found.

A model says how it is to be verified in comments of one line near its top:

    /* verify: -m100000 */      options of the verifier; -DNAME also reaches the model
    /* deep: -m1000000 -DN=4 */ the same for ./dev check-deep
    /* mutants: LOSE SWAP */    with -DLOSE, and with -DSWAP, an error must be found
    /* livelock: -l -DNP */     one more search, for what goes on for ever
    /* livelock-mutants: ... */ what that one must find

A search that was cut short (depth, memory, time) proves nothing and counts as a failure.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.summary import Outcome

MODELS = Path("tests/model")
BUILD = Path("build/models")
VERIFY_DEFAULT = "-m100000"
MEMORY_MB = 2048
SECONDS_MAX = 180
CUT_SHORT = ("max search depth too small", "out of memory", "memory limit", "aborting")


def words(model: str, key: str) -> list[str]:
    """Return the words of the comment ``/* key: ... */`` of a model."""
    found = re.search(rf"/\*\s*{key}:(.*?)\*/", model, re.DOTALL)
    return [word for word in found[1].split() if word != "*"] if found else []


def search(path: Path, options: list[str], mutant: str, seconds: float) -> tuple[int | None, str]:
    """Run one verification; return the number of errors (None: nothing proved) and the output."""
    folder = BUILD / f"{path.stem}{'-' + mutant if mutant else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    defines = [o for o in options if o.startswith("-D")] + ([f"-D{mutant}"] if mutant else [])
    limits = [o for o in options if not o.startswith("-D")]
    level = "-O0" if mutant else "-O2"  # a mistake is found soon: compiling takes longer than that
    compiler = ["gcc", level, "-w", f"-DMEMLIM={MEMORY_MB}", *defines, "-o", "pan", "pan.c"]
    output = ""
    for command in (["spin", *defines, "-a", str(path.resolve())], compiler, ["./pan", *limits]):
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return None, f"{output}{command[0]}: no end after {seconds:.0f} s\n"
        output += done.stdout + done.stderr
        if done.returncode != 0 and command[0] != "./pan":
            return None, output
    counted = re.search(r"errors: (\d+)", output)
    errors = int(counted[1]) if counted else None
    if errors == 0 and any(text in output for text in CUT_SHORT):
        return None, output
    return errors, output


def run(outcome: Outcome, *, deep: bool = False, seconds: float = SECONDS_MAX) -> None:
    """Verify every model and every mutant; print a line for each."""
    for path in models():
        text = path.read_text()
        options = words(text, "verify") or [VERIFY_DEFAULT]
        if deep:
            options = words(text, "deep") or options
        errors, output = search(path, options, "", seconds)
        show(outcome, f"{path.name} {' '.join(options)}", errors == 0, f"errors: {errors}", output)
        find(outcome, path, words(text, "verify") or options, words(text, "mutants"), seconds)
        if livelock := words(text, "livelock"):
            errors, output = search(path, livelock, "", seconds)
            name = f"{path.name} {' '.join(livelock)}"
            show(outcome, name, errors == 0, f"errors: {errors}", output)
            find(outcome, path, livelock, words(text, "livelock-mutants"), seconds)


def find(
    outcome: Outcome, path: Path, options: list[str], mutants: list[str], seconds: float
) -> None:
    """Verify that each mistake is found."""
    for mutant in mutants:
        errors, output = search(path, options, mutant, seconds)
        show(outcome, f"{path.name} -D{mutant}", bool(errors), "mistake not found", output)


def models() -> Iterator[Path]:
    yield from sorted(MODELS.glob("*.pml"))


def larger() -> list[str]:
    """Return the models that ./dev check-deep verifies with more of everything."""
    return [path.name for path in models() if words(path.read_text(), "deep")]


def show(outcome: Outcome, name: str, is_good: bool, problem: str, output: str) -> None:
    outcome.check(name, is_good)
    print(f"{name}: {'ok' if is_good else problem}", flush=True)
    if not is_good:
        print(output, flush=True)
