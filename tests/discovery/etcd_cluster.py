"""A real etcd cluster in a folder of its own, on ports that are free, for tests."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

needs_etcd = pytest.mark.skipif(
    shutil.which("etcd") is None, reason="needs etcd (Debian package etcd-server)"
)
START_SECONDS = 20.0
FAST = ("--heartbeat-interval=50", "--election-timeout=500")


def eventually(what: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait until *what* holds; fail when it does not within *seconds*."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def running(folder: Path, members: int) -> Iterator["Cluster"]:
    """Start a cluster, and stop it."""
    cluster = Cluster(folder, members)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


class Member:
    """One etcd process, which may be killed, stopped and started again."""

    def __init__(self, folder: Path, name: str, ports: tuple[int, int], options: list[str]) -> None:
        self.port = ports[0]
        self.name = name
        self._command = ["setpriv", "--pdeathsig", "KILL", "etcd", f"--name={name}", *options]
        self._command += [f"--data-dir={folder / name}", *FAST]
        self._log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(
        self, path: str, question: dict[str, Any] | None = None, token: str = ""
    ) -> dict[str, Any]:
        headers = {"Authorization": token} if token else {}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(question or {}).encode(), headers
        )
        with urllib.request.urlopen(request, timeout=3) as answer:
            return dict(json.loads(answer.read()))

    def is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self._log.read_text()[-2000:]
        with suppress(OSError):  # urllib's errors are among them
            return "leader" in self.ask("/v3/maintenance/status")
        return False


class Cluster:
    """Members that know each other."""

    def __init__(self, folder: Path, count: int, options: Sequence[str] = ()) -> None:
        ports = free_ports(2 * count)
        pairs = list(zip(ports[::2], ports[1::2], strict=True))
        all_of_them = ",".join(f"m{n}=http://127.0.0.1:{peer}" for n, (_, peer) in enumerate(pairs))
        scheme = "https" if any("--cert-file" in each for each in options) else "http"
        self.members = [
            Member(
                folder,
                f"m{n}",
                pair,
                [
                    f"--listen-client-urls={scheme}://127.0.0.1:{pair[0]}",
                    f"--advertise-client-urls={scheme}://127.0.0.1:{pair[0]}",
                    f"--listen-peer-urls=http://127.0.0.1:{pair[1]}",
                    f"--initial-advertise-peer-urls=http://127.0.0.1:{pair[1]}",
                    f"--initial-cluster={all_of_them}",
                    f"--initial-cluster-token={os.urandom(8).hex()}" * (count == 1),
                    *options,
                ],
            )
            for n, pair in enumerate(pairs)
        ]
        for member in self.members:
            member._command = [each for each in member._command if each]
        self.is_tls = scheme == "https"
        self.prefix = "/eastwest"

    @property
    def url(self) -> str:
        endpoints = ",".join(f"127.0.0.1:{each.port}" for each in self.members)
        return f"etcd://{endpoints}{self.prefix}"

    def start(self) -> None:
        for member in self.members:
            member.start()
        if not self.is_tls:
            eventually(lambda: all(each.is_up() for each in self.members), START_SECONDS)

    def leader(self) -> Member:
        for each in self.members:
            if each.process is not None:
                status = each.ask("/v3/maintenance/status")
                if status.get("leader") == status["header"]["member_id"]:
                    return each
        raise AssertionError("no leader")

    def heal(self) -> None:
        """Start who is dead, wake who hangs."""
        for member in self.members:
            if member.process is None:
                member.start()
            member.signal(signal.SIGCONT)
        eventually(lambda: all(each.is_up() for each in self.members), START_SECONDS)

    def stop(self) -> None:
        for member in self.members:
            with suppress(OSError, AssertionError):
                member.signal(signal.SIGCONT)
            member.kill()
