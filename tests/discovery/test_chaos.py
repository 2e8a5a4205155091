"""Three registry servers, 200 instances in four processes, kill -9 and partitions, by a seed.

After every step all clients come to see what they must, and the times are kept:
build/discovery-convergence-*.json.
"""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.discovery.chaos import ROOT, Chaos, Plain, Spaces, chaos

INSTANCES = 200


def has_namespaces() -> bool:
    name = f"ewd{os.getpid()}"
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True)
    if tried.returncode == 0:
        subprocess.run(["ip", "netns", "delete", name], check=True)
    return tried.returncode == 0


def tell(state: Chaos, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = state.save(ROOT / "build" / f"discovery-convergence-{name}.json")
    with capsys.disabled():
        print(f"\n  {name}: {text}")


def outage(state: Chaos) -> None:
    """Kill all servers while nothing may be lost, start all of them again."""
    for server in range(len(state.servers)):
        with state.step(f"kill {server}"):
            state.kill(server)
    for server in range(len(state.servers)):
        with state.step(f"restart {server}"):
            state.restart(server)


def test_servers_are_killed_cut_off_and_started(
    tmp_path: Path, rng: random.Random, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without root nobody is cut off: the rest is done on the loopback."""
    net = Spaces() if has_namespaces() else Plain()
    with chaos(net, tmp_path, instances=INSTANCES, ttl=15, settle=15.0, bound=20.0) as state:
        outage(state)
        if net.can_cut:
            with state.step("cut 0"):
                state.cut_server(0)
            with state.step("publish 50 meanwhile"):
                state.publish(1, sorted(state.children[1].published))
            with state.step("cut 1-2"):
                state.cut_pair(1, 2)
        for _ in range(2):
            state.random_step(rng, is_quick=True)
        state.mend()
        with state.step("withdraw 5"):
            state.withdraw(3, sorted(state.children[3].published)[:5])
        tell(state, "short" if net.can_cut else "short-uncut", capsys)


@pytest.mark.deep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("ttl", [3, 15])
def test_long_random_disorder(
    tmp_path: Path, rng: random.Random, ttl: int, capsys: pytest.CaptureFixture[str]
) -> None:
    if not has_namespaces():
        pytest.skip("needs root and network namespaces")
    with chaos(Spaces(), tmp_path, instances=INSTANCES, ttl=ttl, settle=15.0, bound=60.0) as state:
        for _ in range(5):
            for _ in range(10):
                state.random_step(rng, is_quick=False)
            state.mend()
        tell(state, f"long-ttl-{ttl}", capsys)
