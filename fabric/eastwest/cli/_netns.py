"""Two network namespaces joined by a cable, for the demo: two hosts on one machine.

The veth pair is made inside the namespaces and goes with them; nothing in the namespace that we
came from is touched. Needs root and the tool ``ip``.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

ADDRESSES = ("192.0.2.1", "192.0.2.2")  # RFC 5737: for documentation, in no network
PREFIX_BITS = 30
IP_SECONDS_MAX = 10.0
_SBIN = "/usr/sbin:/sbin"  # not on the path of every shell


class NamespaceError(Exception):
    """The namespaces cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """One of the two. command runs a program in it; it stays the child that was started."""

    name: str
    address: str
    command: tuple[str, ...]


def _ip() -> str | None:
    return shutil.which("ip", path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")


def obstacle() -> str | None:
    """Return why there can be no namespaces here, as far as that is known without trying."""
    if os.geteuid() != 0:
        return f"network namespaces need root, and this is uid {os.geteuid()}"
    if _ip() is None:
        return "network namespaces need the tool 'ip' (package iproute2)"
    return None


@contextmanager
def pair(tag: str) -> Iterator[tuple[Namespace, Namespace]]:
    """Make the two namespaces; they are gone at the end, whatever happens.

    Args:
        tag: unique on this machine, at most 10 letters and digits.

    Raises:
        NamespaceError: the kernel or ``ip`` said no.
    """
    tool = _ip()
    if tool is None:
        raise NamespaceError("there is no tool 'ip'")
    names = (f"ew-demo-{tag}-a", f"ew-demo-{tag}-b")
    try:
        _make(names, (f"ew{tag}a", f"ew{tag}b"))
        first, second = (
            Namespace(name, address, (tool, "netns", "exec", name))
            for name, address in zip(names, ADDRESSES, strict=True)
        )
        yield first, second
    finally:
        for name in names:
            _quietly("netns", "del", name)


def _make(names: tuple[str, str], ends: tuple[str, str]) -> None:
    for name in names:
        _run("netns", "add", name)
    link = ["link", "add", ends[0], "netns", names[0], "type", "veth"]
    _run(*link, "peer", "name", ends[1], "netns", names[1])
    for name, end, address in zip(names, ends, ADDRESSES, strict=True):
        _run("-n", name, "address", "add", f"{address}/{PREFIX_BITS}", "dev", end)
        _run("-n", name, "link", "set", "lo", "up")
        _run("-n", name, "link", "set", end, "up")


def join(spaces: tuple[Namespace, ...], ends: tuple[str, str]) -> None:
    """Join two namespaces by another cable, without addresses.

    Raises:
        NamespaceError: the kernel or ``ip`` said no.
    """
    first, second = spaces
    _run("link", "add", ends[0], "netns", first.name, "type", "veth",
         "peer", "name", ends[1], "netns", second.name)  # fmt: skip
    for space, end in zip(spaces, ends, strict=True):
        set_link(space, end, "up")


def set_link(namespace: Namespace, device: str, state: str) -> None:
    """Take a device "up" or "down".

    Raises:
        NamespaceError: the kernel or ``ip`` said no.
    """
    _run("-n", namespace.name, "link", "set", device, state)


def exists(namespace: Namespace) -> bool:
    """Whether the namespace still has its name."""
    listed = _call("netns", "list")
    return namespace.name in (line.split()[0] for line in listed.stdout.splitlines() if line)


def _call(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [_ip() or "ip", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=IP_SECONDS_MAX, stdin=subprocess.DEVNULL
    )


def _run(*arguments: str) -> None:
    try:
        done = _call(*arguments)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NamespaceError(f"ip {' '.join(arguments)}: {error}") from None
    if done.returncode != 0:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise NamespaceError(f"ip {' '.join(arguments)}: {'; '.join(said.splitlines())}")


def _quietly(*arguments: str) -> None:
    """Undo what may not have been done."""
    with suppress(OSError, subprocess.TimeoutExpired):
        _call(*arguments)
