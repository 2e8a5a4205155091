"""Which runtime directories hold the sockets of this host: policy only, the C side checks each.

``EASTWEST_RUNTIME_DIR`` (or ``runtime_dirs``), if set, is all there is and must exist. Else the
search path: $RUNTIME_DIRECTORY (systemd; may name several), /run/eastwest,
$XDG_RUNTIME_DIR/eastwest. A listener binds in the first it may write and makes it if missing; a
client searches all that are there. Never a guess in a folder that everybody can write.

Imports no native module: the check of one directory (owner, mode, symlinks) is passed in.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ._errors import ConfigurationError

SYSTEM_DIR = "/run/eastwest"
VARIABLE = "EASTWEST_RUNTIME_DIR"
SET = "set EASTWEST_RUNTIME_DIR to a directory of your own (mode 0700)"

Check = Callable[[str, bool], str | None]
"""(directory, create) -> what is wrong with it, or None. create makes a missing last component."""


@dataclass(frozen=True, slots=True)
class Place:
    """One directory of the search path, and who named it."""

    directory: str
    origin: str


@dataclass(frozen=True, slots=True)
class Search:
    """Which directories can be used, and what is wrong with the others."""

    usable: tuple[str, ...]
    problems: tuple[str, ...]


def places(configured: Iterable[str], environ: Mapping[str, str]) -> tuple[Place, ...]:
    """Return the search path, best first, without looking at the disk."""
    if fixed := tuple(configured):
        return tuple(Place(each, "configuration") for each in fixed)
    if fixed := _fixed(environ):
        return (Place(fixed[0], VARIABLE),)
    found = [
        Place(each, "$RUNTIME_DIRECTORY")
        for each in environ.get("RUNTIME_DIRECTORY", "").split(":")
        if os.path.isabs(each)
    ]
    found.append(Place(SYSTEM_DIR, "default"))
    user = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(user) and ":" not in user:
        found.append(Place(os.path.join(user, "eastwest"), "$XDG_RUNTIME_DIR"))
    return tuple(dict.fromkeys(found))


def _fixed(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variable's directory, for a Config that was not made by ``Config.load``."""
    directory = environ.get(VARIABLE)
    return (directory,) if directory else ()


def searchable(configured: Iterable[str], environ: Mapping[str, str], check: Check) -> Search:
    """Return the directories where a client looks; makes none.

    Raises:
        ConfigurationError: a directory that was configured is missing or not safe.
    """
    configured = tuple(configured) or _fixed(environ)
    usable, problems = [], []
    for place in places(configured, environ):
        problem = check(place.directory, False)
        if problem is None:
            usable.append(place.directory)
        elif configured:
            raise ConfigurationError(_named(place.directory, problem))
        else:
            problems.append(_named(place.directory, problem))
    return Search(tuple(usable), tuple(problems))


def bindable(
    configured: Iterable[str],
    environ: Mapping[str, str],
    check: Check,
    writable: Callable[[str], bool] | None = None,
) -> Search:
    """Return the directory where a listener binds, as the only usable one, or none.

    Args:
        writable: whether this process may make a socket there; by default ``os.access``.

    Raises:
        ConfigurationError: a directory that was configured is missing or not safe.
    """
    writable = writable or _may_write
    configured = tuple(configured) or _fixed(environ)
    problems: list[str] = []
    for place in places(configured, environ):
        problem = check(place.directory, not configured)
        if problem is not None and configured:
            raise ConfigurationError(_named(place.directory, problem))
        if problem is None and not writable(place.directory):
            problem = f"uid {os.geteuid()} may not write there"
        if problem is None:
            return Search((place.directory,), tuple(problems))
        problems.append(_named(place.directory, problem))
    return Search((), tuple(problems))


def control_dir(configured: Iterable[str], environ: Mapping[str, str], check: Check) -> str | None:
    """Return the directory in whose folder ``proc`` a process answers tools, or None.

    The first of the search path that this process may write; one that a listener would make
    counts, and is not made here.
    """
    for place in places(configured, environ):
        if check(place.directory, False) is None:
            if _may_write(place.directory):
                return place.directory
        elif not os.path.lexists(place.directory) and _may_write(os.path.dirname(place.directory)):
            return place.directory
    return None


def _named(directory: str, problem: str) -> str:
    """Return a sentence about the directory; the C side's problems are one already."""
    whole = problem.startswith("runtime directory")
    return problem if whole else f"runtime directory {directory!r}: {problem}"


def _may_write(directory: str) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)
