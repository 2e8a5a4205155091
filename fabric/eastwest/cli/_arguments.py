"""The parser: what every command takes, and the settings that come of it.

The options that every command has may stand before or after its name. A mistake is one sentence
on standard error and exit code 2.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

from .._config import Config
from .._config_registry import split
from .._names import near
from ._exits import Exit
from ._output import Output, complain

Run: TypeAlias = Callable[[argparse.Namespace, Output], int]
"""A command: (arguments, output) -> exit code; raises EastwestError for what ends it."""


class UsageError(Exception):
    """The arguments do not fit together; the text says how."""


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one sentence and output by our own rules.

    Attributes:
        when_chosen: called once, when the command is chosen and before its arguments are read.
    """

    when_chosen: Callable[[], object] | None = None

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Complete the parser if that was put off, and parse."""
        chosen, self.when_chosen = self.when_chosen, None
        if chosen is not None:
            chosen()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, in one sentence, and exit."""
        complain(self.prog, f"{message}; see '{self.prog} --help'")
        raise SystemExit(int(Exit.USAGE))

    def _print_message(self, message: str, file: object = None) -> None:
        if message:
            Output(is_json=False).plain(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Answer a choice that is not one with the choice that was probably meant."""
        if action.choices is not None and value not in action.choices:
            known = [str(each) for each in action.choices]
            meant = near(str(value), known)
            hint = f"did you mean {meant!r}?" if meant else f"there are: {', '.join(known)}"
            what = "command" if action.dest == "command" else action.metavar or action.dest
            raise argparse.ArgumentError(None, f"no {what} {value!r}; {hint}")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_command(
    commands: Commands, name: str, run: Run, summary: str, more: str, examples: Sequence[str]
) -> Parser:
    """Add a command to the parser; the caller adds its arguments.

    Args:
        more: paragraphs after the summary, for ``--help``.
    """
    shown = "\n".join(f"  {each}" for each in examples)
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{more.strip()}",
        epilog=f"examples:\n{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_global(parser)
    parser.set_defaults(run=run)
    return parser


def add_global(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes; SUPPRESS, so that neither place overrides the other."""
    group = parser.add_argument_group("everywhere", argument_default=argparse.SUPPRESS)
    group.add_argument("--json", action="store_true", help="write JSON instead of text")
    group.add_argument("--config", metavar="FILE", help="TOML file with settings")
    group.add_argument("--runtime-dir", metavar="DIR", help="directory of the local sockets")
    group.add_argument("--registry", metavar="URLS", help="where names are looked up, by commas")
    group.add_argument("--namespace", metavar="NAME", help="names of others are never found")


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the global options that were given, as arguments of ``Config.load``."""
    found: dict[str, Any] = {}
    if "runtime_dir" in args:
        found["runtime_dirs"] = (os.path.abspath(args.runtime_dir),)
    if "registry" in args:
        found["registry"] = split(args.registry)
    if "namespace" in args:
        found["namespace"] = args.namespace
    return found


def load_config(args: argparse.Namespace, **more: Any) -> Config:
    """Return the settings: options, then environment, then file.

    Args:
        more: further fields of ``Config``; None means that the option was not given.

    Raises:
        ConfigurationError: one of them is not in order.
    """
    given = {name: value for name, value in more.items() if value is not None}
    return Config.load(getattr(args, "config", None), **settings(args), **given)


# ------------------------------------------------------------------ kinds of arguments


def label(text: str) -> tuple[str, str]:
    """Return the two parts of "key=value"."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: want KEY=VALUE, as in color=blue")
    return key, value


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a check for a whole number."""

    def check(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: want a whole number in {least}..{most}")
        return value

    return check


def number(least: float, most: float) -> Callable[[str], float]:
    """Return a check for a number, of seconds or of something for each second."""

    def check(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:  # not true of nan either
            raise argparse.ArgumentTypeError(f"{text!r}: want a number in {least:g}..{most:g}")
        return value

    return check
