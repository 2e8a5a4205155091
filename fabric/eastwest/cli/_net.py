"""``eastwest net``: look into the TCP/IP of a running process, and operate it."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _net_run, _net_show
from ._arguments import Commands, Parser, UsageError, add_command, load_config, number, whole
from ._control import text
from ._control import whole as whole_of
from ._exits import Exit
from ._net_ask import NetError, Stack, choose, look_for
from ._output import Output, complain

NS = 1_000_000_000
PID_MAX = 1 << 22  # include/linux/threads.h
CLEAR = "\x1b[H\x1b[2J"
LINES_BESIDE_ROWS = 4
TIMES_MAX = 1_000_000
Row = Mapping[str, Any]
Question = Callable[[argparse.Namespace, Output, Stack], int]
MORE = """\
A process whose channels use our own TCP/IP on a device (paths with "dpdk") answers for it. Without
--pid it is the only one that has such a stack; if there are several they are listed."""


def add(commands: Commands) -> None:
    """Add the command and its questions."""
    parser = commands.add_parser(
        "net",
        help="look into the TCP/IP of a process, and operate it",
        description=f"Look into the TCP/IP of a process, and operate it.\n\n{MORE}",
        epilog="examples:\n  eastwest net conn\n  eastwest net stats --watch\n"
        "  eastwest net ping 10.77.0.2\n  eastwest net addr --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parts = parser.add_subparsers(
        dest="question", metavar="QUESTION", required=True, title="questions", parser_class=Parser
    )
    _add(parts, "addr", addr, "our addresses, and whether they are ours alone", _STATES)
    _add(parts, "route", route, "routes, and path MTUs that are known", "")
    _add(parts, "neigh", neigh, "stations on the link: ARP and NDP", _NEIGHBOURS)
    _add(parts, "port", port, "devices: link, offloads, packets, losses", "")
    _add_conn(parts)
    _add_stats(parts)
    _add(parts, "limits", limits, "how full each table and pool is", _LIMITS)
    _add_ping(parts)
    _add_capture(parts)


_STATES = (
    "States: tentative (being looked for on the link), good, duplicate (somebody else has it)."
)
_NEIGHBOURS = "States are those of RFC 4861; static: configured; failed: nobody answers."
_LIMITS = "MOST is the most that there were at one time, REFUSED how often there was none left."


def _add(parts: Commands, name: str, question: Question, summary: str, more: str) -> Parser:
    def run(args: argparse.Namespace, out: Output) -> int:
        try:
            stack = choose(look_for(load_config(args)), args.pid, args.device)
            return question(args, out, stack)
        except NetError as error:
            complain(f"eastwest net {args.question}", str(error))
            return error.code

    shown = f"{name} 10.77.0.2" if name == "ping" else name
    shown = f"{name} /tmp/packets.pcap" if name == "capture" else shown
    examples = [f"eastwest net {shown}", f"eastwest net {shown} --pid 1234 --json"]
    parser = add_command(parts, name, run, summary, more or MORE, examples)
    parser.add_argument(
        "--pid", type=whole(1, PID_MAX), help="of the process; default: the only one"
    )
    parser.add_argument("--device", metavar="NAME", help="of the stack, if the process has several")
    return parser


def _add_watch(parser: Parser) -> None:
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        type=number(0.05, 3600),
        const=1.0,
        help="again and again, so far apart; 1 if nothing is said. Ctrl-C ends it",
    )
    parser.add_argument(
        "--times",
        metavar="N",
        type=whole(1, TIMES_MAX),
        help="with --watch: so often",
    )


def _add_conn(parts: Commands) -> None:
    more = "Sizes are bytes. heard: when the last segment came. With --listen: who waits for some."
    parser = _add(parts, "conn", conn, "connections, as 'ss -ti' shows the kernel's", more)
    parser.add_argument("--listen", action="store_true", help="listeners instead")
    _add_watch(parser)


def _add_stats(parts: Commands) -> None:
    more = "Counters that are not zero, with what they count; with --watch how fast they move."
    parser = _add(parts, "stats", stats, "counters, with what they mean", more)
    parser.add_argument("--all", action="store_true", help="those that are zero, too")
    _add_watch(parser)


def _add_ping(parts: Commands) -> None:
    more = (
        "Sends ICMP echo requests from the stack itself, by its device: the kernel takes no part.\n"
        "Exits with 0 if all were answered, 1 if some were lost, 5 if all were, 4 without a way."
    )
    parser = _add(parts, "ping", _net_run.ping, "send echo requests, print round trips", more)
    parser.add_argument("address", metavar="ADDRESS", help="IPv4 or IPv6, no name")
    kinds: Sequence[tuple[str, str, str, Callable[[str], Any], Any, str]] = (
        ("-n", "--count", "N", whole(1, TIMES_MAX), 4, "how many; default: 4"),
        ("-i", "--interval", "SECONDS", number(0.01, 3600), 1.0, "between two; default: 1"),
        ("-t", "--timeout", "SECONDS", number(0.01, 9), 1.0, "for each answer; default: 1"),
        ("-s", "--bytes", "N", whole(8, 1024), 56, "of payload; default: 56"),
    )
    for letter, name, unit, kind, default, told in kinds:
        parser.add_argument(letter, name, metavar=unit, type=kind, default=default, help=told)


def _add_capture(parts: Commands) -> None:
    more = (
        "The process writes the file (pcap, for tcpdump -r), as its own user and where it\n"
        "sees it; a file that is there is never written over. It is for that user only. Ctrl-C\n"
        "ends it, and so does the first limit. Each packet is one write of the process meanwhile."
    )
    parser = _add(parts, "capture", _net_run.capture, "write packets to a file", more)
    parser.add_argument("file", metavar="FILE", help="to be made")
    parser.add_argument(
        "--bytes",
        metavar="N",
        type=whole(1024, 1 << 40),
        default=64 << 20,
        help="the file is never longer; default: 64 MiB",
    )
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=whole(0, 1 << 31),
        default=60,
        help="it ends by itself after so long; 0: never; default: 60",
    )


# ------------------------------------------------------------------ tables


def _facts(stack: Stack, **rows: Any) -> dict[str, Any]:
    return {"pid": stack.pid, "device": stack.device, **rows}


def addr(args: argparse.Namespace, out: Output, stack: Stack) -> int:
    """Print our addresses; 1 if one is somebody else's."""
    rows = stack.ask_all("addr")
    out.document("eastwest.net.addr/1", _facts(stack, addresses=rows))
    out.table(_net_show.ADDR_HEAD, [_net_show.addr_cells(row) for row in rows])
    return Exit.NO if any(text(row, "state") == "duplicate" for row in rows) else Exit.YES


