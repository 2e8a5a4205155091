"""The processes of the demo: ``eastwest serve`` and ``eastwest ping``, as a user would run them.

Each child has an environment of its own, so that the settings of the user do not matter, and a CPU
of its own where there are two. A server stops when its standard input ends: none outlives us.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

START_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 3.0
LINE_BYTES_MAX = 1 << 20
TOOL = (sys.executable, "-P", "-m", "eastwest.cli")  # -P: not what is in the current folder


class ChildError(Exception):
    """A child did not do what it should; the text has what it said."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host: a runtime directory, and a namespace for its network or none.

    Attributes:
        command: what runs a program there.
        wait: policy of everything that runs there.
        registry: where names are looked up besides the runtime directory.
        settings: more of the environment.
    """

    runtime_dir: str
    wait: str
    command: tuple[str, ...] = ()
    registry: str = "local:"
    settings: tuple[tuple[str, str], ...] = ()

    def environment(self) -> dict[str, str]:
        """Return what a child there gets."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("EASTWEST_")}
        return {
            **kept,
            "EASTWEST_CONFIG": os.devnull,
            "EASTWEST_RUNTIME_DIR": self.runtime_dir,
            "EASTWEST_REGISTRY": self.registry,
            "EASTWEST_WAIT": self.wait,
            **dict(self.settings),
        }


@contextmanager
def on_cpu(nth: int) -> Iterator[None]:
    """Start children on the *nth* of our CPUs; where there is only one, that one."""
    before = os.sched_getaffinity(0)
    cpus = sorted(before)
    try:
        os.sched_setaffinity(0, {cpus[nth % len(cpus)]})  # of this thread; a child inherits it
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """A running ``eastwest serve``. Leaving the ``with`` block stops it.

    Attributes:
        facts: what it said when it began to listen.
    """

    def __init__(self, host: Host, service: str, *arguments: str) -> None:
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - closed by stop()
        command = [*host.command, *TOOL, "serve", service, "--json", "--stop-with-stdin"]
        with on_cpu(0):
            self.process = subprocess.Popen(
                [*command, *arguments],
                env=host.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C in the terminal is for us; we stop it
            )
        self.facts: dict[str, Any] = {}

    def wait_until_it_listens(self) -> None:
        """Wait for its first line.

        Raises:
            ChildError: it ended, or said nothing in time.
        """
        line = self._first_line(time.monotonic() + START_SECONDS_MAX)
        if not line.endswith(b"\n"):
            raise ChildError(f"the server did not start: {self._said()}")
        self.facts = json.loads(line)

    def _first_line(self, end: float) -> bytes:
        assert self.process.stdout is not None
        fd, line = self.process.stdout.fileno(), b""
        while not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
            ready, _, _ = select.select([fd], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(fd, 65536) if ready else b""
            if not piece:
                break
            line += piece
        return line

    def _said(self) -> str:
        self._errors.seek(0)
        return "; ".join(self._errors.read().splitlines()) or "it said nothing"

    def kill(self) -> None:
        """Do what kill -9 does; the caller sees the consequences, wait() collects the process."""
        self.process.kill()

    def stop(self) -> None:
        """Stop it, by force if it does not go. Idempotent."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            with suppress(OSError):
                if stream is not None:
                    stream.close()

    def __enter__(self) -> Self:
        self.wait_until_it_listens()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()


def ping(host: Host, service: str, message_bytes: int, count: int, seconds: float) -> Any:
    """Run ``eastwest ping`` and return its JSON.

    Args:
        count, seconds: it ends at whichever comes first.

    Raises:
        ChildError: it failed.
    """
    command = [*host.command, *TOOL, "ping", service, "--json", "-q", "-i", "0", "--timeout", "5"]
    command += ["-s", str(message_bytes), "-n", str(count), "-w", str(seconds)]
    with on_cpu(1):
        process = subprocess.Popen(
            command,
            env=host.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    try:
        said, errors = process.communicate(timeout=seconds + START_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise ChildError(f"ping did not end within {seconds + START_SECONDS_MAX:g} s") from None
    finally:
        process.kill()  # does nothing to one that has ended
        process.wait()
    if process.returncode != 0:
        raise ChildError("; ".join(errors.splitlines()) or f"ping: exit code {process.returncode}")
    return json.loads(said)


@dataclass
class Talk:
    """What a ping said, line by line.

    Attributes:
        paths: of each answer, in order.
        lost: how many had none.
        pause_seconds: the longest time between two answers.
    """

    paths: list[str] = field(default_factory=list)
    lost: int = 0
    pause_seconds: float = 0.0


def talk(host: Host, service: str, seconds: float, enough: Talk, then: Callable[[], None]) -> Talk:
    """Ping a thousand times a second for so long.

    Args:
        enough: *then* is called once, when the last answers came over its paths.
    """
    command = [*host.command, *TOOL, "ping", service, "-i", "0.001", "--timeout", "5"]
    command += ["-n", str(int(seconds * 1000)), "-w", str(seconds)]
    with on_cpu(1):
        process = subprocess.Popen(
            command,
            env={**host.environment(), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    said, before = Talk(), None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            number, _, rest = line.partition(": ")
            if not number.isdecimal():
                continue
            if rest.startswith("lost"):
                said.lost += 1
                continue
            now = time.monotonic()
            said.pause_seconds = max(said.pause_seconds, now - (before or now))
            before = now
            said.paths.append(rest.split()[0])
            if said.paths[-len(enough.paths) :] == enough.paths:
                enough = Talk([""])
                then()
    finally:
        process.kill()  # does nothing to one that has ended
        process.wait()
        process.stdout.close()
    return said
