"""The other processes of the benchmark: servers, watchers, owners. All end with this one."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eastwest_discovery import _keys

from .talk import Keys

LIMITS = ("polls=50000", "polls_per_client=4096")


class Program:
    """A module of this package in a process of its own; it speaks JSON, a line for each word."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - until end(); shown if it fails
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"bench.discovery.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def tell(self, **what: Any) -> None:
        """Send one object."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._log.seek(0)
            said = (self._log.read().strip().splitlines() or ["no message"])[-1]
            sys.exit(f"bench: {self.process.args!r} ended with {self.process.wait()}: {said}")
        return line.rstrip("\n")

    def hear(self) -> Any:
        """Return the next object that it prints."""
        return json.loads(self.line())

    def end(self) -> None:
        """Kill it; it has nothing to lose."""
        with self.process as process:
            process.kill()
        self._log.close()

    def cpu_seconds(self) -> float:
        """Return what all its threads have used."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in threads) / 1e9

    def resident(self) -> int:
        """Return its resident bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Server:
    """A registry server.

    Attributes:
        bare: where the bare ROUTER of the same process is, "" without one.
        keys: of its clients, in turn; none without keys.
    """

    program: Program
    endpoint: str
    bare: str
    keys: Sequence[Keys] = ()

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return self.endpoint.removeprefix("tcp://")


@contextmanager
def server(*, bare: bool = False, clients: int = 0) -> Iterator[Server]:
    """Have a registry server, complete from the start.

    Args:
        clients: how many have a key there; 0: no keys.
    """
    with tempfile.TemporaryDirectory(prefix="eastwest-bench-") as directory:
        keys, arguments = _keys_of(Path(directory), clients)
        for each in LIMITS:
            arguments += ["--limit", each]
        arguments += ["--listen", "127.0.0.1:0", "--settle", "0"]
        program = Program("server", *(["--bare"] if bare else []), *arguments)
        try:
            beside = program.line() if bare else ""
            yield Server(program, program.hear()["listening"][0], beside, keys)
        finally:
            program.end()


def _keys_of(directory: Path, clients: int) -> tuple[list[Keys], list[str]]:
    if not clients:
        return [], []
    own = _keys.generate()
    _keys.write(directory / "server.key", own)
    made = [_keys.generate() for _ in range(clients)]
    rights = 'publish = ["default/*"]\nread = ["default/*"]\n'
    (directory / "access.toml").write_text(
        "".join(
            f'[[client]]\nname = "c{at}"\nkey = "{each.public}"\n{rights}'
            for at, each in enumerate(made)
        )
    )
    arguments = ["--key", str(directory / "server.key"), "--access", str(directory / "access.toml")]
    return [Keys(each.public, each.secret, own.public) for each in made], arguments


@contextmanager
def several(module: str, *arguments: Sequence[str]) -> Iterator[list[Program]]:
    """Have a program for each row of arguments; ready when all have said so."""
    programs = [Program(module, *each) for each in arguments]
    try:
        for each in programs:
            each.hear()
        yield programs
    finally:
        for each in programs:
            each.end()


def main_of_child() -> None:
    """End this process when the benchmark does."""
    from bench.python.duo import die_with_parent

    die_with_parent(os.getppid())
