"""``eastwest net ping`` and ``capture``: what makes a stack do something."""

import argparse
import errno
import ipaddress
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._arguments import UsageError
from ._control import text, whole
from ._exits import Exit
from ._measure import span, summarise
from ._net_ask import NetError, Stack
from ._net_show import captured
from ._output import Output, complain

NS = 1_000_000_000
POLL_SECONDS_MIN, POLL_SECONDS_MAX = 0.001, 0.05
CAPTURE_POLL_SECONDS = 0.25
PATH_BYTES_MAX = 440  # CAPTURE_PATH_BYTES, transport/shell/capture.h
Row = Mapping[str, Any]


# ------------------------------------------------------------------ ping


@dataclass(slots=True)
class Pings:
    """What came of the requests so far.

    Attributes:
        refused: why the last one could not be sent at all.
    """

    replies: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    sent: int = 0
    refused: NetError | None = None

    @property
    def lost(self) -> int:
        """Requests without an answer."""
        return self.sent - len(self.seconds)

    def code(self) -> Exit:
        """Return the exit code."""
        if not self.sent:
            return self.refused.code if self.refused else Exit.NO
        if not self.seconds:
            return Exit.TIMEOUT
        return Exit.NO if self.lost or self.refused else Exit.YES


def ping(args: argparse.Namespace, out: Output, stack: Stack) -> int:
    """Send echo requests, print a line for each and a summary."""
    try:
        address = ipaddress.ip_address(args.address)
    except ValueError:
        raise UsageError(f"{args.address!r}: want an IP address, as 10.77.0.2 or fd00::2") from None
    pings = Pings()
    was_interrupted = False
    try:
        _ping(args, out, stack, str(address), pings)
    except KeyboardInterrupt:
        was_interrupted = True
    times = summarise(pings.seconds)
    facts = {
        "pid": stack.pid,
        "device": stack.device,
        "address": str(address),
        "bytes": args.bytes,
        "sent": pings.sent,
        "received": len(pings.seconds),
        "lost": pings.lost,
        "round_trip": times.to_dict() if times else None,
        "replies": pings.replies,
    }
    out.document("eastwest.net.ping/1", facts)
    words = f"{pings.sent} sent, {len(pings.seconds)} answered, {pings.lost} lost"
    out.text(f"{words}; round trip {times}" if times else words)
    if pings.refused is not None:
        complain("eastwest net ping", str(pings.refused))
    elif pings.sent and not pings.seconds and not was_interrupted:
        complain("eastwest net ping", _why_silent(stack, str(address)))
    return Exit.INTERRUPTED if was_interrupted else pings.code()


def _ping(args: argparse.Namespace, out: Output, stack: Stack, address: str, pings: Pings) -> None:
    began = time.monotonic()
    for done in range(args.count):
        time.sleep(max(0.0, began + done * args.interval - time.monotonic()))
        try:
            handle = whole(stack.one(f"ping {address} {args.bytes}"), "ping")
        except NetError as error:
            pings.refused = error
            return
        pings.sent += 1
        row = _await(stack, handle, args.timeout)
        if out.gone:
            return
        if row is None:
            pings.replies.append({"number": done + 1, "seconds": None})
            out.text(f"{done + 1}: {address}  no answer within {args.timeout:g} s")
            continue
        took = whole(row, "rtt_ns") / NS
        pings.seconds.append(took)
        hops = whole(row, "hop_limit")
        pings.replies.append({"number": done + 1, "seconds": took, "hop_limit": hops})
        out.text(f"{done + 1}: {address}  {span(took)}  hop limit {hops}")


def _await(stack: Stack, handle: int, seconds: float) -> Row | None:
    """Ask for the answer, less and less often, until it is there or the time is up."""
    end = time.monotonic() + seconds
    pause = POLL_SECONDS_MIN
    while True:
        row = stack.one(f"pong {handle}")
        if text(row, "state") == "answered":
            return row
        if text(row, "state") != "waiting" or time.monotonic() >= end:
            return None
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
        pause = min(2 * pause, POLL_SECONDS_MAX)


def _why_silent(stack: Stack, address: str) -> str:
    """Say which part of the way it is that is silent, as far as port and neighbours tell."""
    for row in stack.ask_all("port"):
        if row.get("carrier") is False:
            return f"the port {text(row, 'name')} has no carrier: is its other end there and up?"
    for row in stack.ask_all("neigh"):
        if text(row, "address") != address:
            continue
        if text(row, "state") in ("failed", "incomplete"):
            return (
                f"nobody on the link says that {address} is there (ARP, NDP): is it up, on this "
                "network, is the prefix right ('eastwest net addr')?"
            )
        return (
            f"{address} is on the link (mac {text(row, 'mac')}) and does not answer echo requests"
        )
    return "no answer from behind the gateway: see 'eastwest net route' and 'eastwest net neigh'"


# ------------------------------------------------------------------ capture


def capture(args: argparse.Namespace, out: Output, stack: Stack) -> int:
    """Start a capture, wait for its end, say what it has come to."""
    path = os.path.abspath(args.file)
    if len(os.fsencode(path)) > PATH_BYTES_MAX or not path.isprintable():
        raise UsageError(f"FILE: want a printable path of at most {PATH_BYTES_MAX} bytes")
    try:
        stack.ask(f"capture start {args.bytes} {args.seconds} {path}")
    except NetError as error:
        raise NetError(error.code, _why_no_capture(str(error), path)) from None
    out.text(f"capturing to {path}; Ctrl-C ends it")
    was_interrupted = False
    try:
        _until_end(stack)
    except KeyboardInterrupt:
        was_interrupted = True
    finally:
        row = stack.one("capture stop")
    facts = {"pid": stack.pid, "device": stack.device, **row}
    out.document("eastwest.net.capture/1", facts)
    ended = {"full": f"its limit of {args.bytes} bytes is reached", "failed": text(row, "detail")}
    why = ended.get(text(row, "capture"))
    out.text(f"{captured(row)} in {path}{f'; {why}' if why else ''}")
    if text(row, "capture") == "failed":
        complain("eastwest net capture", f"{path}: {text(row, 'detail')}")
        return Exit.NO
    return Exit.INTERRUPTED if was_interrupted and not whole(row, "packets") else Exit.YES


def _until_end(stack: Stack) -> None:
    while text(stack.one("capture state"), "capture") == "on":
        time.sleep(CAPTURE_POLL_SECONDS)


def _why_no_capture(detail: str, path: str) -> str:
    if detail == os.strerror(errno.EEXIST):
        return (
            f"{path} exists: a capture never writes over a file; choose another name or remove it"
        )
    if detail.startswith(("No such", "Permission", "Read-only", "Too many")):
        return f"{path}: {detail}, as the process sees it: it writes the file, as its own user"
    return detail
