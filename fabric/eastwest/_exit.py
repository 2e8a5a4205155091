"""What happens to open contexts at the end of the interpreter: they are closed with linger.

So what was sent just before the end of the program arrives. A forked child closes nothing of its
parent (``Context.close`` sees to that).
"""

import atexit
import weakref
from typing import Protocol


class Closes(Protocol):
    """What can be closed at exit."""

    def close(self) -> None:
        """Close with the default linger. Idempotent."""


_open: "weakref.WeakSet[Closes]" = weakref.WeakSet()
_hooks: list[object] = []  # the hook, once it is set


def close_at_exit(context: Closes) -> None:
    """Close *context* at exit, if it lives until then."""
    _open.add(context)
    if not _hooks:
        _hooks.append(atexit.register(_close_all))


def _close_all() -> None:
    for context in list(_open):
        context.close()
