"""What a command says: text for people or JSON for programs. Nothing else here prints.

JSON is one object with "schema" as its first key, or one such object on each line for a command
that reports while it runs. A reader that goes away (``| head``) is no error: what comes after is
dropped and ``gone`` says so.
"""

import json
import os
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

BUG = "this is a bug of eastwest; please report it with the text above"


class OutputError(Exception):
    """Standard output cannot be written, for another reason than a reader that went away."""


def occupy_standard_descriptors() -> None:
    """Open /dev/null where 0, 1 or 2 is closed, so that no socket becomes somebody's stdout."""
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            return


class Output:
    """Where one command reports. Threads: any number may use it.

    Attributes:
        is_json: the reader is a program.
        gone: the reader went away; a command that only reports may stop.
    """

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        self.gone = False
        self._lock = threading.Lock()

    def text(self, line: str = "") -> None:
        """Write a line for people."""
        if not self.is_json:
            self._write(f"{line}\n")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write rows for people, in columns."""
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        for row in (head, *rows):
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            self.text("  ".join(cells).rstrip())

    def document(self, schema: str, facts: Mapping[str, Any]) -> None:
        """Write the one object of a command, for programs."""
        if self.is_json:
            self._write(json.dumps({"schema": schema, **facts}, indent=2) + "\n")

    def event(self, schema: str, facts: Mapping[str, Any]) -> None:
        """Write one of many objects, on a line of its own, for programs."""
        if self.is_json:
            self._write(json.dumps({"schema": schema, **facts}) + "\n")

    def plain(self, text: str) -> None:
        """Write text as it is, whoever reads: help and version."""
        self._write(text)

    def _write(self, text: str) -> None:
        with self._lock:
            if self.gone or sys.stdout is None:
                self.gone = True
                return
            try:
                sys.stdout.write(text)
                sys.stdout.flush()
            except BrokenPipeError:
                self.gone = True
                _let_go(sys.stdout)
            except OSError as error:
                self.gone = True
                _let_go(sys.stdout)
                raise OutputError(f"cannot write standard output: {error.strerror}") from None


def _let_go(stream: TextIO) -> None:
    """Point the stream to nowhere, so that the interpreter's last flush cannot fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def complain(command: str, sentence: str) -> None:
    """Write one line to standard error; if that is closed too, nobody listens."""
    _to_stderr(f"{command}: {'; '.join(sentence.splitlines())}\n")


def complain_about_bug(error: BaseException) -> None:
    """Write a traceback and ask to report it."""
    _to_stderr("".join(traceback.format_exception(error)) + f"eastwest: {BUG}\n")


def _to_stderr(text: str) -> None:
    try:
        if sys.stderr is not None:
            sys.stderr.write(text)
            sys.stderr.flush()
    except OSError:
        _let_go(sys.stderr)
