"""``eastwest ls [PATTERN]``: the services that are known here, and their instances.

With ``--channels`` it lists channels instead: ``_processes.py``.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from .._context import Context
from .._errors import EastwestError
from .._native_values import Answer
from .._parallel import in_parallel
from .._select import is_local
from .._values import Instance
from ._arguments import Commands, add_command, load_config
from ._exits import Exit
from ._explain import not_found
from ._output import Output, complain
from ._processes import list_channels

SCHEMA = "eastwest.ls/1"
HEAD = ("SERVICE", "INSTANCE", "WHERE", "PROTOCOL", "CHANNELS", "PID", "ADDRESSES")
ID_DIGITS_SHOWN = 8


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "ls",
        run,
        "list the services that are known here",
        "PATTERN is a name with * and ?. Each instance is asked for its protocol, its channels\n"
        "and its process; one that does not answer is listed with '?'. Exits with 3 when\n"
        "nothing matches the pattern. With --channels every process that can be looked into is\n"
        "asked for its channels; PATTERN is of their services.",
        [
            "eastwest ls",
            "eastwest ls 'eu.*'",
            "eastwest ls --channels pricing",
            "eastwest ls --json | jq '.instances[].service'",
        ],
    )
    parser.add_argument("--channels", action="store_true", help="list channels of processes here")
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
            " ".join(each.addresses),
        )


def run(args: argparse.Namespace, out: Output) -> int:
    """Print the instances of the services that match, or the channels."""
    if args.channels:
        return list_channels(args, out)
    with Context(load_config(args)) as context:
        known = context.services()
        names = [each for each in known if fnmatchcase(each, args.pattern or "*")]
        found = [instance for name in names for instance in context.instances(name)]
        rows = in_parallel(lambda each: _asked(context, each), found)
    facts = {"pattern": args.pattern, "instances": [row.to_dict() for row in rows]}
    out.document(SCHEMA, facts)
    if rows:
        out.table(HEAD, [row.cells() for row in rows])
        for row in rows:
            if row.problem:
                out.text(f"{row.instance.service}: {row.problem}")
        return Exit.YES
    if args.pattern is None:
        out.text("no service is known here")
        return Exit.YES
    return _nothing(args.pattern, known)


def _nothing(pattern: str, known: Sequence[str]) -> Exit:
    complain("eastwest ls", not_found(pattern, tuple(known), "service matches"))
    return Exit.NOT_FOUND


def _asked(context: Context, instance: Instance) -> Row:
    problem = None
    for address in instance.addresses:
        try:
            return Row(instance, context.query(address, instance.service), None)
        except EastwestError as error:
            problem = problem or str(error)
    return Row(instance, None, problem)
