"""One section by itself, from the command line."""

import argparse
import sys
from collections.abc import Callable

from . import plan
from .harness import Progress, Section


def measured(
    name: str, text: str | None, run: Callable[[plan.Budget, bool, Progress], Section], quick: str
) -> Section:
    """Measure it as the arguments of the program say, telling on stderr how far it is.

    Args:
        text: for ``--help``.
        quick: what ``--quick`` leaves out.
    """
    parser = argparse.ArgumentParser(prog=f"bench.compare.{name}", description=text)
    parser.add_argument("--quick", action="store_true", help=quick)
    is_quick = parser.parse_args().quick
    budget = plan.QUICK if is_quick else plan.FULL
    return run(budget, is_quick, lambda text: print(text, file=sys.stderr))
