"""The default context and the functions that use it.

It is made from the environment at first use, and anew in a child process.
"""

import os
import threading
from collections.abc import Mapping

from ._channel import Channel
from ._context import Context
from ._listener import Listener
from ._select import Pick
from ._values import Explanation

_lock = threading.Lock()
_contexts: list[Context] = []  # at most one; a list, so that no function needs ``global``
_hooks: list[object] = []  # the hook, once it is set


def default_context() -> Context:
    """Return the context that the module-level functions use.

    It is made from the environment at first use, anew after fork, and anew after it was closed.

    Raises:
        ConfigurationError: a variable or the configuration file is not in order.
    """
    with _lock:
        if _contexts and _contexts[0].closed:
            _contexts.clear()
        if not _contexts:
            _contexts.append(Context())
        if not _hooks:
            os.register_at_fork(after_in_child=_forget)
            _hooks.append(_forget)
        return _contexts[0]


def _forget() -> None:
    """Drop what belongs to the parent; its lock may have been held by another thread."""
    global _lock
    _lock = threading.Lock()
    _contexts.clear()


def connect(
    service: str,
    *,
    protocol: str = "",
    where: Mapping[str, str] | None = None,
    pick: Pick = "nearest",
    timeout: float | None = 5.0,
) -> Channel:
    """Open a channel to one instance of *service*; see ``Context.connect``."""
    return default_context().connect(
        service, protocol=protocol, where=where, pick=pick, timeout=timeout
    )


def listen(
    service: str,
    *,
    protocol: str = "",
    labels: Mapping[str, str] | None = None,
    bind: str | None = None,
    max_channels: int = 1024,
) -> Listener:
    """Publish one instance of *service*; see ``Context.listen``."""
    return default_context().listen(
        service, protocol=protocol, labels=labels, bind=bind, max_channels=max_channels
    )


def explain(service: str) -> Explanation:
    """Say which path a connect would take now, and why not the others; opens no channel."""
    return default_context().explain(service)
