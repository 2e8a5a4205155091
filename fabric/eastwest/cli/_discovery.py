"""``eastwest discovery serve|status|keygen``: registry servers, by the package eastwest_discovery.

What it needs is imported when the command is used: the other commands do without.
"""

import argparse
from collections.abc import Callable
from functools import partial

from ._arguments import Commands, Parser, UsageError, add_command
from ._exits import Exit
from ._output import Output, complain

EXAMPLES = [
    "eastwest discovery serve                        for tries on one host",
    "eastwest discovery status 127.0.0.1:7400",
    "eastwest discovery keygen server.key",
    "eastwest discovery serve --listen 10.0.0.1:7400 --key server.key --access access.toml",
]


def add(commands: Commands) -> None:
    """Add the command; its own commands are added when it is chosen."""
    parser = add_command(
        commands,
        "discovery",
        _nothing,
        "run and ask registry servers, make their keys",
        "A registry server tells hosts where services are: registry = ['zmq://HOST:PORT,...'].\n"
        "Two or more of them know nothing of each other; any one that answers is enough.\n"
        "'eastwest discovery COMMAND --help' says more.",
        EXAMPLES,
    )
    parser.when_chosen = partial(_fill, parser)


def _fill(parser: Parser) -> None:
    try:
        from eastwest_discovery import _command
    except ImportError as error:
        parser.error(f"{error.name or error} is not installed; pip install 'eastwest[discovery]'")
    several = parser.add_subparsers(
        dest="discovery", metavar="COMMAND", required=True, title="commands", parser_class=Parser
    )
    _command.add_commands(several)
    for one in several.choices.values():
        one.set_defaults(run=partial(_run, one.get_default("run")))


def _run(work: Callable[[argparse.Namespace], int], args: argparse.Namespace, out: Output) -> int:
    from eastwest_discovery import _command
    from eastwest_discovery._errors import DiscoveryError

    try:
        return work(args)
    except DiscoveryError as error:
        complain(f"eastwest discovery {args.discovery}", str(error))
        return _command.exit_code(error)


def _nothing(args: argparse.Namespace, out: Output) -> Exit:
    raise UsageError("want one of serve, status, keygen")
