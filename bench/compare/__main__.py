"""``./dev bench``: compare Eastwest with what people would pick instead.

Writes results.json (every number, with the machine that it is of) and report.html (plots, tables,
what wins where) into bench/results, and prints the ratios. About 15 minutes, with --quick two. What
cannot be had here (a package, root, DPDK, Open vSwitch) is reported missing with the way to get it;
the rest is measured. Nothing else should run meanwhile: rounds with foreign load are dropped.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType

from bench.aims import environment

from . import plan
from .harness import Section
from .page import report, summary
from .results import Missing, Results
from .sections import QUESTIONS, Question

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "bench" / "results"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    names = [each.name for each in QUESTIONS]
    parser = argparse.ArgumentParser(
        prog="./dev bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    sections = "\n".join(f"{each.name:8} {each.text}" for each in QUESTIONS)
    parser.add_argument("--quick", action="store_true", help="few rounds: does it work?")
    parser.add_argument(
        "--only", action="append", choices=names, metavar="SECTION", help=f"of\n{sections}"
    )
    parser.add_argument("--rounds", type=_positive, help="of each section")
    parser.add_argument(
        "--out", type=Path, default=FOLDER, metavar="FOLDER", help="default bench/results"
    )
    parser.epilog = "With a NAME: one benchmark of Eastwest alone; ./dev bench aims --help."
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}; want 1 to 1000")
    return number


class Screen:
    """How far it is, on stderr: one line that is written over, or a line each."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._began = time.monotonic()

    def show(self, section: str, text: str) -> None:
        """Show where we are."""
        line = f"[{time.monotonic() - self._began:4.0f} s] {section}: {text}"
        end = "" if self._is_terminal else "\n"
        start = "\r\033[K" if self._is_terminal else ""
        print(f"{start}{line}", end=end, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._is_terminal:
            print(file=sys.stderr, flush=True)


def run(questions: Sequence[Question], budget: plan.Budget, *, is_quick: bool) -> Results:
    """Measure the sections; one that fails is missing, the others go on."""
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    began = time.monotonic()
    results = Results(environment(), started, is_quick)
    screen = Screen()
    for question in questions:
        screen.show(question.name, question.text)
        try:
            found = question.run(budget, is_quick, partial(screen.show, question.name))
        except Exception as error:  # noqa: BLE001 one section must not take the others with it
            results.missing.append(Missing(question.name, f"{type(error).__name__}: {error}"))
            continue
        take(results, question.name, found)
    screen.end()
    results.seconds = time.monotonic() - began
    return results


def take(results: Results, name: str, found: Section) -> None:
    """Add what a section came to."""
    results.series += found.series
    results.missing += found.missing
    results.rounds[name] = found.rounds
    results.dropped[name] = found.dropped
    results.environment |= {f"version of {each}": v for each, v in found.versions.items() if v}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, print.

    Returns:
        0, also where systems are missing; 1: nothing could be measured.
    """
    options = parse(arguments)
    signal.signal(signal.SIGTERM, _end)
    budget = plan.QUICK if options.quick else plan.FULL
    if options.rounds:
        budget = plan.Budget(options.rounds, budget.seconds, budget.sizes)
    chosen = [each for each in QUESTIONS if not options.only or each.name in options.only]
    try:
        results = run(chosen, budget, is_quick=options.quick)
    except KeyboardInterrupt:
        print("\nstopped; nothing is written", file=sys.stderr)
        return 130
    options.out.mkdir(parents=True, exist_ok=True)
    numbers, page = options.out / "results.json", options.out / "report.html"
    results.write(numbers)
    page.write_text(report(results))
    print(summary(results))
    print(f"{numbers}\n{page}", file=sys.stderr)
    return 0 if results.series else 1


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)  # the pairs are ended on the way


if __name__ == "__main__":
    sys.exit(main())
