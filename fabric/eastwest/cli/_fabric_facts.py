"""Looking at the device of our own TCP/IP, for ``eastwest doctor``. Changes nothing."""

import array
import fcntl
import json
import os
import resource
import socket
import stat
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from ._fabric_checks import (
    ON_INTERFACE,
    ON_SOCKET,
    Device,
    Facts,
    Interface,
    Plugin,
    Rights,
    SocketState,
)

NET = Path("/sys/class/net")
UNIX = Path("/proc/net/unix")
LISTENS = 1 << 16  # __SO_ACCEPTCON, linux/net.h
HUGE = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
CAPABILITIES = {12: "net_admin", 13: "net_raw", 14: "ipc_lock", 21: "sys_admin", 39: "bpf"}
SIOCETHTOOL, SIOCGIFADDR = 0x8946, 0x8915  # linux/sockios.h
GETTERS = {"tx": 0x16, "tso": 0x1E, "gso": 0x23, "gro": 0x2B}  # ETHTOOL_GTXCSUM .., linux/ethtool.h
GFLAGS, FLAG_LRO = 0x25, 1 << 15
RTM_GETLINK, IFLA_XDP, IFLA_XDP_PROG_ID = 18, 43, 4  # linux/rtnetlink.h, if_link.h
IFF_UP = 1
PLUGIN_SECONDS = 20.0
ASK_PLUGIN = """
import ctypes, json, sys
class Plugin(ctypes.Structure):
    _fields_ = [("abi", ctypes.c_uint32), ("bytes", ctypes.c_uint32), ("version", ctypes.c_char_p)]
said = Plugin.in_dll(ctypes.CDLL(sys.argv[1]), "ewi_stack_plugin")
print(json.dumps([said.abi, (said.version or b"").decode(errors="replace")]))
"""


def look(device: Device, plugin: str | None, addresses: tuple[str, ...]) -> Facts:
    """Return everything that can be seen of a device."""
    name = device.settings.get("iface", "")
    key = ON_SOCKET.get(device.kind)
    return Facts(
        device=device,
        plugin=look_at_plugin(plugin),
        rights=_rights(),
        interface=look_at_interface(name) if device.kind in ON_INTERFACE else None,
        socket=look_at_socket(device.settings[key]) if key else None,
        huge_free=_number(HUGE / "free_hugepages"),
        huge_total=_number(HUGE / "nr_hugepages"),
        huge_mount=_huge_mount(),
        addresses=addresses,
    )


def _number(path: Path) -> int:
    try:
        return int(path.read_text(), 0)
    except (OSError, ValueError):
        return 0


# ------------------------------------------------------------------ plug-in


def look_at_plugin(path: str | None) -> Plugin:
    """Load the plug-in, in a process of its own, and ask it."""
    if path is None:
        return Plugin(None)
    if not os.path.isabs(path) or not os.path.isfile(path):
        return Plugin(path, error="no such file, or no absolute path")
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", ASK_PLUGIN, path],
            capture_output=True,
            text=True,
            timeout=PLUGIN_SECONDS,
            check=False,
        )
        abi, version = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        lines = [] if "done" not in locals() else done.stderr.strip().splitlines()
        return Plugin(path, error=lines[-1] if lines else "it cannot be loaded")
    return Plugin(path, int(abi), str(version))


# ------------------------------------------------------------------ rights, memory


def _rights() -> Rights:
    effective = 0
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                effective = int(line.split()[1], 16)
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    parts = [
        int(each) for each in os.uname().release.split("-")[0].split(".")[:2] if each.isdigit()
    ]
    return Rights(
        capabilities=frozenset(name for bit, name in CAPABILITIES.items() if effective >> bit & 1),
        memlock=None if soft == resource.RLIM_INFINITY else soft,
        kernel=(parts[0], parts[1]) if len(parts) == 2 else (0, 0),
        has_tun=os.access("/dev/net/tun", os.R_OK | os.W_OK),
    )


