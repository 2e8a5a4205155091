"""``eastwest serve NAME``: an echo, a sink or a source, until Ctrl-C or SIGTERM."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from .._channel import Channel
from .._context import Context
from .._errors import ChannelEnded
from .._listener import Listener
from ._arguments import Commands, add_command, label, load_config, number, whole
from ._exits import Exit
from ._measure import size
from ._output import Output

SCHEMA = "eastwest.serve/1"
CHANNELS_MAX = 1024  # a thread for each
LINGER_SECONDS = 1.0
SLICE_SECONDS = 0.1  # how long a source that sends slowly may take to see that it should stop
PACE_SECONDS_MIN = 0.0005  # shorter pauses cost more than they wait


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "serve",
        run,
        "serve a name until Ctrl-C",
        "echo sends every message back, sink receives and drops, source sends as fast as it may.\n"
        "With --json it writes one object on each line: listening, channel ..., summary.",
        [
            "eastwest serve pricing",
            "eastwest serve pricing --bind 127.0.0.1:0",
            "eastwest serve feed --mode source --bytes 256 --rate 1000",
        ],
    )
    parser.add_argument("name", metavar="NAME", help="the service")
    parser.add_argument("--mode", choices=list(_HANDLERS), default="echo", help="default: echo")
    parser.add_argument("--bind", metavar="ADDR:PORT", help="for peers on other hosts; port 0: any")
    parser.add_argument("--security", choices=["none"], help="'none' is needed beyond loopback")
    parser.add_argument("--protocol", metavar="P", default="", help="application protocol name")
    parser.add_argument(
        "--label", metavar="K=V", type=label, action="append", default=[], help="may be repeated"
    )
    parser.add_argument("--wait", choices=["adaptive", "block", "spin"], help="default: adaptive")
    parser.add_argument(
        "--bytes", metavar="N", type=whole(0, 1 << 30), default=64, help="source: of a message; 64"
    )
    parser.add_argument(
        "--rate", metavar="R", type=number(0, 1e9), default=0.0, help="source: messages/s; 0: all"
    )
    parser.add_argument(
        "--stop-with-stdin", action="store_true", help="stop when standard input ends"
    )


@dataclass
class Totals:
    """What all channels together did."""

    channels: int = 0
    messages_received: int = 0
    messages_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    lost: int = 0


class Server:
    """One run of the command. Its handler runs in a thread for each channel."""

    def __init__(self, args: argparse.Namespace, out: Output) -> None:
        self._args = args
        self._out = out
        self._totals = Totals()
        self._running = 0
        self._changed = threading.Condition()
        self.stopping = threading.Event()

    def handle(self, channel: Channel) -> None:
        """Serve one channel to its end."""
        with self._changed:
            self._running += 1
            self._totals.channels += 1
            number = self._totals.channels
        is_lost = False
        try:
            self._announce(number, channel)
            _HANDLERS[self._args.mode](self, channel)
        except ChannelEnded as error:
            is_lost = isinstance(error, ConnectionError) and not self.stopping.is_set()
        finally:
            self._count(channel, is_lost)

    def _announce(self, number: int, channel: Channel) -> None:
        peer, path = channel.peer, channel.path
        who = f"pid {peer.pid} (uid {peer.uid})" if peer.pid else peer.address
        self._out.text(f"channel {number}: {path}, peer {who}")
        facts = {"event": "channel", "channel": number, "path": path, "peer": peer.to_dict()}
        self._out.event(SCHEMA, facts)

    def _count(self, channel: Channel, is_lost: bool) -> None:
        stats = channel.stats()
        with self._changed:
            totals = self._totals
            totals.messages_received += stats.messages_received
            totals.messages_sent += stats.messages_sent
            totals.bytes_received += stats.bytes_received
            totals.bytes_sent += stats.bytes_sent
            totals.lost += is_lost
            self._running -= 1
            self._changed.notify_all()

    def echo(self, channel: Channel) -> None:
        """Send back what comes."""
        for message in channel:
            channel.send(message)

    def sink(self, channel: Channel) -> None:
        """Drop what comes."""
        while True:
            channel.recv_many(64)

    def source(self, channel: Channel) -> None:
        """Send until the peer has had enough, at the rate that was asked for."""
        message = bytes(self._args.bytes)
        rate = self._args.rate
        began = time.monotonic()
        sent = 0
        while not self.stopping.is_set():
            ahead = sent / rate - (time.monotonic() - began) if rate else 0.0
            if ahead > PACE_SECONDS_MIN:
                self.stopping.wait(min(ahead, SLICE_SECONDS))
                channel.try_recv()  # sees that the peer has closed
            else:
                channel.send(message)
                sent += 1

    def summarise(self, seconds: float) -> None:
        """Wait for handlers that are about to end, then report."""
        with self._changed:
            self._changed.wait_for(lambda: self._running == 0, LINGER_SECONDS)
        facts = {"event": "summary", "seconds": seconds, **vars(self._totals)}
        self._out.event(SCHEMA, facts)
        all_ = self._totals
        self._out.text(
            f"{all_.channels} channels in {seconds:.1f} s: received {all_.messages_received} "
            f"messages ({size(all_.bytes_received)}), sent {all_.messages_sent} "
            f"({size(all_.bytes_sent)}); {all_.lost} peers lost"
        )


_HANDLERS: dict[str, Callable[[Server, Channel], None]] = {
    "echo": Server.echo,
    "sink": Server.sink,
    "source": Server.source,
}


def run(args: argparse.Namespace, out: Output) -> int:
    """Serve until a signal, then report."""
    config = load_config(args, security=args.security, wait=args.wait)
    server = Server(args, out)
    with Context(config) as context:
        listener = context.listen(
            args.name, protocol=args.protocol, labels=dict(args.label), bind=args.bind
        )
        _stop_on_signals(listener, server.stopping)
        if args.stop_with_stdin:
            threading.Thread(target=_stop_with_stdin, daemon=True).start()
        began = time.monotonic()
        _say_where(listener, args.mode, out)
        listener.serve(server.handle, threads=CHANNELS_MAX)
        context.close(linger=LINGER_SECONDS)
        server.summarise(time.monotonic() - began)
    return Exit.YES


def _say_where(listener: Listener, mode: str, out: Output) -> None:
    """Say that it serves: whoever waits for this line may connect."""
    where = ", ".join(listener.instance.addresses)
    why = listener.explain()
    out.text(f"serving {listener.service} ({mode}) at {where}; Ctrl-C stops it")
    for each in why.facts["published"]:
        out.text(f"registry {each}")
    facts: dict[str, Any] = {"event": "listening", "mode": mode, "pid": os.getpid()}
    facts |= {**listener.instance.to_dict(), "explanation": why.to_dict()}
    out.event(SCHEMA, facts)


def _stop_on_signals(listener: Listener, stopping: threading.Event) -> None:
    """Close the listener at the first signal, which ends serve(); a second one is as usual."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stopping.set()
        listener.close()

    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # a job in the background keeps that
        signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def _stop_with_stdin() -> None:
    while sys.stdin is not None and os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
