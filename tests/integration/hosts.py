"""Two hosts on one machine: network namespaces joined by a veth pair, made and removed here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 60
FABRIC_END = "fab0"
SERVER = """
import eastwest, sys

def echo(channel):
    for message in channel:
        channel.send(message)

with eastwest.listen("pricing") as listener:
    print("ready", flush=True)
    listener.serve(echo)
"""
CLIENT = """
import eastwest, json, sys

with eastwest.connect("pricing", timeout=20) as channel:
    said = []
    for size in (0, 1, 64, 300_000):
        channel.send(bytes(size), timeout=20)
        said.append(len(channel.recv(timeout=20)))
    why = channel.explain().to_dict()
    print(json.dumps([channel.path, said, why["rejected"]]))
"""


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def needs_namespaces() -> None:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and network namespaces")
    name = f"ewp{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip("needs root and network namespaces")
    run("ip", "netns", "delete", name)


@contextmanager
def two_hosts() -> Iterator[tuple[str, str]]:
    """Yield the names of two namespaces: 10.77.0.1, fd77::1 in the first, .2, ::2 in the second."""
    names = (f"ewa{os.getpid()}", f"ewb{os.getpid()}")
    try:
        for name in names:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", names[0], "link", "add", "eth0", "type", "veth", "peer", "name", "eth0",
            "netns", names[1])  # fmt: skip
        for number, name in enumerate(names, 1):
            run("ip", "-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
            run("ip", "-n", name, "addr", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
            run("ip", "-n", name, "link", "set", "eth0", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def fabric_pair(names: tuple[str, str]) -> None:
    """Join both namespaces once more, by devices that have no address of the kernel's."""
    run("ip", "-n", names[0], "link", "add", FABRIC_END, "type", "veth", "peer", "name",
        FABRIC_END, "netns", names[1])  # fmt: skip
    for name in names:
        run("ip", "-n", name, "link", "set", FABRIC_END, "addrgenmode", "none", "up")
    deadline = time.monotonic() + SECONDS_MAX  # the kernel tells of a carrier once in a second
    while not all(_is_running(name) for name in names):
        assert time.monotonic() < deadline, "no carrier"
        time.sleep(0.01)


def _is_running(name: str) -> bool:
    shown = ["ip", "-n", name, "-o", "link", "show", "dev", FABRIC_END]
    done = subprocess.run(shown, capture_output=True, text=True, timeout=SECONDS_MAX)
    return "state UP" in done.stdout


def environment(folder: Path, **settings: str) -> dict[str, str]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("EASTWEST_")}
    return {**plain, "EASTWEST_RUNTIME_DIR": str(folder), **settings}


@contextmanager
def serving(prefix: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run the echo server behind a command prefix; it is listening when this yields."""
    command = [*prefix, sys.executable, "-c", SERVER]
    server = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield server
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


def ask(prefix: list[str], env: dict[str, str]) -> tuple[str, list[int], list[dict[str, str]]]:
    """Run the client; return its path, the lengths that came back, the rejected verdicts."""
    command = [*prefix, sys.executable, "-c", CLIENT]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 0, done.stderr
    path, said, rejected = json.loads(done.stdout)
    return path, said, rejected


def folder_in(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir(mode=0o700)
    return folder
