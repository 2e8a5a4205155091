"""The parts of the tests in Python: which may run at the same time.

Nothing runs beside what measures processors and times. Beside what counts things that all
processes share (free huge pages, /dev/shm) runs what uses none of them: channels over streams,
stacks on small pages. Each part is a pytest of its own; a path belongs to the first part that
names it, or else to the one that names the nearest folder.
"""

from functools import cache
from pathlib import Path

TIDY = "tests/python/test_tidy.py"
MEASURING = (
    "tests/integration/test_wait_policy.py",
    "tests/moving/test_dpdk_idle.py",
    "tests/moving/test_waiting.py",
    "tests/python/test_cli_demo.py",
)
COUNTING = ("tests/crash",)
BESIDE_COUNTING = (
    ("tests/dpdk", "tests/python/test_net_*.py"),
    ("tests/conformance/test_*tcp*.py",),
    ("tests/conformance/test_dpdk.py", "tests/conformance/test_aio_dpdk.py"),
)
OTHERS = (
    ("tests",),
    ("tests/moving",),
    ("tests/discovery",),
    ("tests/bench",),
    ("tests/conformance/test_dpdk_*.py",),
    ("tests/conformance",),
    ("tests/python/test_cli*.py", "tests/integration"),
)
PARTS = ((TIDY,), MEASURING, COUNTING, *BESIDE_COUNTING, *OTHERS)


@cache
def paths_by_part() -> dict[tuple[str, ...], list[str]]:
    """Return the paths that each part names and no earlier one does."""
    taken: set[str] = set()
    found: dict[tuple[str, ...], list[str]] = {}
    for part in PARTS:
        paths = [str(path) for name in part for path in sorted(Path().glob(name))]
        found[part] = [path for path in paths if path not in taken]
        taken.update(paths)
    return found


def arguments_of_part(part: tuple[str, ...]) -> list[str]:
    """Return the paths of a part; what lies below them and belongs to another one is left out."""
    own = paths_by_part()[part]
    others = [path for each, paths in paths_by_part().items() if each != part for path in paths]
    below = [path for path in others if any(Path(path).is_relative_to(each) for each in own)]
    return [*own, *(f"--ignore={path}" for path in below)]
