"""Shared memory that a library leaves behind when both its processes have closed it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

SHARED: Final = Path("/dev/shm")


def mapped(part: str) -> set[Path]:
    """Return the segments that this process has mapped and whose names have this part."""
    found = set()
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = Path(line.partition("/")[1] + line.partition("/")[2])
        if path.parent == SHARED and part in path.name and not path.name.endswith("(deleted)"):
            found.add(path)
    return found


def named(start: str) -> set[Path]:
    """Return the segments whose names begin so."""
    return set(SHARED.glob(f"{start}*"))


def remove(segments: Iterable[Path]) -> None:
    """Remove those that are still there."""
    for each in segments:
        each.unlink(missing_ok=True)
