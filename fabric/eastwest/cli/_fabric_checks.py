"""The device of our own TCP/IP, judged for ``eastwest doctor``. Pure: facts in, findings out.

What was looked at is in ``_fabric_facts.py``; limits are those of ``transport/dpdk/kind.c``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ._machine import Finding

STACK_ABI = 3  # transport/stack.h
KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # needed, and others
    "memif": (("socket", "role"), ("id",)),
    "virtio_user": (("path",), ("server", "tso")),
    "vhost": (("path",), ("client", "tso")),
    "af_packet": (("iface",), ()),
    "af_xdp": (("iface",), ("queue",)),
    "tap": (("iface",), ()),
    "ring": (("name",), ()),
    "pci": (("address",), ()),
}
CHOICES = {
    "role": ("server", "client"),
    **dict.fromkeys(("server", "client", "tso"), ("0", "1")),
}
ON_INTERFACE = ("af_packet", "af_xdp")
ON_SOCKET = {"memif": "socket", "virtio_user": "path", "vhost": "path"}
NEEDS = {  # rights, capabilities(7); one of each group
    "af_packet": (("net_raw",),),
    "af_xdp": (("net_raw",), ("net_admin",), ("bpf", "sys_admin")),
    "tap": (("net_admin",),),
}
MTU_MAX = {"af_packet": 9000, "af_xdp": 3506}
MEMLOCK_XDP = 64 << 20  # its buffers, on kernels that charge them to the limit (before 5.11)
KERNEL_XDP_FREE = (5, 11)
HUGE_MIN = 32  # of 2 MiB: buffers of one port; auto leaves half of what is free to channels
OFFLOADS = ("tx", "tso", "gso")

SocketState = Literal["absent", "listening", "stale", "other", "no folder", "no right"]


@dataclass(frozen=True, slots=True)
class Device:
    """A text "KIND:key=value,..." in parts."""

    kind: str
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Plugin:
    """What the plug-in says of itself; error: why it does not."""

    path: str | None
    abi: int = 0
    version: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of the kernel.

    Attributes:
        addresses: that the kernel has there, without prefixes.
        features: offloads that are on, by ethtool's names.
        peer: the other end if it is a veth, "" if that is in another network namespace.
        peer_features: likewise; None: cannot be seen.
        xdp: number of the XDP program that is attached, 0: none; None: cannot be seen.
    """

    name: str
    is_up: bool
    mtu: int
    addresses: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()
    peer: str | None = None
    peer_features: frozenset[str] | None = None
    forwards: bool = False
    xdp: int | None = 0


