"""What the errors of a handler of ``serve`` end: its channel, and nothing else."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ._errors import ClosedHere, PeerLost

log = logging.getLogger("eastwest")


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
        log.warning("peer_lost service=%s detail=%s", service, error)
        channel.abort()
    except ClosedHere as error:
        log.debug("channel_closed service=%s detail=%s", service, error)
    except Exception:
        log.exception("handler_failed service=%s handler=%r", service, handler)
        channel.abort()
