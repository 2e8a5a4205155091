"""Registry servers in processes of their own, and clients of them, for tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from eastwest_discovery._zmq import Zmq

DISCOVERY = Path(__file__).resolve().parents[2] / "discovery"
WAIT_SECONDS = 20.0


def eventually(is_so: Callable[[], object], seconds: float = WAIT_SECONDS) -> float:
    """Wait until something is so; return the seconds it took, fail if it never is."""
    start = time.monotonic()
    while not is_so():
        assert time.monotonic() - start < seconds, "it did not come to be so"
        time.sleep(0.005)
    return time.monotonic() - start


@dataclass
class Registry:
    """One server; its port stays its own when it is started again."""

    arguments: list[str] = field(default_factory=list)
    settle: float = 0.5
    port: int = 0
    process: subprocess.Popen[str] | None = None
    host: str = "127.0.0.1"
    prefix: list[str] = field(default_factory=list)  # of its command

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def start(self) -> "Registry":
        """Start it, or again; ``wait`` until it listens."""
        command = [*self.prefix, sys.executable, "-m", "eastwest_discovery", "serve", "--json"]
        command += ["--listen", self.address, "--settle", str(self.settle), *self.arguments]
        path = f"{DISCOVERY}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        return self

    def wait(self) -> None:
        """Wait until it listens."""
        assert self.process is not None and self.process.stdout is not None
        endpoint = json.loads(self.process.stdout.readline())["listening"][0]
        self.port = int(endpoint.rpartition(":")[2])

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill -9."""
        if self.process is not None:
            with self.process as process:
                process.kill()
            self.process = None


@contextmanager
def registries(count: int, *arguments: str, settle: float = 0.5) -> Iterator[tuple[Registry, ...]]:
    """Have so many servers, on free ports."""
    several = tuple(Registry(list(arguments), settle) for _ in range(count))
    try:
        start_all(several)
        yield several
    finally:
        for each in several:
            if each.process is not None:
                each.signal(signal.SIGCONT)
            each.kill()


@contextmanager
def clients(*several: Zmq) -> Iterator[tuple[Zmq, ...]]:
    """Have these clients, and close them in the end."""
    with ExitStack() as stack:
        for each in several:
            stack.callback(each.close)
        yield several


def url(several: tuple[Registry, ...]) -> str:
    return "zmq://" + ",".join(each.address for each in several)


@contextmanager
def unused_port() -> Iterator[int]:
    """A port of this host where nobody listens, kept so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def start_all(several: tuple[Registry, ...]) -> None:
    """Start those that do not run; all listen afterwards."""
    dead = [each.start() for each in several if each.process is None]
    for each in dead:
        each.wait()
