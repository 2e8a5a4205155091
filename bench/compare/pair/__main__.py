"""The protocol of the pair program; see the package."""

import ctypes
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from bench.compare.pair.ends import Cannot, Missing, Setup, Side
from bench.compare.pair.systems import NAMES, inherited_of, opener_of
from bench.compare.pair.work import BadOrder, Order, Works
from bench.python.duo import Duo

LIFE_S = 3600
CLONE_NEWNET = 0x40000000
NETNS: Final = Path("/run/netns")
WAITS: Final = ("spin", "adaptive", "block")
WRONG: Final = 2  # exit code: asked for what there is not


@dataclass(slots=True)
class Options:
    """The command line."""

    system: str
    wait: str = "adaptive"
    links: int = 1
    cores: list[int] = field(default_factory=list)
    netns: list[str] = field(default_factory=list)
    samples: str = ""
    folder: str = ""
    others: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parsed(cls, arguments: list[str]) -> "Options":
        """Read it.

        Raises:
            ValueError: the text says what is wrong.
        """
        name = arguments[0] if arguments else ""
        if name not in NAMES:
            raise ValueError(f"no system {name!r}; there are {', '.join(NAMES)}")
        if strange := [each for each in arguments[1:] if "=" not in each]:
            raise ValueError(f"options are NAME=VALUE; not {strange[0]!r}")
        given = dict(each.split("=", 1) for each in arguments[1:])
        made = cls(
            name,
            given.pop("wait", "adaptive"),
            _whole("links", given.pop("links", "1")),
            [_whole("cores", each) for each in _two("cores", given.pop("cores", "0,1"))],
            _two("netns", given.pop("netns", "")),
            given.pop("samples", ""),
            given.pop("folder", ""),
            given,
        )
        if made.wait not in WAITS:
            raise ValueError(f"wait={made.wait}: there are {', '.join(WAITS)}")
        if lacking := set(made.cores) - os.sched_getaffinity(0):
            raise ValueError(f"cores: this process may not use {sorted(lacking)}")
        if absent := [each for each in made.netns if not (NETNS / each).exists()]:
            raise ValueError(f"netns: there is no {absent[0]} in {NETNS}")
        if made.links < 1:
            raise ValueError(f"links={made.links}: at least 1")
        return made


def _two(name: str, text: str) -> list[str]:
    parts = text.split(",") if text else []
    if len(parts) not in (0, 2):
        raise ValueError(f"{name}={text}: one for the client and one for the server, as A,B")
    return parts


def _whole(name: str, text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{name}: no number {text!r}")
    return int(text)


def main(arguments: list[str]) -> int:
    """Open the system, and do what the lines on stdin ask for."""
    try:
        options = Options.parsed(arguments)
    except ValueError as error:
        return wrong(error)
    answers = own_stdout()
    if not sys.stdin.isatty():  # who closes stdin ends it in order; Ctrl-C is for the harness
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    inherited = inherited_of(options.system, options.links)
    with Duo(rounds=1, rounds_quick=1, life_s=LIFE_S) as duo:
        side = int(duo.is_peer)
        if options.netns:
            enter(options.netns[side])
        if options.cores:
            os.sched_setaffinity(0, {options.cores[side]})
        folder = options.folder or duo.directory
        setup = Setup(duo, options.wait, options.links, folder, options.others, inherited)
        ends = opened(options.system, setup, answers)
        code = 0
        if ends is not None:
            code = obey(setup, ends, options.samples, answers)
            duo.meet()
            ends.close()
    return code


def wrong(error: Exception) -> int:
    """Say what is wrong with what was asked for."""
    print(f"pair: {error}", file=sys.stderr)
    return WRONG


def own_stdout() -> IO[str]:
    """Return where answers go; what others write to stdout, as a library's log, goes to stderr."""
    mine = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return mine


def enter(name: str) -> None:
    """Go into a network namespace."""
    with (NETNS / name).open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
            sys.exit(f"pair: setns {name}: {os.strerror(ctypes.get_errno())}")


def opened(name: str, setup: Setup, answers: IO[str]) -> Side | None:
    """Return this side, and say that it is there, or why not."""
    try:
        ends = opener_of(name)(setup)
    except Missing as error:
        if not setup.duo.is_peer:
            say(answers, {"missing": str(error), "fix": error.fix})
        return None
    setup.duo.meet()
    if not setup.duo.is_peer:
        say(answers, {"ready": name, "version": ends.version, "detail": ends.detail})
    return ends


def obey(setup: Setup, ends: Side, samples: str, answers: IO[str]) -> int:
    """Do one work after the other; the client reads them, the server is told."""
    works = Works(setup, ends)
    try:
        while line := command(setup.duo):
            order = Order.parsed(line)
            try:
                done: dict[str, int] | dict[str, str] = works.do(order)
            except Cannot as error:
                done = {"cannot": str(error)}
            if not setup.duo.is_peer:
                if samples and "count" in done:
                    with Path(samples).open("wb") as file:
                        works.samples().tofile(file)
                say(answers, done)
    except BadOrder as error:  # both sides read the same line
        return 0 if setup.duo.is_peer else wrong(error)
    return 0


def command(duo: Duo) -> str:
    """Return the next work, "" at the end."""
    if duo.is_peer:
        return duo.tell("")
    line = sys.stdin.readline().strip()
    duo.tell(line)
    return line


def say(answers: IO[str], document: dict[str, str] | dict[str, int]) -> None:
    """Answer."""
    print(json.dumps(document), file=answers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
