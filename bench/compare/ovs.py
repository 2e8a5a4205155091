"""Section "ovs": what traffic between two ends on one host costs through a switch, and without.

Through Open vSwitch with DPDK both ends are one thread (bench/switch), on core 0, and the switch
polls on core 1, which is counted as busy all the time: three threads that spin on two cores would
measure the scheduler. While others are measured the switch stands still.

eastwest-dpdk ovs      channels between two vhost-user ports of Open vSwitch
frames ovs             the same without TCP: Ethernet frames
eastwest-dpdk virtio   both again without a switch: the same thread, virtio_user to vhost
frames virtio
tcp bridge             the kernel's TCP through a Linux bridge: two processes, a core each
tcp ovs-veth           the same through Open vSwitch's userspace datapath, which reads interfaces of
                       the kernel by packet sockets
eastwest-shm           no switch at all: two processes, a core each
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from . import networks
from .harness import Case, Progress, Section, Start, measure
from .networks import DEVICE, PORTS, Unavailable
from .pairs import ROOT, Done, Pair
from .plan import Budget
from .remote import PATHS, PLUGIN, PLUGIN_FIX
from .results import Missing
from .specs import PairSpec, Wait
from .still import StillPair
from .vswitch import MAIN_CORE, Vswitch

SECTION = "ovs"
LOAD = ROOT / "build" / "dev" / "bench" / "switch_load"
WORKS = (("trip", 64), ("flow", 64), ("flow", 1400))
KINDS = ("channels", "frames")
WARM_S = 0.005  # the switch learns who is where
THREAD_NOTE = "both ends in one thread"
PMD_NOTE = f"{THREAD_NOTE}; the switch's core counted as 100 %"
VETH_NOTE = "nobody's tuned deployment: its userspace datapath reads veths by packet sockets"


class OneThread(StillPair):
    """Both ends in one thread, which speaks as a pair does; with the switch between them."""

    def __init__(
        self, spec: PairSpec, kind: str, devices: tuple[str, str], switch: Vswitch | None = None
    ) -> None:
        """As ``Pair``.

        Args:
            kind: of ends, see bench/switch.
            devices: both, with ``{folder}`` where their sockets are to be made.
        """
        self._kind, self._devices, self._switch = kind, devices, switch
        self._sockets = tempfile.TemporaryDirectory(prefix="eastwest-wire-")
        try:
            super().__init__(spec)
        except BaseException:
            self._sockets.cleanup()
            raise

    def do(self, work: str, size: int, seconds: float, *more: float) -> Done | None:
        """See ``Pair``. The core of the switch counts as busy."""
        with self.running():
            super().do("trip", size, WARM_S)
            done = super().do(work, size, seconds, *more)
        if done is None or self._switch is None:
            return done
        return replace(done, cpu_ns=done.cpu_ns + done.ns)

    def cpu_ns(self) -> int:
        """See ``Pair``; the switch's, too."""
        return super().cpu_ns() + (self._switch.cpu_ns() if self._switch else 0)

    def close(self) -> None:
        """See ``Pair``."""
        super().close()
        self._sockets.cleanup()

    def pause(self) -> None:
        """See ``StillPair``; the switch is the last to stop."""
        super().pause()
        if self._switch:
            self._switch.pause()

    def resume(self) -> None:
        """See ``StillPair``."""
        if self._switch:
            self._switch.resume()
        super().resume()

    def _program(self) -> list[str]:
        devices = (each.format(folder=self._sockets.name) for each in self._devices)
        return [self._built(LOAD), self._kind, *devices]


class Switched(Pair):
    """A pair whose packets a process of a switch carries, which is counted with it."""

    def __init__(self, spec: PairSpec, switch: Vswitch) -> None:
        """As ``Pair``."""
        self._switch = switch
        super().__init__(spec)

    def do(self, work: str, size: int, seconds: float, *more: float) -> Done | None:
        """See ``Pair``. The switch's share of the time of the work is that of the whole call."""
        used, began = self._switch.cpu_ns(), time.monotonic_ns()
        done = super().do(work, size, seconds, *more)
        if done is None:
            return None
        share = done.ns / max(1, time.monotonic_ns() - began)
        return replace(done, cpu_ns=done.cpu_ns + round(share * (self._switch.cpu_ns() - used)))

    def cpu_ns(self) -> int:
        """See ``Pair``; the switch's, too."""
        return super().cpu_ns() + self._switch.cpu_ns()


# ------------------------------------------------------------------ what is compared


