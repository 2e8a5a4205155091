"""eastwest doctor: the device of our own TCP/IP, on machines that are not as they should be."""

import _ctypes
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from eastwest.cli import _fabric_checks as checks
from eastwest.cli import _fabric_facts as facts
from eastwest.cli._fabric_checks import Device, Facts, Interface, Plugin, Rights
from eastwest.cli._machine import Finding
from tests.python.command_line import run_json

VERSION = "1.2.3"
PLUGIN = Plugin("/lib/plugin.so", checks.STACK_ABI, VERSION)
ALL = frozenset(facts.CAPABILITIES.values())
RIGHTS = Rights(ALL, None, (6, 1))
ETH = Interface("eth1", True, 1500)
XDP = Device("af_xdp", {"iface": "eth1"})
MEMIF = Device("memif", {"socket": "/run/m.sock", "role": "server"})


def judged(name: str, device: Device = XDP, **more: Any) -> list[tuple[str, str, str]]:
    """State, detail and fix of the findings with that name."""
    given = {"plugin": PLUGIN, "rights": RIGHTS, "interface": ETH, **more}
    found = checks.judge(Facts(device, **given), VERSION)
    assert all(each.fix for each in found if each.state == "problem")
    return [(each.state, each.detail, each.fix or "") for each in found if each.name == name]


def one(name: str, device: Device = XDP, **more: Any) -> tuple[str, str, str]:
    (found,) = judged(name, device, **more)
    return found


# ------------------------------------------------------------------ texts


@pytest.mark.parametrize(
    ("text", "kind", "settings"),
    [
        ("af_xdp:iface=eth1,queue=0", "af_xdp", {"iface": "eth1", "queue": "0"}),
        ("memif:socket=/a,role=client", "memif", {"socket": "/a", "role": "client"}),
        ("pci:0000:03:00.0", "pci", {"address": "0000:03:00.0"}),
        ("ring:name=a", "ring", {"name": "a"}),
    ],
)
def test_a_device_is_read(text: str, kind: str, settings: dict[str, str]) -> None:
    assert checks.parse(text) == Device(kind, settings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "KIND one of memif, virtio_user"),
        ("eth1", "want KIND:key=value"),
        ("x:a=b", "want KIND:key=value"),
        ("af_xdp:", "iface= is missing"),
        ("af_xdp:eth1", "want key=value"),
        ("vhost:socket=/a", "path= is missing"),
        ("vhost:path=", "path= is missing"),
        ("vhost:path=a.sock", "absolute path"),
        ("vhost:path=/a,server=1", "no setting of vhost; there are path, client"),
        ("vhost:path=/a,client=yes", "0 or 1"),
        ("vhost:path=/a,path=/b", "given twice"),
        ("memif:socket=/a", "role= is missing"),
        ("memif:socket=/a,role=boss", "server or client"),
        ("pci:", "pci:0000:03:00.0"),
    ],
)
def test_a_wrong_device_is_a_sentence(text: str, says: str) -> None:
    # catches: what the plug-in refuses, and doctor finds in order
    found = checks.parse(text)
    assert isinstance(found, str)
    assert says in found


def test_devices_are_those_of_the_plug_in() -> None:
    source = (Path(__file__).parents[2] / "transport/dpdk/kind.c").read_text()
    kind = re.compile(r'\{"(\w+)", "\w+", "[^"]+",\s*\{((?:\{[^}]+\}(?:, )?)+)\}')
    key = re.compile(r'\{"(\w+)", \w+, (true|false)\}')
    found = {}
    for name, keys in kind.findall(source):
        all_keys = key.findall(keys)
        found[name] = tuple(
            tuple(each for each, needed in all_keys if needed == wanted)
            for wanted in ("true", "false")
        )
    assert found == checks.KEYS


# ------------------------------------------------------------------ plug-in, memory, rights


@pytest.mark.parametrize(
    ("plugin", "state", "word"),
    [
        (PLUGIN, "ok", VERSION),
        (Plugin(None), "problem", "none is installed"),
        (Plugin("/lib/p.so", error="libnuma.so.1: no such file"), "problem", "libnuma"),
        (Plugin("/lib/p.so", 2, VERSION), "problem", "interface 2"),
        (Plugin("/lib/p.so", checks.STACK_ABI, "1.0"), "note", "this is 1.2.3"),
    ],
)
def test_plugin(plugin: Plugin, state: str, word: str) -> None:
    found = one("fabric plug-in", plugin=plugin)
    assert found[0] == state
    assert word in found[1]


