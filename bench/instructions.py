"""How many instructions do the hot paths take?

``python -m bench.instructions [--write]`` has callgrind count them. Unlike time, the number is the
same on a busy machine, so tests/bench/test_instructions.py can hold it to 10 %.

A program does works one after the other, each between two calls of ``getppid``, where callgrind
writes what it has counted since the last one; set-up and warm-up are in parts of their own. One
run counts all works of a program.

net      bench/c/bench_net_wire.c: transport/net, both ends
channel  bench/c/count_channel.c: a message over shared memory, and over a stream, both ends
python   bench/python/count_calls.py: the same from Python. Counting begins when the interpreter has
         started, which takes as much of a second without it as it takes seconds with it

--write stores the numbers in bench/instructions.toml, with what they are the code of.
"""

import os
import platform
import re
import select
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "build" / "dev" / "bench"
STORED = ROOT / "bench" / "instructions.toml"
PATIENCE_S = 100
MARK = "getppid"  # count_mark of bench/c/count.h


@dataclass(frozen=True, slots=True)
class Program:
    """What is counted in one run.

    Attributes:
        works: how often each is done.
        is_python: counting begins when it says so.
    """

    command: tuple[str, ...]
    works: dict[str, int]
    is_python: bool = False


PROGRAMS_OF = {
    "net": Program(
        (str(PROGRAMS / "bench_net_wire"),),
        {
            "round trip": 1000,
            "round trip of 64": 3200,
            "open and close": 256,
            "KiB at 1500": 4096,
            "KiB at 9000": 8192,
        },
    ),
    "channel": Program(
        (str(PROGRAMS / "count_channel"),),
        {"shm 64": 2000, "shm 4096": 1000, "stream 64": 2000, "stream 4096": 1000},
    ),
    "python": Program(
        (sys.executable, "-S", str(ROOT / "bench" / "python" / "count_calls.py")),
        {"try_send and try_recv 64": 2000},
        is_python=True,
    ),
}


def instructions(name: str) -> dict[str, float]:
    """Return the instructions of each work of a program, for doing it once."""
    program = PROGRAMS_OF[name]
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", "--quiet", f"--dump-before={MARK}"]
        command += [f"--callgrind-out-file={made}"]
        command += ["--instr-atstart=no"] if program.is_python else []
        command += [*program.command, "--count"]
        for work, times in program.works.items():
            command += [work, str(times)]
        _run(command, directory, is_python=program.is_python)
        return {
            work: _total(made.with_name(f"{made.name}.{2 * number}")) / times
            for number, (work, times) in enumerate(program.works.items(), 1)
        }


def _run(command: list[str], directory: str, *, is_python: bool) -> None:
    environment = os.environ | {"TMPDIR": directory}  # for the files by which it is controlled
    if is_python:
        paths = [ROOT / "fabric", ROOT / "discovery", sysconfig.get_path("purelib")]
        environment |= {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if is_python:
                assert process.stdout is not None
                if select.select([process.stdout], [], [], PATIENCE_S)[0]:
                    process.stdout.readline()
                control = ["callgrind_control", "--instr=on", str(process.pid)]
                subprocess.run(control, env=environment, capture_output=True, timeout=PATIENCE_S)
            _, complaints = process.communicate("\n", timeout=PATIENCE_S)
        finally:
            process.kill()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {complaints.strip()}")


def _total(made: Path) -> int:
    if not made.exists():
        raise RuntimeError(f"callgrind wrote no {made.name}: the program did not come so far")
    found = re.search(r"^totals: (\d+)", made.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"callgrind wrote no total to {made.name}")
    return int(found[1])


def built(name: str) -> str:
    """Return what the numbers of a program are of: compiler, machine, interpreter."""
    done = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True)
    compiler = f"{done.stdout.partition(chr(10))[0]}, {platform.machine()}"
    if not PROGRAMS_OF[name].is_python:
        return compiler
    version = ".".join(platform.python_version_tuple()[:2])
    return f"{compiler}, {platform.python_implementation()} {version}"


def stored(name: str) -> tuple[str, dict[str, float]]:
    """Return what the numbers in the repository are of, and the numbers."""
    document = tomllib.loads(STORED.read_text())
    return document["built"][name], document[name]


def main() -> None:
    """Print, and on request store, the number of each work."""
    lines = ["# Written by python -m bench.instructions --write", "[built]"]
    lines += [f'{name} = "{built(name)}"' for name in PROGRAMS_OF]
    for name in PROGRAMS_OF:
        lines += ["", f"[{name}]"]
        lines += [f'"{work}" = {number:.0f}' for work, number in instructions(name).items()]
    print("\n".join(lines))
    if sys.argv[1:] == ["--write"]:
        STORED.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
