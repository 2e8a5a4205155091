"""The commands ``serve``, ``status`` and ``keygen``; ``eastwest discovery`` calls the same.

Exit codes: 0 yes, 1 no, 2 usage, 4 unreachable or refused, 130 Ctrl-C.
"""

import argparse
import json
import logging
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import TypeVar

from . import _access, _ask, _keys, _log, _metrics
from ._errors import BadAddress, BadFile, DiscoveryError, NotAllowed, Unavailable
from ._leases import Limits
from ._record import TTL_DEFAULT, TTL_MAX
from ._server import Server

P = TypeVar("P", bound=argparse.ArgumentParser)
PORT = 7400
OK, NO, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 4, 130
EXITS = """\
exit codes: 0 yes, 1 no, 2 usage, 4 unreachable or refused, 130 Ctrl-C"""
SERVE = """\
Run a registry server. Without keys it listens at loopback addresses only. With keys, each client
has its own, and the file of permissions says what that may publish and read; SIGHUP has it read
again. The server keeps nothing on disk: after a restart its clients publish again."""
SERVE_EXAMPLES = f"""\
examples:
  eastwest discovery serve                          for tries on one host
  eastwest discovery keygen server.key              a key for the server, likewise for each client
  eastwest discovery serve --listen 10.0.0.1:7400 --key server.key --access access.toml

{EXITS}"""


class UsageError(DiscoveryError):
    """A mistake in the arguments."""


def add_commands(commands: "argparse._SubParsersAction[P]") -> None:
    """Add the three commands to a parser; each sets ``run``, a function of the arguments."""
    raw = argparse.RawDescriptionHelpFormatter
    one = commands.add_parser(
        "serve",
        help="run a registry server",
        description=SERVE,
        epilog=SERVE_EXAMPLES,
        formatter_class=raw,
    )
    one.add_argument(
        "--listen",
        action="append",
        metavar="ADDRESS:PORT",
        help=f"where; may be repeated; port 0 takes a free one (default: 127.0.0.1:{PORT})",
    )
    one.add_argument("--key", metavar="FILE", help="the server's keys, made by keygen")
    one.add_argument("--access", metavar="FILE", help="TOML: what each client may do")
    one.add_argument("--metrics", metavar="ADDRESS:PORT", help="answer Prometheus there, in HTTP")
    one.add_argument(
        "--settle",
        type=float,
        default=float(TTL_DEFAULT),
        metavar="SECONDS",
        help="how long after the start absence proves nothing (default: %(default)g)",
    )
    one.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="one of " + ", ".join(f"{f.name}={f.default}" for f in fields(Limits)),
    )
    _add_json(one, "one JSON object for each event")
    one.set_defaults(run=serve)

    one = commands.add_parser(
        "status", help="ask a server for its numbers", epilog=EXITS, formatter_class=raw
    )
    one.add_argument("server", metavar="HOST:PORT")
    one.add_argument("--key", metavar="FILE", help="our keys")
    about = "the server's public key; one that begins with '-' is written --server-key=KEY"
    one.add_argument("--server-key", metavar="KEY", help=about)
    one.add_argument("--timeout", type=float, default=2.0, metavar="SECONDS", help="(default: 2)")
    _add_json(one, "print one JSON object")
    one.set_defaults(run=status)

    one = commands.add_parser(
        "keygen", help="make a pair of keys", epilog=EXITS, formatter_class=raw
    )
    one.add_argument("file", metavar="FILE", help="a new file; gets mode 0600")
    _add_json(one, "print one JSON object")
    one.set_defaults(run=keygen)


def _add_json(parser: argparse.ArgumentParser, about: str) -> None:
    """SUPPRESS: ``eastwest`` has the option before the command as well."""
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=about)


def _is_json(args: argparse.Namespace) -> bool:
    return bool(getattr(args, "json", False))


