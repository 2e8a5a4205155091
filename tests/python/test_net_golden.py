"""The golden frames of tests/c/net_golden*.h, judged by somebody else: tshark.

The C tests take their checksums and fields for true; here tshark reads the same bytes from a
capture file and says which checksums are good and what it sees.
"""

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "dev" / "tests" / "c_test_net_header"
LINK_TYPE_ETHERNET = 1
CHECKED = [f"{layer}.check_checksum:TRUE" for layer in ("ip", "tcp", "udp")]
FRAGMENTED = {"ip4_fragment", "ip6_fragment"}  # what is in them is not all there
UNSUMMED = {"udp4_unsummed"}
QUOTED = {"icmp4_too_big", "icmp6_too_big"}  # sums of the quoted segment are not ours
FIELDS = {
    "arp_reply_tagged": {"vlan.id": "42", "vlan.priority": "3", "arp.opcode": "2"},
    "tcp_syn_linux": {"tcp.options.mss_val": "1460", "tcp.options.wscale.shift": "7"},
    "tcp_syn_plain": {"tcp.options.mss_val": "1460", "tcp.options.wscale.shift": "6"},
    "tcp_sack": {"tcp.options.sack.count": "3", "tcp.len": "5", "tcp.hdr_len": "60"},
    "tcp_ack": {"tcp.options.timestamp.tsval": "2695938257", "tcp.window_size_value": "1000"},
    "udp4_all_ones": {"udp.checksum": "0xffff", "udp.dstport": "53"},
    "ip4_options": {"ip.hdr_len": "32", "udp.length": "12"},
    "ip4_fragment": {"ip.flags.mf": "1", "ip.len": "36"},
    "icmp4_too_big": {"icmp.type": "3", "icmp.code": "4", "icmp.mtu": "1400"},
    "tcp6_syn": {"ipv6.flow": "0x012345", "tcp.options.mss_val": "1440"},
    "ip6_extensions": {"ipv6.fraghdr.ident": "0xdeadbeef", "udp.dstport": "53"},
    "ip6_fragment": {"ipv6.fraghdr.ident": "0xcafef00d"},
    "icmp6_too_big": {"icmpv6.mtu": "1280"},
    "ndp_ra": {"icmpv6.opt.prefix.length": "64", "icmpv6.nd.ra.router_lifetime": "1800"},
    "ndp_ns_probe": {"icmpv6.nd.ns.target_address": "2001:db8::b", "ipv6.src": "::"},
    "ndp_na": {"icmpv6.nd.na.target_address": "2001:db8::b"},
    "ndp_redirect": {"icmpv6.rd.na.destination_address": "2001:db8:1::1"},
}


def frames() -> dict[str, bytes]:
    lines = subprocess.run(
        [PROGRAM, "--dump"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {name: bytes.fromhex(text) for name, text in map(str.split, lines)}


def capture(packets: list[bytes]) -> bytes:
    """Return a capture file: https://wiki.wireshark.org/Development/LibpcapFileFormat."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINK_TYPE_ETHERNET)
    for second, packet in enumerate(packets):
        out += struct.pack("<IIII", second, 0, len(packet), len(packet)) + packet
    return out


def flat(layers: Any, out: dict[str, list[str]]) -> dict[str, list[str]]:
    """Collect all values of each field, in whatever layer they lie."""
    pairs = layers.items() if isinstance(layers, dict) else ()
    for name, value in pairs:
        if isinstance(value, str):
            out.setdefault(name, []).append(value)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str) and isinstance(value, list):
                out.setdefault(name, []).append(each)
            flat(each, out)
    return out


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """What tshark sees in each frame: its fields, by name."""
    if shutil.which("tshark") is None:
        pytest.skip("needs tshark")
    sent = frames()
    path = tmp_path_factory.mktemp("golden") / "golden.pcap"
    path.write_bytes(capture(list(sent.values())))
    command = ["tshark", "-n", "-r", str(path), "-T", "json", "--no-duplicate-keys"]
    for port in (53, 5000):  # "abc" is no DNS
        command += ["-d", f"udp.port=={port},data"]
    for preference in CHECKED:
        command += ["-o", preference]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    packets = [packet["_source"]["layers"] for packet in json.loads(text)]
    assert len(packets) == len(sent)
    return {name: flat(layers, {}) for name, layers in zip(sent, packets, strict=True)}


def test_every_checksum_is_good(seen: dict[str, dict[str, list[str]]]) -> None:
    for name, fields in seen.items():
        said = {key: value for key, value in fields.items() if key.endswith(".checksum.status")}
        good = {"1"}
        if name in UNSUMMED | QUOTED | FRAGMENTED:
            good |= {"2", "3"}  # unverified, not present
        for key, values in said.items():
            assert set(values) <= good, (name, key, values)
        if "arp.opcode" not in fields and "ipv6.fraghdr.more" not in fields:
            assert said, name


def test_nothing_is_malformed(seen: dict[str, dict[str, list[str]]]) -> None:
    for name, fields in seen.items():
        bad = [key for key in fields if key.startswith("_ws.malformed")]
        assert not bad, (name, bad)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_fields_are_seen(seen: dict[str, dict[str, list[str]]], name: str) -> None:
    for key, value in FIELDS[name].items():
        assert value in seen[name].get(key, []), (key, seen[name].get(key))
