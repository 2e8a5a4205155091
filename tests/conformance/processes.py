"""Another process under control of a test: a function, and one pipe in each direction.

The test: ``with Child(function, argument...) as child: child.hears() ... child.tell(value)``.
The function, in the other process: ``def function(test: Line, argument...) -> None``.

It dies with the test, by SIGKILL, whatever happens; so do the processes that it made. Starting an
interpreter takes long, so processes are forked from one that has imported everything and done
nothing (``Nursery``); with ``command`` a process is started by that command instead. What runs the
command line tool is forked from another nursery: tests/python/command_line.py.
"""

import ctypes
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
PR_SET_PDEATHSIG = 1
HEAR_SECONDS = 30.0
PRELOADED = "tests.conformance.children"
REQUEST_BYTES_MAX = 1 << 16


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
        self._status: int | None = None
        ours, theirs = three_pipes()
        self._stdin, self._stdout, self._stderr = ours
        self._popen: subprocess.Popen[bytes] | None = None
        work = [function.__module__, function.__qualname__, json.dumps(arguments)]
        try:
            if command:
                self._popen = _start([*command, *_python(), *work], theirs, env)
                self.pid = self._popen.pid
            else:
                self.pid = nursery().ask({"work": work, "env": dict(env or {})}, theirs)
        finally:
            for fd in theirs:
                os.close(fd)

    def tell(self, value: object = None) -> None:
        os.write(self._stdin, json.dumps(value).encode() + b"\n")

    def hears(self, timeout: float = HEAR_SECONDS) -> list[Any]:
        """Return the next values that the process told; fail when it ends or is silent."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._heard:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._stdout], [], [], max(0.0, left))
            part = os.read(self._stdout, 1 << 16) if ready else b""
            if not part:
                why = "silent" if not ready else "ended"
                self._kill_all()
                raise AssertionError(f"the other process is {why}: {self.complaints()}")
            self._heard += part
        line, _, self._heard = self._heard.partition(b"\n")
        values: list[Any] = json.loads(line)
        return values

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, number: int) -> None:
        if self._poll() is None:
            os.kill(self.pid, number)  # nobody else reaps it, so the number is still its own

    def wait(self, timeout: float = HEAR_SECONDS) -> int:
        """Wait for its end; return the exit status, or the negative number of the signal."""
        deadline = time.monotonic() + timeout
        while (status := self._poll()) is None:
            if time.monotonic() > deadline:
                self._kill_all()
                raise AssertionError(f"still there after {timeout} s: {self.complaints()}")
            time.sleep(0.0005)
        return status

    def complaints(self) -> str:
        """What it wrote to stderr; only when it has ended."""
        os.set_blocking(self._stderr, False)  # a grandchild may hold it open
        try:
            return os.read(self._stderr, 1 << 16).decode(errors="replace")
        except OSError:
            return ""

    def _poll(self) -> int | None:
        if self._status is None:
            if self._popen is not None:
                self._status = self._popen.poll()
            else:
                self._status = nursery().ask({"wait": self.pid})
        return self._status

    def _kill_all(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # it leads a session of its own
        while self._poll() is None:
            time.sleep(0.0005)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._kill_all()
        if error is not None and (said := self.complaints()):
            error.add_note(f"the other process said: {said[-4000:]}")
        for fd in (self._stdin, self._stdout, self._stderr):
            os.close(fd)


def three_pipes() -> tuple[list[int], list[int]]:
    """Return our ends and theirs, of stdin, stdout and stderr."""
    (stdin, we_tell), (we_hear, stdout), (we_read, stderr) = (os.pipe() for _ in range(3))
    return [we_tell, we_hear, we_read], [stdin, stdout, stderr]


def _python() -> list[str]:
    return [sys.executable, "-m", "tests.conformance.processes"]


def _start(
    command: list[str], fds: list[int], env: Mapping[str, str] | None = None, **more: Any
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        stdin=fds[0],
        stdout=fds[1],
        stderr=fds[2],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ":".join(PATHS), **(env or {})},
        start_new_session=True,
        **more,
    )


# ------------------------------------------------------------------ the nursery


class Nursery:
    """The process that others are forked from. It has one thread and has made no context."""

    def __init__(self, preloaded: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, open(os.devnull, "rb") as null:
            fds = [null.fileno(), sys.__stderr__.fileno() if sys.__stderr__ else 2]
            self.process = _start(
                [*_python(), str(theirs.fileno()), preloaded],
                [fds[0], fds[1], fds[1]],
                pass_fds=[theirs.fileno()],
            )
        self._socket.settimeout(HEAR_SECONDS)

    def ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> Any:
        socket.send_fds(self._socket, [json.dumps(request).encode()], list(fds))
        answer = self._socket.recv(REQUEST_BYTES_MAX)
        assert answer, "the nursery has ended"
        return json.loads(answer)


_made: dict[str, Nursery] = {}


def nursery(preloaded: str = PRELOADED) -> Nursery:
    """Return the nursery that has imported this module."""
    if preloaded not in _made:
        _made[preloaded] = Nursery(preloaded)
    return _made[preloaded]


def _serve(line: socket.socket) -> list[str] | None:
    """Fork for each request. Return what is to be done, in a new process; None at the end."""
    while True:
        text, fds, _, _ = socket.recv_fds(line, REQUEST_BYTES_MAX, 3)
        if not text:
            return None
        request = json.loads(text)
        if "wait" in request:
            pid, status = os.waitpid(request["wait"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                line.close()
                _become(fds, request["env"])
                work: list[str] = request["work"]
                return work
        for fd in fds:
            os.close(fd)
        line.send(json.dumps(answer).encode())


def _become(fds: list[int], env: dict[str, str]) -> None:
    """Turn this forked process into one like those that were started."""
    os.setsid()
    _die_with_parent()
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.environ.update(env)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    _die_with_parent()
    if len(arguments) == 2:
        importlib.import_module(arguments[1])
        found = _serve(socket.socket(fileno=int(arguments[0])))
        if found is None:
            return
        arguments = found
    module, name, values = arguments
    function = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    function(Line(), *json.loads(values))  # type: ignore[operator]


if __name__ == "__main__":
    main(sys.argv[1:])
