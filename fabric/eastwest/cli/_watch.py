"""``eastwest ls --watch``: what appears, changes and goes, a line each, until Ctrl-C. Pure but for
the clock; ``_ls.py`` asks.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from .._values import Instance, Registry

SCHEMA = "eastwest.ls.watch/1"
LOOK_SECONDS = 0.5  # registries tell at once, the sockets of this host are looked at
ID_DIGITS = 8
Key = tuple[str, str]
Kind = Literal["there", "appeared", "changed", "gone"]
_SIGNS: dict[Kind, str] = {"there": "=", "appeared": "+", "changed": "~", "gone": "-"}
_SHOWN = ("addresses", "weight", "zone", "labels", "stale", "source")


@dataclass(frozen=True, slots=True)
class Change:
    """What has become of one instance."""

    kind: Kind
    instance: Instance
    before: Instance | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything, by name."""
        return {"change": self.kind, **self.instance.to_dict()}

    def __str__(self) -> str:
        each = self.instance
        words = [_SIGNS[self.kind], each.service, each.id[:ID_DIGITS] or "?"]
        if self.before is None:
            words += [*each.addresses, f"({each.source})"]
            words += ["stale"] if each.stale else []
        else:
            words.append(", ".join(_differences(self.before, each)))
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class State:
    """A registry answers now, or does not any more."""

    registry: Registry

    def to_dict(self) -> dict[str, Any]:
        """Return everything, by name."""
        return {"change": "registry", **self.registry.to_dict()}

    def __str__(self) -> str:
        return f"! {self.registry}"


def _differences(before: Instance, after: Instance) -> Iterator[str]:
    for name in _SHOWN:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{name} {_text(old)} -> {_text(new)}"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value) or "none"


def changes(
    before: dict[Key, Instance], after: dict[Key, Instance], first: bool = False
) -> Iterator[Change]:
    """Return what is different, in the order of names; ages and versions do not count."""
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            yield Change("there" if first else "appeared", new)
        elif old is not None and new is None:
            yield Change("gone", old)
        elif old is not None and new is not None and _plain(old) != _plain(new):
            yield Change("changed", new, old)


def _plain(instance: Instance) -> Instance:
    return replace(instance, age=0.0, version=0)


def by_key(instances: Iterable[Instance]) -> dict[Key, Instance]:
    """Return the instances by service and id; one without an id by its addresses."""
    return {(each.service, each.id or " ".join(each.addresses)): each for each in instances}


def turns(before: dict[str, bool], after: Iterable[Registry]) -> Iterator[State]:
    """Return the registries that have begun to answer, or ceased; at first, those that do not."""
    for each in after:
        if before.get(each.source, True) != each.answered:
            yield State(each)


def watch(
    look: Callable[[], tuple[Iterable[Instance], Iterable[Registry]]],
    tell: Callable[[Change | State], object],
    is_over: Callable[[], bool],
) -> None:
    """Look again and again, and tell what has changed, until *is_over* or KeyboardInterrupt."""
    known: dict[Key, Instance] = {}
    answering: dict[str, bool] = {}
    is_first = True
    while not is_over():
        instances, registries = look()
        now, states = by_key(instances), tuple(registries)
        for state in turns(answering, states):
            tell(state)
        for change in changes(known, now, is_first):
            tell(change)
        known, is_first = now, False
        answering = {each.source: each.answered for each in states}
        time.sleep(LOOK_SECONDS)
