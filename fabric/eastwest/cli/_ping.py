"""``eastwest ping NAME``: round trips to an echo server."""

import argparse
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .._channel import Channel
from .._context import Context
from .._errors import EastwestError, PeerLost, Timeout
from ._arguments import Commands, add_command, label, load_config, number, whole
from ._exits import Exit
from ._measure import Times, size, span, summarise
from ._output import Output, complain

SCHEMA = "eastwest.ping/1"
COUNT_MAX = 10**9
STAMP_BYTES = 8  # the number of the ping, so that no reply can be another's


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "ping",
        run,
        "send messages to an echo server and time the replies",
        "Exits with 1 if a reply was lost. With --wait spin and -i 0 it shows what the path can\n"
        "do; run 'eastwest serve NAME --wait spin' then, and have two CPUs.",
        [
            "eastwest ping pricing",
            "eastwest ping pricing -n 100000 -i 0 -q --wait spin",
            "eastwest ping pricing -s 1048576 --registry static:services.toml",
        ],
    )
    parser.add_argument("name", metavar="NAME", help="the service")
    parser.add_argument(
        "-n", dest="count", metavar="COUNT", type=whole(1, COUNT_MAX), default=5, help="default: 5"
    )
    parser.add_argument(
        "-i",
        dest="interval",
        metavar="SECONDS",
        type=number(0, 3600),
        default=1.0,
        help="between two; default: 1; 0: the next at once",
    )
    parser.add_argument(
        "-s",
        dest="bytes",
        metavar="BYTES",
        type=whole(0, 1 << 30),
        default=64,
        help="default: 64",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=number(0, 86400),
        default=2.0,
        help="for the channel, and for each reply; default: 2",
    )
    parser.add_argument(
        "-w",
        dest="deadline",
        metavar="SECONDS",
        type=number(0, 86400),
        help="stop after that long, whatever the count",
    )
    parser.add_argument("-q", dest="quiet", action="store_true", help="only the summary")
    parser.add_argument("--wait", choices=["adaptive", "block", "spin"], help="default: adaptive")
    parser.add_argument("--protocol", metavar="P", default="", help="application protocol name")
    parser.add_argument(
        "--where",
        metavar="K=V",
        type=label,
        action="append",
        default=[],
        help="label of the instance; may be repeated",
    )


@dataclass
class Pinger:
    """The pings over one channel.

    The channel is reliable and ordered, so after a timeout the next reply is that of the ping that
    was given up: it is awaited before the next ping goes out.
    """

    channel: Channel
    message_bytes: int
    timeout: float
    number: int = 0
    owed: int = 0
    lost: int = 0
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._message = bytearray(self.message_bytes)

    def once(self) -> float:
        """Return the time of one round trip.

        Raises:
            Timeout: no reply in time.
            ChannelEnded: there will be no more.
        """
        try:
            took = self._once()
        except EastwestError:  # not Ctrl-C: what was under way then is not lost
            self.lost += 1
            raise
        self.seconds.append(took)
        return took

    def _once(self) -> float:
        self.number += 1
        limit = time.monotonic() + self.timeout
        while self.owed:
            self.channel.recv(timeout=max(0.0, limit - time.monotonic()))
            self.owed -= 1
        stamp = min(STAMP_BYTES, self.message_bytes)
        self._message[:stamp] = self.number.to_bytes(STAMP_BYTES, "little")[:stamp]
        began = time.perf_counter()
        self.channel.send(self._message, timeout=self.timeout)
        self.owed += 1
        reply = self.channel.recv(timeout=self.timeout)
        took = time.perf_counter() - began
        self.owed -= 1
        if reply != self._message:
            raise Timeout(f"got {len(reply)} other bytes back: is that an echo server?")
        return took

    @property
    def sent(self) -> int:
        """How many had a good reply or none."""
        return len(self.seconds) + self.lost


def run(args: argparse.Namespace, out: Output) -> int:
    """Connect, ping, report."""
    with Context(load_config(args, wait=args.wait)) as context:
        channel = context.connect(
            args.name,
            protocol=args.protocol,
            where=dict(args.where) or None,
            timeout=args.timeout,
        )
        facts = _facts(channel, args)
        out.text(f"{args.name}: {facts['path']}, {size(args.bytes)}, {channel.peer.address}")
        pinger = Pinger(channel, args.bytes, args.timeout)
        replies: list[dict[str, Any]] = []
        was_interrupted = False
        try:
            _ping(pinger, args, out, replies)
        except KeyboardInterrupt:
            was_interrupted = True
        _report(pinger, facts, replies, out)
        with suppress(EastwestError):  # what it says is no news any more
            channel.close(linger=args.timeout)
    if was_interrupted:
        return Exit.INTERRUPTED
    return Exit.NO if pinger.lost or not pinger.sent else Exit.YES


def _facts(channel: Channel, args: argparse.Namespace) -> dict[str, Any]:
    why = channel.explain()
    return {
        "service": args.name,
        "path": channel.path,
        "peer": channel.peer.to_dict(),
        "bytes": args.bytes,
        "wait": why.facts["wait"],
        "explanation": why.to_dict(),
    }


def _ping(
    pinger: Pinger, args: argparse.Namespace, out: Output, replies: list[dict[str, Any]]
) -> None:
    """Ping until the count, the deadline or the end of the channel."""
    began = time.monotonic()
    end = began + args.deadline if args.deadline is not None else float("inf")
    for done in range(args.count):
        due = began + done * args.interval
        now = time.monotonic()
        if max(due, now) >= end or (out.gone and not out.is_json):
            return
        if due > now:
            time.sleep(due - now)
        try:
            took = pinger.once()
        except (PeerLost, EOFError) as error:
            complain("eastwest ping", str(error))
            return
        except Timeout as error:
            _say(out, replies, args, f"{done + 1}: lost: {error}", done + 1, None, None)
            continue
        if not args.quiet:
            path = pinger.channel.path
            _say(out, replies, args, f"{done + 1}: {path}  {span(took)}", done + 1, path, took)


def _say(
    out: Output,
    replies: list[dict[str, Any]],
    args: argparse.Namespace,
    text: str,
    number: int,
    path: str | None,
    seconds: float | None,
) -> None:
    out.text(text)
    if out.is_json and not args.quiet:
        replies.append({"number": number, "path": path, "seconds": seconds})


def _report(
    pinger: Pinger, facts: dict[str, Any], replies: list[dict[str, Any]], out: Output
) -> None:
    times: Times | None = summarise(pinger.seconds)
    counts = {"sent": pinger.sent, "received": len(pinger.seconds), "lost": pinger.lost}
    numbers = times.to_dict() if times else None
    out.document(SCHEMA, {**facts, **counts, "round_trip": numbers, "replies": replies})
    words = f"{pinger.sent} sent, {counts['received']} received, {pinger.lost} lost"
    out.text(f"{words}; round trip {times}" if times else words)
