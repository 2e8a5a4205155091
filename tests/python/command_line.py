"""Running the command line tool as a user does: in a process, with settings of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TOOL = [sys.executable, "-P", "-m", "eastwest.cli"]
SECONDS_MAX = 60.0


def environment(**more: str) -> dict[str, str]:
    """Ours, without the settings that a user of this machine may have in a file."""
    return {**os.environ, "HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent", **more}


def run(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*TOOL, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        stdin=subprocess.DEVNULL,
        env=environment(**more),
    )


def run_json(*arguments: str, **more: str) -> Any:
    """Run a command that writes one object and return that."""
    done = run(*arguments, "--json", **more)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert next(iter(found)) == "schema"
    return found


def start(*arguments: str) -> "subprocess.Popen[str]":
    """Start a command; Ctrl-C works in it even if whoever runs the tests ignores it."""
    return subprocess.Popen(
        [*TOOL, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=_heed_ctrl_c,
    )


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def next_line(process: "subprocess.Popen[str]") -> str:
    """Wait for the next line that a command prints."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return line


def finish(process: "subprocess.Popen[str]", number: int) -> tuple[int, str, str]:
    """Send a signal and return exit code, the rest of the output, and the errors."""
    process.send_signal(number)
    output, errors = process.communicate(timeout=SECONDS_MAX)
    return process.returncode, output, errors


@contextmanager
def serving(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
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
