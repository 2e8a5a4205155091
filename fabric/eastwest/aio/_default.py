"""The functions that use the default context; it is the synchronous package's."""

from collections.abc import Mapping

from .. import _default
from .._select import Pick
from .._values import Explanation
from ._context import Connecting, Context
from ._listener import Listener

_contexts: list[Context] = []  # at most one; a list, so that no function needs ``global``


def default_context() -> Context:
    """Return the context that the module-level functions use; see ``eastwest.default_context``.

    It shares everything with the synchronous one.
    """
    shared = _default.default_context()
    if not _contexts or not _contexts[0].is_around(shared):
        _contexts[:] = [Context.around(shared)]
    return _contexts[0]


def connect(
    service: str,
    *,
    protocol: str = "",
    where: Mapping[str, str] | None = None,
    pick: Pick = "nearest",
    timeout: float | None = 5.0,
) -> Connecting:
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


async def explain(service: str) -> Explanation:
    """Say which path a connect would take now, and why not the others; opens no channel."""
    return await default_context().explain(service)
