"""The interpreter ends, whatever is open and whoever waits: no hang, no traceback, exit code 0."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.python.command_line import environment

WAITS = ("recv", "iterate", "send", "accept", "serve")
CLOSED = ("opened", "accepted", "listener", "context")
SECONDS_MAX = 30.0

paths = pytest.mark.parametrize("path", ["shm", "tcp"])


def leave(root: Path, path: str, *words: str) -> list[str]:
    """Run a program that ends with all that open; return what it says at exit."""
    settings = environment(EASTWEST_BIND="127.0.0.1:0", EASTWEST_SECURITY="none")
    done = subprocess.run(
        [sys.executable, "-m", "tests.python.leaving", path, *words],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env=settings,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *last = done.stdout.splitlines()
    assert first == "end"
    return last


@paths
@pytest.mark.parametrize("wait", ["recv", "send", "accept", " ".join(WAITS)])
def test_daemon_threads_that_wait_end_in_silence(
    runtime_dir: Path, root: Path, path: str, wait: str
) -> None:
    # catches: a traceback of a thread that was woken because its channel is closed at exit
    assert leave(root, path, *wait.split()) == []


@paths
@pytest.mark.parametrize("closed", ["", "opened", "context", " ".join(CLOSED)])
def test_what_was_closed_before_does_not_matter(
    runtime_dir: Path, root: Path, path: str, closed: str
) -> None:
    # catches: a second close at exit that fails
    assert leave(root, path, *closed.split()) == []


@paths
def test_handlers_at_exit_run_before_the_channels_are_closed(
    runtime_dir: Path, root: Path, path: str
) -> None:
    # catches: channels closed before the handlers of who imported us first; a handler that was
    # registered before the import comes later, and is told
    assert leave(root, path, "early", "late") == ["late: sent", "early: ClosedHere"]


def test_an_error_of_another_kind_is_shown(runtime_dir: Path) -> None:
    # catches: every traceback of a daemon thread hidden, not only of those that we have woken
    code = (
        "import threading, eastwest\n"
        "listener = eastwest.listen('leaving')\n"
        "def work():\n"
        "    try:\n"
        "        listener.accept()\n"
        "    except eastwest.ClosedHere as error:\n"
        "        raise ValueError('of the program') from error\n"
        "thread = threading.Thread(target=work, daemon=True)\n"
        "thread.start()\n"
        "from eastwest import _exit\n"
        "_exit._close_all()\n"
        "thread.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env=environment(),
    )
    assert done.returncode == 0
    assert "ValueError: of the program" in done.stderr
