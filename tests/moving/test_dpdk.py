"""A port of DPDK is lost under load, or its process killed, stopped or away; TCP is beside it."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.far import LISTENS_AT, REAL_PLUGIN, needs_plugin
from tests.conformance.pairs import LONG, wait_until
from tests.conformance.processes import Child
from tests.integration.hosts import FABRIC_END, fabric_pair, needs_namespaces, run, two_hosts
from tests.moving.fabric_ends import SMALL, ask, exchange
from tests.moving.fabric_peers import dial, serve

GRACE = 1.0
STOPPED_S = 2.0
FABRIC = {
    "security": "none",
    "fabric_network": "lab",
    "fabric_plugin": str(REAL_PLUGIN),
    "fabric_port": 7411,
}


def port(number: int) -> dict[str, Any]:
    """Return the settings of a host with kernel TCP on one cable and a port on the other one."""
    return {
        **FABRIC,
        "paths": ["dpdk", "tcp"],
        "fabric_device": f"af_packet:iface={FABRIC_END}",
        "fabric_addresses": [f"10.78.0.{number}/24"],
        "grace": LONG,
    }


@dataclass
class Hosts:
    """Two namespaces, a process in each, and the channel of the two."""

    names: tuple[str, str]
    folder: Path
    stack: ExitStack
    settings: list[dict[str, Any]] = field(default_factory=lambda: [port(1), port(2)])
    children: list[Child] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    @property
    def server(self) -> Child:
        return self.children[0]

    @property
    def client(self) -> Child:
        return self.children[1]

    def start(self, index: int) -> Child:
        """Start the server (0) or the client (1)."""
        work = (serve,) if index == 0 else (dial,)
        more = () if index == 0 else (str(self.folder), self.addresses)
        command = ["ip", "netns", "exec", self.names[index]]
        child = Child(*work, self.settings[index], *more, command=command, env=SMALL)
        self.stack.enter_context(child)
        self.children[index:] = [child, *self.children[index + 1 :]]
        return child

    def connect(self) -> None:
        """Start both; they have a channel over dpdk, at once or as soon as the port is ready."""
        (addresses,) = self.start(0).hears()
        tcp = [each for each in addresses if each.startswith("tcp:")]
        self.addresses = [*tcp, LISTENS_AT.replace("10.77", "10.78")]
        self.start(1).hears()
        self.server.hears()
        self.goes_to("dpdk")

    def load(self) -> None:
        for child in self.children:
            ask(child, "load")

    def passes(self) -> None:
        """Messages pass in both directions."""
        for child in self.children:
            until = ask(child, "look")["received"] + 100
            wait_until(lambda c=child, n=until: ask(c, "look")["received"] >= n, "messages pass")

    def goes_to(self, path: str) -> None:
        for child in self.children:
            wait_until(lambda c=child: ask(c, "look")["path"] == path, f"it goes to {path}")

    def link(self, index: int, state: str) -> None:
        run("ip", "-n", self.names[index], "link", "set", FABRIC_END, state)

    def end(self) -> None:
        """Everything arrived, once and in order."""
        for child in self.children:
            child.tell(["end"])
        (there,), (here,) = (child.hears(LONG) for child in self.children)
        assert (here["errors"], there["errors"]) == ([], [])
        assert (here["wrong"], there["wrong"]) == (0, 0), "repeated or reordered"
        assert (here["received"], there["received"]) == (there["sent"], here["sent"]), "lost"
        assert min(here["sent"], there["sent"]) > 0


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    needs_plugin()
    needs_namespaces()
    with two_hosts() as names, ExitStack() as stack:
        fabric_pair(names)
        made = Hosts(names, tmp_path, stack)
        made.settings[0]["bind"] = "10.77.0.1:0"
        yield made


DEEP = pytest.mark.deep


@pytest.mark.parametrize("victim", ["ours", pytest.param("the_other", marks=DEEP)])
def test_a_cable_that_is_cut_under_load_and_mended(hosts: Hosts, victim: str) -> None:
    # catches: a carrier that nobody looks at; messages on their way; a port that never comes back
    hosts.connect()
    before = len(ask(hosts.client, "look")["changes"])
    hosts.load()
    index = ["the_other", "ours"].index(victim)
    for _ in range(2):
        hosts.passes()
        hosts.link(index, "down")
        hosts.goes_to("tcp")
        hosts.passes()
        hosts.link(index, "up")
        hosts.goes_to("dpdk")
    hosts.passes()
    changes = ask(hosts.client, "look")["changes"][before:]
    assert [each[:2] for each in changes] == [["dpdk", "tcp"], ["tcp", "dpdk"]] * 2
    hosts.end()


def test_a_device_that_is_deleted_and_made_again_under_load(hosts: Hosts) -> None:
    # catches: an error of the driver that is taken for "nothing arrived"; a device held for ever,
    # or waited for, which cannot come back; a hardware address of before
    hosts.connect()
    hosts.load()
    for _ in range(2):
        hosts.passes()
        run("ip", "-n", hosts.names[1], "link", "del", FABRIC_END)
        hosts.goes_to("tcp")
        hosts.passes()
        fabric_pair(hosts.names)  # the old name is free at once
        hosts.goes_to("dpdk")
    hosts.passes()
    hosts.end()


def test_a_process_that_stands_still_under_load_loses_nothing(hosts: Hosts) -> None:
    # catches: a peer that is given up; what was sent twice when it went on
    hosts.connect()
    hosts.load()
    hosts.passes()
    for child in hosts.children:
        child.signal(signal.SIGSTOP)
        time.sleep(STOPPED_S)  # the time that it stands still
        child.signal(signal.SIGCONT)
        hosts.passes()
    hosts.goes_to("dpdk")
    hosts.end()


@pytest.mark.parametrize("index", [0, pytest.param(1, marks=DEEP)], ids=["server", "client"])
def test_a_killed_process_is_lost_and_can_be_started_at_once(hosts: Hosts, index: int) -> None:
    # catches: an end that waits for ever; a port, an address or a device that is taken afterwards
    for each in hosts.settings:
        each["grace"] = GRACE
    hosts.connect()
    survivor = hosts.children[1 - index]
    survivor.tell(["hear"])
    began = time.monotonic()
    hosts.children[index].kill()
    assert survivor.hears() == ["PeerLost"]
    assert time.monotonic() - began < 4 * GRACE
    survivor.kill()  # both start again at once: nothing of the first two may be in their way
    hosts.connect()
    assert exchange(hosts.children)


# ------------------------------------------------------------------ with the kernel's TCP


def _give_kernel(name: str, address: str) -> None:
    """The end of the fabric's cable in this namespace is the kernel's."""
    run("ip", "-n", name, "addr", "add", address, "dev", FABRIC_END)
    offloads = ["tx", "off", "tso", "off", "gso", "off", "gro", "off"]
    run("ip", "netns", "exec", name, "ethtool", "-K", FABRIC_END, *offloads)


PLAIN = {"security": "none", "paths": ["tcp"], "grace": LONG}


def test_a_client_without_a_port_dials_a_fabric_address_by_its_kernel(hosts: Hosts) -> None:
    # catches: an address that only its own kind can dial; sums or segments that the kernel refuses
    _give_kernel(hosts.names[1], "10.78.0.2/24")
    hosts.settings = [{**port(1), "paths": ["dpdk"]}, PLAIN]
    hosts.addresses = [LISTENS_AT.replace("10.77", "10.78")]
    hosts.start(0).hears()
    hosts.start(1)
    assert (hosts.client.hears(), hosts.server.hears()) == (["tcp"], ["dpdk"])
    assert exchange(hosts.children)
    hosts.load()
    hosts.passes()
    hosts.end()


def test_a_client_with_a_port_reaches_a_server_of_the_kernel_there(hosts: Hosts) -> None:
    _give_kernel(hosts.names[0], "10.78.0.1/24")
    hosts.settings = [{**PLAIN, "bind": "10.78.0.1:0"}, {**port(2), "paths": ["dpdk"]}]
    ((address,),) = hosts.start(0).hears()
    hosts.addresses = [address.replace("tcp://", "dpdk://lab/")]
    hosts.start(1)
    assert (hosts.client.hears(), hosts.server.hears()) == (["dpdk"], ["tcp"])
    assert exchange(hosts.children)
    hosts.load()
    hosts.passes()
    hosts.end()


def test_a_tcp_address_in_the_fabrics_prefix_is_the_kernels(hosts: Hosts) -> None:
    # catches: an address that is taken for one of the fabric because its bits are
    hosts.settings = [
        {**PLAIN, "bind": "10.77.0.1:0"},
        {**port(2), "fabric_addresses": ["10.77.0.12/24"]},
    ]
    (hosts.addresses,) = hosts.start(0).hears()
    hosts.start(1)
    assert (hosts.client.hears(), hosts.server.hears()) == (["tcp"], ["tcp"])
    assert exchange(hosts.children)
