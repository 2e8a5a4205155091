"""``eastwest explain NAME``: which path a connect would take now, and why not the others.

With a PID or PID/CHANNEL it is about what is open: ``_processes.py``.
"""

import argparse

from .._context import Context
from .._names import near
from .._select import is_refusal
from .._values import Explanation
from ._arguments import Commands, add_command, load_config
from ._exits import Exit, is_silent
from ._output import Output, complain
from ._processes import explain, is_process

SCHEMA = "eastwest.explain/1"
KNOWN_SHOWN = 8


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "explain",
        run,
        "say which path a connect would take, or a channel has, and why not the others",
        "Asks every candidate with a hello that opens no channel, for at most a second. Exits\n"
        "with 3 when nobody publishes the name, with 4 when it is there and cannot be reached, or\n"
        "no registry could be asked for it, with 5 when it is there and does not answer.\n\n"
        "With a PID it tells what that process listens to and which channels it has, with\n"
        "PID/CHANNEL all about one channel; the first digits of its id are enough. Exits with 1\n"
        "when the channel is over, with 2 when several begin with these digits.",
        [
            "eastwest explain pricing",
            "eastwest explain pricing --json",
            "eastwest explain 1234",
            "eastwest explain 1234/3f2a",
        ],
    )
    parser.add_argument("name", metavar="NAME|PID[/CHANNEL]", help="the service or the process")
    parser.add_argument(
        "--service", action="store_true", help="it is a service, even if it looks like a PID"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Print the explanation."""
    if not args.service and is_process(args.name):
        return explain(args, out)
    with Context(load_config(args)) as context:
        why = context.explain(args.name)
    out.document(SCHEMA, why.to_dict())
    out.text(str(why))
    if why.chosen is not None:
        return Exit.YES
    code, sentence = _judged(why)
    complain("eastwest explain", sentence)
    return code


def _judged(why: Explanation) -> tuple[Exit, str]:
    """Return what it means that there is no path."""
    tried = [each for each in why.rejected if each.address]
    if is_silent(why):
        return Exit.TIMEOUT, f"service {why.service!r} is there and does not answer"
    if why.facts.get("instances"):
        word = "refuses" if any(map(is_refusal, tried)) else "cannot be reached"
        first = f": {tried[0].detail}" if tried else ""
        return Exit.UNREACHABLE, f"service {why.service!r} is known and {word}{first}"
    unsure = [each for each in why.facts.get("registries", ()) if not each.complete]
    if unsure:
        asked = "; ".join(map(str, unsure))
        return Exit.UNREACHABLE, f"nobody could be asked about service {why.service!r}: {asked}"
    return Exit.NOT_FOUND, not_found(why.service, why.facts.get("known", ()), "service")


def not_found(name: str, known: "tuple[str, ...]", what: str) -> str:
    """Return the sentence for a name that nobody publishes, with the one that was meant."""
    others = [each for each in known if each != name]
    shown = ", ".join(others[:KNOWN_SHOWN]) + (", ..." if len(others) > KNOWN_SHOWN else "")
    meant = near(name, others)
    words = [f"no {what} {name!r}", f"known: {shown}" if others else "nothing is known"]
    return "; ".join([*words, f"did you mean {meant!r}?"] if meant else words)
