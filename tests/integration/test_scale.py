"""Many channels: a thousand between two processes with fair service, ten thousand in one."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from tests.integration.hosts import environment

CHANNELS, ROUNDS = 1000, 10
SETTINGS = """
outbox_bytes = 16384
pages = "small"
memory_bytes_max = 8589934592
peer_bytes_max = 8589934592
"""
FDS_OF_A_PROCESS = 64
IDLE_CHANNELS = 500
IDLE_BYTES_MAX = 16 * 1024  # private bookkeeping and touched pages of an idle channel
TEN_THOUSAND = 10_000
MAPPINGS_OF_A_CHANNEL, MAPPINGS_OF_A_PROCESS = 2, 5000  # our outbox and the peer's

# Two processes: the child accepts and echoes, the parent connects. Both hold all channels at once.
SYNC_PEERS = """
import json, os, resource, sys
import eastwest

channels, rounds = int(sys.argv[1]), int(sys.argv[2])

def raise_limit(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        hard = wanted  # as root
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

def fds():
    return len(os.listdir("/proc/self/fd"))

def end(role, ends, most):
    for each in ends:
        each.abort()
    said = {"role": role, "channels": len(ends), "fds": most, "fds_left": fds()}
    print(json.dumps(said), flush=True)

def accept(told):
    with eastwest.listen("many", max_channels=1 << 17) as listener:
        os.write(told, b"x")
        ends = [listener.accept(timeout=60) for _ in range(channels)]
        for _ in range(rounds):
            for each in ends:
                each.send(each.recv(timeout=60), timeout=60)
        most = fds()
        ends[-1].recv(timeout=60)  # the other one has counted
        end("accepts", ends, most)

def connect():
    ends = [eastwest.connect("many", timeout=60) for _ in range(channels)]
    for number in range(rounds):
        for at, each in enumerate(ends):
            each.send(b"%d %d" % (at, number), timeout=60)
        for at, each in enumerate(ends):
            assert each.recv(timeout=60) == b"%d %d" % (at, number)
    most = fds()
    ends[-1].send(b"counted")
    ends[-1].flush(timeout=60)
    end("connects", ends, most)

raise_limit(channels + 1000)
ask, told = os.pipe()
child = os.fork()
if child == 0:
    accept(told)
    os._exit(0)
os.read(ask, 1)
connect()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

SERVER = """
import asyncio, resource, sys
import eastwest.aio as aio

async def echo(channel):
    async for message in channel:
        await channel.send(message)

async def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    async with aio.listen("many", max_channels=1 << 17) as listener:
        print("ready", flush=True)
        await listener.serve(echo)

asyncio.run(main())
"""

CLIENT = """
import asyncio, json, os, resource, sys
import eastwest.aio as aio

channels, rounds = int(sys.argv[1]), int(sys.argv[2])

async def ask(channel, done, at):
    for number in range(rounds):
        message = b"%d %d" % (at, number)
        await channel.send(message)
        assert await channel.recv() == message
        done[at] += 1
        if sum(done) == channels * rounds // 2:
            done.append(min(done))  # the slowest, when half of all is done

async def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    open_ones = [await aio.connect("many", timeout=60) for _ in range(channels)]
    fds = len(os.listdir("/proc/self/fd"))
    done = [0] * channels
    await asyncio.gather(*(ask(each, done, at) for at, each in enumerate(open_ones)))
    print(json.dumps([fds, done[:channels], done[channels:]]))
    for each in open_ones:
        each.abort()

asyncio.run(main())
"""


IDLE = {
    "sync": """
import eastwest, resource, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
open_ones = []
for line in sys.stdin:
    for _ in range(int(line)):
        channel = eastwest.connect("many", timeout=60)
        channel.send(b"once")
        assert channel.recv() == b"once"
        open_ones.append(channel)
    print("ready", flush=True)
""",
    "asyncio": """
import asyncio, resource, sys
import eastwest.aio as aio

async def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    open_ones = []
    for line in sys.stdin:
        for _ in range(int(line)):
            channel = await aio.connect("many", timeout=60)
            await channel.send(b"once")
            assert await channel.recv() == b"once"
            open_ones.append(channel)
        print("ready", flush=True)

asyncio.run(main())
""",
}


@contextmanager
def serving(env: dict[str, str]) -> Iterator[int]:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield server.pid
    finally:
        server.kill()
        server.communicate()


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@dataclass(frozen=True)
class Memory:
    """Bytes of a process."""

    private: int  # anonymous memory that is there
    touched: int  # pages of its own outboxes that it has written or read
    reserved: int  # address space of its own outboxes and of its peers': charged to the context

    @classmethod
    def of(cls, pid: int) -> Self:
        private = touched = reserved = 0
        mapping = ""
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            name, *rest = line.split()
            if not name.endswith(":"):
                mapping = line
            elif name == "Anonymous:":
                private += int(rest[0]) * 1024
            elif "/memfd:eastwest" in mapping and name == "Size:":
                reserved += int(rest[0]) * 1024
            elif "/memfd:eastwest" in mapping and " rw-s " in mapping and name == "Rss:":
                touched += int(rest[0]) * 1024
        return cls(private, touched, reserved)

    def growth(self, before: Self, channels: int) -> tuple[int, int, int]:
        """Return what each of so many channels has added."""
        return (
            (self.private - before.private) // channels,
            (self.touched - before.touched) // channels,
            (self.reserved - before.reserved) // channels,
        )


def ask(env: dict[str, str], channels: int, rounds: int) -> tuple[int, list[int], list[int]]:
    command = [sys.executable, "-c", CLIENT, str(channels), str(rounds)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    fds, counts, slowest = json.loads(done.stdout)
    return fds, counts, slowest


def settings(folder: Path) -> dict[str, str]:
    file = folder / "config.toml"
    file.write_text(SETTINGS)
    return environment(folder, EASTWEST_CONFIG=str(file))


def needs_descriptors(count: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < count:
        pytest.skip(f"needs {count} open files, the limit is {hard}")


def needs_many(channels: int) -> None:
    """A process with so many ends, without descriptors for event loops."""
    if os.geteuid() != 0:  # root raises the limit
        needs_descriptors(channels + FDS_OF_A_PROCESS)
    mappings = int(Path("/proc/sys/vm/max_map_count").read_text())
    if mappings < MAPPINGS_OF_A_CHANNEL * channels + MAPPINGS_OF_A_PROCESS:
        pytest.skip(f"needs {MAPPINGS_OF_A_CHANNEL * channels} mappings, the limit is {mappings}")


def test_a_thousand_channels_are_served_fairly_and_leave_nothing(tmp_path: Path) -> None:
    # catches: a task that keeps the loop; a channel that is forgotten; descriptors that stay
    needs_descriptors(3 * CHANNELS)
    env = settings(tmp_path)
    with serving(env) as pid:
        before = descriptors(pid)
        fds, counts, slowest = ask(env, CHANNELS, ROUNDS)
        assert counts == [ROUNDS] * CHANNELS
        assert slowest[0] >= 1, "at half time a channel had no answer yet"
        assert fds <= CHANNELS + FDS_OF_A_PROCESS, "more than one descriptor for an idle channel"
        deadline = time.monotonic() + 20
        while descriptors(pid) > before + 8:
            assert time.monotonic() < deadline, "descriptors stay open"
            time.sleep(0.01)


@pytest.mark.parametrize("style", IDLE)
def test_an_idle_channel_takes_little_private_memory(tmp_path: Path, style: str) -> None:
    # catches: room for what few channels need in every channel; a second page of an outbox
    needs_descriptors(5 * IDLE_CHANNELS)
    env = settings(tmp_path)
    with serving(env) as server:
        client = subprocess.Popen(
            [sys.executable, "-c", IDLE[style]],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert client.stdin is not None
        assert client.stdout is not None
        found = []
        try:
            for count in (50, IDLE_CHANNELS):  # the first ones fill caches and arenas
                client.stdin.write(f"{count}\n")
                client.stdin.flush()
                assert client.stdout.readline() == "ready\n"
                found.append([Memory.of(pid) for pid in (client.pid, server)])
        finally:
            client.kill()
            client.communicate()
    for before, after in zip(*found, strict=True):
        private, touched, reserved = after.growth(before, IDLE_CHANNELS)
        print(f"{style}: {private} private, {touched} touched, {reserved} reserved")
        assert private + touched <= IDLE_BYTES_MAX
        assert reserved == 2 * 16384, "reserved memory is not what the settings say"


@pytest.mark.deep
def test_ten_thousand_channels_in_one_process(tmp_path: Path) -> None:
    # catches: a second descriptor or a third mapping of an idle channel; lists that are searched
    needs_many(TEN_THOUSAND)
    env = settings(tmp_path)
    command = [sys.executable, "-c", SYNC_PEERS, str(TEN_THOUSAND), "2"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["role"] for each in ends} == {"connects", "accepts"}
    for each in ends:
        assert each["channels"] == TEN_THOUSAND
        assert each["fds"] <= TEN_THOUSAND + FDS_OF_A_PROCESS, each["role"]
        assert each["fds_left"] <= FDS_OF_A_PROCESS, each["role"]
