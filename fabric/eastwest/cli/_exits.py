"""Exit codes: what a script can ask about the outcome, and which error means which.

0 yes   1 no   2 usage   3 not found   4 unreachable or refused   5 timeout   70 our bug
130 Ctrl-C (128 + SIGINT)   143 SIGTERM (128 + SIGTERM)
"""

from enum import IntEnum

from .._errors import (
    ConfigurationError,
    ConnectError,
    EastwestError,
    InternalError,
    ServiceNotFound,
    Timeout,
    Unreachable,
)
from .._values import Explanation


class Exit(IntEnum):
    """How a command ends."""

    YES = 0
    NO = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    TIMEOUT = 5
    BUG = 70  # EX_SOFTWARE, sysexits.h
    INTERRUPTED = 130
    TERMINATED = 143


_CODES: tuple[tuple[type[EastwestError], Exit], ...] = (
    (ConfigurationError, Exit.USAGE),
    (ServiceNotFound, Exit.NOT_FOUND),
    (Unreachable, Exit.UNREACHABLE),
    (Timeout, Exit.TIMEOUT),
    (InternalError, Exit.BUG),
)


def of_error(error: EastwestError) -> Exit:
    """Return the exit code for an error that ended a command."""
    if isinstance(error, ConnectError) and is_silent(error.explanation):
        return Exit.TIMEOUT
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return Exit.NO


def is_silent(why: Explanation) -> bool:
    """Whether somebody is there, and nobody answers: a stopped process, a firewall that drops."""
    tried = [each for each in why.rejected if each.address]
    return bool(tried) and all(each.check == "timeout" for each in tried)
