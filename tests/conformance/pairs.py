"""Both ends of a channel in one process, over any path, and what the contract says with them.

Way     how a path is reached; test_shm.py, test_dpdk.py and test_tcp.py make one each
Pair    two ends, opener first, each with a context of its own
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import eastwest
from eastwest import Channel, Config, Context, Listener

SOON = 2.0  # seconds: what happens at once, on a busy machine
LONG = 30.0  # seconds: what ends, but moves many bytes; a hang is a failure

PLUGIN = Path(__file__).resolve().parents[2] / "build/dev/tests/ew_stack_arms.so"
"""tests/plugin/stack.c, where a sleeper has to say so before each sleep."""

KIB = 1024
MIB = 1024 * KIB

Settings = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Way:
    """How one path is reached: settings of the serving side, and of the dialling side.

    Settings are plain values, so that another process can be given them.
    """

    path: str
    serving: Settings
    dialling: Callable[[Listener], Settings]


def shm_way(folder: Path) -> Way:
    """Two processes that share the directory *folder*."""
    here = {"runtime_dirs": [str(folder)], "paths": ["shm"]}
    return Way("shm", here, lambda listener: here)


def tcp_way(folder: Path) -> Way:
    """Two processes that share nothing; *folder* gets the registry files of the dialling one."""
    return Way(
        "tcp",
        {"paths": ["tcp"], "bind": "127.0.0.1:0", "grace": 0.0},  # death is seen at once
        lambda listener: {
            "paths": ["tcp"],
            "registry": [static_registry(folder, listener)],
            "grace": 0.0,
        },
    )


def dpdk_way(folder: Path) -> Way:
    """Two processes with a port on the same network, by the test plug-in over kernel sockets."""
    port = {
        "paths": ["dpdk"],
        "security": "none",
        "fabric_network": "rack",
        "fabric_device": "test",
        "fabric_addresses": ["127.0.0.1/8"],
        "fabric_plugin": str(PLUGIN),
        "grace": 0.0,  # death is seen at once
    }
    return Way(
        "dpdk", port, lambda listener: dialling_settings(port, static_registry(folder, listener))
    )


def resuming_way(folder: Path) -> Way:
    """As ``tcp_way``, but with the default grace: a lost connection is dialled again."""
    plain, default = tcp_way(folder), {"grace": Config().grace}
    return Way("tcp", plain.serving | default, lambda listener: plain.dialling(listener) | default)


def dialling_settings(serving: Settings, registry: str | None) -> Settings:
    """Return what the peer of a server with these settings has; *registry*: None over shm."""
    if registry is None:
        return serving
    return {key: serving[key] for key in serving if key != "bind"} | {"registry": [registry]}


def context(settings: Settings, **more: Any) -> Context:
    """Return a context that depends on nothing but its settings."""
    return Context(Config(**{**settings, **more}))


@dataclass
class Pair:
    """Two ends in this process: *a* connected, *b* accepted."""

    a: Channel
    b: Channel
    contexts: tuple[Context, Context]

    def swapped(self) -> "Pair":
        return Pair(self.b, self.a, (self.contexts[1], self.contexts[0]))


@contextmanager
def open_pair(
    way: Way, a: Settings | None = None, b: Settings | None = None, service: str = "contract"
) -> Iterator[Pair]:
    """Connect two ends. *a*, *b*: more settings of the connecting and of the accepting side."""
    with ExitStack() as stack:
        there = context(way.serving, **(b or {}))
        stack.callback(forget, there)
        with there.listen(service) as listener:
            here = context(way.dialling(listener), **(a or {}))
            stack.callback(forget, here)
            opened = here.connect(service, timeout=LONG)
            stack.callback(opened.abort)
            accepted = listener.accept(timeout=LONG)
        stack.callback(accepted.abort)
        assert opened.path == accepted.path == way.path
        yield Pair(opened, accepted, (here, there))


def forget(some: Context) -> None:
    """Close a context whose channels were closed or aborted, or are of no interest any more."""
    some.close(linger=0.0)


def static_registry(folder: Path, listener: Listener) -> str:
    """Return a provider that knows the remote address of *listener* and nothing else."""
    (address,) = (each for each in listener.instance.addresses if not each.startswith("shm:"))
    file = folder / f"{listener.instance.id}.toml"
    file.write_text(f'[[service]]\nname = "{listener.service}"\naddresses = ["{address}"]\n')
    return f"static:{file}"


# ------------------------------------------------------------------ messages


def numbered(number: int, size: int) -> bytes:
    """Return a message of *size* >= 8 bytes that differs from every other one throughout."""
    start = number % 4096
    return number.to_bytes(8, "little") + _PATTERN[start : start + size - 8]


_PATTERN = random.Random(7).randbytes(64 * KIB)


def big(size: int, number: int = 0) -> bytes:
    """Return a message of any size, other bytes for each number."""
    block = random.Random(number).randbytes(min(size, MIB - 1))  # no power of two: never in step
    return (block * (size // len(block) + 1))[:size] if size else b""


def drained(channel: Channel, timeout: float = LONG) -> list[bytes]:
    """Return every message until the peer's end."""
    deadline = time.monotonic() + timeout
    got = []
    while True:
        try:
            got.append(channel.recv(timeout=max(0.0, deadline - time.monotonic())))
        except eastwest.EndOfChannel:
            return got