@dataclass(slots=True)
class Parties:
    """Everything that the section compares, and how it is started."""

    start: dict[PairSpec, Start]
    missing: list[Missing]
    versions: dict[str, str]

    def add(self, spec: PairSpec, start: Start = Pair) -> None:
        """Compare this, too."""
        self.start[spec] = start

    def add_thread(
        self, kind: str, path: str, devices: tuple[str, str], switch: Vswitch | None = None
    ) -> None:
        """Compare both ends in one thread."""
        system = "eastwest-dpdk" if kind == "channels" else kind
        options = {"core": str(MAIN_CORE), "plugin": str(PLUGIN)}
        note = PMD_NOTE if switch else THREAD_NOTE
        spec = PairSpec(SECTION, system, "c", "spin", options=options, path=path, note=note)
        self.add(spec, partial(OneThread, kind=kind, devices=devices, switch=switch))


def run(budget: Budget, _is_quick: bool, progress: Progress) -> Section:
    """Measure the section."""
    progress("starting Open vSwitch")
    with ExitStack() as stack:
        parties = prepared(stack)
        cases = [
            Case(spec, work, size, budget.seconds) for spec in parties.start for work, size in WORKS
        ]
        section = measure(
            cases, budget.rounds, progress, start=lambda spec: parties.start[spec](spec)
        )
    section.missing += parties.missing
    section.versions |= parties.versions
    return section


def prepared(stack: ExitStack) -> Parties:
    """Make the networks and switches, as long as the stack is not closed."""
    parties = Parties({}, [], {})
    stack.enter_context(networks.orderly())
    for part in (_through_ovs, _without_switch, _bridge, _userspace, _shared_memory):
        try:
            part(parties, stack)
        except Unavailable as error:
            if error.missing not in parties.missing:
                parties.missing.append(error.missing)
    return parties


def _through_ovs(parties: Parties, stack: ExitStack) -> None:
    if not PLUGIN.exists():
        raise Unavailable("eastwest-dpdk through Open vSwitch", "no plug-in is built", PLUGIN_FIX)
    for kind in KINDS:  # a switch each: it does not poll ports of another
        switch = stack.enter_context(dpdk_switch())
        parties.versions["Open vSwitch"] = switch.version
        client, server = (f"virtio_user:path={switch.add_vhost(name)}" for name in PORTS)
        switch.pause()
        parties.add_thread(kind, "ovs", (client, server), switch)


def _without_switch(parties: Parties, _: ExitStack) -> None:
    if not PLUGIN.exists():
        raise Unavailable("eastwest-dpdk without a switch", "no plug-in is built", PLUGIN_FIX)
    socket = "path={folder}/socket"
    devices = (f"virtio_user:{socket}", f"vhost:{socket}")
    for kind in KINDS:
        parties.add_thread(kind, "virtio", devices)


def _bridge(parties: Parties, stack: ExitStack) -> None:
    options = stack.enter_context(PATHS["bridge"]())
    waits: tuple[Wait, ...] = ("spin", "block")
    for wait in waits:
        parties.add(PairSpec(SECTION, "tcp", "c", wait, options=options, path="bridge"))


def _userspace(parties: Parties, stack: ExitStack) -> None:
    options, switch = stack.enter_context(userspace_switch())
    spec = PairSpec(SECTION, "tcp", "c", "block", options=options, path="ovs-veth", note=VETH_NOTE)
    parties.add(spec, partial(Switched, switch=switch))


def _shared_memory(parties: Parties, _: ExitStack) -> None:
    waits: tuple[Wait, ...] = ("spin", "block")
    for wait in waits:
        parties.add(PairSpec(SECTION, "eastwest-shm", "c", wait))


@contextmanager
def dpdk_switch() -> Iterator[Vswitch]:
    """Open vSwitch for vhost-user ports.

    Raises:
        Unavailable: not here.
    """
    with (
        networks.namespaces("Open vSwitch", 1) as (space,),
        Vswitch(space, has_dpdk=True) as switch,
    ):
        yield switch


@contextmanager
def userspace_switch() -> Iterator[tuple[dict[str, str], Vswitch]]:
    """Two namespaces, joined by Open vSwitch's userspace datapath.

    Raises:
        Unavailable: not here.
    """
    what = "tcp ovs-veth"
    with networks.star(what) as (network, middle), Vswitch(middle, has_dpdk=False) as switch:
        for space in network.spaces or ():
            _sum_in_software(what, space)
        for port in PORTS:
            switch.add_interface(port)
        yield network.options, switch


def _sum_in_software(what: str, space: str) -> None:
    """Let the kernel write checksums itself: a packet socket would get frames without."""
    off = [word for each in ("tx", "tso", "gso") for word in (each, "off")]
    command = ["ip", "netns", "exec", space, "ethtool", "-K", DEVICE, *off]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(what, f"ethtool: {done.stderr.strip()}", "apt install ethtool")
