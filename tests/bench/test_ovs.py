"""Open vSwitch of the comparison: what it needs, that frames cross it, that nothing is left."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from bench.compare import networks, ovs, pairs, vswitch
from bench.compare.networks import PORTS, Unavailable
from bench.compare.ovs import OneThread
from bench.compare.remote import PLUGIN
from bench.compare.specs import PairSpec
from tests.integration.hosts import needs_namespaces

OPTIONS = {"plugin": str(PLUGIN)}


def folders() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"{vswitch.PREFIX}{os.getpid()}-*"))


def is_still(switch: vswitch.Vswitch) -> bool:
    """Say whether it uses no processor; one that polls uses one all the time."""
    used = switch.cpu_ns()
    time.sleep(0.02)
    return switch.cpu_ns() == used


def needs_ovs() -> None:
    needs_namespaces()
    try:
        vswitch._found(has_dpdk=True)
    except Unavailable as error:
        pytest.skip(f"needs a peer of ./dev bench: {error.missing.what}: {error.missing.why}")


def needs_load() -> None:
    if not ovs.LOAD.exists():
        pytest.skip("needs DPDK: no switch_load was built")


def test_where_it_is_not_installed_it_says_what_would_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = shutil.which
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None if "ovs" in name else found("true"))
    with pytest.raises(Unavailable) as raised:
        vswitch.Vswitch("nowhere", has_dpdk=True)
    assert raised.value.missing.fix == "apt install openvswitch-switch-dpdk"
    assert folders() == []


def test_without_root_the_rest_is_still_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(ovs, "PLUGIN", Path(__file__))
    with ExitStack() as stack:
        parties = ovs.prepared(stack)
    labels = {each.label for each in parties.start}
    assert labels == {"eastwest-dpdk virtio", "frames virtio", "eastwest-shm"}
    assert [each.what for each in parties.missing] == ["Open vSwitch", "bridge", "tcp ovs-veth"]
    assert {each.fix for each in parties.missing} == {"run as root"}


def test_one_that_does_not_start_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needs_ovs()
    daemon = tmp_path / "ovs-vswitchd"
    daemon.write_text("#!/bin/sh\nexit 3\n")
    daemon.chmod(0o755)
    monkeypatch.setattr(vswitch, "DAEMONS", (str(daemon), ""))
    monkeypatch.setattr(vswitch, "CALL_S", 1)
    with pytest.raises(Unavailable, match="Open vSwitch"), ovs.dpdk_switch():
        pass
    assert folders() == []


def test_the_folder_of_a_killed_run_is_removed_and_no_other() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    left = Path(tempfile.mkdtemp(prefix=f"{vswitch.PREFIX}{dead.pid}-"))
    living = Path(tempfile.mkdtemp(prefix=f"{vswitch.PREFIX}{os.getpid()}-"))
    try:
        vswitch.sweep_folders()
        assert not left.exists() and living.exists()
    finally:
        living.rmdir()


@pytest.mark.parametrize("kind", ovs.KINDS)
def test_both_ends_of_a_wire_are_one_thread(kind: str) -> None:
    needs_load()
    socket = "path={folder}/socket"
    devices = (f"virtio_user:{socket}", f"vhost:{socket}")
    with OneThread(PairSpec("test", kind, "c", "spin", options=OPTIONS), kind, devices) as pair:
        trips, flow = pair.do("trip", 64, 0.01), pair.do("flow", 1400, 0.01)
    assert trips is not None and trips.count == len(trips.samples) > 0
    assert flow is not None and flow.count > 0
    assert pairs.children(os.getpid()) == []


def test_frames_cross_the_switch_whose_core_counts_and_nothing_is_left() -> None:
    needs_ovs()
    needs_load()
    with ovs.dpdk_switch() as switch:
        client, server = (f"virtio_user:path={switch.add_vhost(each)}" for each in PORTS)
        spec = PairSpec("test", "frames", "c", "spin")
        with OneThread(spec, "frames", (client, server), switch) as pair:
            used = switch.cpu_ns()
            done = pair.do("trip", 64, 0.05)
            assert done is not None and done.count > 0
            assert done.cpu_ns >= done.ns
            assert switch.cpu_ns() > used
            networks.until("the switch stands still", lambda: is_still(switch), 20)
        assert len(folders()) == 1
    assert folders() == []
    assert pairs.children(os.getpid()) == []


def test_time_of_a_switch_counts_as_far_as_it_is_of_the_work() -> None:
    # catches: the switch, which does most of the work, left out; or its time while others try
    if not pairs.PROGRAM.exists():
        pytest.skip("needs ./dev build")

    class Busy:
        used = 0

        def cpu_ns(self) -> int:
            self.used += 10**15
            return self.used

    spec = PairSpec("test", "unix-stream", "c", "block")
    with ovs.Switched(spec, cast(vswitch.Vswitch, Busy())) as pair:
        done = pair.do("trip", 64, 0.01)
    assert done is not None and 10**12 < done.cpu_ns < 10**15


def test_the_kernels_tcp_crosses_its_userspace_datapath() -> None:
    needs_ovs()
    if not pairs.PROGRAM.exists():
        pytest.skip("needs ./dev build")
    if shutil.which("ethtool") is None:
        pytest.skip("needs a peer of ./dev bench: ethtool")
    with ovs.userspace_switch() as (options, switch):
        spec = PairSpec("test", "tcp", "c", "block", options=options)
        with ovs.Switched(spec, switch) as pair:
            done = pair.do("trip", 64, 0.01)
            assert pair.cpu_ns() >= switch.cpu_ns() > 0
    assert done is not None and done.count > 0
    assert folders() == []
