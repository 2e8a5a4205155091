"""What happens to open contexts at the end of the interpreter: they are closed with linger.

So what was sent just before the end of the program arrives. A forked child closes nothing of its
parent (``Context.close`` sees to that). Handlers of the program that were registered after it had
imported us run before, with open channels. Daemon threads that wait for a channel then are told
that it has ended, as always; what they do not catch of that is not shown.
"""

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Protocol

from ._errors import ChannelEnded

LAST = -1  # after the finalizers of 0 and more, and after its children have ended
Hook = Callable[[threading.ExceptHookArgs], object]


class Closes(Protocol):
    """What can be closed at exit."""

    def close(self) -> None:
        """Close with the default linger. Idempotent."""


_open: "weakref.WeakSet[Closes]" = weakref.WeakSet()
_hooked: set[int] = set()  # processes of multiprocessing


def close_at_exit(context: Closes) -> None:
    """Close *context* at exit, if it lives until then."""
    _open.add(context)
    _close_with_a_process_of_multiprocessing()


def _close_with_a_process_of_multiprocessing() -> None:
    """Such a process, unless it was spawned, runs its own finalizers and then leaves at once."""
    loaded = sys.modules.get("multiprocessing.util")
    if loaded is None or os.getpid() in _hooked:
        return
    import multiprocessing.util

    if multiprocessing.parent_process() is not None:
        _hooked.add(os.getpid())
        multiprocessing.util.Finalize(None, _close_all, exitpriority=LAST)


def _close_all() -> None:
    threading.excepthook = partial(_hush, threading.excepthook)
    for context in list(_open):
        context.close()


def _hush(show: Hook, raised: threading.ExceptHookArgs, /) -> None:
    """Show what a thread has not caught, unless it was woken because the program ends."""
    if not issubclass(raised.exc_type, ChannelEnded):
        show(raised)


atexit.register(_close_all)  # at import: the last that is registered is the first to run
