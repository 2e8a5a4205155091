"""Running the command line tool as a user does: in a process, with settings of its own.

Its interpreter needs a third of a second to import what it needs, so the processes are forked from
one that has done that (tests/conformance/processes.py). ``TOOL`` starts one from nothing, where
that is what is tested.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from tests.conformance.processes import Line, nursery, three_pipes

TOOL = [sys.executable, "-P", "-m", "eastwest.cli"]
PRELOADED = "eastwest.cli.__main__"
SECONDS_MAX = 60.0


def environment(**more: str) -> dict[str, str]:
    """Ours, without the settings that a user of this machine may have in a file."""
    return {**os.environ, "HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent", **more}


def be_tool(line: Line, arguments: list[str], env: dict[str, str], folder: str) -> None:
    """Be the tool, in a process that was forked for it."""
    from eastwest.cli.__main__ import main

    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(arguments))


class Tool:
    """A running command, as ``subprocess.Popen`` would have it. It dies with the tests."""

    def __init__(self, arguments: Sequence[str], env: dict[str, str]) -> None:
        ours, theirs = three_pipes()
        work = [be_tool.__module__, be_tool.__name__, json.dumps([arguments, env, os.getcwd()])]
        try:
            self._nursery = nursery(PRELOADED)
            self.pid: int = self._nursery.ask({"work": work, "env": {}}, theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        self.returncode: int | None = None
        self._gone = os.pidfd_open(self.pid)
        self._stdin = ours[0]
        self.stdout, self.stderr = (open(fd) for fd in ours[1:])  # noqa: SIM115 - until the end

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ask({"wait": self.pid})
        return self.returncode

    def wait(self, timeout: float = SECONDS_MAX) -> int:
        """Wait for its end; one that does not come is the test's failure."""
        if self.returncode is None:
            ended = select.select([self._gone], [], [], timeout)[0]
            if not ended:
                self.kill()
            assert ended, f"still running after {timeout} s"
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._gone, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """Read what is left of its output until its end; the second time, nothing is."""
        if self.stdout.closed:
            return "", ""
        os.close(self._stdin)
        with ThreadPoolExecutor(2) as pool:
            said = [pool.submit(each.read) for each in (self.stdout, self.stderr)]
            self.wait()
            output, errors = (each.result() for each in said)
        for pipe in (self.stdout, self.stderr):
            pipe.close()
        os.close(self._gone)
        return output, errors


def run(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    tool = Tool(arguments, environment(**more))
    output, errors = tool.communicate()
    return subprocess.CompletedProcess(arguments, tool.wait(), output, errors)


def run_json(*arguments: str, **more: str) -> Any:
    """Run a command that writes one object and return that."""
    done = run(*arguments, "--json", **more)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert next(iter(found)) == "schema"
    return found


def start(*arguments: str) -> Tool:
    """Start a command; Ctrl-C works in it even if whoever runs the tests ignores it."""
    return Tool(arguments, environment())


def next_line(process: Tool) -> str:
    """Wait for the next line that a command prints."""
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return line


def finish(process: Tool, number: int) -> tuple[int, str, str]:
    """Send a signal and return exit code, the rest of the output, and the errors."""
    process.send_signal(number)
    output, errors = process.communicate()
    return process.wait(), output, errors


@contextmanager
def serving(*arguments: str) -> Iterator[Tool]:
    """A running ``eastwest serve`` that listens."""
    process = start("serve", *arguments)
    try:
        next_line(process)
        yield process
    finally:
        process.kill()
        process.communicate()


def sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line on standard error, which is never a traceback."""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("eastwest"), lines[0]
    return lines[0]
