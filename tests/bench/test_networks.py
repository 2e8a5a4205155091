"""Networks of the comparison: what they need, that they work, that nothing of them is left."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bench.compare import networks, pairs, remote
from bench.compare.networks import PREFIX, SPACES, Network, Unavailable
from bench.compare.pair.systems import NAMES
from bench.compare.pairs import Pair, PairError
from bench.compare.specs import PairSpec
from bench.compare.still import StillPair
from tests.integration.hosts import needs_namespaces

SOON_S = 20
MAKES_A_NETWORK = """
import sys
from bench.compare import networks
with networks.veth():
    print("there", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def _root() -> Iterator[None]:
    needs_namespaces()
    yield
    assert spaces_of(os.getpid()) == []


root = pytest.mark.usefixtures("_root")


def spaces_of(pid: int) -> list[str]:
    if not SPACES.is_dir():
        return []
    return [each.name for each in SPACES.iterdir() if each.name.startswith(f"{PREFIX}{pid}x")]


def state_of(pid: int) -> str:
    """Return what the kernel says it does: R, S, T (stopped) ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def needs_pair() -> None:
    if not pairs.PROGRAM.exists():
        pytest.skip("needs ./dev build")


def needs_plugin() -> None:
    needs_pair()
    if not remote.PLUGIN.exists():
        pytest.skip("needs DPDK: no plug-in was built")


def without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)


# ------------------------------------------------------------------ what they need


@pytest.mark.parametrize("make", [networks.veth, networks.bridge, networks.bare])
def test_without_root_it_says_what_would_help(
    make: Callable[[], AbstractContextManager[Network]], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_root(monkeypatch)
    with pytest.raises(Unavailable, match="need root") as raised, make():
        pass
    assert raised.value.missing.fix == "run as root"


@pytest.mark.parametrize(
    ("make", "refused"),
    [(networks.bridge, "bridge"), (networks.veth, "10.78.0.1/24"), (networks.bare, "veth")],
)
def test_what_the_kernel_does_not_make_is_missing(
    make: Callable[[], AbstractContextManager[Network]],
    refused: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """catches: a kernel without bridges that costs the section, DPDK and loopback included"""
    needs_namespaces()
    real = networks.ip

    def ip(*arguments: str) -> str:
        if refused in arguments:
            raise RuntimeError("Operation not supported")
        return real(*arguments)

    monkeypatch.setattr(networks, "ip", ip)
    with pytest.raises(Unavailable, match="not supported"), make():
        pytest.fail("it was made")


def test_without_ip_it_says_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Unavailable) as raised, networks.veth():
        pass
    assert raised.value.missing.fix == "apt install iproute2"


def test_without_root_what_needs_none_is_still_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    without_root(monkeypatch)
    monkeypatch.setattr(remote, "PLUGIN", Path(__file__))
    with remote.remote() as found:
        paths = {each.path for each in found.specs}
    assert paths == {"loopback", "virtio", "virtio-tso", "memif"}
    assert [each.what for each in found.missing] == [
        "remote, veth",
        "remote, bridge",
        "remote, af_packet",
    ]


def test_without_a_plugin_it_says_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    without_root(monkeypatch)
    monkeypatch.setattr(remote, "PLUGIN", Path("/nowhere"))
    with remote.remote() as found:
        assert {each.path for each in found.specs} == {"loopback"}
    fixes = {each.what: each.fix for each in found.missing}
    assert fixes["remote, memif"] == remote.PLUGIN_FIX


def test_pairs_share_networks_and_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    without_root(monkeypatch)
    monkeypatch.setattr(remote, "PLUGIN", Path(__file__))
    with remote.remote() as found:
        devices = [each.options.get("fabric_device") for each in found.specs]
        own = [each for each in devices if each is not None]
    assert len(own) == len(set(own)) == sum(each.path != "loopback" for each in found.specs)


def test_every_python_system_is_one_of_the_pair_programs() -> None:
    assert {each.system for each in remote.LINKS} <= set(NAMES)


def test_a_short_run_leaves_no_path_out() -> None:
    assert all(link.quick and set(link.quick) <= set(link.ways) for link in remote.LINKS)


# ------------------------------------------------------------------ nothing is left


@root
def test_after_an_error_nothing_is_left() -> None:
    with pytest.raises(ZeroDivisionError), networks.bridge() as made:
        assert len(spaces_of(os.getpid())) == 3 and made.spaces is not None
        raise ZeroDivisionError


@root
def test_after_an_error_while_it_is_made_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(ends: object) -> None:
        assert len(spaces_of(os.getpid())) == 2
        raise ZeroDivisionError

    monkeypatch.setattr(networks, "_wait_for_carrier", fail)
    with pytest.raises(ZeroDivisionError), networks.veth():
        pass


@root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_a_signal_nothing_is_left(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MAKES_A_NETWORK],
        cwd=pairs.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        assert len(spaces_of(process.pid)) == 2
        process.send_signal(number)
        assert process.wait(SOON_S) != 0
    assert spaces_of(process.pid) == []


@root
def test_what_a_killed_run_left_is_removed_and_nothing_else() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait(SOON_S)
    left, living = f"{PREFIX}{dead.pid}x0", f"{PREFIX}{os.getpid()}x9"
    for name in (left, living):
        networks.ip("netns", "add", name)
    try:
        networks.sweep()
        assert not (SPACES / left).exists() and (SPACES / living).exists()
    finally:
        networks.ip("netns", "del", living)


# ------------------------------------------------------------------ they work


@root
@pytest.mark.parametrize("make", [networks.veth, networks.bridge, networks.loopback])
def test_tcp_crosses_it(make: Callable[[], AbstractContextManager[Network]]) -> None:
    needs_pair()
    with make() as made, Pair(PairSpec("test", "tcp", "c", "block", options=made.options)) as pair:
        done = pair.do("trip", 64, 0.01)
    assert done is not None and done.count == len(done.samples) > 0


def test_channels_cross_devices_without_root() -> None:
    needs_plugin()
    with (
        remote.PATHS["memif"]() as options,
        Pair(PairSpec("test", "eastwest-dpdk", "c", "spin", options=options)) as pair,
    ):
        done = pair.do("flow", 64, 0.01)
    assert done is not None and done.count > 0
    assert "path dpdk" in pair.version


def test_channels_that_cannot_have_their_path_are_no_result() -> None:
    needs_plugin()
    spec = PairSpec("test", "eastwest-dpdk", "c", "spin", options={"fabric_network": "bench"})
    with pytest.raises((PairError, pairs.MissingPair)):
        Pair(spec).close()


def test_a_still_pair_is_stopped_between_its_works() -> None:
    needs_pair()

    def are_stopped() -> bool:
        both = (process.pid, *pairs.children(process.pid))
        return len(both) == 2 and {state_of(each) for each in both} == {"T"}

    with StillPair(PairSpec("test", "unix-stream", "c", "block")) as pair:
        process = pair._process
        networks.until("both are stopped", are_stopped, SOON_S)
        done = pair.do("trip", 64, 0.01)
        assert done is not None and done.count > 0
        networks.until("both are stopped", are_stopped, SOON_S)
    assert process.returncode == 0