def fill(channel: Channel, size: int = 1000) -> int:
    """Send numbered messages until there is no room and none appears; return how many.

    None appears when the peer has taken nothing either while we waited, however long that is on a
    busy machine.
    """
    count, taken = 0, -1
    while True:
        try:
            channel.send(numbered(count, size), timeout=0.1 if taken < 0 else 0.05)
        except eastwest.Timeout:
            before, taken = taken, channel.stats().position_peer_taken
            if taken == before:
                return count
            continue
        count, taken = count + 1, -1
        assert count * size < 64 * MIB, "back-pressure never came"


def send_for_ever(channel: Channel) -> None:
    """Send until that is an error."""
    while True:
        channel.send(bytes(1000), timeout=LONG)


# ------------------------------------------------------------------ waiting and threads


def wait_until(condition: Callable[[], object], what: str, timeout: float = LONG) -> None:
    """Poll a condition; fail with *what* at the deadline."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.002)


def is_sending(channel: Channel) -> bool:
    """Say whether a thread of ours waits in send."""
    return channel.stats().send_waiting > 0


def is_receiving(channel: Channel) -> bool:
    """Say whether a thread of ours waits in recv."""
    return channel.stats().recv_waiting > 0


def state(task: int) -> str:
    """Return the kernel's letter for a process or thread: R runs, S sleeps, T is stopped."""
    with open(f"/proc/{task}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def is_stopped(pid: int) -> bool:
    """Say whether every thread of a process stands still."""
    return all(state(int(each)) == "T" for each in os.listdir(f"/proc/{pid}/task"))


def is_asleep(task: int, samples: int = 20) -> bool:
    """Say whether a process or thread sleeps, and goes on sleeping for some samples."""
    for _ in range(samples):
        if state(task) != "S":
            return False
        time.sleep(0.001)
    return True


@dataclass
class Task(Generic[T]):
    """A function in a thread; ``result`` waits for it and raises what it raised."""

    work: Callable[[], T]
    seconds: float = 0.0
    ended_at: float = 0.0
    _values: list[T] = field(default_factory=list)
    _errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self._values.append(self.work())
        except BaseException as error:  # noqa: BLE001 it is raised again by result()
            self._errors.append(error)
        self.ended_at = time.monotonic()
        self.seconds = self.ended_at - began

    def is_asleep(self) -> bool:
        """Say whether the function waits in the kernel."""
        return not self.ended_at and is_asleep(self.thread.native_id or 0)

    def result(self, timeout: float = LONG) -> T:
        self.thread.join(timeout)
        assert not self.thread.is_alive(), f"still waiting after {timeout} s"
        for error in self._errors:
            raise error
        return self._values[0]

    def error(self, timeout: float = LONG) -> eastwest.EastwestError:
        """Return the error that it raised, one of ours."""
        try:
            returned = self.result(timeout)
        except eastwest.EastwestError as error:
            return error
        raise AssertionError(f"no error, but {returned!r}")
