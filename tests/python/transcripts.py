"""Guides that run: the code blocks of a Markdown file, typed into the shells of several hosts.

A block whose first line is "```sh on=NAME" is typed as it stands; every command in it has to
succeed. In "```console on=NAME" the lines after "$ " are typed, and what follows is what they
print. Numbers, times, hexadecimal ids, keys, runtime and home directories and the widths of gaps
may differ; "..." stands for any lines.

The hosts are shells in one network namespace, which has all their addresses, each with a runtime
directory, a home and settings of its own; they share the folder they are in. A shell keeps its
variables and its jobs from block to block; what still runs at the end is killed.
"""

from __future__ import annotations

import os
import re
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.net.kernel import Host

SECONDS = 30.0
TROUBLE = "not as expected:"
_BLOCK = re.compile(r"^```(sh|console) on=(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VARIABLE = (  # what differs from run to run: in the text, and as a pattern
    (r"/run/eastwest", r"[\w/.-]+"),
    (r"/home/\w+", r"[\w/.-]+"),
    (r"(?<![^\s\"])[^\s\"/]{40}(?![^\s\"])", r"[^\s\"]{40}"),  # a key
    (r"\b[0-9a-f]{8,32}\b", r"[0-9a-f]{8,32}"),
    (r"\b\d[\d.]* (?:ns|us|ms|s)\b", r"[\d.]+ (?:ns|us|ms|s)"),
    (r"\b\d+s\b", r"(?:\d+[smhd]|-)"),  # an age
    (r"\d[\d.,]*", r"[\d.,]+(?:e-\d+)?"),
    (r"\s+", r"\s+"),
)


@dataclass(frozen=True)
class Block:
    """What is typed on one host."""

    kind: str
    host: str
    text: str
    line: int

    def commands(self) -> list[tuple[str, str | None]]:
        """Return what is typed, each with what it prints; None: anything."""
        if self.kind == "sh":
            return [(self.text, None)]
        found = re.findall(r"^\$ (.*\n(?:> .*\n)*)((?:(?!\$ ).*\n)*)", self.text, re.MULTILINE)
        return [(typed.replace("\n> ", "\n"), printed) for typed, printed in found]


def blocks(text: str) -> list[Block]:
    """Return the blocks of a guide in their order."""
    return [
        Block(each[1], each[2], each[3], text.count("\n", 0, each.start()) + 1)
        for each in _BLOCK.finditer(text)
    ]


def pattern(printed: str) -> str:
    """Return a regular expression for what a guide says is printed."""
    made = []
    for line in printed.strip("\n").splitlines():
        made.append(r"(?:.*\n)*?" if line == "..." else _of_line(line.rstrip()) + r"\s*?\n")
    return "".join(made)


def _of_line(line: str) -> str:
    alternatives = "|".join(f"({text})" for text, _ in _VARIABLE)
    made, at = "", 0
    for found in re.finditer(alternatives, line):
        made += re.escape(line[at : found.start()]) + _VARIABLE[found.lastindex - 1][1]  # type: ignore[operator]
        at = found.end()
    return made + re.escape(line[at:])


class Shell:
    """One bash, as a user of one host has it."""

    def __init__(self, host: Host, folder: Path, name: str, resolvers: Path | None) -> None:
        own = folder / f".{name}"
        for each in ("run", "home"):
            (own / each).mkdir(parents=True, mode=0o700)
        variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(own / "home"),
            "EASTWEST_RUNTIME_DIR": str(own / "run"),
            "LC_ALL": "C.UTF-8",
        }
        bash = ["bash", "--noprofile", "--norc"]
        if resolvers is not None:
            change = f"mount --bind {resolvers} /etc/resolv.conf && exec {' '.join(bash)}"
            bash = ["unshare", "--mount", "--propagation", "private", "sh", "-c", change]
        with host.inside():
            self._bash = subprocess.Popen(
                bash,
                cwd=folder,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        assert self._bash.stdout is not None
        os.set_blocking(self._bash.stdout.fileno(), False)

    def type(self, command: str) -> tuple[str, int]:
        """Run a command; return what it printed, and its exit code."""
        assert self._bash.stdin is not None and self._bash.stdout is not None
        mark = f"--{secrets.token_hex(8)}"
        self._bash.stdin.write(f"{command}\nprintf '\\n%s %s\\n' {mark} $?\n".encode())
        self._bash.stdin.flush()
        text, deadline = "", time.monotonic() + SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self._bash.stdout, selectors.EVENT_READ)
            while not (end := re.search(rf"\n{mark} (\d+)\n", text)):
                left = deadline - time.monotonic()
                assert left > 0, f"no end after {SECONDS:g} s: {command}\n{text}"
                if selector.select(left):
                    text += (self._bash.stdout.read() or b"").decode()
        return text[: end.start()], int(end[1])

    def close(self) -> None:
        """Kill the shell and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        with self._bash:
            pass


class Hosts:
    """The hosts of a guide, made when something is typed on them."""

    def __init__(self, folder: Path, addresses: Iterable[str]) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self.network = Host()
        self._stack.callback(self.network.close)
        self.network.ip(*(f"addr add {each}/24 dev lo" for each in addresses))
        self._shells: dict[str, Shell] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._shells.values():
            each.close()
        self._stack.close()

    def shell(self, name: str, resolvers: Path | None = None) -> Shell:
        """Return the shell of a host; a new one has its own /etc/resolv.conf, if one is given."""
        if name not in self._shells:
            self._shells[name] = Shell(self.network, self._folder, name, resolvers)
        return self._shells[name]

    def run(self, block: Block) -> None:
        """Type a block on its host; fail where it does not go as it says."""
        shell = self.shell(block.host)
        for typed, wanted in block.commands():
            where = f"line {block.line}, on {block.host}: {typed}"
            if wanted is None:
                printed, status = shell.type(
                    f"trap 'echo \"{TROUBLE} $BASH_COMMAND\"' ERR\n{typed}"
                )
                shell.type("trap - ERR")
                assert status == 0 and TROUBLE not in printed, f"{where}\n{printed}"
            else:
                printed, _ = shell.type(typed)
                assert re.fullmatch(pattern(wanted), printed), f"{where}\n{printed}\nwant\n{wanted}"