def test_rights_are_those_of_the_driver() -> None:
    """catches: one driver's needs asked of all; a capability that another one stands for"""
    nothing = Rights(frozenset(), None, (6, 1))
    state, detail, fix = one("fabric rights", rights=nothing)
    assert (state, detail) == ("problem", "af_xdp needs CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF")
    assert "+net_raw,+net_admin,+bpf" in fix
    assert one("fabric rights", rights=Rights(ALL - {"bpf"}, None, (6, 1)))[0] == "ok"
    packet = Device("af_packet", {"iface": "eth1"})
    raw = Rights(frozenset({"net_raw"}), None, (6, 1))
    assert one("fabric rights", packet, rights=raw)[0] == "ok"
    assert judged("fabric rights", MEMIF, rights=nothing, socket="absent") == []
    no_tun = Rights(ALL, None, (6, 1), has_tun=False)
    assert one("fabric tun", Device("tap", {"iface": "t"}), rights=no_tun)[0] == "problem"


def test_locked_memory_counts_on_old_kernels_only() -> None:
    few, name = ALL - {"ipc_lock"}, "fabric locked memory"
    assert one(name, rights=Rights(few, 64 << 10, (5, 10)))[0] == "problem"
    assert one(name, rights=Rights(few, 64 << 10, (5, 11)))[0] == "ok"
    assert one(name, rights=Rights(ALL, 64 << 10, (5, 10)))[0] == "ok"


def test_huge_pages_are_better_and_not_needed() -> None:
    few = one("fabric huge pages", huge_free=4, huge_total=10)
    assert few[0] == "note"
    assert "vm.nr_hugepages=70" in few[2]
    many = one("fabric huge pages", huge_free=64, huge_total=64, huge_mount="/dev/hugepages")
    assert many[0] == "ok"
    assert "/dev/hugepages" in many[1]


# ------------------------------------------------------------------ interface


def test_interface_that_is_not_there() -> None:
    assert one("fabric interface", interface=None)[0] == "problem"
    assert judged("fabric MTU", interface=None) == []
    assert one("fabric interface", interface=Interface("eth1", False, 1500))[0] == "problem"


def test_mtu_beyond_the_driver() -> None:
    jumbo = Interface("eth1", True, 9000)
    state, _, fix = one("fabric MTU", interface=jumbo)
    assert state == "problem"
    assert "mtu 1500" in fix
    assert one("fabric MTU", Device("af_packet", {"iface": "eth1"}), interface=jumbo)[0] == "ok"


def test_our_address_at_the_kernel_means_resets() -> None:
    twice = Interface("eth1", True, 1500, addresses=("10.0.0.1", "fe80::1"))
    state, detail, fix = one("fabric addresses", interface=twice, addresses=("10.0.0.1",))
    assert state == "problem"
    assert "resets" in detail
    assert "ip addr flush dev eth1" in fix
    assert one("fabric addresses", interface=twice, addresses=("10.0.0.2",))[0] == "note"
    assert one("fabric addresses")[0] == "ok"


def test_offloads_of_a_veth_are_those_of_its_other_end() -> None:
    """catches: our own end is judged; a command without the name of the other end"""
    on, off = frozenset({"tx", "tso"}), frozenset({"gro"})
    peer = Interface("eth1", True, 1500, features=on, peer="veth0", peer_features=on)
    state, detail, fix = one("fabric offloads", interface=peer)
    assert state == "problem"
    assert "(tx, tso)" in detail
    assert "ethtool -K veth0 tx off" in fix
    peer = Interface("eth1", True, 1500, features=on, peer="veth0", peer_features=off)
    assert one("fabric offloads", interface=peer)[0] == "ok"
    away = Interface("eth1", True, 1500, peer="")
    assert one("fabric offloads", interface=away)[0] == "note"


def test_a_card_that_merges_packets() -> None:
    card = Interface("eth1", True, 1500, features=frozenset({"gro", "lro", "tx"}))
    state, _, fix = one("fabric offloads", interface=card)
    assert state == "note"
    assert "eth1 gro off lro off" in fix
    assert one("fabric offloads")[0] == "ok"


