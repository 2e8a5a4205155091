"""Looking into other processes: their control sockets, asked and judged. Prints nothing.

A process answers at ``DIRECTORY/proc/PID-RANDOM.sock``, one socket for each of its contexts: one
packet asks, one packet of JSON lines answers (``transport/control/control.h``). Whoever answers is
a stranger: sizes, times and types are checked, and what is not in order is left out.
"""

import errno
import json
import os
import re
import socket
import stat
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from glob import glob
from typing import Any, Literal

from .. import _native_rundir, _rundir
from .._config import Config
from .._errors import ConfigurationError, EastwestError
from .._parallel import in_parallel

FOLDER = "proc"
NAME = re.compile(r"([0-9]{1,10})-[0-9a-f]{16}\.sock")
HELLO = b"eastwest/1 "
PACKET_BYTES_MAX = 64 << 10
PAGES_MAX = 4096
ANSWER_SECONDS = 2.0
RETRY_SECONDS = 0.005
USERS = "/run/user/*/eastwest"  # where root finds the directories of others

Trouble = Literal["gone", "refused", "silent", "strange", "none"]


_KINDS: Mapping[str, Trouble] = {"access": "refused", "full": "refused", "none": "none"}


class LookError(Exception):
    """A process could not be looked into."""

    def __init__(self, kind: Trouble, text: str) -> None:
        super().__init__(text)
        self.kind: Trouble = kind


@dataclass(frozen=True, slots=True)
class Place:
    """One control socket, as its name says it."""

    directory: str
    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Looked:
    """What one context of a process told.

    Attributes:
        pid: as the kernel says, or as the name says if it is not in our pid namespace.
        uid: as the kernel says.
        now_ns: the process's monotonic clock at the last page of channels.
        context, listeners, channels: rows as they came, see ``whole`` and ``text``.
    """

    place: Place
    pid: int
    uid: int
    version: str
    now_ns: int
    context: Mapping[str, Any]
    listeners: tuple[Mapping[str, Any], ...]
    channels: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A process that could not be looked into, and why."""

    pid: int
    kind: Trouble
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return it by name."""
        return {"pid": self.pid, "kind": self.kind, "text": self.text}


@dataclass(slots=True)
class View:
    """All processes that could be found at one time."""

    looked: list[Looked] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def channels(self) -> Iterator[tuple[Looked, Mapping[str, Any]]]:
        """Yield every channel with the context that has it, by pid, oldest first."""
        for each in sorted(self.looked, key=lambda one: (one.pid, one.place.name)):
            for row in reversed(each.channels):
                yield each, row


def whole(row: Mapping[str, Any], name: str) -> int:
    """Return a number of a row, 0 if it is none, or none that C could have told."""
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if -(1 << 63) <= value < 1 << 64 else 0


def text(row: Mapping[str, Any], name: str) -> str:
    """Return a text of a row for people, without what a terminal would obey."""
    value = row.get(name)
    shown = value if isinstance(value, str) else ""
    return "".join(each if each.isprintable() else "?" for each in shown)


# ------------------------------------------------------------------ finding


def directories(config: Config) -> list[str]:
    """Return the runtime directories to look in, as a client would; root looks at users', too.

    Raises:
        ConfigurationError: a directory that was configured is missing or not safe.
    """
    is_root = os.geteuid() == 0
    found = []
    places = _rundir.places(config.runtime_dirs, os.environ)
    for place in places:
        problem = _native_rundir.rundir_problem(place.directory, False)
        if problem is None or (is_root and os.path.isdir(place.directory)):
            found.append(place.directory)
        elif place.origin in ("configuration", _rundir.VARIABLE):
            raise ConfigurationError(problem)
    if is_root and not any(each.origin in ("configuration", _rundir.VARIABLE) for each in places):
        found += [each for each in sorted(glob(USERS)) if each not in found]
    return found


def sockets(directory: str) -> list[Place]:
    """Return the control sockets of a runtime directory, live or stale."""
    try:
        names = os.listdir(os.path.join(directory, FOLDER))
    except OSError:  # not there yet, or not for us to see
        return []
    matches = ((name, NAME.fullmatch(name)) for name in sorted(names))
    return [Place(directory, name, int(match[1])) for name, match in matches if match]


def look_around(config: Config, *, details: bool = True) -> View:
    """Look into every process that can be found; sweep the sockets of dead ones.

    Args:
        details: context and listeners too, not only channels.
    """

    def visit(place: Place) -> Looked | Problem:
        try:
            return look(place, details=details)
        except LookError as error:
            return Problem(place.pid, error.kind, str(error))

    view = View()
    for directory in directories(config):
        found = in_parallel(visit, sockets(directory))
        view.looked += [each for each in found if isinstance(each, Looked)]
        problems = [each for each in found if isinstance(each, Problem)]
        view.problems += [each for each in problems if each.kind != "gone"]
        if len(problems) > len([each for each in problems if each.kind != "gone"]):
            with suppress(EastwestError):  # not our directory: its owner does it
                _native_rundir.sweep_control(directory)
    return view


