"""What the machine offers, one function for each check of ``eastwest doctor``. Prints nothing.

A check looks, changes nothing, and returns a Finding; one that cannot look says so in its detail.
"""

import errno
import fcntl
import mmap
import os
import pwd
import resource
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import _cgroup

State = Literal["ok", "note", "problem"]

KERNEL_MIN = (5, 10)  # F_SEAL_FUTURE_WRITE 5.1, pidfd_open 5.3, close_range 5.9; design
KERNEL_PEERPIDFD = (6, 5)
SO_PEERPIDFD = 77  # include/uapi/asm-generic/socket.h
F_SEAL_FUTURE_WRITE = 0x0010  # include/uapi/linux/fcntl.h; not in Python 3.11
HUGE_BYTES = 2 << 20
HUGE_POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
NOFILE_PROBLEM, NOFILE_NOTE = (
    64,
    4096,
)  # descriptors; a channel over TCP takes one, shm two at first


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    detail: str
    fix: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it by name."""
        return {"name": self.name, "state": self.state, "detail": self.detail, "fix": self.fix}


def kernel() -> Finding:
    """Look at the version of the kernel."""
    release = os.uname().release
    if _version(release) < KERNEL_MIN:
        want = ".".join(map(str, KERNEL_MIN))
        return Finding("kernel", "problem", f"{release}, need {want}", "boot a newer kernel")
    return Finding("kernel", "ok", f"{release} on {os.uname().machine}")


def _version(release: str) -> tuple[int, int]:
    parts = [part for part in release.replace("-", ".").split(".") if part.isdigit()]
    return (int(parts[0]), int(parts[1])) if len(parts) > 1 else (0, 0)


def seals() -> Finding:
    """Try whether a sealed memfd really cannot be written any more."""
    try:
        fd = os.memfd_create("eastwest-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        fix = "allow memfd_create in the sandbox (seccomp)"
        return Finding("seals", "problem", f"memfd_create: {error.strerror}", fix)
    try:
        return _judge_seals(fd)
    finally:
        os.close(fd)


def _judge_seals(fd: int) -> Finding:
    os.ftruncate(fd, mmap.PAGESIZE)
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL)
    except OSError as error:
        detail = f"F_SEAL_FUTURE_WRITE: {error.strerror}"
        return Finding("seals", "problem", detail, "boot a kernel >= 5.10")
    try:
        mmap.mmap(fd, mmap.PAGESIZE).close()
    except PermissionError:
        return Finding("seals", "ok", "the kernel keeps a peer from writing to sealed memory")
    detail = "sealed memory could be mapped writable"
    return Finding("seals", "problem", detail, "boot a kernel >= 5.10")


def huge_seals(are_enforced: bool) -> Finding:
    """Judge what the library found out about seals on huge pages."""
    if are_enforced:
        return Finding("seals on huge pages", "ok", "enforced")
    detail = "not enforced, so channels use 4 KiB pages"
    return Finding("seals on huge pages", "note", detail, "boot a newer kernel")


def huge_pages() -> Finding:
    """Look at the pool of 2 MiB pages."""
    try:
        total, free, reserved = (
            int((HUGE_POOL / name).read_text())
            for name in ("nr_hugepages", "free_hugepages", "resv_hugepages")
        )
    except (OSError, ValueError):
        detail = "this kernel has no pool of 2 MiB pages; channels use 4 KiB pages"
        return Finding("huge pages", "note", detail)
    detail = f"{free} of {total} are free, {reserved} of them reserved"
    if free > reserved:
        return Finding("huge pages", "ok", detail)
    fix = f"sysctl vm.nr_hugepages={max(total, 0) + 64} (as root)"
    return Finding("huge pages", "note", f"{detail}; channels use 4 KiB pages", fix)


def huge_pages_used() -> int:
    """Return how many 2 MiB pages somebody holds; the size of the pool does not matter."""
    try:
        total, free = (
            int((HUGE_POOL / name).read_text()) for name in ("nr_hugepages", "free_hugepages")
        )
    except (OSError, ValueError):
        return 0
    return total - free


def memlock() -> Finding:
    """Look at the limit of locked memory."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    shown = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft >> 10} KiB"
    return Finding("locked memory", "ok", f"limit {shown}; shm and tcp lock none")


def nofile() -> Finding:
    """Look at the limit of descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    has_no_end = resource.RLIM_INFINITY in (soft, hard)
    detail = f"limit {'unlimited' if soft == resource.RLIM_INFINITY else soft}"
    fix = f"ulimit -n {'unlimited' if has_no_end else hard}"
    if soft != resource.RLIM_INFINITY and soft < NOFILE_PROBLEM:
        return Finding("descriptors", "problem", f"{detail}, too few to start with", fix)
    if soft != resource.RLIM_INFINITY and soft < NOFILE_NOTE:
        return Finding("descriptors", "note", f"{detail}; each channel takes one", fix)
    return Finding("descriptors", "ok", f"{detail}; each channel takes one")


def user() -> Finding:
    """Say as whom we run."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = "no name"
    groups = ", ".join(map(str, sorted({os.getegid(), *os.getgroups()})))
    return Finding("user", "ok", f"uid {uid} ({name}), groups {groups}")


def cpus(usable: int) -> Finding:
    """Judge how many CPUs the library found, by affinity and quota."""
    return judge_cpus(usable, len(os.sched_getaffinity(0)), _cgroup.ours().cpus())


def judge_cpus(usable: int, count: int, quota: float | None) -> Finding:
    """Judge what the library uses of those that affinity allows, and the quota, None without."""
    shown = "none" if quota is None else f"{quota:g}"
    detail = f"{count} of {os.cpu_count()} may be used, cgroup quota {shown}"
    if usable > 1:
        return Finding("cpus", "ok", detail)
    fix = "give the process two CPUs if latency matters"
    return Finding("cpus", "note", f'{detail}; wait = "adaptive" does not spin', fix)


def spin_cap(seconds: float) -> Finding:
    """Say how long "adaptive" spins at most, as the library measured it."""
    if seconds == 0:
        detail = "none: one CPU, or less than two by quota"
        return Finding("spin cap", "note", detail, "give the process two CPUs")
    return Finding("spin cap", "ok", f"{seconds * 1e6:.1f} us, what a wake-up costs here")


def peer_pidfd() -> Finding:
    """Try whether the kernel tells a socket's peer as a pidfd."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        try:
            os.close(ours.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD))
        except OSError as error:
            want = ".".join(map(str, KERNEL_PEERPIDFD))
            why = "not known" if error.errno == errno.ENOPROTOOPT else error.strerror
            detail = f"{why}; a peer that died is found by its pid, with a check against reuse"
            return Finding("SO_PEERPIDFD", "note", detail, f"boot a kernel >= {want}")
    return Finding("SO_PEERPIDFD", "ok", "a peer that died is seen even if it left children")