def route(args: argparse.Namespace, out: Output, stack: Stack) -> int:
    """Print routes and path MTUs."""
    rows, paths = stack.ask_all("route"), stack.ask_all("path")
    out.document("eastwest.net.route/1", _facts(stack, routes=rows, paths=paths))
    out.table(_net_show.ROUTE_HEAD, [_net_show.route_cells(row) for row in rows])
    if paths:
        out.text()
        out.table(_net_show.PATH_HEAD, [_net_show.path_cells(row) for row in paths])
    return Exit.YES


def neigh(args: argparse.Namespace, out: Output, stack: Stack) -> int:
    """Print the stations on the link."""
    rows = stack.ask_all("neigh")
    out.document("eastwest.net.neigh/1", _facts(stack, neighbours=rows))
    if rows:
        out.table(_net_show.NEIGH_HEAD, [_net_show.neigh_cells(row) for row in rows])
    else:
        out.text("no station on the link is known: nothing was sent to one")
    return Exit.YES


def port(args: argparse.Namespace, out: Output, stack: Stack) -> int:
    """Print the devices; 1 if one has no carrier."""
    rows = stack.ask_all("port")
    out.document("eastwest.net.port/1", _facts(stack, ports=rows))
    out.table(_net_show.PORT_HEAD, [_net_show.port_cells(row) for row in rows])
    for row in rows:
        for line in _net_show.port_lines(row):
            out.text(line)
    return Exit.YES if all(row.get("carrier") is True for row in rows) else Exit.NO


