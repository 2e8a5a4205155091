"""A host that vanishes without a word is noticed; one whose process stands still is not lost."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

import eastwest
from eastwest import Config, Context
from tests.conformance.pairs import LONG
from tests.integration.hosts import (
    environment,
    folder_in,
    needs_namespaces,
    run,
    serving,
    two_hosts,
)
from tests.moving.test_doubt import echo_process, stop

GRACE = 2.0
NOTICED_MAX = 4 * GRACE  # with half a second to spare on a busy machine
QUIET_SECONDS = 0.5  # until the last delayed acknowledgement is out
CLIENT = """
import dataclasses, json, sys, time, eastwest

def say(*what):
    print(json.dumps(what), flush=True)
    return sys.stdin.readline()

config = dataclasses.replace(eastwest.Config.load(), grace=float(sys.argv[2]))
with eastwest.Context(config) as context, context.connect("pricing", timeout=20) as channel:
    channel.send(b"before")
    assert channel.recv(timeout=20) == b"before"
    say("up")
    began = time.monotonic()
    if sys.argv[1] == "busy":
        channel.send(b"meanwhile")
    while not channel.explain().facts["without_a_link"]:
        time.sleep(0.02)
    say("lost", time.monotonic() - began)
    if sys.argv[1] == "idle":
        channel.send(b"meanwhile")
    assert channel.recv(timeout=20) == b"meanwhile"
    (change,) = channel.stats().changes
    say("found", change.lost, change.reason)
"""


def hear(client: subprocess.Popen[str]) -> list[object]:
    assert client.stdout is not None
    heard: list[object] = json.loads(client.stdout.readline())
    return heard


def tell(client: subprocess.Popen[str]) -> None:
    assert client.stdin is not None
    client.stdin.write("\n")
    client.stdin.flush()


@pytest.mark.parametrize("traffic", ["busy", "idle"])
def test_a_host_that_vanishes_is_noticed_and_found_again(tmp_path: Path, traffic: str) -> None:
    # catches: sent data repeated for a quarter of an hour; an idle stream that nobody ever asks
    needs_namespaces()
    file = tmp_path / "services.toml"
    with two_hosts() as names, ExitStack() as stack:
        there = environment(
            folder_in(tmp_path, "there"), EASTWEST_BIND="10.77.0.1:7", EASTWEST_SECURITY="none"
        )
        stack.enter_context(serving(["ip", "netns", "exec", names[0]], there))
        file.write_text('[[service]]\nname = "pricing"\naddresses = ["tcp://10.77.0.1:7"]\n')
        here = environment(folder_in(tmp_path, "here"), EASTWEST_REGISTRY=f"static:{file}")
        program = [sys.executable, "-c", CLIENT, traffic, str(GRACE)]
        client = stack.enter_context(
            subprocess.Popen(
                ["ip", "netns", "exec", names[1], *program],
                env=here,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(client.kill)
        assert hear(client) == ["up"]
        time.sleep(QUIET_SECONDS)
        run("ip", "-n", names[0], "link", "set", "eth0", "down")
        tell(client)
        what, seconds = hear(client)
        assert what == "lost"
        assert isinstance(seconds, float)
        assert GRACE / 2 < seconds < NOTICED_MAX
        run("ip", "-n", names[0], "link", "set", "eth0", "up")
        tell(client)
        assert hear(client) == ["found", True, "the link was lost"]
        tell(client)
        assert client.wait(LONG) == 0


def test_a_peer_that_stands_still_is_not_lost(tmp_path: Path) -> None:
    # catches: TCP_USER_TIMEOUT, or an answer that a process has to give: a debugger ends a channel
    grace = 1.0
    settings = Config(runtime_dirs=(str(tmp_path),), grace=grace)
    with echo_process(tmp_path) as (pid, addresses), Context(settings) as context:
        channel = context.connect("doubt", timeout=LONG)
        channel.switch(addresses["tcp"], timeout=LONG)
        stop(pid)
        sent = 0
        with pytest.raises(eastwest.Timeout):
            while True:
                channel.send(bytes(30_000), timeout=0.2)
                sent += 1
        time.sleep(4 * grace)
        assert not channel.explain().facts["without_a_link"]
        os.kill(pid, signal.SIGCONT)
        for _ in range(sent):
            assert len(channel.recv(timeout=LONG)) == 30_000
        assert channel.stats().path_changes == 1
        channel.close()
