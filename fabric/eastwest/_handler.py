"""What the errors of a handler of ``serve`` end: its channel, and nothing else."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from . import _log
from ._errors import ClosedHere, PeerLost


class Aborts(Protocol):
    """A channel, synchronous or not."""

    def abort(self) -> None:
        """End the channel at once."""


@contextmanager
def ending_only(channel: Aborts, service: str, handler: object) -> Iterator[None]:
    """Log what is raised in the block, and abort the channel; the block is left normally.

    Not so with what is no ``Exception``: it passes, and the channel is the caller's.
    """
    try:
        yield
    except PeerLost as error:
        _log.warning("peer_lost", service=service, detail=error)
        channel.abort()
    except ClosedHere as error:
        _log.event(logging.DEBUG, "channel_closed", service=service, detail=error)
    except Exception:  # noqa: BLE001 it is logged with its traceback
        _log.failed("handler_failed", service=service, handler=repr(handler))
        channel.abort()
