"""``eastwest ls [PATTERN]``: the services that are known here, and their instances.

With ``--watch`` it tells what changes (``_watch.py``), with ``--channels`` it lists channels
instead (``_processes.py``).
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeGuard

from .._context import Context
from .._errors import ConfigurationError, EastwestError
from .._names import check_service
from .._native_values import Answer
from .._parallel import in_parallel
from .._select import is_local
from .._values import Instance, Registry
from ._arguments import Commands, add_command, load_config
from ._exits import Exit
from ._explain import not_found
from ._output import Output, complain
from ._processes import list_channels
from ._watch import SCHEMA as WATCH_SCHEMA
from ._watch import Change, State, watch

SCHEMA = "eastwest.ls/1"
HEAD = (
    "SERVICE",
    "INSTANCE",
    "WHERE",
    "PROTOCOL",
    "CHANNELS",
    "PID",
    "SOURCE",
    "AGE",
    "STALE",
    "ADDRESSES",
)
ID_DIGITS_SHOWN = 8


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "ls",
        run,
        "list the services that are known here",
        "PATTERN is a name with * and ?. Each instance is asked for its protocol, its channels\n"
        "and its process; one that does not answer is listed with '?'. AGE is how long ago a\n"
        "registry last confirmed it, '-' while one does; STALE that none does any more. DNS lists\n"
        "no names: give the whole one. Exits with 3 when nothing matches the pattern, with 4\n"
        "when that is not sure because a registry could not be asked.\n\n"
        "With --watch a line for each change follows, until Ctrl-C: '+' appeared, '-' gone,\n"
        "'~' changed, '!' a registry that answers or does not.\n\n"
        "With --channels every process that can be looked into is asked for its channels; PATTERN\n"
        "is of their services.",
        [
            "eastwest ls",
            "eastwest ls 'eu.*'",
            "eastwest ls --watch",
            "eastwest ls --channels pricing",
            "eastwest ls --json | jq '.instances[].service'",
        ],
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--channels", action="store_true", help="list channels of processes here")
    either.add_argument("--watch", action="store_true", help="go on, with a line for each change")
    parser.add_argument("pattern", metavar="PATTERN", nargs="?", help="default: all")


@dataclass(frozen=True, slots=True)
class Row:
    """One instance, and what it said about itself or why it said nothing."""

    instance: Instance
    said: Answer | None
    problem: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything, by name."""
        said = self.said
        return {
            **self.instance.to_dict(),
            "local": is_local(self.instance),
            "answered": said is not None,
            "problem": self.problem,
            "protocol": said.protocol if said else None,
            "channels": said.channels if said else None,
            "pid": said.pid if said else None,
            "uid": said.uid if said else None,
        }

    def cells(self) -> tuple[str, ...]:
        """Return what a line of the table shows."""
        each, said = self.instance, self.said
        return (
            each.service,
            (each.id or (said.instance if said else ""))[:ID_DIGITS_SHOWN] or "?",
            "this host" if is_local(each) else each.zone or "elsewhere",
            (said.protocol or "-") if said else "?",
            str(said.channels) if said else "?",
            str(said.pid) if said and said.pid else "?" if said is None else "-",
            _schemes(each.source),
            _span(each.age),
            "stale" if each.stale else "-",
            " ".join(each.addresses),
        )


def run(args: argparse.Namespace, out: Output) -> int:
    """Print the instances of the services that match, or the channels."""
    if args.channels:
        return list_channels(args, out)
    with Context(load_config(args)) as context:
        if args.watch:
            return _watch_all(context, args.pattern, out)
        found = _found(context, args.pattern)
        known = () if found else context.services()
        rows = in_parallel(lambda each: _asked(context, each), found)
        registries = context.registries(args.pattern if _is_name(args.pattern) else "")
    facts = {
        "pattern": args.pattern,
        "instances": [row.to_dict() for row in rows],
        "registries": [each.to_dict() for each in registries],
    }
    out.document(SCHEMA, facts)
    doubtful = [
        each for each in registries if not each.complete and _lists_names(each, args.pattern)
    ]
    if rows:
        _show(rows, doubtful, out)
        return Exit.YES
    if args.pattern is None and not doubtful:
        out.text("no service is known here")
        return Exit.YES
    return _nothing(args.pattern, known, doubtful)


def _show(rows: Sequence[Row], doubtful: Sequence[Registry], out: Output) -> None:
    out.table(HEAD, [row.cells() for row in rows])
    for row in rows:
        if row.problem:
            out.text(f"{row.instance.service}: {row.problem}")
    for each in doubtful:
        out.text(f"there may be more: {each}")


def _found(context: Context, pattern: str | None) -> list[Instance]:
    """Return the instances of what matches; one name is asked for, as DNS wants it."""
    if _is_name(pattern):
        return list(context.instances(pattern))
    found = [each for each in context.everything() if fnmatchcase(each.service, pattern or "*")]
    return sorted(found, key=lambda each: (each.service, each.stale, each.id))


def _watch_all(context: Context, pattern: str | None, out: Output) -> int:
    def tell(change: Change | State) -> None:
        out.event(WATCH_SCHEMA, change.to_dict())
        out.text(str(change))

    def look() -> tuple[list[Instance], tuple[Registry, ...]]:
        found = _found(context, pattern)
        states = context.registries(pattern if _is_name(pattern) else "")
        return found, tuple(each for each in states if _lists_names(each, pattern))

    watch(look, tell, lambda: out.gone)
    return Exit.YES


def _is_name(pattern: str | None) -> TypeGuard[str]:
    """Whether it can only be one name: the whole of it."""
    if pattern is None:
        return False
    try:
        return check_service(pattern) == pattern
    except ConfigurationError:
        return False


def _lists_names(registry: Registry, pattern: str | None) -> bool:
    return _is_name(pattern) or not registry.source.startswith("dns:")


def _nothing(pattern: str | None, known: Sequence[str], doubtful: Sequence[Registry]) -> Exit:
    if doubtful:
        asked = "; ".join(map(str, doubtful))
        complain("eastwest ls", f"nothing is known here, and there may be more: {asked}")
        return Exit.UNREACHABLE
    complain("eastwest ls", not_found(pattern or "*", tuple(known), "service matches"))
    return Exit.NOT_FOUND


def _schemes(source: str) -> str:
    """Return the kinds of registries that know it: "local,zmq"."""
    return ",".join(dict.fromkeys(each.partition(":")[0] for each in source.split(", ")))


def _span(seconds: float) -> str:
    """Return an age in one short word."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return "-"


def _asked(context: Context, instance: Instance) -> Row:
    problem = None
    for address in instance.addresses:
        try:
            return Row(instance, context.query(address, instance.service), None)
        except EastwestError as error:
            problem = problem or str(error)
    return Row(instance, None, problem)
