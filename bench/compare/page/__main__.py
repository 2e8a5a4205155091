"""``python -m bench.compare.page RESULTS.json``: the page, the summary, the documents."""

import argparse
import sys
from pathlib import Path

from bench.compare.page.document import report
from bench.compare.page.stored import publish
from bench.compare.page.terminal import summary
from bench.compare.results import read

ROOT = Path(__file__).resolve().parents[3]


def main(arguments: list[str]) -> int:
    """Make what is asked for; without an option, the page beside the results."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare.page", description=__doc__)
    parser.add_argument("results", type=Path, help="results.json of a run")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page")
    parser.add_argument("--terminal", action="store_true", help="print the summary")
    parser.add_argument(
        "--readme",
        action="store_true",
        help="store the run in docs/benchmarks.json and make the tables of README.md and "
        "docs/benchmarks.md anew",
    )
    parser.add_argument("--force", action="store_true", help="store a quick run, too")
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="the checkout that has the documents"
    )
    given = parser.parse_args(arguments)
    try:
        results = read(given.results)
        if given.html or not (given.terminal or given.readme):
            target = given.html or given.results.with_name("report.html")
            target.write_text(report(results), encoding="utf-8")
            print(f"written: {target}")
        if given.terminal:
            print(summary(results), end="")
        if given.readme:
            if results.is_quick and not given.force:
                raise ValueError(f"{given.results} is of a quick run; --force stores it anyway")
            for path in publish(results, given.root):
                print(f"written: {path}")
    except (OSError, ValueError) as error:
        print(f"bench.compare.page: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
