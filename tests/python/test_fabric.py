"""The settings of a fabric, the order that it brings, what is said about it. No native module."""

import random
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from eastwest import Config, ConfigurationError, Instance
from eastwest._addresses import as_tcp, check_dialled, network_of
from eastwest._better import Better
from eastwest._explain import explain_listener
from eastwest._fabric import Fabric, FabricState, absent, given, installed
from eastwest._facts import Facts, compose, parse
from eastwest._native_values import ListenerInfo
from eastwest._select import Plan, plan, ways
from eastwest._values import PATHS, ListenerStats, Path

WHOLE: dict[str, Any] = {
    "fabric_network": "rack",
    "fabric_device": "memif:id=1",
    "fabric_addresses": ("10.7.0.2/24",),
    "security": "none",
}
SHM, TCP = "shm:/run/eastwest/x.sock", "tcp://10.0.0.1:7411"
DPDK, OTHER = "dpdk://rack/10.7.0.2:7411", "dpdk://hall/10.8.0.2:7411"


# ------------------------------------------------------------------ settings


def test_settings_become_the_text_of_the_library() -> None:
    config = Config(
        **WHOLE | {"fabric_addresses": ["10.7.0.2/24", "FD00:7::2/64"]},
        fabric_gateway="10.7.0.1",
        fabric_mtu=1500,
        fabric_mac="02:00:00:00:00:0A",
        fabric_port=7411,
    )
    assert (given(config) or "").splitlines() == [
        "network=rack",
        "device=memif:id=1",
        "address=10.7.0.2/24",
        "address=fd00:7::2/64",
        "gateway=10.7.0.1",
        "mtu=1500",
        "mac=02:00:00:00:00:0a",
        "port=7411",
    ]
    assert given(Config()) is None
    assert given(Config(**WHOLE, paths=("shm", "tcp"))) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"security": None}, 'security = "none"'),
        ({"fabric_device": ""}, "needs fabric_device"),
        ({"fabric_addresses": ()}, "needs fabric_addresses"),
        ({"fabric_network": None}, "fabric_device: it means nothing without fabric_network"),
        ({"fabric_network": "Rack"}, "1 to 63"),
        ({"fabric_network": "-rack"}, "1 to 63"),
        ({"fabric_network": "a/b"}, "1 to 63"),
        ({"fabric_addresses": ("10.7.0.2",)}, "with its prefix"),
        ({"fabric_addresses": ("10.7.0.2/33",)}, "with its prefix"),
        ({"fabric_addresses": ("0.0.0.0/24",)}, "not the address of one port"),
        ({"fabric_addresses": ("ff02::1/64",)}, "not the address of one port"),
        ({"fabric_addresses": ("10.7.0.2/24",) * 2}, "given twice"),
        ({"fabric_addresses": tuple(f"10.7.0.{n}/24" for n in range(1, 10))}, "8 at most"),
        ({"fabric_device": "a\nport=1"}, "printable"),
        ({"fabric_addresses": ("fe80::1%a\nmtu=9/64",)}, "with its prefix"),
        ({"fabric_gateway": "10.7.0.1/24"}, "want an address"),
        ({"fabric_gateway": "fe80::1%a\nmtu=9"}, "want an address"),
        ({"fabric_mac": "03:00:00:00:00:01"}, "first byte even"),
        ({"fabric_mac": "2:0:0:0:0:1"}, "first byte even"),
        ({"fabric_mtu": 100}, "576"),
        ({"fabric_port": 65536}, "65535"),
        ({"fabric_plugin": "plugin.so"}, "absolute"),
    ],
)
def test_half_of_a_fabric_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        Config(**WHOLE | changes)
    assert says in str(error.value)


