"""``python -m bench [NAME...]``: the comparison, or the benchmarks of these names.

Without names: compare with other systems (``python -m bench.compare --help``). With names: one
benchmark each, beside what the issues ask of it (``python -m bench.aims --help``); ``aims``: all.
"""

import sys

from bench import aims
from bench.compare import __main__ as compare


def main(arguments: list[str]) -> int:
    """Run what is asked for."""
    if any(each in aims.NAMES or each == "aims" for each in arguments):
        return aims.main([each for each in arguments if each != "aims"])
    return compare.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
