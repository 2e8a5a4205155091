"""Section "remote": what goes between two network namespaces, or over a pair of devices.

eastwest-tcp    channels over the kernel's TCP: veth, bridge, loopback
eastwest-dpdk   channels over our own TCP on devices: virtio_user and vhost (with tso=1, too: for
                much data), memif, af_packet on a veth pair. A pair whose channels take another
                path ends, and is missing.
tcp             the kernel's TCP alone in the same three places: it blocks, polls, or has an epoll
zmq-tcp, nng-tcp, grpc-tcp, zenoh-tcp over veth
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import networks
from .harness import Case, Progress, Section, measure
from .networks import DEVICE, Network, Unavailable, orderly
from .pairs import ROOT, Pair
from .plan import Budget
from .results import Missing
from .specs import Language, PairSpec, Wait
from .still import StillPair

SECTION = "remote"
WORKS = (("trip", 64), ("flow", 64), ("trip", 4 << 10), ("flow", 256 << 10))
PLUGIN = ROOT / "bindings" / "dpdk" / "eastwest_dpdk" / "eastwest_dpdk_plugin.so"
PLUGIN_FIX = "apt install libdpdk-dev, then ./dev build"
MEMIF_NOTE = "a memif cannot wake a sleeper: both ends spin"
TSO_NOTE = "frames of up to 64 KiB: nobody cuts segments"
Ways = Sequence[tuple[Language, Wait]]

C_SPIN: Ways = (("c", "spin"),)
BOTH_SPIN: Ways = (*C_SPIN, ("python", "spin"))
BOTH: Ways = (*BOTH_SPIN, ("c", "block"), ("python", "block"))
ALL: Ways = (*BOTH, ("c", "epoll"))
PYTHON_BLOCK: Ways = (("python", "block"),)


@dataclass(frozen=True, slots=True)
class Link:
    """A system on a path, in some languages and ways of waiting; if time is short, in ``quick``."""

    system: str
    path: str
    ways: Ways
    quick: Ways = C_SPIN
    note: str = ""


LINKS = (
    Link("eastwest-tcp", "veth", BOTH, BOTH_SPIN),
    Link("eastwest-tcp", "bridge", BOTH_SPIN),
    Link("eastwest-tcp", "loopback", BOTH_SPIN),
    Link("eastwest-dpdk", "virtio", BOTH, BOTH_SPIN),
    Link("eastwest-dpdk", "virtio-tso", C_SPIN, note=TSO_NOTE),
    Link("eastwest-dpdk", "memif", BOTH_SPIN, note=MEMIF_NOTE),
    Link("eastwest-dpdk", "af_packet", (*C_SPIN, ("c", "block"))),
    Link("tcp", "veth", ALL, (*BOTH_SPIN, ("c", "block"), ("c", "epoll"))),
    Link("tcp", "bridge", (*C_SPIN, ("c", "block"), ("c", "epoll"))),
    Link("tcp", "loopback", (*C_SPIN, ("c", "block"), ("c", "epoll"))),
    Link("zmq-tcp", "veth", PYTHON_BLOCK, PYTHON_BLOCK),
    Link("nng-tcp", "veth", PYTHON_BLOCK, PYTHON_BLOCK),
    Link("grpc-tcp", "veth", PYTHON_BLOCK, PYTHON_BLOCK),
    Link("zenoh-tcp", "veth", PYTHON_BLOCK, PYTHON_BLOCK),
)


@dataclass(slots=True)
class Remote:
    """What can be measured now.

    Attributes:
        specs: pairs to start, while the networks are there.
        missing: paths that cannot be had here.
    """

    specs: list[PairSpec] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)


@contextmanager
def remote(*, is_quick: bool = False) -> Iterator[Remote]:
    """Make the networks of all cases; they are removed at the end."""
    found = Remote()
    with ExitStack() as stack:
        stack.enter_context(orderly())
        shared: dict[str, Mapping[str, str]] = {}
        for link in LINKS:
            try:
                for way in link.quick if is_quick else link.ways:
                    found.specs.append(_spec(link, _options(stack, link.path, shared), *way))
            except Unavailable as error:
                missing = replace(error.missing, what=f"{SECTION}, {link.path}")
                if missing not in found.missing:
                    found.missing.append(missing)
        yield found


def run(budget: Budget, is_quick: bool, progress: Progress) -> Section:
    """Measure the section."""
    progress("making networks")
    with remote(is_quick=is_quick) as found:
        cases = [
            Case(spec, work, size, budget.seconds) for spec in found.specs for work, size in WORKS
        ]
        section = measure(cases, budget.rounds, progress, start=_start)
    section.missing += found.missing
    return section


def _start(spec: PairSpec) -> Pair:
    return StillPair(spec) if spec.path == "memif" else Pair(spec)


def _spec(link: Link, options: Mapping[str, str], language: Language, wait: Wait) -> PairSpec:
    return PairSpec(
        SECTION, link.system, language, wait, options=options, path=link.path, note=link.note
    )


# ------------------------------------------------------------------ paths


def _options(
    stack: ExitStack, path: str, shared: dict[str, Mapping[str, str]]
) -> Mapping[str, str]:
    """Return the options of one pair more: many may use a network, and one a pair of devices."""
    if path not in shared:
        options = stack.enter_context(PATHS[path]())
        if path not in NETWORKS:
            return options
        shared[path] = options
    return shared[path]


@contextmanager
def _kernel(network: AbstractContextManager[Network]) -> Iterator[dict[str, str]]:
    with network as made:
        yield made.options


def fabric(what: str, client: str, server: str) -> dict[str, str]:
    """Return the options of a pair on devices of ours.

    Raises:
        Unavailable: with *what*: there is no plug-in.
    """
    if not PLUGIN.exists():
        raise Unavailable(what, "DPDK's plug-in is not built", PLUGIN_FIX)
    return {
        "fabric_network": "bench",
        "fabric_device": f"{client}|{server}",
        "fabric_addresses": "10.79.0.1/24|10.79.0.2/24",
        "fabric_plugin": str(PLUGIN),
    }


@contextmanager
def _devices(name: str, client: str, server: str) -> Iterator[dict[str, str]]:
    """Two devices on a socket in a folder of theirs."""
    folder = Path(tempfile.mkdtemp(prefix="eastwest-wire-"))
    try:
        both = (each.format(path=folder / "socket") for each in (client, server))
        yield fabric(f"eastwest-dpdk {name}", *both)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _af_packet() -> Iterator[dict[str, str]]:
    device = f"af_packet:iface={DEVICE}"
    options = fabric("eastwest-dpdk af_packet", device, device)
    with networks.bare() as made:
        yield made.options | options


NETWORKS = ("veth", "bridge", "loopback")
MEMIF = "memif:socket={path},role="
PATHS = {
    "veth": lambda: _kernel(networks.veth()),
    "bridge": lambda: _kernel(networks.bridge()),
    "loopback": lambda: _kernel(networks.loopback()),
    "virtio": lambda: _devices("virtio", "virtio_user:path={path}", "vhost:path={path}"),
    "virtio-tso": lambda: _devices(
        "virtio-tso", "virtio_user:path={path},tso=1", "vhost:path={path},tso=1"
    ),
    "memif": lambda: _devices("memif", f"{MEMIF}client", f"{MEMIF}server"),
    "af_packet": _af_packet,
}
