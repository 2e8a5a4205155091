"""Networks that pairs are measured over, made here and always removed.

loopback   this host
veth       two namespaces joined by a veth pair, its offloads as they are: on
bridge     two namespaces, each joined by a veth pair to a Linux bridge in a third
star       the same without a bridge: for another switch
bare       two namespaces joined by a veth pair that the kernel has no address on: for our devices

Everything is inside namespaces, so these are all there is to remove: at the end, after an error, at
Ctrl-C and SIGTERM. Their names carry the process: what a killed run left is removed by the next.
"""

import itertools
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from .results import Missing

PREFIX = "ewcmp"
NAME = re.compile(rf"{PREFIX}(\d+)x\d+")
DEVICE = "eth0"
PORTS = ("port1", "port2")
CARRIER_S = 10.0  # the kernel may take a second to tell
SPACES = Path("/run/netns")
_numbers = itertools.count()


class Unavailable(Exception):
    """A part of the run that cannot be had here.

    Attributes:
        missing: what, why, and what would help.
    """

    def __init__(self, what: str, why: str, fix: str = "") -> None:
        super().__init__(f"{what}: {why}")
        self.missing = Missing(what, why, fix)


@dataclass(frozen=True, slots=True)
class Network:
    """Where the two ends are.

    Attributes:
        name: of this module, as "veth".
        spaces: the namespaces of client and server; None: this one.
        server: the server's address; "" if the kernel has none.
    """

    name: str
    spaces: tuple[str, str] | None = None
    server: str = ""

    @property
    def options(self) -> dict[str, str]:
        """What a pair program is told."""
        spaces = {"netns": ",".join(self.spaces)} if self.spaces else {}
        return spaces | ({"bind": self.server} if self.server else {})


def loopback() -> AbstractContextManager[Network]:
    """Nothing is made."""
    return _nothing(Network("loopback", server="127.0.0.1"))


@contextmanager
def veth() -> Iterator[Network]:
    """Two namespaces: 10.78.0.1 and .2.

    Raises:
        Unavailable: not here.
    """
    with bare("veth") as network:
        with _possible("veth"):
            for host, space in enumerate(network.spaces or (), 1):
                _address(space, host)
        yield Network("veth", network.spaces, "10.78.0.2")


@contextmanager
def bridge() -> Iterator[Network]:
    """Two namespaces on a bridge: 10.78.0.1 and .2.

    Raises:
        Unavailable: not here.
    """
    with star("bridge") as (network, middle):
        with _possible("bridge"):
            ip("-n", middle, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
            ip("-n", middle, "link", "set", "br0", "up")
            for port in PORTS:
                ip("-n", middle, "link", "set", port, "master", "br0")
        yield network


@contextmanager
def star(what: str) -> Iterator[tuple[Network, str]]:
    """Two namespaces, 10.78.0.1 and .2, joined to PORTS of a third, which nothing joins yet.

    Raises:
        Unavailable: with *what*, if it cannot be had.
    """
    with namespaces(what, 3) as (client, server, middle):
        with _possible(what):
            for host, (space, port) in enumerate(zip((client, server), PORTS, strict=True), 1):
                _join(space, middle, port)
                _address(space, host)
            ends = [(client, DEVICE), (server, DEVICE), *((middle, port) for port in PORTS)]
            _wait_for_carrier(ends)
        yield Network(what, (client, server), "10.78.0.2"), middle


@contextmanager
def bare(what: str = "af_packet") -> Iterator[Network]:
    """Two namespaces with a DEVICE each, without any address.

    Raises:
        Unavailable: with *what*, if it cannot be had.
    """
    with namespaces(what, 2) as (client, server):
        with _possible(what):
            _join(client, server)
            _wait_for_carrier([(client, DEVICE), (server, DEVICE)])
        yield Network("bare", (client, server))


@contextmanager
def namespaces(what: str, count: int) -> Iterator[list[str]]:
    """Make so many namespaces, and remove them with all that is in them.

    Raises:
        Unavailable: with *what*, if there can be none.
    """
    sweep(what)
    with ExitStack() as stack:
        stack.enter_context(orderly())
        names = [f"{PREFIX}{os.getpid()}x{next(_numbers)}" for _ in range(count)]
        for name in names:
            stack.callback(_remove, name)
            try:
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            except RuntimeError as error:
                raise Unavailable(what, str(error), "run where namespaces are allowed") from error
        yield names


def sweep(what: str = "namespaces") -> None:
    """Remove the namespaces of runs that are no more.

    Raises:
        Unavailable: with *what*: not root, or there is no ``ip``.
    """
    if os.geteuid() != 0:
        raise Unavailable(what, "network namespaces need root", "run as root")
    if shutil.which("ip") is None:
        raise Unavailable(what, "there is no program ip", "apt install iproute2")
    for name in sorted(each.name for each in SPACES.iterdir()) if SPACES.is_dir() else ():
        found = NAME.fullmatch(name)
        if found and not Path(f"/proc/{found[1]}").exists():
            _remove(name)


@contextmanager
def orderly() -> Iterator[None]:
    """Let SIGTERM raise SystemExit, so that what was made is removed."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def ip(*arguments: str) -> str:
    """Run ``ip``.

    Raises:
        RuntimeError: it failed, with what it says.
    """
    command = ("ip", *arguments)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def until(what: str, is_so: Callable[[], bool], seconds: float) -> None:
    """Wait until it is so.

    Raises:
        RuntimeError: it is not in time.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() >= end:
            raise RuntimeError(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)


# ------------------------------------------------------------------ inside


@contextmanager
def _possible(what: str) -> Iterator[None]:
    """What cannot be made here is missing; the rest of a section goes on."""
    try:
        yield
    except RuntimeError as error:
        raise Unavailable(what, str(error), "run where the kernel has such devices") from error


@contextmanager
def _nothing(network: Network) -> Iterator[Network]:
    yield network


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _remove(name: str) -> None:
    """Remove a namespace; one that is not there, or not any more, is no error."""
    if (SPACES / name).exists():
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


def _join(one: str, other: str, there: str = DEVICE) -> None:
    ip("link", "add", DEVICE, "netns", one, "type", "veth", "peer", "name", there, "netns", other)
    for space, device in ((one, DEVICE), (other, there)):
        ip("-n", space, "link", "set", device, "addrgenmode", "none", "up")


def _address(space: str, host: int) -> None:
    ip("-n", space, "addr", "add", f"10.78.0.{host}/24", "dev", DEVICE)


def _wait_for_carrier(ends: list[tuple[str, str]]) -> None:
    for space, device in ends:
        until(
            f"carrier of {device} in {space}",
            lambda space=space, device=device: (
                "state UP"  # type: ignore[misc]
                in ip("-n", space, "-o", "link", "show", "dev", device)
            ),
            CARRIER_S,
        )
