"""Weaken every ordered atomic access, one at a time, and see that something notices.

usage: python -m tests.weaken [--quick] [--search] [--copy NAME ORDER FOLDER]

  (nothing)  each row of noticed.toml: build it, run what should notice; write the table
  --quick    the rows that take little time
  --search   try the test programs for places that have no row yet; write noticed.toml
  --copy     write the file of one place, weakened, into a folder, to be looked at or built
"""

import argparse
import sys
from pathlib import Path

from tests.summary import Outcome
from tests.weaken import table
from tests.weaken.build import weakened_copy
from tests.weaken.notice import search, verify
from tests.weaken.places import all_places


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--copy", nargs=3, metavar=("NAME", "ORDER", "FOLDER"))
    asked = parser.parse_args()
    if asked.copy:
        name, order, folder = asked.copy
        (place,) = (each for each in all_places() if each.name == name)
        print(weakened_copy(place, order, Path(folder)))
        return
    if asked.search:
        table.write_rows(search(table.read_rows()))
        table.TABLE.write_text(table.render(table.read_rows()))
        return
    outcome = Outcome("weaken")
    verify(outcome, quick=asked.quick)
    print(outcome.counts(), *outcome.failures, sep="\n")
    sys.exit(bool(outcome.failures))


if __name__ == "__main__":
    main()
