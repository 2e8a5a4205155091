"""Between two network namespaces, at full speed, while the path changes at random."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.hosts import ROOT, environment, needs_namespaces, run, two_hosts
from tests.moving.peers import DOWN_EVERY, KILL_EVERY

SWITCHES = int(os.environ.get("EW_TEST_SWITCHES", "300"))
SECONDS_MAX = 60 + SWITCHES


def start(prefix: list[str], env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-m", "tests.moving.peers", *arguments]
    return subprocess.Popen(
        command, env=env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def hear(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"{process.args} ended"
    return line.strip() if line in ("kill\n", "down\n", "lost\n") else json.loads(line)


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def kill(name: str) -> None:
    """Reset the TCP connections from a namespace to the other one."""
    command = ["ip", "netns", "exec", name, "ss", "-KHtn", "dst", "10.77.0.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    if "10.77.0.1" not in done.stdout:
        pytest.skip("needs a kernel with CONFIG_INET_DIAG_DESTROY")


ACTS: dict[str, Callable[[str], None]] = {
    "kill": kill,
    "down": lambda name: run("ip", "-n", name, "link", "set", "eth0", "down"),
    "lost": lambda name: run("ip", "-n", name, "link", "set", "eth0", "up"),
}


@pytest.mark.parametrize("seed", [1])
def test_a_busy_channel_changes_its_path_at_random(tmp_path: Path, seed: int) -> None:
    # catches: what the simulation cannot see: real sockets, real memory, two processes
    needs_namespaces()
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o700)
    with two_hosts() as names:
        served = environment(shared, EASTWEST_BIND="10.77.0.1:0", EASTWEST_SECURITY="none")
        server = start(["ip", "netns", "exec", names[0]], served, "serve", "moving")
        mover = None
        try:
            hear(server)
            mover = start(
                ["ip", "netns", "exec", names[1]],
                environment(shared, EASTWEST_SECURITY="none"),
                *("move", "moving", str(SWITCHES), str(seed)),
            )
            while isinstance(there := hear(mover), str):
                ACTS[there](names[1])
                tell(mover)
            here = hear(server)
        finally:
            for process in (server, mover):
                if process is not None:
                    process.kill()
                    process.communicate()
    assert here["errors"] == there["errors"] == []
    assert here["wrong"] == there["wrong"] == 0, "repeated or reordered"
    assert (here["received"], there["received"]) == (there["sent"], here["sent"]), "lost"
    assert here["changes"] >= SWITCHES
    assert min(here["sent"], there["sent"]) > SWITCHES
    downs = SWITCHES // DOWN_EVERY
    assert there["lost"] == {"kill": SWITCHES // KILL_EVERY - downs, "down": downs}
    assert there["reasons"] == ["the link was lost"]
    assert there["paths"]["tcp"] > 0, "a stream that was reset is dialled again"
