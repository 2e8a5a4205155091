"""Limits, users and security of the machine, for ``eastwest doctor``. Prints nothing.

Each check is two functions: one that looks, and one that judges what was seen and can be tested
without a machine that is like that.
"""

import ctypes
import os
import platform
from pathlib import Path

from . import _cgroup
from ._machine import Finding

PROC = Path("/proc")
THP_SHMEM = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
SELINUX = Path("/sys/fs/selinux/enforce")
APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
OVERFLOW_UID = 65534  # transport/local/access.c; include/linux/highuid.h
WHOLE_MAP = (0, 0, (1 << 32) - 1)  # of the first user namespace, user_namespaces(7)
FILES_FREE_MIN, WATCHES_MIN = 4096, 16384
MAPPINGS_OF_A_CHANNEL = 2  # our outbox and the peer's
MAPPINGS_MIN = 65530  # DEFAULT_MAX_MAP_COUNT, include/linux/mm.h
MEMORY_FREE_MIN = 64 << 20
SYS_MEMBARRIER = {"x86_64": 324, "aarch64": 283}
MEMBARRIER_NEEDED = 1 << 3 | 1 << 4  # PRIVATE_EXPEDITED and its registration, linux/membarrier.h


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return None


# ------------------------------------------------------------------ pages


def thp_shmem() -> Finding:
    """Look at whether small pages of shared memory may become transparent huge pages."""
    return judge_thp_shmem(_read(THP_SHMEM))


def judge_thp_shmem(said: str | None) -> Finding:
    """Judge ``shmem_enabled``: the word in brackets is in force."""
    name = "transparent huge pages"
    if said is None:
        return Finding(name, "note", "this kernel has none for shared memory", None)
    word = said.partition("[")[2].partition("]")[0]
    if word == "deny":
        detail = "shmem_enabled is deny: rings of 2 MiB or more stay on 4 KiB pages"
        return Finding(name, "note", detail, f"echo advise > {THP_SHMEM} (as root)")
    return Finding(name, "ok", f"shmem_enabled is {word or '?'}; rings ask for them themselves")


# ------------------------------------------------------------------ limits


def open_files() -> Finding:
    """Look at the descriptors that are left in the whole system."""
    return judge_open_files(_read(PROC / "sys/fs/file-nr"))


def judge_open_files(said: str | None) -> Finding:
    """Judge ``file-nr``: allocated, unused, limit."""
    words = (said or "").split()
    if len(words) != 3 or not all(map(str.isdigit, words)):
        return Finding("open files", "note", "/proc/sys/fs/file-nr cannot be read")
    used, _, limit = map(int, words)
    detail = f"{used} of {limit} in the system"
    if limit - used < FILES_FREE_MIN:
        fix = f"sysctl fs.file-max={max(2 * limit, 1 << 18)} (as root)"
        return Finding("open files", "problem", f"{detail}: connections will fail", fix)
    return Finding("open files", "ok", detail)


def mappings() -> Finding:
    """Look at how many mappings a process may have."""
    return judge_mappings(_read(PROC / "sys/vm/max_map_count"))


def judge_mappings(said: str | None) -> Finding:
    """Judge ``max_map_count``."""
    if said is None or not said.isdigit():
        return Finding("mappings", "note", "/proc/sys/vm/max_map_count cannot be read")
    channels = int(said) // (2 * MAPPINGS_OF_A_CHANNEL)
    detail = f"{said} of a process, enough for {channels} shm channels and as much else"
    if int(said) < MAPPINGS_MIN:
        return Finding("mappings", "note", detail, "sysctl vm.max_map_count=65530 (as root)")
    return Finding("mappings", "ok", detail)


def epoll_watches() -> Finding:
    """Look at how many descriptors may be watched."""
    return judge_epoll_watches(_read(PROC / "sys/fs/epoll/max_user_watches"))


def judge_epoll_watches(said: str | None) -> Finding:
    """Judge ``max_user_watches``: of all processes of a user together."""
    if said is None or not said.isdigit():
        return Finding("epoll watches", "note", "the limit cannot be read")
    detail = f"{said} of a user; each channel takes one or two"
    if int(said) < WATCHES_MIN:
        fix = f"sysctl fs.epoll.max_user_watches={1 << 20} (as root)"
        return Finding("epoll watches", "note", detail, fix)
    return Finding("epoll watches", "ok", detail)


def dev_shm() -> Finding:
    """Say that the usual suspect is none."""
    return Finding("/dev/shm", "ok", "not needed: memory is anonymous and has no name")


def memory_limit(budget_bytes: int) -> Finding:
    """Look at the memory limit of our control group.

    Args:
        budget_bytes: ``memory_bytes_max`` of the configuration.
    """
    return judge_memory(_cgroup.ours().memory(), budget_bytes)


