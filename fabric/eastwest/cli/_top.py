"""``eastwest top``: every channel of every process here, with what moves, again and again."""

import argparse
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._arguments import Commands, add_command, load_config, number
from ._control import Looked, View, look_around, text, whole
from ._exits import Exit
from ._output import Output
from ._processes import ID_DIGITS_SHOWN, code_of, facts_of, peer_of, say_problems, state_of

SCHEMA = "eastwest.top/1"
NS = 1_000_000_000
CLEAR = "\x1b[H\x1b[2J"
LINES_BESIDE_ROWS = 4
HEAD = (
    "PID",
    "CHANNEL",
    "SERVICE",
    "PATH",
    "PEER",
    "SENT/s",
    "RECV/s",
    "SENT B/s",
    "RECV B/s",
    "UNREAD",
    "BLOCKED",
    "MOVES",
    "SPUN",
    "SLEPT/s",
    "STATE",
)
RATES = {
    "sent_per_second": "messages_sent",
    "received_per_second": "messages_received",
    "sent_bytes_per_second": "bytes_sent",
    "received_bytes_per_second": "bytes_received",
    "sleeps_per_second": "sleeps",
    "spins_paid_per_second": "spins_paid",
    "spins_lost_per_second": "spins_lost",
}
Key = tuple[str, str, int]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "top",
        run,
        "show what moves through every channel here, again and again",
        "Rates are of the last interval. UNREAD: bytes sent that the peer has not received.\n"
        "BLOCKED: threads that wait for room in send. MOVES: how often the path changed. SPUN:\n"
        "share of waits that spinning ended. Without a terminal, or with --json, one table or\n"
        "object follows the other. Ctrl-C ends it.",
        ["eastwest top", "eastwest top --once", "eastwest top --once --json | jq '.channels[].id'"],
    )
    parser.add_argument("--once", action="store_true", help="one interval, one table, the end")
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=number(0.05, 3600),
        default=1.0,
        help="between two looks; default: 1",
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One channel, and how fast its counters moved since the last look."""

    looked: Looked
    row: Mapping[str, Any]
    rates: Mapping[str, float]

    @property
    def messages(self) -> float:
        """Messages per second, both ways."""
        return self.rates["sent_per_second"] + self.rates["received_per_second"]

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name."""
        return {**facts_of(self.looked, self.row), "rates": dict(self.rates)}

    def cells(self) -> tuple[str, ...]:
        """Return what a line of the table shows."""
        row, rates = self.row, self.rates
        paid, lost = rates["spins_paid_per_second"], rates["spins_lost_per_second"]
        return (
            str(self.looked.pid),
            text(row, "id")[:ID_DIGITS_SHOWN],
            text(row, "service"),
            text(row, "path") or "?",
            peer_of(row),
            short(rates["sent_per_second"]),
            short(rates["received_per_second"]),
            short(rates["sent_bytes_per_second"]),
            short(rates["received_bytes_per_second"]),
            short(whole(row, "send_unread_bytes")),
            str(whole(row, "send_waiting")),
            str(whole(row, "path_changes")),
            f"{100 * paid / (paid + lost):.0f}%" if paid + lost else "-",
            short(rates["sleeps_per_second"]),
            state_of(row) or "ok",
        )


def short(value: float) -> str:
    """Return a number in at most five characters: "0", "12.3", "456k", "7.89M"."""
    for unit, scale in (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9)):
        scaled = value / scale
        if scaled < 999.5 or unit == "G":
            is_whole = scaled >= 99.95 or scaled == int(scaled)
            return f"{scaled:.{0 if is_whole else 1 if scaled >= 9.995 else 2}f}{unit}"
    return "?"


def run(args: argparse.Namespace, out: Output) -> int:
    """Look, wait, look again and print the difference, until Ctrl-C or once."""
    config = load_config(args)
    before = look_around(config, details=False)
    due = time.monotonic()
    while True:
        due = max(due + args.interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        view = look_around(config, details=False)
        lines = compare(before, view)
        _show(lines, view, args, out)
        if args.once:
            return _code(view)
        if out.gone:
            return Exit.YES
        before = view


def compare(before: View, after: View) -> list[Line]:
    """Return a line for each channel, the busiest first."""
    old = {_key(each, row): (each, row) for each, row in before.channels()}
    lines = []
    for each, row in after.channels():
        was = old.get(_key(each, row))
        if row.get("busy") and was is not None:
            row = {**was[1], "busy": True}  # its counters could not be read at this moment
        lines.append(Line(each, row, _rates(each, row, was)))
    return sorted(lines, key=lambda line: -line.messages)


def _key(each: Looked, row: Mapping[str, Any]) -> Key:
    return each.place.directory, each.place.name, whole(row, "number")


def _rates(
    each: Looked, row: Mapping[str, Any], was: tuple[Looked, Mapping[str, Any]] | None
) -> dict[str, float]:
    """Return the rates; 0 for a channel that is new, or a process whose clock stands still."""
    seconds = (each.now_ns - was[0].now_ns) / NS if was else 0.0
    if was is None or seconds <= 0:
        return dict.fromkeys(RATES, 0.0)
    return {
        rate: max(0, whole(row, name) - whole(was[1], name)) / seconds
        for rate, name in RATES.items()
    }


def _show(lines: Sequence[Line], view: View, args: argparse.Namespace, out: Output) -> None:
    facts = {
        "interval_seconds": args.interval,
        "processes": len({each.pid for each in view.looked}),
        "channels": [line.to_dict() for line in lines],
        "problems": [each.to_dict() for each in view.problems],
    }
    if args.once:
        out.document(SCHEMA, facts)
        say_problems("eastwest top", view.problems)
    else:
        out.event(SCHEMA, facts)
    if out.is_json:
        return
    is_screen = not args.once and sys.stdout is not None and sys.stdout.isatty()
    room = len(lines)
    if is_screen:
        room = max(1, shutil.get_terminal_size().lines - LINES_BESIDE_ROWS - len(view.problems))
        out.plain(CLEAR)
    out.text(f"{facts['processes']} processes, {len(lines)} channels, each {args.interval:g} s")
    if lines:
        out.table(HEAD, [line.cells() for line in lines[:room]])
    if len(lines) > room:
        out.text(f"... and {len(lines) - room} quieter ones")
    if not args.once:
        for each in view.problems:
            out.text(each.text)
        out.text()


def _code(view: View) -> Exit:
    return code_of(view.problems) if view.problems and not view.looked else Exit.YES
