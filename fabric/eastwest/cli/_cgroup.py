"""What the control group of this process allows: CPU time and memory. Reads files, prints nothing.

Version 2 has one tree, version 1 one for each controller; both may be there at once. A limit of any
group above counts, so the tightest on the way up is returned. In a container the path in
``/proc/self/cgroup`` may be of a tree that cannot be seen: then its visible root is looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
NO_LIMIT_BYTES = 1 << 60  # version 1 writes "no limit" as a number a little below 2^63


@dataclass(frozen=True, slots=True)
class Memory:
    """A limit of memory in bytes, how much of it is used, and the group that has it."""

    limit: int
    used: int
    group: str


class Cgroup:
    """The groups of one process.

    Args:
        root: where the trees are mounted.
        membership: the text of ``/proc/PID/cgroup``.
    """

    def __init__(self, root: Path, membership: str) -> None:
        self._root = root
        self._of: dict[str, str] = {}
        for line in membership.splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            for each in controllers.split(","):
                self._of[each] = path.strip()

    def cpus(self) -> float | None:
        """Return the quota of CPU time in CPUs, None without a limit."""
        found = []
        for group in self._groups("cpu"):
            quota, period = _words(group / "cpu.max"), _number(group / "cpu.cfs_period_us")
            if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit() and int(quota[1]):
                found.append(int(quota[0]) / int(quota[1]))
            old = _number(group / "cpu.cfs_quota_us")
            if old is not None and old > 0 and period:
                found.append(old / period)
        return min(found, default=None)

    def memory(self) -> Memory | None:
        """Return the tightest limit of memory, None without one."""
        found = []
        for group in self._groups("memory"):
            for limit_name, used_name in (
                ("memory.max", "memory.current"),
                ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            ):
                limit = _number(group / limit_name)
                if limit is not None and 0 <= limit < NO_LIMIT_BYTES:
                    used = _number(group / used_name) or 0
                    found.append(Memory(limit, used, f"/{group.relative_to(self._root)}"))
        return min(found, key=lambda each: each.limit - each.used, default=None)

    def _groups(self, controller: str) -> Iterator[Path]:
        """Yield the directories of our group and of those above it, in each tree."""
        trees = [(self._root / controller, self._of.get(controller))]
        trees += [(self._root, self._of.get("")), (self._root / "unified", self._of.get(""))]
        for tree, path in trees:
            if path is None or not tree.is_dir():
                continue
            group = tree / path.strip("/")
            if not group.is_dir() or ".." in group.parts:
                group = tree
            yield group
            while group != tree:
                group = group.parent
                yield group


def ours() -> Cgroup:
    """Return the groups of this process; of none if they cannot be read."""
    try:
        return Cgroup(ROOT, MEMBERSHIP.read_text())
    except OSError:
        return Cgroup(ROOT, "")


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    words = _words(path)
    try:
        return int(words[0]) if words else None
    except ValueError:  # "max"
        return None
