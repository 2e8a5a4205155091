"""The command line tool: ``eastwest COMMAND``, also as ``python -m eastwest.cli COMMAND``."""

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import cast

from .. import __version__
from .._errors import EastwestError
from . import _config, _demo, _discovery, _doctor, _explain, _ls, _net, _ping, _serve, _top
from ._arguments import Parser, Run, UsageError, add_global
from ._exits import Exit, of_error
from ._output import (
    Output,
    OutputError,
    complain,
    complain_about_bug,
    occupy_standard_descriptors,
)

COMMANDS = (_demo, _serve, _ping, _ls, _explain, _top, _net, _discovery, _doctor, _config)
DESCRIPTION = """\
One channel API: shared memory when the peer is on this host, TCP when it is not.
This tool shows which and why, and has a server and a client to try it with."""
EPILOG = """\
examples:
  eastwest demo                   see it work, here and now
  eastwest serve pricing          serve a name (an echo) ...
  eastwest ping pricing           ... and talk to it, in another terminal
  eastwest explain pricing        which path, and why not the others
  eastwest top                    what moves, through which channel of which process
  eastwest net conn               connections of our own TCP/IP, as 'ss -ti' shows the kernel's
  eastwest discovery serve        a registry server, for services on other hosts
  eastwest doctor                 is this machine as it should be?

exit codes: 0 yes, 1 no, 2 usage, 3 not found, 4 unreachable or refused, 5 timeout, 70 our bug,
130 Ctrl-C. 'eastwest COMMAND --help' says more."""


def make_parser() -> Parser:
    """Return the parser of the whole tool."""
    parser = Parser(
        prog="eastwest",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"eastwest {__version__}")
    add_global(parser)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, title="commands", parser_class=Parser
    )
    for module in COMMANDS:
        module.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: without the name of the program; None takes those of the process.
    """
    occupy_standard_descriptors()
    args = make_parser().parse_args(arguments)
    name = f"eastwest {args.command}"
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return int(cast(Run, args.run)(args, Output(is_json="json" in args)))
    except EastwestError as error:
        code = of_error(error)
        if code == Exit.BUG:
            complain_about_bug(error)
        else:
            complain(name, str(error))
        return int(code)
    except UsageError as error:
        complain(name, f"{error}; see '{name} --help'")
        return int(Exit.USAGE)
    except OutputError as error:
        complain(name, str(error))
        return int(Exit.NO)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the top: what nobody expected is our bug
        complain_about_bug(error)
        return int(Exit.BUG)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that what is open is closed."""
    raise SystemExit(int(Exit.TERMINATED))


if __name__ == "__main__":
    sys.exit(main())
