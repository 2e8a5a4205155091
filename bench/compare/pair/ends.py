"""What a system is to the pair program: one side of so many links.

Side        any system: what does a work
Ends        most systems: a call sends a message, and a call waits for one
AsyncEnds   the same for asyncio, see aio.py
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.compare.pair import loops
from bench.compare.pair.loops import Recv, Run, Send, Task
from bench.python.duo import Duo

BYTES_MAX: Final = 32 << 20  # of a message


class Missing(Exception):
    """The system cannot be had here; raised by both sides, before they meet.

    Attributes:
        fix: what would help.
    """

    def __init__(self, why: str, fix: str = "") -> None:
        super().__init__(why)
        self.fix = fix


class Cannot(Exception):
    """The system cannot do this work, or not in this size; raised by both sides."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How a side is opened.

    Attributes:
        duo: both processes; ``tell`` exchanges a text, as an address; ``is_peer``: the server.
        wait: "spin", "adaptive" or "block".
        folder: an empty directory of both.
        options: what else was given.
        inherited: what the system made before the two processes parted, see ``systems``.
    """

    duo: Duo
    wait: str
    links: int
    folder: str
    options: Mapping[str, str]
    inherited: Any = None

    @property
    def host(self) -> str:
        """Where the server of a network protocol listens: option ``bind=HOST`` or ``HOST:0``."""
        return self.options.get("bind", "127.0.0.1").partition(":")[0]

    def require_wait(self, *modes: str, why: str) -> None:
        """Raise Missing, unless one of these was asked for."""
        if self.wait not in modes:
            raise Missing(f"no wait={self.wait}: {why}")


class Side(ABC):
    """One side of a system. Both sides make theirs at the same time, and meet in between."""

    version: str = ""
    detail: str = ""

    @abstractmethod
    def run_of(self, task: Task) -> Run:
        """Return what does this side of a work so many times; the messages are as prepared.

        Raises:
            Cannot: by both sides, if it is not possible.
        """

    def prepare(self, size: int) -> None:
        """Be ready for messages of this size; both sides call it, and may meet.

        Raises:
            Cannot: by both sides, if it is too large.
        """
        self.size = size

    def hold(self, in_flight: int) -> None:
        """Have room for so many answers, as prepared, that the client has not taken.

        It sends before it takes: a server that waited for room would wait for ever.

        Raises:
            Cannot: by both sides, if there is not as much, or nobody knows.
        """
        raise Cannot(f"no window: nobody knows whether {in_flight} answers have room")

    @abstractmethod
    def close(self) -> None:
        """End, and leave nothing behind."""


class Ends(Side):
    """A side with one call that sends, and one that waits."""

    @abstractmethod
    def send_of(self, link: int) -> Send:
        """Return what sends a message on a link."""

    @abstractmethod
    def recv_of(self, link: int) -> Recv:
        """Return what waits for a message, as this side was told to wait, and returns it."""

    def run_of(self, task: Task) -> Run:
        """See ``Side``."""
        links = task.used_links()
        return loops.run_of(task, [*map(self.send_of, links)], [*map(self.recv_of, links)])


def package(name: str, fix: str) -> Any:
    """Import what may not be there.

    Raises:
        Missing: it is not.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: a library that it needs
        raise Missing(f"cannot import {name}: {error}", f"pip install {fix}") from error


def version_of(distribution: str) -> str:
    """Return the version of what pip installed."""
    from importlib import metadata  # costs more than all the rest

    return metadata.version(distribution)