def test_settings_come_from_the_environment() -> None:
    environ = {
        "EASTWEST_FABRIC_NETWORK": "rack",
        "EASTWEST_FABRIC_DEVICE": "memif:id=1",
        "EASTWEST_FABRIC_ADDRESSES": "10.7.0.2/24, fd00:7::2/64",
        "EASTWEST_FABRIC_PORT": "7411",
        "EASTWEST_SECURITY": "none",
        "EASTWEST_CONFIG": "/dev/null",
    }
    config = Config.load(environ=environ)
    assert config.fabric_addresses == ("10.7.0.2/24", "fd00:7::2/64")
    assert config.fabric_port == 7411
    assert config.origins()["fabric_network"] == "EASTWEST_FABRIC_NETWORK"


def test_plug_in_of_the_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eastwest_dpdk", None)
    assert installed() is None
    package = types.ModuleType("eastwest_dpdk")
    package.plugin_path = lambda: "/lib/plugin.so"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "eastwest_dpdk", package)
    assert installed() == "/lib/plugin.so"


# ------------------------------------------------------------------ addresses and facts


def test_addresses_of_a_fabric() -> None:
    assert network_of(DPDK) == "rack"
    assert network_of(TCP) == network_of(SHM) == ""
    assert as_tcp("dpdk://rack/[fd00::1]:7") == "tcp://[fd00::1]:7"
    assert check_dialled("dpdk://rack/[FD00::1]:7") == "dpdk://rack/[fd00::1]:7"
    for wrong in ("dpdk://10.0.0.1:7", "dpdk:///10.0.0.1:7", "dpdk://Rack/10.0.0.1:7", DPDK + "0"):
        with pytest.raises(ConfigurationError):
            check_dialled(wrong)


def test_a_listener_tells_its_address_on_the_fabric() -> None:
    facts = Facts(tcp=TCP, dpdk=DPDK)
    assert parse(compose(facts)) == facts
    assert parse('{"dpdk": "tcp://10.0.0.1:1", "tcp": "dpdk://rack/10.0.0.1:1"}') == Facts()
    assert parse('{"dpdk": "dpdk://rack/10.0.0.1:0"}') == Facts()


# ------------------------------------------------------------------ order


def instance(*addresses: str) -> Instance:
    return Instance("pricing", "a" * 32, {}, "", 1, addresses, False, "static:f")


def planned(*instances: Instance, network: str = "", paths: Any = PATHS) -> Plan:
    return plan(
        instances,
        where={},
        pick="nearest",
        zone="",
        paths=paths,
        rng=random.Random(1),
        network=network,
    )


def test_on_the_same_network_dpdk_comes_between_shm_and_tcp() -> None:
    found = planned(instance(TCP, DPDK, SHM), network="rack").candidates
    assert [(each.path, each.address) for each in found] == [
        ("shm", SHM),
        ("dpdk", DPDK),
        ("tcp", TCP),
        ("tcp", as_tcp(DPDK)),
    ]


def test_without_that_network_it_is_plain_tcp_and_the_last_choice() -> None:
    second = instance("tcp://10.0.0.9:1")
    found = planned(instance(DPDK, TCP), second, network="hall")
    assert {each.address for each in found.candidates[:2]} == {TCP, "tcp://10.0.0.9:1"}
    last = found.candidates[2:]
    assert [(each.path, each.address) for each in last] == [("tcp", as_tcp(DPDK))]
    (verdict,) = found.rejected
    assert (verdict.path, verdict.check) == ("dpdk", "network")
    assert "the port here is on hall" in verdict.detail


def test_without_tcp_it_is_not_dialled_as_tcp() -> None:
    assert planned(instance(DPDK), paths=("shm", "dpdk")).candidates == ()


def test_an_address_that_is_known_as_tcp_is_tried_once() -> None:
    found = planned(instance(DPDK, as_tcp(DPDK))).candidates
    assert [each.address for each in found] == [as_tcp(DPDK)]


def test_ways_of_a_channel() -> None:
    some = [instance(TCP, OTHER, DPDK, SHM)]
    assert ways(some, "a" * 32, PATHS, "rack") == (SHM, DPDK, TCP, as_tcp(OTHER), as_tcp(DPDK))
    assert ways(some, "a" * 32, ("dpdk",), "rack") == (DPDK,)
    assert ways(some, "a" * 32, ("dpdk",), "") == ()


