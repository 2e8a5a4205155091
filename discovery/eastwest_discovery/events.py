"""What both packages log: one event a line, ``event key=value ...``, whole where a program forks.

A handler of logging may take its time: a disk, a pipe that nobody reads. So:

* ``later`` keeps what is logged under a lock until the lock is free again: who wants the lock waits
  for no handler.
* A fork waits until no other thread is inside a handler (FORK_SECONDS at most), and threads wait
  with their events while one forks. ``logging`` makes its own locks anew in a child, but not those
  that its handlers hold inside, as a file's buffer does: a child that logs would wait for ever.

Imports neither zmq nor protobuf: ``eastwest`` uses it without the extra ``discovery``.
"""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FORK_SECONDS = 1.0


class Events:
    """The events of one logger, which gets a ``NullHandler`` and no level. Threads: any number.

    A record carries the fields as ``record.eastwest``, a dict with ``event`` in it, for handlers
    that write JSON.
    """

    def __init__(self, name: str) -> None:
        self.logger = logging.getLogger(name)
        self.logger.addHandler(logging.NullHandler())

    def event(self, level: int, name: str, **fields: Any) -> None:
        """Log one event; costs one comparison when nobody listens."""
        self._log(level, name, fields)

    def info(self, name: str, **fields: Any) -> None:
        """Log one event at level INFO."""
        self._log(logging.INFO, name, fields)

    def warning(self, name: str, **fields: Any) -> None:
        """Log one event at level WARNING."""
        self._log(logging.WARNING, name, fields)

    def error(self, name: str, **fields: Any) -> None:
        """Log one event at level ERROR."""
        self._log(logging.ERROR, name, fields)

    def failed(self, name: str, **fields: Any) -> None:
        """Log the error that is being handled at level ERROR, with its traceback."""
        self._log(logging.ERROR, name, fields, is_failed=True)

    def _log(
        self, level: int, name: str, fields: dict[str, Any], *, is_failed: bool = False
    ) -> None:
        logger = self.logger
        if not logger.isEnabledFor(level):
            return
        file, number, function, _ = logger.findCaller(stacklevel=3)  # this, info, who called it
        error = sys.exc_info() if is_failed else None
        extra = {"eastwest": {"event": name, **fields}}
        text = line(name, fields)
        record = logger.makeRecord(
            logger.name, level, file, number, "%s", (text,), error, function, extra
        )
        if (kept := getattr(_here, "kept", None)) is not None:
            kept.append((logger, record))
        else:
            _handle(logger, record)


@contextmanager
def later() -> Iterator[None]:
    """Keep what this thread logs until the end of the block; enter it before the lock."""
    if getattr(_here, "kept", None) is not None:  # the outermost block ends last
        yield
        return
    kept: list[tuple[logging.Logger, logging.LogRecord]] = []
    _here.kept = kept
    try:
        yield
    finally:
        _here.kept = None
        for each in kept:
            _handle(*each)


def line(name: str, fields: dict[str, Any]) -> str:
    """Return an event as a line."""
    return " ".join([name, *(f"{key}={_shown(value)}" for key, value in fields.items())])


def _shown(value: object) -> str:
    """Return a value on one line, in quotes if it would not be one word."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if text and text.isprintable() and not set(text) & set(' "=\\'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in escaped) + '"'


# ------------------------------------------------------------------ forks


class _Gate:
    """Threads inside handlers, and threads that fork: none of either while another is the other.

    Each waits for the others FORK_SECONDS at most, and never for itself: a handler may fork, and
    what runs at a fork may log.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew: in a child there is no thread but this."""
        self._changed = threading.Condition()  # again by one thread: a signal's handler may log
        self._handling: dict[int, int] = {}  # how deep, by thread
        self._forking: set[int] = set()

    def enter(self) -> None:
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: not self._forking - {me}, FORK_SECONDS)
            self._handling[me] = self._handling.get(me, 0) + 1

    def leave(self) -> None:
        me = threading.get_ident()
        with self._changed:
            depth = self._handling.pop(me, 1)
            if depth > 1:
                self._handling[me] = depth - 1
            self._changed.notify_all()

    def fork(self) -> None:
        me = threading.get_ident()
        with self._changed:
            self._forking.add(me)
            self._changed.wait_for(lambda: not self._handling.keys() - {me}, FORK_SECONDS)

    def forked(self) -> None:
        with self._changed:
            self._forking.discard(threading.get_ident())
            self._changed.notify_all()


_here = threading.local()  # kept: what this thread logs in a block of ``later``
_gate = _Gate()


def _handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    _gate.enter()
    try:
        logger.handle(record)
    finally:
        _gate.leave()


os.register_at_fork(before=_gate.fork, after_in_parent=_gate.forked, after_in_child=_gate.reset)
