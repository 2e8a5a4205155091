"""What happens to open contexts at the end of the interpreter: they are closed with linger.

So what was sent just before the end of the program arrives. A forked child closes nothing of its
parent (``Context.close`` sees to that). Handlers of the program that were registered after it had
imported us run before, with open channels. Daemon threads that wait for a channel then are told
that it has ended, as always; what they do not catch of that is not shown.
"""

import atexit
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Protocol

from ._errors import ChannelEnded

Hook = Callable[[threading.ExceptHookArgs], object]


class Closes(Protocol):
    """What can be closed at exit."""

    def close(self) -> None:
        """Close with the default linger. Idempotent."""


_open: "weakref.WeakSet[Closes]" = weakref.WeakSet()


def close_at_exit(context: Closes) -> None:
    """Close *context* at exit, if it lives until then."""
    _open.add(context)


def _close_all() -> None:
    threading.excepthook = partial(_hush, threading.excepthook)
    for context in list(_open):
        context.close()


def _hush(show: Hook, raised: threading.ExceptHookArgs, /) -> None:
    """Show what a thread has not caught, unless it was woken because the program ends."""
    if not issubclass(raised.exc_type, ChannelEnded):
        show(raised)


atexit.register(_close_all)  # at import: the last that is registered is the first to run