# ------------------------------------------------------------------ a better path


def better(
    local: str | None = None, state: FabricState = "up", asked: list[str] | None = None
) -> Better:
    def look(service: str, instance: str) -> tuple[str, ...]:
        if asked is not None:
            asked.append(service)
        return (DPDK, TCP)

    fabric: Callable[[], Fabric] = lambda: Fabric(state)  # noqa: E731
    return Better(lambda service, instance: local, look, fabric, PATHS)


def test_shared_memory_is_better_than_anything() -> None:
    assert better(SHM)("s", "i", "tcp") == SHM
    assert better(SHM)("s", "i", "dpdk") == SHM


def test_the_fabric_is_better_than_tcp_while_it_works() -> None:
    assert better()("s", "i", "tcp") == DPDK
    assert better()("s", "i", "dpdk") is None
    assert better(state="lost")("s", "i", "tcp") is None


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [(("dpdk",), False), (("tcp",), False), (("dpdk", "tcp"), True), (("shm", "dpdk"), True)],
)
def test_no_better_path_is_looked_for_where_there_can_be_none(
    paths: tuple[Path, ...], wanted: bool
) -> None:
    # catches: a thread that wakes up each second for nothing, beside an idle channel
    some = Better(lambda service, instance: None, lambda service, instance: (), Fabric, paths)
    assert some.may_be is wanted


def test_where_an_instance_is_on_the_fabric_is_not_looked_up_every_second() -> None:
    asked: list[str] = []
    look = better(asked=asked)
    assert [look("s", "i", "tcp") for _ in range(5)] == [DPDK] * 5
    assert asked == ["s"]


# ------------------------------------------------------------------ texts


@pytest.mark.parametrize(
    ("fabric", "check", "says"),
    [
        (Fabric(), "stack", "no fabric_network is configured"),
        (Fabric("absent", "rack", reason="ABI 2"), "stack", "ABI 2"),
        (Fabric("closed", "rack", reason="no such socket"), "device", "no such socket"),
        (Fabric("lost", "rack", reason="no carrier"), "device", "no carrier"),
        (Fabric("up", "rack"), "address", "publishes none on rack"),
    ],
)
def test_why_there_is_no_dpdk(fabric: Fabric, check: str, says: str) -> None:
    verdict = absent(fabric)
    assert (verdict.path, verdict.ok, verdict.check) == ("dpdk", False, check)
    assert says in verdict.detail
    assert verdict.fix


def test_what_cannot_sleep_is_shown() -> None:
    fabric = Fabric("up", "rack", "memif0", "1", "memif has no interrupts", 0.001, 2)
    shown = str(fabric)
    assert shown == (
        "rack by memif0, up: memif has no interrupts; polled every 1 ms; lost 2 times before"
    )
    stats = ListenerStats(0, 0, 0, 0, 0)
    why = explain_listener("s", ListenerInfo("i", "", "", stats, DPDK), (), "", fabric)
    assert (why.chosen.path if why.chosen else None) == "dpdk"
    assert why.facts["fabric"] == shown
    none = explain_listener("s", ListenerInfo("i", "", TCP, stats), (), "", Fabric())
    assert [each.path for each in none.rejected] == ["dpdk"]


def test_a_listener_whose_port_is_lost_is_not_said_to_listen_there() -> None:
    info = ListenerInfo("i", "", TCP, ListenerStats(0, 0, 0, 0, 0), DPDK)
    why = explain_listener("s", info, (), "", Fabric("lost", "rack", reason="no carrier"))
    assert (why.chosen.path if why.chosen else None) == "tcp"
    (verdict,) = why.rejected
    assert (verdict.path, verdict.ok, verdict.address) == ("dpdk", False, DPDK)
    assert "no carrier" in verdict.detail
