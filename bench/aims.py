"""``python -m bench.aims [--quick] [--json FILE] [NAME...]``: run the benchmarks, print ratios.

Every benchmark measures its cases in one run, in interleaved rounds. A ratio is formed for each
round; its median is compared with the target of the issue. A slow number is reported, never an
error: the exit code is 0 unless a benchmark could not run at all.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.targets import TARGETS, Target

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build" / "dev" / "bench"
TIMEOUT_S = 600
SHARED_CORE_NS = 80  # a round trip between two cores takes 100 ns or more, between two threads 30
Document = dict[str, Any]


# ------------------------------------------------------------------ what is run


def c_program(name: str) -> list[str]:
    """Return the command of a C benchmark."""
    return [str(PROGRAMS / f"bench_{name}")]


def module(name: str) -> list[str]:
    """Return the command of a Python driver."""
    return [sys.executable, "-m", f"bench.python.{name}"]


COMMANDS = {
    "pingpong": c_program("pingpong"),
    "oneway": c_program("oneway"),
    "tcp": c_program("tcp"),
    "idle": c_program("idle"),
    "net-sum": c_program("net_sum"),
    "net-base": c_program("net_base"),
    "net-wire": c_program("net_wire"),
    "shell": c_program("shell"),
    "net-million": [*c_program("net_wire"), "--million"],
    "python-calls": module("calls"),  # pytest-benchmark
    "python-roundtrip": module("roundtrip"),
    "python-oneway": module("oneway"),
    "python-tcp-into": module("tcp_into"),
    "python-gil": module("gil"),
    "python-idle": module("idle"),
    "python-switching": module("switching"),
    "python-far": module("far"),
    "python-waiting": module("waiting"),
    "python-scale": module("scale"),
    "aio-roundtrip": module("aio_roundtrip"),
    "net-goodput": [sys.executable, "-m", "bench.net_goodput"],
    "dpdk": [sys.executable, "-m", "bench.dpdk"],
    "discovery": [sys.executable, "-m", "bench.discovery"],
}
NAMES = tuple(COMMANDS)


# ------------------------------------------------------------------ what was found


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what was measured."""

    target: Target
    value: float
    rounds: int
    met: bool
    note: str


def judge(target: Target, document: Document) -> Verdict:
    """Form the ratio of every round and compare the median."""
    cases = {each["case"]: each["values"] for each in document["cases"]}
    names = (target.base,) if isinstance(target.base, str) else target.base or ()
    if missing := [name for name in (target.case, *names) if name not in cases]:
        return Verdict(target, float("nan"), 0, False, f" (missing here: {', '.join(missing)})")
    values = cases[target.case]
    if names:
        bases = [max(each) for each in zip(*(cases[name] for name in names), strict=True)]
        values = [one / other for one, other in zip(values, bases, strict=True)]
    value = median(values)
    met = target.limit is None or (
        value <= target.limit if target.sense == "<=" else value >= target.limit
    )
    return Verdict(target, value, len(values), met, remark(target, cases))


def remark(target: Target, cases: dict[str, list[float]]) -> str:
    """Return what makes a ratio meaningless, or ""."""
    if target.base in ("line", "lines") and median(cases["line"]) < SHARED_CORE_NS:
        return " (both CPUs share a core now, no line moves: repeat)"
    return ""


# ------------------------------------------------------------------ running


def run(name: str, quick: bool) -> Document | str:
    """Return what a benchmark wrote, or why it wrote nothing."""
    command = COMMANDS[name] + (["--quick"] if quick else [])
    if command[0] != sys.executable and not Path(command[0]).exists():
        return f"{command[0]} is missing: ./dev build"
    return finish(command)


def finish(command: Sequence[str]) -> Document | str:
    """Run a command to its end; its document is on stdout."""
    paths = (ROOT, ROOT / "fabric", ROOT / "discovery")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.PIPE, text=True
        )
        timer = threading.Timer(TIMEOUT_S, process.kill)
        timer.start()
        try:
            last = shown(process)
            status = process.wait()
        finally:  # whoever is interrupted leaves nobody behind
            is_late = not timer.is_alive()
            timer.cancel()
            process.kill()
            process.wait()
        output.seek(0)
        printed = output.read()
    if is_late:
        return f"did not end within {TIMEOUT_S} s"
    if status != 0:
        last = last or (printed.strip().splitlines() or ["no message"])[-1]
        return f"ended with {status}: {last}"
    document: Document = json.loads(printed)
    return document


