"""``python -m bench.report [--quick] [--json FILE] [NAME...]``: run the benchmarks, print ratios.

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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

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
}
CALLS = "python-calls"  # pytest-benchmark


# ------------------------------------------------------------------ what is asked for


@dataclass(frozen=True, slots=True)
class Target:
    """A number of the issue: of one case, or the ratio of two."""

    benchmark: str
    text: str
    case: str
    base: str | tuple[str, ...] | None  # several: the highest of each round
    sense: Literal["<=", ">="]
    limit: float
    required: bool = True


DPDK_AIMS: dict[tuple[str, str], tuple[Literal["<=", ">="], float]] = {
    ("requests", "requests/s of 64 connections"): (">=", 7),
    ("cpu", "CPU for a request"): ("<=", 0.12),
    ("connect", "connections/s"): (">=", 10),
    ("bulk", "bulk at MTU 1500"): (">=", 3),
}
TARGETS = (
    Target("pingpong", "ring / bare cache line, 64 B", "ring", "line", "<=", 1.25),
    Target("pingpong", "ew_channel / bare cache line, 64 B", "channel", "line", "<=", 1.5),
    Target("pingpong", "ring / the two lines of a record", "ring", "lines", "<=", 1.25, False),
    Target(
        "pingpong", "ew_channel / the two lines of a record", "channel", "lines", "<=", 1.5, False
    ),
    Target("oneway", "ew_channel / Unix stream, 64 B messages", "channel/64", "unix/64", ">=", 50),
    Target("oneway", "send_many / Unix stream, 64 B messages", "many/64", "unix/64", ">=", 50),
    Target("oneway", "ew_channel / memcpy, 32 KiB", "channel/32768", "memcpy/32768", ">=", 0.8),
    Target(
        "oneway",
        "ew_channel / memcpy in and out, 32 KiB",
        "channel/32768",
        "memcpy2/32768",
        ">=",
        0.8,
        False,
    ),
    Target("tcp", "our TCP / raw TCP, both spin", "ours-spin", "raw-spin", "<=", 1.15),
    Target("tcp", "our TCP / raw TCP, both block", "ours-block", "raw-block", "<=", 1.15),
    Target("idle", "idle over shm, % CPU", "shm", None, "<=", 0.5),
    Target("idle", "idle over tcp, % CPU", "tcp", None, "<=", 0.5),
    Target("net-wire", "net, 64 B round trips/s, 64 connections", "rtt 64", None, ">=", 2e6),
    Target("net-wire", "net, 64 B round trips/s, 1 connection", "rtt 1", None, ">=", 2e6, False),
    Target("net-wire", "net, connect + exchange + close, 1/s", "open", None, ">=", 250e3),
    Target("net-wire", "net, bulk at MTU 1500, bit/s", "bulk 1500", None, ">=", 20e9),
    Target("net-wire", "net, bulk at MTU 9000, bit/s", "bulk 9000", None, ">=", 50e9),
    Target("net-wire", "net, bytes of an idle connection", "bytes", None, "<=", 512),
    Target("net-million", "net, connections open", "connections", None, ">=", 1 << 20),
    Target("python-roundtrip", "Python / polled Unix socket", "eastwest", "poll", "<=", 1 / 8),
    Target("python-roundtrip", "Python / blocking Unix socket", "eastwest", "block", "<=", 1 / 50),
    Target(
        "python-roundtrip", "Python / iceoryx2's Python package", "eastwest", "iceoryx2", "<=", 0.2
    ),
    Target("python-roundtrip", "Python round trip, ns (goal)", "eastwest", None, "<=", 1000, False),
    Target("python-gil", "try_send beside a busy thread, p99.9 ns", "busy", None, "<=", 20_000),
    Target("python-switching", "busy switch shm -> tcp, s", "busy-tcp", None, "<=", 0.005),
    Target("python-switching", "busy switch tcp -> shm, s", "busy-shm", None, "<=", 0.005),
    Target("python-switching", "pause seen in shm -> tcp, s", "gap-tcp", None, "<=", 0.005),
    Target("python-switching", "pause seen in tcp -> shm, s", "gap-shm", None, "<=", 0.005),
    Target("python-far", "grown channel / raw TCP at 40 ms", "grown", "raw", ">=", 0.9, False),
    Target(
        "python-far", "new channel, 48 MiB / raw TCP at 40 ms", "fresh", "raw", ">=", 0.5, False
    ),
    Target("python-far", "without growth / raw TCP at 40 ms", "fixed", "raw", ">=", 0.1, False),
    *(
        Target(
            "python-oneway",
            f"Python send / best of pyzmq ipc and Unix stream, {size} B",
            f"send/{size}",
            (f"unix/{size}", f"zmq/{size}"),
            ">=",
            2,
        )
        for size in (64, 1024, 65536, 1048576)
    ),
    *(
        Target(
            "python-oneway",
            f"Python recv_into / two copies by one core, {size >> 20} MiB",
            f"into/{size}",
            f"copies/{size}",
            ">=",
            1,
        )
        for size in (1 << 20, 4 << 20, 16 << 20, 64 << 20)
    ),
    *(
        Target(
            "python-oneway",
            f"Python recv_into / one copy, {size >> 20} MiB",
            f"into/{size}",
            f"copy/{size}",
            ">=",
            0.8,
            False,
        )
        for size in (1 << 20, 4 << 20, 16 << 20, 64 << 20)
    ),
    *(
        Target(
            "python-tcp-into",
            f"Python recv_into over TCP / raw socket, {size >> 10} KiB",
            f"into/{size}",
            f"raw/{size}",
            ">=",
            1,
            False,
        )
        for size in (64 << 10, 1 << 20, 16 << 20)
    ),
    Target("python-oneway", "send_many in Python, 64 B, messages/s", "many/64", None, ">=", 10e6),
    *(
        Target(
            "python-waiting",
            f"adaptive / {base}, {where}",
            f"adaptive/{where}",
            f"{base}/{where}",
            "<=",
            limit,
            False,
        )
        for where, base, limit in (
            ("unpinned", "block", 1.1),
            ("apart", "spin", 2),
            ("together", "block", 1.1),
            ("quota", "block", 1.1),
        )
    ),
    Target("python-idle", "idle in Python, % CPU", "recv", None, "<=", 0.5),
    Target(
        "python-scale", "bytes touched by an idle channel", "touched/used", None, "<=", 16 << 10
    ),
    Target(
        "aio-roundtrip",
        "asyncio / asyncio streams over a Unix socket, hot",
        "hot",
        "hot-streams",
        "<=",
        0.1,
    ),
    Target(
        "aio-roundtrip",
        "asyncio / asyncio streams over a Unix socket, idle",
        "idle",
        "hot-streams",
        "<=",
        1.0,
    ),
    *(
        Target(
            "dpdk", f"{text}, {wire} / kernel over veth", f"{case}/{wire}", f"{case}/kernel", *at
        )
        for wire in ("virtio", "memif")
        for (case, text), at in DPDK_AIMS.items()
    ),
    Target("dpdk", "64 B round trip, virtio / kernel", "rtt/virtio", "rtt/kernel", "<=", 0.25),
    Target("dpdk", "64 B round trip, memif / kernel", "rtt/memif", "rtt/kernel", "<=", 0.35),
    Target(
        "net-goodput",
        "goodput of our TCP / the kernel's, 1 % loss, 10 ms",
        "ours/1%/10ms",
        "kernel/1%/10ms",
        ">=",
        1,
    ),
)


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
    met = value <= target.limit if target.sense == "<=" else value >= target.limit
    return Verdict(target, value, len(values), met, remark(target, cases))


def remark(target: Target, cases: dict[str, list[float]]) -> str:
    """Return what makes a ratio meaningless, or ""."""
    if target.base in ("line", "lines") and median(cases["line"]) < SHARED_CORE_NS:
        return " (both CPUs share a core now, no line moves: repeat)"
    return ""


# ------------------------------------------------------------------ running


def run(name: str, quick: bool) -> Document | str:
    """Return what a benchmark wrote, or why it wrote nothing."""
    if name == CALLS:
        return run_calls(quick)
    command = COMMANDS[name] + (["--quick"] if quick else [])
    if command[0] != sys.executable and not Path(command[0]).exists():
        return f"{command[0]} is missing: ./dev build"
    return finish(command, None)


def run_calls(quick: bool) -> Document | str:
    """Run the pytest-benchmark cases and turn their numbers into our form."""
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / "calls.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += ["bench/python", f"--benchmark-json={made}", "--benchmark-warmup=on"]
        command += ["--benchmark-disable-gc", f"--benchmark-max-time={0.2 if quick else 1.0}"]
        found = finish(command, made)
    if isinstance(found, str):
        return found
    cases = []
    for each in found["benchmarks"]:
        stats = each["stats"]
        name = each["name"].removeprefix("test_bench_")
        cases.append({"case": name, "values": [stats["median"] * 1e9], "samples": stats["rounds"]})
    return {"schema": "eastwest-bench-1", "name": CALLS, "unit": "ns", "rounds": 1, "cases": cases}


def finish(command: Sequence[str], made: Path | None) -> Document | str:
    """Run a command to its end; its document is in *made* or on stdout."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'fabric'}"}
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {TIMEOUT_S} s"
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        return f"ended with {done.returncode}: {lines[-1]}"
    document: Document = json.loads(done.stdout if made is None else made.read_text())
    return document


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
        verdict = ("met" if each.met else "not met") + each.note
        limit = f"{target.sense} {number(target.limit)}"
        rows.append([target.text, number(each.value), limit, str(each.rounds), verdict])
    for name, why in failed.items():
        rows.append([f"{name}: {why}", "", "", "", "not run"])
    print(table(rows))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    names = [*COMMANDS, CALLS]
    parser = argparse.ArgumentParser(prog="bench.report", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to FILE")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    options = parser.parse_args(arguments)
    if unknown := [each for each in options.names if each not in names]:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(names)}")
    options.names = options.names or names
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
