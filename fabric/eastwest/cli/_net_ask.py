"""Asking the TCP/IP of another process: which process, and its answers. Prints nothing.

``net QUESTION`` on a control socket is answered by the stack of that context
(``transport/shell/ask.h``). Whoever answers is a stranger, as in ``_control.py``.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from .._config import Config
from .._parallel import in_parallel
from ._control import Asker, LookError, Place, directories, sockets, text, whole
from ._exits import Exit

SHOWN_MAX = 8
PAGES_MAX = 1 << 12
NO_STACK = (
    "is its network configured ('eastwest config'), and does 'eastwest doctor' find the plug-in "
    "and the device in order?"
)


class NetError(Exception):
    """A question that has no answer; the text says what to do."""

    def __init__(self, code: Exit, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack of one process.

    Attributes:
        device: the name of its port.
    """

    place: Place
    pid: int
    device: str

    def ask(self, question: str) -> list[Mapping[str, Any]]:
        """Return the rows of one answer.

        Raises:
            NetError: the process is gone or does not answer, or it cannot be.
        """
        return self.look(question)[1]

    def one(self, question: str) -> Mapping[str, Any]:
        """Return the row of an answer that has one."""
        rows = self.ask(question)
        if not rows:
            raise NetError(Exit.UNREACHABLE, f"process {self.pid} does not answer as Eastwest does")
        return rows[0]

    def look(self, question: str) -> tuple[int, list[Mapping[str, Any]]]:
        """Return the rows and the process's monotonic clock."""
        try:
            with closing(Asker(self.place)) as asker:
                rows = asker.ask(f"net {question}")
                clock = whole(asker.head, "now_ns")
        except LookError as error:
            raise NetError(_code_of(error), str(error)) from None
        if rows and "error" in rows[0]:
            raise NetError(_CODES.get(text(rows[0], "error"), Exit.NO), text(rows[0], "detail"))
        return clock, rows

    def ask_all(self, question: str) -> list[Mapping[str, Any]]:
        """Return the rows of a list, from all its pages."""
        return self.look_all(question)[1]

    def look_all(self, question: str) -> tuple[int, list[Mapping[str, Any]]]:
        """Return the rows of a list and the clock at its last page."""
        found: list[Mapping[str, Any]] = []
        after = 0
        for _ in range(PAGES_MAX):
            clock, rows = self.look(f"{question} {after}" if after else question)
            following = whole(rows[-1], "next") if rows else 0
            found += [row for row in rows if "next" not in row]
            if following <= after:
                break
            after = following
        return clock, found


_CODES: Mapping[str, Exit] = {
    "unreachable": Exit.UNREACHABLE,
    "limit": Exit.NO,
    "busy": Exit.NO,
    "file": Exit.NO,
}


def _code_of(error: LookError) -> Exit:
    if error.kind == "silent":
        return Exit.TIMEOUT
    return Exit.NOT_FOUND if error.kind in ("gone", "none") else Exit.UNREACHABLE


# ------------------------------------------------------------------ which process


@dataclass(frozen=True, slots=True)
class Answer:
    """What one control socket said of its stack: it, or why not."""

    place: Place
    stack: Stack | None
    trouble: LookError | None

    @property
    def pid(self) -> int:
        """Return what its process is called here; of one that does not answer, in its own view."""
        return self.stack.pid if self.stack else self.place.pid


def look_for(config: Config) -> list[Answer]:
    """Ask every process that can be found for its ports."""
    return [
        each
        for directory in directories(config)
        for each in in_parallel(_visit, sockets(directory))
    ]


def _visit(place: Place) -> Answer:
    try:
        with closing(Asker(place)) as asker:
            rows = asker.ask("net port")
            device = text(rows[0], "name") if rows else ""
            return Answer(place, Stack(place, asker.pid, device), None)
    except LookError as error:
        return Answer(place, None, error)


def choose(answers: Sequence[Answer], pid: int | None, device: str | None) -> Stack:
    """Return the one stack that is meant.

    Raises:
        NetError: there is none, or there are several.
    """
    mine = [each for each in answers if pid in (None, each.pid)]
    stacks = [each.stack for each in mine if each.stack is not None]
    found = [each for each in stacks if device in (None, each.device)]
    if len(found) == 1:
        return found[0]
    if found:
        known = _listed(found)
        raise NetError(Exit.USAGE, f"{len(found)} have a TCP/IP of their own: {known}; say which")
    if stacks:
        raise NetError(Exit.NOT_FOUND, f"no device {device!r}; there are: {_listed(stacks)}")
    raise _nobody(mine, pid)


def _listed(stacks: Sequence[Stack]) -> str:
    shown = [f"--pid {each.pid} --device {each.device}" for each in stacks[:SHOWN_MAX]]
    return ", ".join(shown) + (", ..." if len(stacks) > SHOWN_MAX else "")


def _nobody(mine: Sequence[Answer], pid: int | None) -> NetError:
    there = [each for each in mine if each.trouble is not None and each.trouble.kind != "gone"]
    troubles = [each.trouble for each in there if each.trouble is not None]
    others = [each for each in troubles if each.kind != "none"]
    if others and (pid is not None or len(others) == len(troubles)):
        return NetError(_code_of(others[0]), str(others[0]))
    if pid is not None and not there:
        hint = "'eastwest top' shows those that do"
        return NetError(Exit.NOT_FOUND, f"process {pid} shows no control socket here; {hint}")
    who = f"process {pid} has" if pid is not None else "no process here has"
    what = "no TCP/IP of its own" if pid is not None else "a TCP/IP of its own"
    return NetError(Exit.NOT_FOUND, f"{who} {what}; {NO_STACK}")