def _huge_mount() -> str | None:
    with suppress(OSError):
        for line in Path("/proc/mounts").read_text().splitlines():
            words = line.split()
            if len(words) > 2 and words[2] == "hugetlbfs":
                return words[1]
    return None


# ------------------------------------------------------------------ interface


def look_at_interface(name: str) -> Interface | None:
    """Return what the kernel says of an interface, None if it is not there."""
    folder = NET / name
    if not name or "/" in name or not folder.is_dir():
        return None
    peer = _peer(name)
    return Interface(
        name=name,
        is_up=bool(_number(folder / "flags") & IFF_UP),
        mtu=_number(folder / "mtu"),
        addresses=_addresses(name),
        features=_features(name),
        peer=peer,
        peer_features=_features(peer) if peer else None,
        forwards=_number(Path(f"/proc/sys/net/ipv4/conf/{name}/forwarding")) == 1,
        xdp=_xdp(_number(folder / "ifindex")),
    )


def _peer(name: str) -> str | None:
    """Return the other end of a veth; "" in another namespace, None: it is no veth."""
    index, link = _number(NET / name / "ifindex"), _number(NET / name / "iflink")
    if link in (0, index):
        return None
    for each in sorted(NET.iterdir()):
        if _number(each / "ifindex") == link and _number(each / "iflink") == index:
            return each.name
    return ""


def _addresses(name: str) -> tuple[str, ...]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain, suppress(OSError):
        said = fcntl.ioctl(plain, SIOCGIFADDR, struct.pack("16s24x", name.encode()))
        found.append(socket.inet_ntoa(said[20:24]))
    with suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            words = line.split()
            if words[-1] == name:
                found.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[0])))
    return tuple(found)


def _features(name: str) -> frozenset[str]:
    """Return the offloads that are on, by the old ioctls, which every driver answers."""
    found = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        for feature, command in GETTERS.items():
            if _ethtool(plain, name, command):
                found.add(feature)
        if _ethtool(plain, name, GFLAGS) & FLAG_LRO:
            found.add("lro")
    return frozenset(found)


def _ethtool(plain: socket.socket, name: str, command: int) -> int:
    value = array.array("I", [command, 0])  # struct ethtool_value
    request = struct.pack("16sP16x", name.encode(), value.buffer_info()[0])
    try:
        fcntl.ioctl(plain, SIOCETHTOOL, request)
    except OSError:
        return 0
    return value[1]


def _xdp(index: int) -> int | None:
    """Return the number of the XDP program of an interface, as rtnetlink says."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
            netlink.settimeout(1.0)
            body = struct.pack("=BxHiII", 0, 0, index, 0, 0)
            netlink.send(struct.pack("=IHHII", 16 + len(body), RTM_GETLINK, 1, 1, 0) + body)
            reply = netlink.recv(1 << 16)
    except OSError:
        return None
    for kind, value in _attributes(reply[32:]):
        if kind == IFLA_XDP:
            for inner, program in _attributes(value):
                if inner == IFLA_XDP_PROG_ID:
                    return int(struct.unpack("=I", program[:4])[0])
    return 0


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    """Return the attributes of a netlink message: rtnetlink(7)."""
    found, at = [], 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found.append((kind & 0x3FFF, data[at + 4 : at + length]))
        at += (length + 3) & ~3
    return found


# ------------------------------------------------------------------ sockets


def look_at_socket(path: str) -> SocketState:
    """Return what is at the path of a socket, without a connection: a server might take us in."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return "no folder"
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return "absent" if os.access(folder, os.W_OK | os.X_OK) else "no right"
    except OSError:
        return "no right"
    if not stat.S_ISSOCK(status.st_mode):
        return "other"
    if not os.access(path, os.W_OK):
        return "no right"
    return "listening" if path in _listening() else "stale"


def _listening() -> set[str]:
    """Return the paths of Unix sockets that listen, as /proc/net/unix shows them."""
    found = set()
    with suppress(OSError):
        for line in UNIX.read_text(errors="replace").splitlines()[1:]:
            words = line.split(maxsplit=7)
            if len(words) == 8 and int(words[3], 16) & LISTENS:
                found.add(words[7])
    return found
