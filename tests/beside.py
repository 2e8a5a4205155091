"""What ./dev test does beside its pytest section: builds first, then whole sections.

usage: python -m tests.beside --build [PRESET...] --run [SECTION...]
"""

import ctypes
import pickle
import signal
import sys

from tests.sections import RESULT, SECTIONS, build_all, needed, presets_of, run_section

PR_SET_PDEATHSIG = 1


def main() -> None:
    # A script that starts ./dev test with & has it ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)  # whatever ends ./dev test ends us
    cut = sys.argv.index("--run")
    late, names = sys.argv[2:cut], sys.argv[cut + 1 :]
    problems = build_all(list(dict.fromkeys([*late, *presets_of(names)])))
    outcomes = [run_section(name, SECTIONS[name][0], needed(name, problems)) for name in names]
    RESULT.write_bytes(pickle.dumps((problems, outcomes)))


if __name__ == "__main__":
    main()
