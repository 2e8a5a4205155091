"""What a dead process may leave behind, counted. Looks, and changes nothing."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from .. import _native_rundir
from ._machine import HUGE_BYTES, huge_pages_used

SHM = "/dev/shm"
SETTLE_SECONDS = (
    2.0  # for the kernel to free what a dead process had, and for others to come and go
)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is now, to compare with later."""

    shm_files: frozenset[str]
    huge_pages_used: int


def inventory() -> Inventory:
    """Count what a dead process might have left."""
    return Inventory(frozenset(_names(SHM)), huge_pages_used())


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


def huge_pages_missing(before: Inventory, at_death: Inventory, taken: int) -> int:
    """Return how many huge pages are not back, once it has settled.

    Others may take and give back pages meanwhile, so one of two is proof enough: no more are used
    than before, or those that were taken became free when their holder died.

    Args:
        taken: by the channel.
    """

    def missing() -> int:
        used = huge_pages_used()
        more = used - before.huge_pages_used
        return max(0, min(more, taken - (at_death.huge_pages_used - used)))

    settled(lambda: missing() == 0)
    return missing()


@dataclass(frozen=True, slots=True)
class Mapped:
    """Memory of channels that a process has mapped, its own and its peers'."""

    bytes: int
    huge_pages: int


def mapped(pid: int) -> Mapped:
    """Count the memory of channels in a process."""
    total = huge = 0
    is_ours = False
    with open(f"/proc/{pid}/smaps") as lines:
        for line in lines:
            words = line.split()
            if "-" in words[0]:  # "7f00-7f40 rw-s ... /memfd:eastwest (deleted)"
                is_ours = "/memfd:eastwest" in line
            elif is_ours and words[0] == "Size:":
                size_bytes = int(words[1]) << 10
                total += size_bytes
            elif is_ours and words[0] == "KernelPageSize:" and int(words[1]) << 10 == HUGE_BYTES:
                huge += size_bytes // HUGE_BYTES
    return Mapped(total, huge)


def sockets(directory: str) -> list[str]:
    """Return the listeners' sockets in a runtime directory, live or stale."""
    return sorted(filter(_native_rundir.is_socket_name, _names(directory)))