def shown(process: "subprocess.Popen[str]") -> str:
    """Pass on how far a benchmark is until it closes its stderr; return the last line."""
    last = ""
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            print(line, end="", file=sys.stderr, flush=True)
            last = line.strip() or last
    return last


# ------------------------------------------------------------------ where it was measured


def line_of(path: str, key: str) -> str:
    """Return the value of a ``key : value`` line of a file in /proc, or ""."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((each.split(":", 1)[1].strip() for each in lines if each.startswith(key)), "")


def output_of(*command: str) -> str:
    """Return the first line that a command prints, or ""."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else ""


def compile_flags() -> str:
    """Return how the library was optimised."""
    try:
        commands = json.loads((ROOT / "build" / "dev" / "compile_commands.json").read_text())
    except OSError:
        return "not built"
    words = next(each["command"] for each in commands if "/shm/" in each["file"]).split()
    return " ".join(word for word in words if word.startswith(("-O", "-g", "-m", "-f", "-std")))


def environment() -> dict[str, str]:
    """Return the facts that a number depends on."""
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    changed = output_of("git", "status", "--porcelain", "--untracked-files=no") != ""
    return {
        "cpu": line_of("/proc/cpuinfo", "model name"),
        "cpus": str(len(os.sched_getaffinity(0))),
        "load": " ".join(Path("/proc/loadavg").read_text().split()[:3]),
        "kernel": platform.release(),
        "governor": governor.read_text().strip() if governor.exists() else "not visible",
        "huge pages": f"{line_of('/proc/meminfo', 'HugePages_Free')} free of "
        f"{line_of('/proc/meminfo', 'HugePages_Total')}",
        "python": platform.python_version(),
        "compiler": output_of("cc", "--version"),
        "flags": compile_flags(),
        "commit": (output_of("git", "rev-parse", "--short", "HEAD") or "none")
        + (" with changes" if changed else ""),
    }


# ------------------------------------------------------------------ printing


def number(value: float) -> str:
    """Return four significant digits without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def print_cases(document: Document) -> None:
    """Print the plain numbers of one benchmark."""
    head = [f"{document['name']}, {document['unit']}", "median", "p50", "p99", "p99.9", "rounds"]
    rows = [head]
    for each in document["cases"]:
        quantiles = [number(each[q]) if q in each else "" for q in ("p50", "p99", "p999")]
        values = each["values"]
        rows.append([each["case"], number(median(values)), *quantiles, str(len(values))])
    print(table(rows), end="\n\n")


def print_verdicts(verdicts: Sequence[Verdict], failed: dict[str, str]) -> None:
    """Print the ratios beside what the issue asks for."""
    rows = [["what", "measured", "target", "rounds", ""]]
    for each in verdicts:
        target = each.target
        verdict, limit = "", ""
        if target.limit is not None:
            verdict = "met" if each.met else "not met"
            limit = f"{target.sense} {number(target.limit)}"
        verdict += each.note
        rows.append([target.text, number(each.value), limit, str(each.rounds), verdict])
    for name, why in failed.items():
        rows.append([f"{name}: {why}", "", "", "", "not run"])
    print(table(rows))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.aims", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to FILE")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    options = parser.parse_args(arguments)
    if unknown := [each for each in options.names if each not in NAMES]:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    options.names = options.names or list(NAMES)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write."""
    options = parse(arguments)
    documents: list[Document] = []
    verdicts: list[Verdict] = []
    failed: dict[str, str] = {}
    facts = environment()
    for name in options.names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found = run(name, options.quick)
        if isinstance(found, str):
            failed[name] = found
            continue
        documents.append(found)
        verdicts += [judge(each, found) for each in TARGETS if each.benchmark == name]
    for document in documents:
        print_cases(document)
    for key, value in facts.items():
        print(f"{key + ':':12}{value}")
    print()
    print_verdicts(verdicts, failed)
    if options.json is not None:
        made = {
            "schema": "eastwest-report-1",
            "quick": options.quick,
            "environment": facts,
            "verdicts": [asdict(each) for each in verdicts],
            "failed": failed,
            "benchmarks": documents,
        }
        options.json.write_text(json.dumps(made, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