def test_leftovers_of_xdp_and_forwarding() -> None:
    left = Interface("eth1", True, 1500, xdp=17, forwards=True)
    state, detail, fix = one("fabric XDP program", interface=left)
    assert state == "note"
    assert "17" in detail
    assert "ip link set dev eth1 xdp off" in fix
    assert one("fabric forwarding", interface=left)[0] == "note"
    packet = Device("af_packet", {"iface": "eth1"})
    assert judged("fabric XDP program", packet, interface=left) == []
    assert judged("fabric XDP program") == []


# ------------------------------------------------------------------ sockets


@pytest.mark.parametrize(
    ("device", "state", "found"),
    [
        (MEMIF, "absent", "ok"),
        (MEMIF, "stale", "ok"),
        (MEMIF, "listening", "problem"),
        (MEMIF, "other", "problem"),
        (MEMIF, "no folder", "problem"),
        (MEMIF, "no right", "problem"),
        (Device("memif", {"socket": "/a", "role": "client"}), "listening", "ok"),
        (Device("memif", {"socket": "/a", "role": "client"}), "stale", "note"),
        (Device("vhost", {"path": "/a"}), "listening", "problem"),
        (Device("vhost", {"path": "/a", "client": "1"}), "listening", "ok"),
        (Device("virtio_user", {"path": "/a"}), "absent", "note"),
        (Device("virtio_user", {"path": "/a", "server": "1"}), "absent", "ok"),
    ],
)
def test_socket(device: Device, state: str, found: str) -> None:
    judged_one = checks.judge_socket(Facts(device, PLUGIN, RIGHTS, socket=state))  # type: ignore[arg-type]
    assert judged_one.state == found
    assert judged_one.fix or found == "ok"


def test_sockets_are_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    assert facts.look_at_socket(str(path)) == "absent"
    assert facts.look_at_socket(str(tmp_path / "none/a.sock")) == "no folder"
    path.write_text("")
    assert facts.look_at_socket(str(path)) == "other"
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as ours:
        ours.bind(str(path))
        ours.listen()
        assert facts.look_at_socket(str(path)) == "listening"
        ours.settimeout(0)
        with pytest.raises(BlockingIOError):  # nobody has knocked
            ours.accept()
    assert facts.look_at_socket(str(path)) == "stale"


# ------------------------------------------------------------------ this machine


def test_this_machine_is_looked_at() -> None:
    """catches: a struct of the kernel read wrongly"""
    loopback = facts.look_at_interface("lo")
    assert loopback is not None
    assert "127.0.0.1" in loopback.addresses
    assert loopback.mtu >= 1500
    assert loopback.peer is None
    assert loopback.xdp == 0
    assert "tx" in loopback.features
    assert facts.look_at_interface("no-such-device") is None
    assert facts.look_at_interface("../lo") is None


def test_a_plugin_that_is_none_is_said(tmp_path: Path) -> None:
    assert facts.look_at_plugin(None).path is None
    assert facts.look_at_plugin(str(tmp_path / "none.so")).error
    file = tmp_path / "plugin.so"
    file.write_text("no library" * 1000)
    assert "invalid ELF header" in facts.look_at_plugin(str(file)).error
    library = _ctypes.__file__
    assert "ewi_stack_plugin" in facts.look_at_plugin(library).error


def test_doctor_checks_a_device_that_is_named(runtime_dir: Path) -> None:
    found = run_json("doctor", "--device", "af_packet:iface=lo")["findings"]
    named = {each["name"]: each for each in found}
    assert named["fabric interface"]["state"] == "ok"
    assert named["fabric MTU"]["state"] == "problem"  # 65536
    assert {"fabric plug-in", "fabric rights", "fabric offloads"} <= named.keys()
    found = run_json("doctor", "--device", "eth1")["findings"]
    assert any(each["name"] == "fabric device" and each["state"] == "problem" for each in found)
    found = run_json("doctor")["findings"]
    assert not [each for each in found if each["name"].startswith("fabric ")]


def test_findings_are_findings() -> None:
    found = facts.look(Device("ring", {"name": "a"}), None, ())
    assert all(isinstance(each, Finding) for each in checks.judge(found, VERSION))
    assert os.geteuid() != 0 or found.rights.capabilities
