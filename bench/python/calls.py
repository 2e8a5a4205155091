"""What one call costs, both ends in one process: pytest-benchmark, in the form of duo.h.

``python -m bench.python.calls [--quick]``: a case is named like its test, as "send_and_recv[64]"
(ours) or "send_and_recv[pipe-64]"; a value is the median, ns. What is not installed is left out.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIZES = (8, 64, 4096, 32 * 1024)
SECONDS, SECONDS_QUICK = 0.1, 0.02  # of a case
WARM = 2000  # calls before


def measure(seconds: float) -> dict[str, Any]:
    """Return the document of pytest-benchmark.

    Raises:
        RuntimeError: pytest failed; the text says with what.
    """
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / "calls.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "bench/python"]
        command += [f"--benchmark-json={made}", "--benchmark-warmup=on", "--benchmark-disable-gc"]
        command += [f"--benchmark-warmup-iterations={WARM}", f"--benchmark-max-time={seconds}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = [each for each in (done.stdout + done.stderr).splitlines() if each.strip()]
            told = [each for each in lines if each.startswith(("FAILED", "ERROR"))]
            raise RuntimeError((told or lines or ["pytest said nothing"])[-1])
        found: dict[str, Any] = json.loads(made.read_text())
        return found


def document(found: dict[str, Any]) -> dict[str, Any]:
    """Return it in our form."""
    cases = [
        {
            "case": each["name"].removeprefix("test_bench_"),
            "values": [each["stats"]["median"] * 1e9],
            "samples": each["stats"]["rounds"],
        }
        for each in found["benchmarks"]
    ]
    return {
        "schema": "eastwest-bench-1",
        "name": "python-calls",
        "unit": "ns",
        "rounds": 1,
        "cases": cases,
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.python.calls", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short time for each case")
    options = parser.parse_args()
    try:
        found = measure(SECONDS_QUICK if options.quick else SECONDS)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    json.dump(document(found), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