def judge_memory(found: _cgroup.Memory | None, budget_bytes: int) -> Finding:
    """Judge a limit; shared memory is charged to the group of whoever touched it first."""
    name = "memory limit"
    if found is None:
        return Finding(name, "ok", "none by cgroup")
    free = max(0, found.limit - found.used)
    detail = f"cgroup {found.group}: {free >> 20} of {found.limit >> 20} MiB are free"
    if free < MEMORY_FREE_MIN:
        fix = f"raise memory.max of {found.group}"
        return Finding(name, "problem", f"{detail}: the kernel may kill the process", fix)
    if found.limit < budget_bytes:
        detail += f", and memory_bytes_max is {budget_bytes >> 20} MiB"
        fix = f"set memory_bytes_max below {found.limit}, or raise memory.max of {found.group}"
        return Finding(name, "note", detail, fix)
    return Finding(name, "ok", detail)


# ------------------------------------------------------------------ users


def namespace_of_users() -> Finding:
    """Look at whether we and our peers have uids that the kernel can tell."""
    return judge_users(
        os.geteuid(), _read(PROC / "self/uid_map"), _read(PROC / "sys/kernel/overflowuid")
    )


def judge_users(uid: int, uid_map: str | None, overflow: str | None) -> Finding:
    """Judge our uid, the map of our user namespace, and the overflow uid."""
    name = "uids"
    if overflow is not None and overflow != str(OVERFLOW_UID):
        detail = f"the overflow uid is {overflow}, and only {OVERFLOW_UID} is never let in"
        return Finding(name, "problem", detail, f"sysctl kernel.overflowuid={OVERFLOW_UID}")
    if uid == OVERFLOW_UID:
        detail = f"we run as uid {uid}, the overflow uid: no peer trusts it"
        return Finding(name, "problem", detail, "run as a user with a uid of its own")
    rows = [tuple(map(int, row.split())) for row in (uid_map or "").splitlines()]
    if rows and rows != [WHOLE_MAP]:
        mapped = sum(row[2] for row in rows)
        detail = f"a user namespace with {mapped} uids: peers with others look like {OVERFLOW_UID}"
        return Finding(name, "note", detail, "map the uids of the peers, or use the same namespace")
    return Finding(name, "ok", f"all are known; {OVERFLOW_UID}, the overflow uid, is never let in")


# ------------------------------------------------------------------ security


def security() -> Finding:
    """Look at SELinux and AppArmor."""
    return judge_security(
        _read(SELINUX), _read(APPARMOR), _read(PROC / "self/attr/current"), _seccomp()
    )


def _seccomp() -> bool:
    lines = (_read(PROC / "self/status") or "").splitlines()
    return any(line.split() == ["Seccomp:", "2"] for line in lines)


def judge_security(
    selinux: str | None, apparmor: str | None, label: str | None, is_filtered: bool
) -> Finding:
    """Judge the security modules.

    Args:
        selinux: "1" enforcing, "0" permissive, None: not there.
        apparmor: "Y" enabled.
        label: of this process, as the module writes it.
        is_filtered: there is a seccomp filter.
    """
    name = "SELinux, AppArmor"
    also = "; a seccomp filter is on" if is_filtered else ""
    if selinux == "1":
        detail = f"SELinux enforces; we are {label or '?'}{also}"
        if label and ("unconfined" in label or ":spc_t" in label):
            return Finding(name, "ok", detail)
        fix = (
            "if a peer is refused (ausearch -m avc): allow both domains unix_stream_socket "
            "connectto, fd use, and map read of the other's memfd"
        )
        return Finding(name, "note", detail, fix)
    if apparmor == "Y" and label and not label.startswith("unconfined"):
        detail = f"AppArmor profile {label}{also}"
        if label.endswith("(complain)"):
            return Finding(name, "ok", detail)
        fix = (
            "if a peer is refused (dmesg | grep DENIED): let the profile use the runtime directory "
            "(rw) and 'unix (connect, send, receive)'"
        )
        return Finding(name, "note", detail, fix)
    modules = ["SELinux permissive"] if selinux == "0" else []
    modules += ["AppArmor, unconfined"] if apparmor == "Y" else []
    return Finding(name, "ok", (", ".join(modules) or "neither is in force") + also)


# ------------------------------------------------------------------ system calls


def membarrier() -> Finding:
    """Try membarrier(2), with which locks are cheaper."""
    number = SYS_MEMBARRIER.get(platform.machine())
    libc = ctypes.CDLL(None, use_errno=True)
    known = libc.syscall(number, 0, 0, 0) if number is not None else -1
    return judge_membarrier(known)


def judge_membarrier(known: int) -> Finding:
    """Judge the commands that the kernel knows, as bits; negative: it cannot be called."""
    if known >= 0 and known & MEMBARRIER_NEEDED == MEMBARRIER_NEEDED:
        return Finding("membarrier", "ok", "private expedited, so that a lock costs no fence")
    why = "refused or not known" if known < 0 else "private expedited is missing"
    fix = "allow membarrier in the sandbox (seccomp)" if known < 0 else "boot a newer kernel"
    return Finding(
        "membarrier", "note", f"{why}: threads that wait for a lock look again by the clock", fix
    )


def pidfd() -> Finding:
    """Try pidfd_open(2), with which the death of a peer is seen."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        detail = f"{error.strerror}: a peer that died is seen by its socket only"
        return Finding("pidfd", "note", detail, "allow pidfd_open in the sandbox (seccomp)")
    return Finding("pidfd", "ok", "a peer that dies is seen even if it left children")
