"""The part of the demo with a fabric network: our own TCP/IP on DPDK, and what happens without it.

A second cable joins the two namespaces, a veth pair without an address of the kernel's; each end
is the port of one process (af_packet). The service has shared memory, kernel TCP and this port.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from . import _netns
from ._children import Host, Talk, talk
from ._measure import span
from ._netns import Namespace, NamespaceError

NETWORK = "demo"
PORT = 7411
ADDRESSES = ("198.51.100.1", "198.51.100.2")  # RFC 5737: for documentation, in no network
PING_SECONDS, PINGS_FIRST = 6.0, 200

Claim = Callable[[str, bool, str], None]


@dataclass(frozen=True, slots=True)
class Cable:
    """What joins the ports of the two namespaces.

    Attributes:
        settings: the environment of a process at each end.
    """

    spaces: tuple[Namespace, ...]
    settings: tuple[tuple[tuple[str, str], ...], ...]
    devices: tuple[str, str]

    def cut(self) -> None:
        """Take the cable away: both ends lose the carrier."""
        _netns.set_link(self.spaces[0], self.devices[0], "down")


def obstacle() -> str | None:
    """Return why there can be no port on a fabric network here."""
    try:
        from eastwest_dpdk import plugin_path
    except ImportError:
        return "the package eastwest-dpdk is not installed"
    if not os.path.exists(plugin_path()):
        return "the DPDK plug-in is not built: install libdpdk-dev and run ./dev build"
    return None


@contextmanager
def cable(spaces: tuple[Namespace, ...], tag: str) -> Iterator[Cable]:
    """Join the namespaces a second time. The cable goes with them.

    Raises:
        NamespaceError: the kernel or ``ip`` said no.
    """
    devices = (f"ew{tag}c", f"ew{tag}d")
    _netns.join(spaces, devices)
    settings = tuple(
        (
            ("EASTWEST_SECURITY", "none"),
            ("EASTWEST_FABRIC_NETWORK", NETWORK),
            ("EASTWEST_FABRIC_DEVICE", f"af_packet:iface={device}"),
            ("EASTWEST_FABRIC_ADDRESSES", f"{address}/24"),
            ("EASTWEST_FABRIC_PORT", str(PORT)),
        )
        for device, address in zip(devices, ADDRESSES, strict=True)
    )
    yield Cable(spaces, settings, devices)


def lose_port(cable: Cable, host: Host, service: str, claim: Claim) -> dict[str, Any]:
    """Cut the cable under a channel that is in use; make the claims and return what was seen."""
    problems: list[str] = []

    def cut() -> None:
        try:
            cable.cut()
        except NamespaceError as error:
            problems.append(str(error))

    said = talk(host, service, PING_SECONDS, Talk(["dpdk"] * PINGS_FIRST), cut)
    moved = [each for each, _ in groupby(said.paths)]
    dpdk, tcp = said.paths.count("dpdk"), said.paths.count("tcp")
    claim(
        "a channel survives the loss of its DPDK port",
        moved[-2:] == ["dpdk", "tcp"] and not problems,
        "; ".join(problems) or f"{dpdk} answers over dpdk, then {tcp} over tcp",
    )
    claim(
        "and loses no message",
        said.lost == 0 and bool(said.paths),
        f"{len(said.paths)} of {len(said.paths) + said.lost} were answered, the longest pause was "
        f"{span(said.pause_seconds)}",
    )
    return {"answers": len(said.paths), "lost": said.lost, "paths": moved,
            "pause_seconds": said.pause_seconds}  # fmt: skip
