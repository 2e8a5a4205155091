"""Commands that the sections of ./dev test run, with an end to each."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

JOBS = os.cpu_count() or 2
SECTION_SECONDS_MAX = 1200


@contextmanager
def started(
    command: list[str], *, env: Mapping[str, str] | None = None, output: IO[str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command with our standard output; end it and its children when we leave."""
    sys.stdout.flush()
    process = subprocess.Popen(
        command, env={**os.environ, **(env or {})}, start_new_session=True, stdout=output
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for the exit code of a process; 124 when it does not end within the limit."""
    try:
        return process.wait(SECTION_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        print(f"{process.args!r}: no end after {SECTION_SECONDS_MAX} s", flush=True)
        return 124


def run(command: list[str], *, env: Mapping[str, str] | None = None) -> int:
    with started(command, env=env) as process:
        return ended(process)
