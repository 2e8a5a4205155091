# ruff: noqa: F401  (scripts import all of it)
"""What the tests of eastwest._message share: two ends in one process, scripts in another."""

import contextlib
import gc
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest

import eastwest
from eastwest import _message
from eastwest._errors import from_code

SOON = 0.2  # the promise is 0.1; a busy machine gets twice that
Wait = Literal["adaptive", "block", "spin"]


@dataclass
class Pair:
    """Two ends of one channel in this process."""

    near: eastwest.Channel
    far: eastwest.Channel

    def fill(self) -> int:
        """Fill the ring from near to far; return how many messages of 4 KiB that took."""
        count = 0
        while self.near.try_send(bytes(4096)):
            count += 1
        return count


@contextlib.contextmanager
def connected(wait: Wait = "adaptive") -> Iterator[Pair]:
    config = eastwest.Config(  # small pages: a ring of 256 KiB
        runtime_dirs=(os.environ["EASTWEST_RUNTIME_DIR"],), wait=wait, pages="small"
    )
    with eastwest.Context(config) as context, context.listen("message") as listener:
        near = context.connect("message", timeout=10)
        far = listener.accept(timeout=10)
        try:
            yield Pair(near, far)
        finally:
            near.abort()
            far.abort()


def later(call: Callable[[], object], delay: float = 0.05) -> threading.Thread:
    """Run a call in another thread, soon."""

    def run() -> None:
        time.sleep(delay)
        call()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


# ------------------------------------------------------------------ scripts


def run_alone(script: str) -> None:
    """Run a script with the helpers of this file, in a process whose main thread it has."""
    prologue = "from tests.python.message_pairs import *\nfrom eastwest import _message\n"
    done = subprocess.run(
        [sys.executable, "-c", prologue + textwrap.dedent(script)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