def limits(args: argparse.Namespace, out: Output, stack: Stack) -> int:
    """Print how full everything is."""
    rows = stack.ask_all("limits")
    out.document("eastwest.net.limits/1", _facts(stack, limits=rows))
    out.table(_net_show.LIMIT_HEAD, [_net_show.limit_cells(row) for row in rows])
    return Exit.YES


# ------------------------------------------------------------------ again and again


def _watch(args: argparse.Namespace, out: Output, look: Callable[[], None]) -> int:
    """Call *look* once, or so often as --watch says."""
    if args.watch is None:
        if args.times is not None:
            raise UsageError("--times is for --watch")
        look()
        return Exit.YES
    due = time.monotonic()
    for done in range(args.times or sys.maxsize):
        if done:
            due = max(due + args.watch, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
        if not out.is_json and sys.stdout is not None and sys.stdout.isatty():
            out.plain(CLEAR)
        look()
        if out.gone:
            break
        out.text()
    return Exit.YES


def _say(args: argparse.Namespace, out: Output, schema: str, facts: Mapping[str, Any]) -> None:
    if args.watch is None:
        out.document(schema, facts)
    else:
        out.event(schema, facts)


def _room(args: argparse.Namespace) -> int:
    """Return how many lines fit a screen that is drawn again and again."""
    if args.watch is None or sys.stdout is None or not sys.stdout.isatty():
        return sys.maxsize
    return max(1, shutil.get_terminal_size().lines - LINES_BESIDE_ROWS)


def conn(args: argparse.Namespace, out: Output, stack: Stack) -> int:
    """Print connections, or listeners."""

    def listeners() -> None:
        rows = stack.ask_all("listen")
        _say(args, out, "eastwest.net.listen/1", _facts(stack, listeners=rows))
        out.table(_net_show.LISTEN_HEAD, [_net_show.listen_cells(row) for row in rows])

    def connections() -> None:
        rows, full = stack.ask_all("conn"), stack.ask_all("limits")
        counts = {
            text(row, "name"): whole_of(row, "used")
            for row in full
            if text(row, "name") in ("half_open", "time_wait")
        }
        _say(args, out, "eastwest.net.conn/1", _facts(stack, connections=rows, **counts))
        lines = [line for row in rows for line in _net_show.conn_lines(row)]
        room = _room(args)
        out.text(_net_show.conn_summary(full))
        for line in lines[:room]:
            out.text(line)
        if len(lines) > room:
            out.text("...")

    return _watch(args, out, listeners if args.listen else connections)


def stats(args: argparse.Namespace, out: Output, stack: Stack) -> int:
    """Print counters that are not zero, and how fast they move."""
    before: dict[str, Row] = {}
    clock_before = 0

    def look() -> None:
        nonlocal before, clock_before
        clock, rows = stack.look_all("stats")
        seconds = (clock - clock_before) / NS
        moved = {
            text(row, "name"): _net_show.rates(row, before.get(text(row, "name")), seconds)
            for row in rows
        }
        shown = [row for row in rows if args.all or whole_of(row, "value")]
        if args.watch is None:
            out.document("eastwest.net.stats/1", _facts(stack, counters=shown))
            out.table(_net_show.STATS_HEAD, [_net_show.stats_cells(row) for row in shown])
        else:
            told = [{**row, "per_second": moved[text(row, "name")]} for row in shown]
            out.event("eastwest.net.stats/1", _facts(stack, now_ns=clock, counters=told))
            cells = [_net_show.rate_cells(row, moved[text(row, "name")]) for row in shown]
            out.table(_net_show.RATES_HEAD, cells[: _room(args)])
        before, clock_before = {text(row, "name"): row for row in rows}, clock

    return _watch(args, out, look)
