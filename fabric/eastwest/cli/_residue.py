"""What a dead process may leave behind, counted. Looks, and changes nothing."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from .. import _native
from ._machine import huge_pages_free

SHM = "/dev/shm"
SETTLE_SECONDS = (
    2.0  # for the kernel to free what a dead process had, and for others to come and go
)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is now, to compare with later."""

    shm_files: frozenset[str]
    huge_pages_free: int


def inventory() -> Inventory:
    """Count what a dead process might have left."""
    return Inventory(frozenset(_names(SHM)), huge_pages_free())


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def settled(is_so: Callable[[], bool]) -> bool:
    """Whether something becomes true soon; the kernel frees memory after the process is gone."""
    end = time.monotonic() + SETTLE_SECONDS
    while not is_so():
        if time.monotonic() >= end:
            return False
        time.sleep(0.01)
    return True


def new_shm_files(before: Inventory) -> list[str]:
    """Return what is in /dev/shm and was not before, once it has settled."""
    settled(lambda: not set(_names(SHM)) - before.shm_files)
    return sorted(set(_names(SHM)) - before.shm_files)


def huge_pages_missing(before: Inventory) -> int:
    """Return how many huge pages are not back, once it has settled."""
    settled(lambda: huge_pages_free() >= before.huge_pages_free)
    return max(0, before.huge_pages_free - huge_pages_free())


def shared_bytes(pid: int) -> int:
    """Return how much memory of channels a process has mapped."""
    total = 0
    with open(f"/proc/{pid}/maps") as lines:
        for line in lines:
            if "/memfd:eastwest" in line:
                first, _, last = line.split(maxsplit=1)[0].partition("-")
                total += int(last, 16) - int(first, 16)
    return total


def sockets(directory: str) -> list[str]:
    """Return the listeners' sockets in a runtime directory, live or stale."""
    return sorted(filter(_native.is_socket_name, _names(directory)))
