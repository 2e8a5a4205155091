"""Errors, one class per thing a caller can do about it.

EastwestError
├── ConfigurationError   ValueError       fix the arguments, the environment or the machine
├── MessageTooLong       ValueError       split the message, or raise the limit that the text names
├── ConnectError                          no channel came about; .explanation says what was tried
│   ├── ServiceNotFound                   nobody publishes that name where we looked
│   └── Unreachable                       it is published, and nobody answers there
│       └── Refused                       somebody answered no; .reason says why
├── Timeout              TimeoutError     nothing changed; try again
├── Interrupted          InterruptedError a signal ended a wait; nothing changed; call again
├── ChannelEnded                          this channel is over
│   ├── EndOfChannel     EOFError         the peer closed, and everything it sent was received
│   ├── PeerLost         ConnectionError  the peer died, vanished or broke the protocol
│   └── ClosedHere                        this end was closed or aborted here
├── ForkedError          RuntimeError     the object belongs to the parent process; make a new one
├── OutOfMemory          MemoryError      the memory budget, or the system's memory, is used up
├── SystemCallError      OSError          the system said no; .errno says what
└── InternalError        RuntimeError     our bug: please report the text

Codes of the C library become exceptions in ``from_code``. Imports no native module.
"""

import errno
import os
from collections.abc import Callable
from enum import IntEnum
from typing import Literal, TypeAlias

from ._values import Explanation

Reason: TypeAlias = Literal["access", "protocol", "version", "full", "draining"]


class Code(IntEnum):
    """``enum ew_err`` of eastwest.h; a test compares the two."""

    EW_OK = 0
    EW_EAGAIN = -1000
    EW_ETIMEOUT = -1001
    EW_EINTR = -1002
    EW_ECLOSED = -1003
    EW_EEND = -1004
    EW_ELOST = -1005
    EW_EPROTO = -1006
    EW_ETOOBIG = -1007
    EW_EINVAL = -1008
    EW_ENOTFOUND = -1009
    EW_EUNREACHABLE = -1010
    EW_EACCESS = -1011
    EW_EVERSION = -1012
    EW_EAPPLICATION = -1013
    EW_EFULL = -1014
    EW_EDRAINING = -1015
    EW_EMEMORY = -1016
    EW_EFORKED = -1017
    EW_EINUSE = -1018
    EW_EBUG = -1019


class EastwestError(Exception):
    """Anything that this package raises on purpose, but for TypeError."""


class ConfigurationError(EastwestError, ValueError):
    """An argument, a setting or the machine is not as needed; the text says which and the fix."""


class MessageTooLong(EastwestError, ValueError):
    """The message is longer than the limit of the peer or than the buffer; nothing changed."""


class ConnectError(EastwestError):
    """No channel came about.

    Attributes:
        explanation: what was asked, what was tried, which check failed, the fix.
    """

    def __init__(self, text: str = "", explanation: Explanation | None = None) -> None:
        super().__init__(text)
        self.explanation = Explanation("", None) if explanation is None else explanation


class ServiceNotFound(ConnectError):
    """Nobody publishes the service where we looked."""


class Unreachable(ConnectError):
    """The service is published, and nobody answers there."""


class Refused(Unreachable):
    """Somebody answered, and the answer was no.

    Attributes:
        reason: "access" (not on the access list), "protocol" (the application protocols differ),
            "version" (no common version of ours), "full" or "draining".
    """

    def __init__(
        self, text: str = "", explanation: Explanation | None = None, reason: Reason = "access"
    ) -> None:
        super().__init__(text, explanation)
        self.reason: Reason = reason


class Timeout(EastwestError, TimeoutError):
    """The time is up; nothing changed."""


class Interrupted(EastwestError, InterruptedError):
    """A signal arrived during a wait; nothing changed."""


class ChannelEnded(EastwestError):
    """The channel is over; no call on it will succeed again."""


class EndOfChannel(ChannelEnded, EOFError):
    """The peer closed the channel, and everything it sent was received."""


class PeerLost(ChannelEnded, ConnectionError):
    """The peer died, vanished or broke the protocol; what had arrived was delivered first.

    Attributes:
        unconfirmed_bytes: what was sent and not confirmed as taken; None where the call that
            failed does not know it (``Channel.stats()`` has the positions).
    """

    unconfirmed_bytes: int | None = None


class ClosedHere(ChannelEnded):
    """This end was closed or aborted in this process."""


class ForkedError(EastwestError, RuntimeError):
    """The object belongs to the parent process; make a new one in the child."""


class OutOfMemory(EastwestError, MemoryError):
    """The memory budget of the context, or the system's memory, is used up; nothing changed."""


class SystemCallError(EastwestError, OSError):
    """A system call failed; ``errno`` and the text say which way."""


class InternalError(EastwestError, RuntimeError):
    """Our bug. Please report the text."""


def _refused(reason: Reason) -> Callable[[str], Refused]:
    return lambda text: Refused(text, reason=reason)


_CLASSES: dict[int, Callable[[str], EastwestError]] = {
    Code.EW_EAGAIN: Timeout,
    Code.EW_ETIMEOUT: Timeout,
    Code.EW_EINTR: Interrupted,
    Code.EW_ECLOSED: ClosedHere,
    Code.EW_EEND: EndOfChannel,
    Code.EW_ELOST: PeerLost,
    Code.EW_EPROTO: PeerLost,
    Code.EW_ETOOBIG: MessageTooLong,
    Code.EW_EINVAL: ConfigurationError,
    Code.EW_ENOTFOUND: ServiceNotFound,
    Code.EW_EUNREACHABLE: Unreachable,
    Code.EW_EACCESS: _refused("access"),
    Code.EW_EVERSION: _refused("version"),
    Code.EW_EAPPLICATION: _refused("protocol"),
    Code.EW_EFULL: _refused("full"),
    Code.EW_EDRAINING: _refused("draining"),
    Code.EW_EMEMORY: OutOfMemory,
    Code.EW_EFORKED: ForkedError,
    Code.EW_EINUSE: ConfigurationError,
    Code.EW_EBUG: InternalError,
}


def from_code(code: int, text: str = "") -> EastwestError:
    """Return the exception for a negative result of the C library.

    Args:
        code: an ``ew_err`` or ``-errno``; a code that is neither is our bug.
        text: what ``ew_error_text()`` said; may be empty.
    """
    if code in _CLASSES:
        return _CLASSES[code](text or _plain_text(Code(code)))
    if code == -errno.ENOMEM:
        return OutOfMemory(text or os.strerror(errno.ENOMEM))
    if -code in errno.errorcode:
        return SystemCallError(-code, text or os.strerror(-code))
    return InternalError(f"code {code} is unknown here: {text or 'no text'}")


def _plain_text(code: Code) -> str:
    known = {
        Code.EW_EAGAIN: "the time is up",
        Code.EW_ETIMEOUT: "the time is up",
        Code.EW_ECLOSED: "closed here",
        Code.EW_EEND: "the peer closed the channel",
        Code.EW_ELOST: "the peer is gone",
        Code.EW_EFORKED: "the object belongs to the parent process; make a new one",
    }
    return known.get(code, code.name)
