"""What is measured: numbers by the name of their case, and how far we are."""

import sys
from collections.abc import Iterable
from statistics import median

from bench.python.duo import Series


class Figures:
    """The series of one run.

    Attributes:
        is_quick: fewer rounds, and a tenth of the sizes: for tests of the benchmark.
    """

    def __init__(self, *, is_quick: bool) -> None:
        self.is_quick = is_quick
        self.series: dict[str, Series] = {}

    def size(self, full: int) -> int:
        """Return how many to have of what there is a lot of."""
        return max(1, full // 10) if self.is_quick else full

    def add(self, case: str, value: float) -> None:
        """Add the number of one round."""
        self.series.setdefault(case, Series()).values.append(value)

    def add_samples(self, case: str, samples: Iterable[int]) -> None:
        """Add one round: its median, and all of it for the tails."""
        taken = list(samples)
        self.add(case, median(taken))
        self.series[case].samples += taken

    def say(self, what: str) -> None:
        """Show what is being done."""
        print(f"  {what}", file=sys.stderr, flush=True)
