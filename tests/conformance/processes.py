"""Another process under control of a test: a function, and one pipe in each direction.

The test: ``with Child(function, argument...) as child: child.hears() ... child.tell(value)``.
The function, in the other process: ``def function(test: Line, argument...) -> None``.

It dies with the test, by SIGKILL, whatever happens; so do the processes that it made.
"""

import ctypes
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
PR_SET_PDEATHSIG = 1
HEAR_SECONDS = 30.0


class Line:
    """What a function in the other process talks through."""

    def tell(self, *values: object) -> None:
        """Send values, as JSON makes them."""
        os.write(1, json.dumps(values).encode() + b"\n")

    def hears(self) -> Any:
        """Wait for the test to tell something; the process ends when the test has."""
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        return json.loads(line)


class Child:
    """A process that runs a module-level function of an importable module."""

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: object,
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._heard = b""
        self.process = subprocess.Popen(
            [
                *command,
                sys.executable,
                "-m",
                "tests.conformance.processes",
                function.__module__,
                function.__qualname__,
                json.dumps(arguments),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": ":".join(PATHS), **(env or {})},
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, value: object = None) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(value).encode() + b"\n")

    def hears(self, timeout: float = HEAR_SECONDS) -> list[Any]:
        """Return the next values that the process told; fail when it ends or is silent."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout
        while b"\n" not in self._heard:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, left))
            part = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not part:
                why = "silent" if not ready else "ended"
                self._kill()
                raise AssertionError(f"the other process is {why}: {self.complaints()}")
            self._heard += part
        line, _, self._heard = self._heard.partition(b"\n")
        values: list[Any] = json.loads(line)
        return values

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(HEAR_SECONDS)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = HEAR_SECONDS) -> int:
        """Wait for its end; return the exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._kill()
            raise AssertionError(f"still there after {timeout} s: {self.complaints()}") from None

    def complaints(self) -> str:
        """What it wrote to stderr; only when it has ended."""
        assert self.process.stderr is not None
        if self.process.stderr.closed:
            return ""
        os.set_blocking(self.process.stderr.fileno(), False)  # a grandchild may hold it open
        return (self.process.stderr.read() or b"").decode(errors="replace")

    def _kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # it leads a session of its own
        except ProcessLookupError:
            pass
        self.process.wait(HEAR_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kill()
        if error is not None and (said := self.complaints()):
            error.add_note(f"the other process said: {said[-4000:]}")
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def main(module: str, name: str, arguments: str) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    function = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    function(Line(), *json.loads(arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
