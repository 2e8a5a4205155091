"""What ./dev test does beside its pytest section: builds first, then whole sections.

usage: python -m tests.beside --build [PRESET...] --run [SECTION...]
"""

import pickle
import sys

from tests.sections import RESULT, SECTIONS, build_all, presets_of, run_sections


def main() -> None:
    cut = sys.argv.index("--run")
    late, names = sys.argv[2:cut], sys.argv[cut + 1 :]
    problems = build_all(list(dict.fromkeys([*late, *presets_of(names)])))
    outcomes = run_sections(names, {name: work for name, (work, _) in SECTIONS.items()}, problems)
    RESULT.write_bytes(pickle.dumps((problems, outcomes)))


if __name__ == "__main__":
    main()