@dataclass(frozen=True, slots=True)
class Rights:
    """What this process may do."""

    capabilities: frozenset[str]
    memlock: int | None  # None: no limit
    kernel: tuple[int, int]
    has_tun: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is judged. address: ours on the device, without its prefix."""

    device: Device
    plugin: Plugin
    rights: Rights
    interface: Interface | None = None
    socket: SocketState | None = None
    huge_free: int = 0
    huge_total: int = 0
    huge_mount: str | None = None
    addresses: tuple[str, ...] = field(default=())


def parse(text: str) -> Device | str:
    """Return a device in parts, or what is wrong with its text."""
    kind, colon, rest = text.partition(":")
    if kind not in KEYS or not colon:
        return f"{text!r}: want KIND:key=value,..., KIND one of {', '.join(KEYS)}"
    if kind == "pci":
        return Device(kind, {"address": rest}) if rest else f"{text!r}: want pci:0000:03:00.0"
    settings: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            return f"{part!r}: want key=value, in {text!r}"
        if key in settings:
            return f"{text!r}: {key}= is given twice"
        settings[key] = value
    problem = _problem(kind, settings)
    return f"{text!r}: {problem}" if problem else Device(kind, settings)


def _problem(kind: str, settings: Mapping[str, str]) -> str | None:
    needed, others = KEYS[kind]
    for key in needed:
        if not settings.get(key):
            return f"{key}= is missing"
    for key, value in settings.items():
        if key not in (*needed, *others):
            return f"{key}= is no setting of {kind}; there are {', '.join((*needed, *others))}"
        if value not in CHOICES.get(key, (value,)):
            return f"{key}={value} has to be {' or '.join(CHOICES[key])}"
        if key == ON_SOCKET.get(kind) and not value.startswith("/"):
            return f"{key}={value} has to be an absolute path"
    return None


def judge(facts: Facts, version: str) -> list[Finding]:
    """Return all findings about a device."""
    found = [judge_plugin(facts.plugin, version), judge_huge(facts), *judge_rights(facts)]
    kind = facts.device.kind
    if kind in ON_INTERFACE:
        found += judge_interface(facts)
    if facts.socket is not None:
        found.append(judge_socket(facts))
    if kind in ("memif", "ring"):
        detail = f"{kind} cannot wake anybody: the process looks each millisecond, also when idle"
        fix = "use virtio_user and vhost, if the other end can"
        found.append(Finding("fabric wake-ups", "note", detail, fix))
    return found


# ------------------------------------------------------------------ plug-in, memory, rights


def judge_plugin(plugin: Plugin, version: str) -> Finding:
    """Judge whether the plug-in fits this release."""
    name = "fabric plug-in"
    if plugin.path is None:
        fix = f"pip install eastwest-dpdk=={version}, or set fabric_plugin (EASTWEST_FABRIC_PLUGIN)"
        return Finding(name, "problem", "none is installed: nothing drives the device", fix)
    if plugin.error:
        fix = "install the plug-in that belongs to this release, and what it is linked against"
        return Finding(name, "problem", f"{plugin.path}: {plugin.error}", fix)
    said = f"{plugin.path}: version {plugin.version}, interface {plugin.abi}"
    if plugin.abi != STACK_ABI:
        fix = f"install the plug-in of version {version}"
        return Finding(name, "problem", f"{said}; this release needs {STACK_ABI}", fix)
    if plugin.version != version:
        fix = f"install the plug-in of version {version}"
        return Finding(name, "note", f"{said}; this is {version}", fix)
    return Finding(name, "ok", said)


def judge_huge(facts: Facts) -> Finding:
    """Judge the huge pages for buffers: without them the device works, slower."""
    name = "fabric huge pages"
    mount = f"mounted at {facts.huge_mount}" if facts.huge_mount else "no mount, and none is needed"
    detail = f"{facts.huge_free} of {facts.huge_total} of 2 MiB are free, {mount}"
    if facts.huge_free >= 2 * HUGE_MIN:
        return Finding(name, "ok", detail)
    more = max(facts.huge_total, 0) + 2 * HUGE_MIN - facts.huge_free
    fix = f"sysctl vm.nr_hugepages={more} (as root)"
    return Finding(name, "note", f"{detail}; buffers of the device take 4 KiB pages", fix)


def judge_rights(facts: Facts) -> list[Finding]:
    """Judge capabilities and limits that the driver needs."""
    name, kind, rights = "fabric rights", facts.device.kind, facts.rights
    groups = NEEDS.get(kind, ())
    lacking = [group[0] for group in groups if not rights.capabilities & set(group)]
    found = []
    if lacking:
        words = ", ".join(f"CAP_{each.upper()}" for each in lacking)
        caps = ",".join(f"+{each}" for each in lacking)
        fix = f"run as root, or: setpriv --inh-caps {caps} --ambient-caps {caps} PROGRAM (as root)"
        found.append(Finding(name, "problem", f"{kind} needs {words}", fix))
    elif groups:
        found.append(Finding(name, "ok", f"this user may open {kind}"))
    if kind == "af_xdp":
        found.append(_memlock(rights))
    if kind == "tap" and not rights.has_tun:
        fix = "modprobe tun; in a container: --device /dev/net/tun"
        found.append(Finding("fabric tun", "problem", "/dev/net/tun is not there for us", fix))
    return found


def _memlock(rights: Rights) -> Finding:
    name, limit = "fabric locked memory", rights.memlock
    shown = "unlimited" if limit is None else f"{limit >> 10} KiB"
    is_charged = rights.kernel < KERNEL_XDP_FREE and "ipc_lock" not in rights.capabilities
    if limit is None or limit >= MEMLOCK_XDP or not is_charged:
        return Finding(name, "ok", f"limit {shown}")
    fix = "ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit"
    return Finding(name, "problem", f"limit {shown}; af_xdp locks its buffers", fix)


# ------------------------------------------------------------------ interface


def judge_interface(facts: Facts) -> list[Finding]:
    """Judge the interface under af_packet or af_xdp."""
    name, wanted = "fabric interface", facts.device.settings.get("iface", "")
    interface = facts.interface
    if interface is None:
        fix = "ip link show; is it in another network namespace, or named otherwise?"
        return [Finding(name, "problem", f"there is no interface {wanted!r} here", fix)]
    found = [_link(interface), _mtu(facts.device.kind, interface), _addresses(facts, interface)]
    found += _offloads(interface)
    if interface.forwards:
        detail = f"the kernel forwards what comes by {wanted}: also packets for our address"
        fix = f"sysctl net.ipv4.conf.{wanted}.forwarding=0 (as root)"
        found.append(Finding("fabric forwarding", "note", detail, fix))
    if facts.device.kind == "af_xdp" and interface.xdp:
        detail = (
            f"XDP program {interface.xdp} is attached to {wanted}: in use, or left by a killed one"
        )
        fix = f"if no process uses it any more: ip link set dev {wanted} xdp off (as root)"
        found.append(Finding("fabric XDP program", "note", detail, fix))
    return found


def _link(interface: Interface) -> Finding:
    if interface.is_up:
        return Finding("fabric interface", "ok", f"{interface.name} is up")
    fix = f"ip link set dev {interface.name} up (as root); of a veth both ends"
    return Finding("fabric interface", "problem", f"{interface.name} is down", fix)


def _mtu(kind: str, interface: Interface) -> Finding:
    most = MTU_MAX[kind]
    if interface.mtu <= most:
        return Finding("fabric MTU", "ok", f"{interface.mtu}, {kind} takes up to {most}")
    fix = f"ip link set dev {interface.name} mtu {min(most, 1500)} (as root), and on the other end"
    return Finding("fabric MTU", "problem", f"{interface.mtu}, {kind} takes up to {most}", fix)


def _addresses(facts: Facts, interface: Interface) -> Finding:
    name = "fabric addresses"
    ours = [each for each in interface.addresses if each in facts.addresses]
    if ours:
        detail = (
            f"the kernel has {', '.join(ours)} on {interface.name}, too: it answers with resets"
        )
        fix = f"ip addr flush dev {interface.name} (as root): the address is for the plug-in alone"
        return Finding(name, "problem", detail, fix)
    if interface.addresses:
        detail = f"the kernel has {', '.join(interface.addresses)} on {interface.name}"
        fix = f"if nothing else uses them: ip addr flush dev {interface.name} (as root)"
        return Finding(name, "note", f"{detail}; the port has to have another one", fix)
    return Finding(name, "ok", f"the kernel has none on {interface.name}")


def _offloads(interface: Interface) -> list[Finding]:
    """Judge what would bring packets without a checksum, or longer than the MTU."""
    name, found = "fabric offloads", []
    merging = sorted(interface.features & {"gro", "lro"})
    if merging and interface.peer is None:
        fix = f"ethtool -K {interface.name} {' '.join(f'{each} off' for each in merging)} (as root)"
        detail = f"{interface.name} merges packets ({', '.join(merging)}): longer than a buffer"
        found.append(Finding(name, "note", detail, fix))
    if interface.peer is None:
        return found or [Finding(name, "ok", f"{interface.name} merges no packets")]
    peer = interface.peer or "PEER"
    fix = f"ethtool -K {peer} tx off gso off tso off gro off (as root)"
    if interface.peer_features is None:
        detail = f"the other end of {interface.name} is in another network namespace"
        return [*found, Finding(name, "note", f"{detail}: see to it there", f"there: {fix}")]
    harmful = _named(OFFLOADS, interface.peer_features)
    if harmful:
        detail = (
            f"{peer} sends packets without checksum or in one long piece ({', '.join(harmful)})"
        )
        return [*found, Finding(name, "problem", detail, fix)]
    return [*found, Finding(name, "ok", f"{peer} computes checksums and cuts packets itself")]


def _named(names: Sequence[str], features: frozenset[str]) -> list[str]:
    return [name for name in names if name in features]


# ------------------------------------------------------------------ sockets


def judge_socket(facts: Facts) -> Finding:
    """Judge the socket by which the two ends of memif, vhost or virtio_user meet."""
    device, state = facts.device, facts.socket
    path = device.settings[ON_SOCKET[device.kind]]
    name = f"fabric socket {path}"
    is_server = _is_server(device)
    if state == "no folder":
        fix = f"mkdir -p {path.rpartition('/')[0] or '/'}"
        return Finding(name, "problem", "its folder is not there", fix)
    if state == "no right":
        fix = "give this user the folder, or another path"
        return Finding(name, "problem", "this user may not use it, or not make it", fix)
    if state == "other":
        fix = "another path: a file that is no socket is never removed"
        return Finding(name, "problem", "another kind of file is there", fix)
    if is_server:
        if state == "listening":
            fix = "end the other server, or choose another path"
            return Finding(name, "problem", "somebody listens there already", fix)
        said = "left by a process that was killed; the next start removes it"
        return Finding(name, "ok", said if state == "stale" else "not there; this end makes it")
    if state == "listening":
        return Finding(name, "ok", "the other end listens")
    said = "left by a process that was killed" if state == "stale" else "not there"
    detail = f"{said}: the other end, which makes it, does not run"
    return Finding(name, "note", detail, "start the other end; this one waits for it")


def _is_server(device: Device) -> bool:
    if device.kind == "memif":
        return device.settings.get("role") == "server"
    if device.kind == "vhost":
        return device.settings.get("client") != "1"
    return device.settings.get("server") == "1"
