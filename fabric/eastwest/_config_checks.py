"""What each setting may be: functions that return the value, normalised, or say what is wrong.

Every text names the value, the limit and the way out; ``Config`` puts the name of the setting and
its origin in front. Imports no native module.
"""

import grp
import os
import pwd
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ._addresses import is_loopback, tcp_url
from ._errors import ConfigurationError
from ._names import check_namespace, check_zone, near
from ._values import PATHS, Path

ID_MAX = (1 << 32) - 2  # the largest is (uid_t)-1, "no change" in chown(2)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may connect over shared memory; anyone: every user but the overflow uid."""

    uids: tuple[int, ...]
    gids: tuple[int, ...]
    anyone: bool


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence about a name that does not exist."""
    names = sorted(known)
    meant = near(name, names)
    way_out = f"did you mean {meant!r}?" if meant else f"known: {', '.join(names)}"
    return f"unknown {kind} {name!r}; {way_out}"


# ------------------------------------------------------------------ by type


def text(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{value!r} is not a string")
    if "\0" in value:
        raise ConfigurationError(f"{value!r} has a NUL in it")
    return value


def texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigurationError(f"{value!r} is not a list of strings")
    return tuple(text(each) for each in value)


def one_of(*choices: str) -> Callable[[object], str]:
    """Return a check for one of the given words."""

    def check(value: object) -> str:
        if value not in choices:
            meant = near(value, choices) if isinstance(value, str) else None
            hint = f"; did you mean {meant!r}?" if meant else ""
            raise ConfigurationError(f"{value!r} is not one of {', '.join(choices)}{hint}")
        return str(value)

    return check


def whole(least: int, most: int) -> Callable[[object], int]:
    """Return a check for a whole number in a range."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigurationError(f"{value!r} is not a whole number; want {least}..{most}")
        if not least <= value <= most:
            raise ConfigurationError(f"{value} is out of range; want {least}..{most}")
        return value

    return check


def seconds(least: float, most: float) -> Callable[[object], float]:
    """Return a check for seconds in a range."""

    def check(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ConfigurationError(f"{value!r} is not a number of seconds")
        if not least <= value <= most:
            raise ConfigurationError(f"{value} s is out of range; want {least}..{most} s")
        return float(value)

    return check


def optional(check: Callable[[object], T]) -> Callable[[object], T | None]:
    """Return a check that also lets None pass."""
    return lambda value: None if value is None else check(value)


# ------------------------------------------------------------------ by meaning


def directories(value: object) -> tuple[str, ...]:
    found = texts(value)
    for each in found:
        if not os.path.isabs(each):
            raise ConfigurationError(f"{each!r} is not an absolute path")
        if ":" in each:
            raise ConfigurationError(f"{each!r} has ':' in it, which separates directories")
    return found


def namespace(value: object) -> str:
    return check_namespace(text(value))


def zone(value: object) -> str:
    return check_zone(text(value))


def bind(value: object) -> str | None:
    """Return "ADDR:PORT", normalised."""
    return None if value is None else tcp_url(text(value)).removeprefix("tcp://")


def security(value: object) -> str | None:
    if value not in (None, "none"):
        raise ConfigurationError(
            f"{value!r} is not in this version; 'none' is, and says that TCP is not protected"
        )
    return None if value is None else "none"


def check_exposure(bind: str | None, security: str | None) -> None:
    """Refuse to open a port beyond loopback that nobody has said may be open.

    Raises:
        ConfigurationError: security="none" is missing.
    """
    if bind is None or is_loopback(bind) or security == "none":
        return
    raise ConfigurationError(
        f"{bind} can be reached from other hosts, and TCP is neither encrypted nor authenticated "
        'yet: write security = "none" (EASTWEST_SECURITY=none) if that network is trusted, or '
        "bind 127.0.0.1"
    )


def check_cap(stream_bytes_max: int | None, outbox_bytes: int, inbox_bytes: int) -> None:
    """Refuse a cap of growth below what a stream begins with.

    Raises:
        ConfigurationError: it is less than one of the two.
    """
    least = max(outbox_bytes, inbox_bytes)
    if stream_bytes_max is not None and stream_bytes_max < least:
        raise ConfigurationError(
            f"{stream_bytes_max} is less than outbox_bytes = {outbox_bytes} or inbox_bytes = "
            f"{inbox_bytes}; {least} or more, and {least} means no growth"
        )


def distinct(value: object, check: Callable[[str], str], most: int, what: str) -> tuple[str, ...]:
    """Return the texts of a list as *check* has them: at most so many, none twice."""
    found = tuple(map(check, texts(value)))
    if len(found) > most:
        raise ConfigurationError(f"{len(found)} {what}; want {most} at most")
    for each in found:
        if found.count(each) > 1:
            raise ConfigurationError(f"{each!r} is given twice")
    return found


def paths(value: object) -> tuple[Path, ...]:
    found = texts(value)
    for each in found:
        one_of(*PATHS)(each)
    if not found:
        raise ConfigurationError(f"no path is left; want some of {', '.join(PATHS)}")
    return tuple(path for path in PATHS if path in found)


def allow(value: object) -> tuple[str, ...]:
    found = texts(value)
    if not found:
        raise ConfigurationError("nobody could connect; want at least 'uid:self'")
    for each in found:
        kind, _, who = each.partition(":")
        if each != "any" and (kind not in ("uid", "gid") or not who):
            raise ConfigurationError(f"{each!r} is none of uid:self, uid:N, uid:NAME, gid:N, any")
        if who.isascii() and who.isdigit() and int(who[:11]) > ID_MAX:
            raise ConfigurationError(f"{each!r}: number {who} is above {ID_MAX}")
    return found


def resolve_allow(entries: Iterable[str]) -> Access:
    """Return the numbers behind *entries*, which have passed ``allow``.

    Raises:
        ConfigurationError: a name is unknown on this machine.
    """
    uids, gids, anyone = [], [], False
    for entry in entries:
        kind, _, who = entry.partition(":")
        if entry == "any":
            anyone = True
        elif kind == "uid":
            uids.append(os.geteuid() if who == "self" else _number(entry, who, _uid))
        else:
            gids.append(os.getegid() if who == "self" else _number(entry, who, _gid))
    return Access(tuple(uids), tuple(gids), anyone)


def _number(entry: str, who: str, look_up: Callable[[str], int]) -> int:
    if who.isascii() and who.isdigit():
        return int(who)
    try:
        return look_up(who)
    except KeyError:
        raise ConfigurationError(f"{entry!r}: no such name on this machine; use a number") from None


def _uid(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _gid(name: str) -> int:
    return grp.getgrnam(name).gr_gid
