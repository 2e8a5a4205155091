"""How many instructions does one operation of transport/net take?

``python -m bench.python.net_instructions [--write]`` counts each work of bench_net_wire under
callgrind, twice: the difference of the two counts is free of set-up. Unlike time, the number is
the same on a busy machine, so tests/python/test_net_instructions.py can hold it to 10 %.

--write stores the numbers in bench/net_instructions.toml, with the compiler that they belong to.
"""

import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "dev" / "bench" / "bench_net_wire"
STORED = ROOT / "bench" / "net_instructions.toml"
WORKS = {  # how often it is done in each of the two runs
    "round trip": (200, 1200),
    "round trip of 64": (640, 3840),
    "open and close": (64, 320),
    "KiB at 1500": (1024, 5120),
    "KiB at 9000": (2048, 10240),
}


def total(work: str, count: int) -> int:
    """Return the instructions of a whole run that does *work* so often."""
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / "callgrind.out"
        subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                "--quiet",
                f"--callgrind-out-file={made}",
                str(PROGRAM),
                "--count",
                work,
                str(count),
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=100,
        )
        found = re.search(r"^(?:summary|totals): (\d+)", made.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("callgrind wrote no total")
    return int(found[1])


def instructions(work: str) -> float:
    """Return the instructions of one operation, of both ends together."""
    few, many = WORKS[work]
    return (total(work, many) - total(work, few)) / (many - few)


def compiler() -> str:
    """Return what the numbers depend on: compiler and machine."""
    done = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True)
    return f"{done.stdout.partition(chr(10))[0]}, {platform.machine()}"


def stored() -> tuple[str, dict[str, float]]:
    """Return the compiler and the numbers that are in the repository."""
    document = tomllib.loads(STORED.read_text())
    return document["compiler"], document["instructions"]


def main() -> None:
    """Print, and on request store, the number of each work."""
    found = {work: instructions(work) for work in WORKS}
    lines = [f'"{work}" = {number:.0f}' for work, number in found.items()]
    print("\n".join(lines))
    if sys.argv[1:] == ["--write"]:
        head = "# Written by python -m bench.python.net_instructions --write\n"
        STORED.write_text(
            f'{head}compiler = "{compiler()}"\n\n[instructions]\n' + "\n".join(lines) + "\n"
        )


if __name__ == "__main__":
    main()