# ------------------------------------------------------------------ asking


def look(place: Place, *, details: bool = True) -> Looked:
    """Ask one context for its counters.

    Raises:
        LookError: nobody is there ("gone"), or they refuse, are silent or talk nonsense.
    """
    with closing(Asker(place)) as asker:
        context, listeners = {}, []
        if details:
            rows = asker.ask("context")
            context = dict(rows[0]) if rows else {}
            listeners = asker.ask_all("listeners")
        channels = asker.ask_all("channels")
        return Looked(
            place=place,
            pid=asker.pid,
            uid=asker.uid,
            version=text(asker.head, "version"),
            now_ns=whole(asker.head, "now_ns"),
            context=context,
            listeners=tuple(listeners),
            channels=tuple(channels),
        )


def look_at_channel(place: Place, number: int) -> Mapping[str, Any] | None:
    """Ask for everything about one channel; None when it is gone or being closed.

    Raises:
        LookError: as ``look``.
    """
    with closing(Asker(place)) as asker:
        rows = asker.ask(f"channel {number}")
        return rows[0] if rows and not rows[0].get("busy") else None


class Asker:
    """A connection to one control socket, for at most ``ANSWER_SECONDS`` in all."""

    def __init__(self, place: Place) -> None:
        self._deadline = time.monotonic() + ANSWER_SECONDS
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.head: Mapping[str, Any] = {}
        self.who = f"process {place.pid}"
        try:
            self._connect(place)
        except BaseException:
            self._socket.close()
            raise
        options = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid, self.uid, _ = struct.unpack("iii", options)  # of who listens; struct ucred, unix(7)
        self.pid = pid or place.pid

    def _connect(self, place: Place) -> None:
        self._socket.settimeout(ANSWER_SECONDS)
        try:
            folder = os.open(os.path.join(place.directory, FOLDER), os.O_PATH | os.O_NOFOLLOW)
            try:
                status = os.stat(place.name, dir_fd=folder, follow_symlinks=False)
                if not stat.S_ISSOCK(status.st_mode):
                    raise LookError("strange", f"{self.who}: its control socket is none")
                self._dial(f"/proc/self/fd/{folder}/{place.name}")
            finally:
                os.close(folder)
        except OSError as error:
            raise self._failure(error) from None

    def _dial(self, path: str) -> None:
        """Connect; as many wait as may (EAGAIN, unix(7)): try again until the time is up."""
        while True:
            try:
                return self._socket.connect(path)
            except BlockingIOError:
                if time.monotonic() >= self._deadline:
                    raise
            time.sleep(RETRY_SECONDS)

    def _failure(self, error: OSError) -> LookError:
        if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
            return LookError("gone", f"{self.who} is gone")
        if error.errno in (errno.EACCES, errno.EPERM):
            why = f"uid {os.geteuid()} may not open its control socket"
            return LookError("refused", f"{self.who}: {why}; ask as its user or as root")
        if isinstance(error, TimeoutError | BlockingIOError):
            return LookError("silent", f"{self.who} does not answer: is it stopped?")
        return LookError("strange", f"{self.who}: {error.strerror or error}")

    def ask(self, request: str) -> list[Mapping[str, Any]]:
        """Return the rows of one reply."""
        try:
            self._socket.settimeout(max(0.001, self._deadline - time.monotonic()))
            with suppress(BrokenPipeError, ConnectionResetError):  # then its last words are there
                self._socket.send(HELLO + request.encode())
            packet = self._receive()
        except OSError as error:
            raise self._failure(error) from None
        if not packet:
            raise LookError("gone", f"{self.who} hung up")
        return self._judge(packet)

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(PACKET_BYTES_MAX)
        except ConnectionResetError:  # told once, before what it said
            return self._socket.recv(PACKET_BYTES_MAX)

    def _judge(self, packet: bytes) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        try:
            for line in packet.decode(errors="replace").split("\n"):
                if not line:
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("not an object")
                rows.append(row)
        except (ValueError, RecursionError):
            raise LookError("strange", f"{self.who} does not answer as Eastwest does") from None
        head = rows[0] if rows else {}
        if "error" in head:
            kind = _KINDS.get(text(head, "error"), "strange")
            raise LookError(kind, f"{self.who}: {text(head, 'detail')}")
        if whole(head, "control") != 1:
            raise LookError("strange", f"{self.who} does not answer as Eastwest does")
        self.head = head
        return rows[1:]

    def ask_all(self, request: str) -> list[Mapping[str, Any]]:
        """Return the rows of a list, from all its pages."""
        found: list[Mapping[str, Any]] = []
        after = 0
        for _ in range(PAGES_MAX):
            rows = self.ask(f"{request} {after}" if after else request)
            following = whole(rows[-1], "next") if rows else 0
            found += [row for row in rows if "number" in row]
            if following <= 0 or (after and following >= after):
                break
            after = following
        return found

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