def serve(args: argparse.Namespace) -> int:
    """Run a server until SIGTERM or SIGINT."""
    _log_to_stderr(as_json=_is_json(args))
    keys = _keys.read(args.key) if args.key else None
    access = _access.load(args.access) if args.access else None
    if not 0 <= args.settle <= TTL_MAX:
        raise UsageError(f"--settle {args.settle:g}: want seconds, 0..{TTL_MAX}")
    _allow_connections()
    server = Server(
        args.listen or [f"127.0.0.1:{PORT}"],
        keys=keys,
        access=access,
        limits=_limits(args.limit),
        settle_seconds=args.settle,
    )

    def again(_: int, __: FrameType | None) -> None:
        try:
            server.reload(_access.load(args.access))
        except BadFile as error:
            _log.error("reload_fail", detail=str(error))

    def end(_: int, __: FrameType | None) -> None:
        server.stop()

    with ExitStack() as stack:
        stack.callback(server.close)
        hang_up = again if args.access else signal.SIG_IGN
        for number, do in (
            (signal.SIGTERM, end),
            (signal.SIGINT, end),
            (signal.SIGHUP, hang_up),
        ):
            stack.callback(signal.signal, number, signal.signal(number, do))
        shown: dict[str, object] = {"listening": list(server.endpoints)}
        if args.metrics:
            shown["metrics"] = stack.enter_context(_metrics.serving(args.metrics, server.numbers))
        if _is_json(args):
            print(json.dumps(shown), flush=True)
        else:
            print(f"listening at {', '.join(server.endpoints)}", flush=True)
            if args.metrics:
                print(f"metrics at {shown['metrics']}", flush=True)
        server.run()
    return OK


def status(args: argparse.Namespace) -> int:
    """Print the numbers of a server."""
    if bool(args.key) != bool(args.server_key):
        raise UsageError("want both --key and --server-key, or none of them")
    if args.server_key and not _keys.is_key(args.server_key):
        raise UsageError(f"--server-key {args.server_key!r}: want 40 characters of Z85")
    host = args.server.removeprefix("zmq://").removeprefix("tcp://")
    numbers = _ask.status(
        f"tcp://{host}",
        keys=_keys.read(args.key) if args.key else None,
        server_key=args.server_key,
        timeout=args.timeout,
    )
    if _is_json(args):
        print(json.dumps({"server": host, **numbers}))
    else:
        width = max(map(len, numbers))
        print("\n".join(f"{name:{width}}  {value:.15g}" for name, value in numbers.items()))
    return OK


def keygen(args: argparse.Namespace) -> int:
    """Make a pair of keys and show the public one."""
    pair = _keys.generate()
    _keys.write(args.file, pair)
    if _is_json(args):
        print(json.dumps({"file": args.file, "public": pair.public}))
        return OK
    print(f"wrote {args.file}; its public key is\n{pair.public}\n")
    print("Of a client, for the server's file of permissions:\n")
    print(f'[[client]]\nname = "{Path(args.file).stem}"\nkey = "{pair.public}"')
    print('publish = ["default/SERVICE"]\nread = ["default/*"]')
    return OK


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="eastwest_discovery",
        description="The registry of Eastwest: from names of services to where they are.",
        epilog=EXITS,
        allow_abbrev=False,
    )
    add_commands(parser.add_subparsers(dest="command", metavar="COMMAND", required=True))
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        return INTERRUPTED
    except DiscoveryError as error:
        print(f"eastwest_discovery {args.command}: {error}", file=sys.stderr)
        return exit_code(error)


def exit_code(error: DiscoveryError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, Unavailable | NotAllowed):
        return UNREACHABLE
    return USAGE if isinstance(error, BadAddress | UsageError) else NO


def _allow_connections() -> None:
    """Have as many descriptors as the hard limit allows: every connection takes one.

    At the limit ZeroMQ keeps a CPU busy with connections that it cannot accept.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "eastwest", {"event": record.getMessage()})
        when = round(record.created, 3)
        return json.dumps({"time": when, "level": record.levelname, **fields}, default=str)


def _log_to_stderr(*, as_json: bool) -> None:
    handler = logging.StreamHandler()
    plain = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(_Json() if as_json else plain)
    _log.log.addHandler(handler)
    _log.log.setLevel(logging.INFO)


def _limits(several: Sequence[str]) -> Limits:
    names = [each.name for each in fields(Limits)]
    found: dict[str, int] = {}
    for each in several:
        name, _, number = each.partition("=")
        if name not in names or not (number.isascii() and number.isdigit() and int(number)):
            raise UsageError(
                f"--limit {each!r}: want NAME=NUMBER, a number above 0 for one of {names}"
            )
        found[name] = int(number)
    return Limits(**found)
