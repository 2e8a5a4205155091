"""What the other process does in tests of the contract. Imports no pytest, to start fast.

Each function gets the line to the test first; then what the test gave, as JSON made it.
"""

import gc
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import eastwest
from eastwest import Channel
from tests.conformance.pairs import (
    LONG,
    big,
    context,
    dialling_settings,
    fill,
    numbered,
    send_for_ever,
    static_registry,
)
from tests.conformance.processes import Line

kept: list[Channel] = []  # until the interpreter ends
STOP, CONT = signal.SIGSTOP, signal.SIGCONT


def dial(settings: dict[str, Any], service: str = "contract") -> Channel:
    return context(settings).connect(service, timeout=LONG)


def pair(serving: dict[str, Any], folder: str, **more: Any) -> list[Channel]:
    """Two ends in this process."""
    with context({**serving, **more}).listen("contract") as listener:
        channel = context({**dialling(serving, folder, listener), **more}).connect("contract")
        return [channel, listener.accept(timeout=LONG)]


def dialling(serving: dict[str, Any], folder: str, listener: Any) -> dict[str, Any]:
    if "shm" in serving["paths"]:
        return serving
    where = Path(tempfile.mkdtemp(prefix="ew-", dir=folder))
    return dialling_settings(serving, static_registry(where, listener))


def greet(settings: dict[str, Any]) -> None:
    """For multiprocessing: send, receive, and leave the rest to the end of the process."""
    channel = dial(settings)
    channel.send(b"from a new process", timeout=LONG)
    assert channel.recv(timeout=LONG) == b"welcome"
    kept.append(channel)


def send_on_demand(test: Line, settings: dict[str, Any]) -> None:
    """Connect; send a message of each length that the test tells."""
    channel = dial(settings)
    while True:
        channel.send(big(test.hears()), timeout=LONG)


def send_and_return(test: Line, settings: dict[str, Any]) -> None:
    """Send messages, and let the interpreter end with the channel open."""
    kept.append(channel := dial(settings))
    for number in range(200):
        channel.send(numbered(number, 100), timeout=LONG)


def hold(test: Line, settings: dict[str, Any]) -> None:
    """Connect, and do nothing with the channel."""
    channel = dial(settings)
    test.hears()
    del channel


def send_and_hold(test: Line, settings: dict[str, Any], count: int) -> None:
    channel = dial(settings)
    for number in range(count):
        channel.send(numbered(number, 100), timeout=LONG)
    test.tell()
    test.hears()


def send_close_and_hold(test: Line, settings: dict[str, Any], count: int) -> None:
    channel = dial(settings)
    for number in range(count):
        channel.send(numbered(number, 100), timeout=LONG)
    channel.close()
    test.tell()
    test.hears()


def send_eof_and_hold(test: Line, settings: dict[str, Any], count: int) -> None:
    channel = dial(settings)
    for number in range(count):
        channel.send(numbered(number, 100), timeout=LONG)
    channel.send_eof()
    test.tell()
    test.hears()


def fork_and_hold(test: Line, settings: dict[str, Any]) -> None:
    """Leave a forked child behind that knows of the channel and lives for a while."""
    channel = dial(settings)
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(LONG))
        while True:
            signal.pause()
    test.tell(pid)
    test.hears()
    del channel


def spawn_and_hold(test: Line, settings: dict[str, Any]) -> None:
    """Leave another program behind that inherited every descriptor that it could."""
    channel = dial(settings)
    other = subprocess.Popen(["sleep", str(LONG)], close_fds=False)
    test.tell(other.pid)
    test.hears()
    del channel


def accept_and_hold(test: Line, settings: dict[str, Any], folder: str) -> None:
    """Listen; tell the registry, if a peer needs one, and that somebody is there."""
    from pathlib import Path

    with context(settings).listen("contract") as listener:
        needs = any(not each.startswith("shm:") for each in listener.instance.addresses)
        test.tell(static_registry(Path(folder), listener) if needs else None)
        channel = listener.accept(timeout=LONG)
        test.tell()
        test.hears()
        del channel


def connect_and_echo(test: Line, settings: dict[str, Any]) -> None:
    channel = dial(settings)
    test.tell()
    for message in channel:
        channel.send(message, timeout=LONG)


def accept_and_echo(test: Line, settings: dict[str, Any], folder: str) -> None:
    """Listen; tell the settings of who dials; echo on one channel."""
    with context(settings).listen("contract") as listener:
        test.tell(dialling(settings, folder, listener))
        for message in (channel := listener.accept(timeout=LONG)):
            channel.send(message, timeout=LONG)


def fork_and_drop(test: Line, settings: dict[str, Any], folder: str) -> None:
    """A forked child drops every object and leaves through the handlers at exit."""
    ends = pair(settings, folder)
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(LONG))
        ends.clear()
        gc.collect()
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    a, b = ends
    a.send(b"there", timeout=LONG)
    b.send(b"and back", timeout=LONG)
    assert (b.recv(timeout=LONG), a.recv(timeout=LONG)) == (b"there", b"and back")
    test.tell("peer and parent are unharmed")


def fork_then_abort(test: Line, settings: dict[str, Any], folder: str) -> None:
    """Tell what the peer sees when we abort while a forked child lives."""
    a, b = pair(settings, folder)
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(LONG))
        while True:
            signal.pause()
    a.abort()
    try:
        b.recv(timeout=5.0)
    except eastwest.EastwestError as error:
        test.tell(type(error).__name__)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# ------------------------------------------------------------------ crash tests


def send_for_ever_from(test: Line, settings: dict[str, Any]) -> None:
    """Connect, fill everything; tell "full", then how sending ended."""
    _fill_and_wait(test, dial(settings))


def accept_and_send(test: Line, settings: dict[str, Any], folder: str) -> None:
    """Listen, tell the registry; then as ``send_for_ever_from``."""
    from pathlib import Path

    listener = context(settings).listen("contract")
    needs = any(not each.startswith("shm:") for each in listener.instance.addresses)
    test.tell(static_registry(Path(folder), listener) if needs else None)
    _fill_and_wait(test, listener.accept(timeout=LONG))


def _fill_and_wait(test: Line, channel: Channel) -> None:
    fill(channel)
    test.tell("full")
    try:
        send_for_ever(channel)
    except eastwest.EastwestError as error:
        test.tell(type(error).__name__)
    test.hears()
