"""How much of a long way does a channel use, with and without memory that grows?

raw      a TCP socket: what the way carries
fixed    a channel whose ring and inbox stay at 256 KiB (stream_bytes_max)
grown    a channel that has grown, up to 4 MiB
fresh    a new channel each round, and what it carries while it grows

The way is a proxy in a process of its own: 20 ms in each direction, 50 MB/s, so 2 MB are on their
way. It ends the kernel's connections, so a socket is limited by the way alone.
Value of a round: bytes per second, until the peer has the last.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import eastwest
from tests.moving.cutter import Cutter

from .duo import Duo, die_with_parent

DELAY = 0.020
RATE = 50e6
MESSAGE = bytes(64 * 1024)
FIXED_BYTES = 256 * 1024
BYTES = 48 << 20
BYTES_FIXED = 4 << 20
WARM_BYTES = 96 << 20


def proxy(target: str) -> None:
    """Be the way to that address until the parent is gone."""
    die_with_parent(os.getppid())
    with Cutter(target, delay=DELAY, rate=RATE) as cutter:
        print(cutter.address, flush=True)
        sys.stdin.read()


def way_to(stack: ExitStack, target: str) -> str:
    """Start a proxy; its address."""
    command = [sys.executable, "-m", "bench.python.far", "--proxy", target]
    pipe = subprocess.PIPE
    process = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
    stack.callback(process.kill)
    assert process.stdout is not None
    return process.stdout.readline().strip()


class Way:
    """This side of all connections: the peer listens, the first process comes through proxies."""

    def __init__(self, duo: Duo, stack: ExitStack) -> None:
        self.duo = duo
        self.stack = stack
        self.into = bytearray(len(MESSAGE))
        self.contexts: dict[str, eastwest.Context] = {}
        self.listeners: dict[str, eastwest.Listener] = {}
        for name, cap in (("fixed", FIXED_BYTES), ("growing", None)):
            self._open(name, cap)
        self.raw = self._raw()

    def _open(self, name: str, cap: int | None) -> None:
        if self.duo.is_peer:
            config = eastwest.Config(paths=("tcp",), bind="127.0.0.1:0", stream_bytes_max=cap)
            self.contexts[name] = self.stack.enter_context(eastwest.Context(config))
            listener = self.stack.enter_context(self.contexts[name].listen(name))
            self.listeners[name] = listener
            self.duo.tell(listener.instance.addresses[0])
            return
        address = way_to(self.stack, self.duo.tell(""))
        file = Path(self.duo.directory) / f"{name}.toml"
        file.write_text(f'[[service]]\nname = "{name}"\naddresses = ["{address}"]\n')
        found = (f"static:{file}",)
        config = eastwest.Config(paths=("tcp",), registry=found, stream_bytes_max=cap)
        self.contexts[name] = self.stack.enter_context(eastwest.Context(config))

    def _raw(self) -> socket.socket:
        if self.duo.is_peer:
            with socket.create_server(("127.0.0.1", 0)) as door:
                self.duo.tell(f"tcp://127.0.0.1:{door.getsockname()[1]}")
                return self.stack.enter_context(door.accept()[0])
        host, _, port = way_to(self.stack, self.duo.tell("")).removeprefix("tcp://").rpartition(":")
        return self.stack.enter_context(socket.create_connection((host, int(port))))

    def channel(self, name: str) -> eastwest.Channel:
        """Both ends of a new channel, one in each process."""
        if self.duo.is_peer:
            self.duo.meet()
            return self.listeners[name].accept(timeout=30)
        self.duo.meet()
        return self.contexts[name].connect(name, timeout=30)

    def move(self, channel: eastwest.Channel, size: int) -> None:
        """Send, or receive."""
        for _ in range(size // len(MESSAGE)):
            if self.duo.is_peer:
                channel.recv_into(self.into, timeout=60)
            else:
                channel.send(MESSAGE, timeout=60)

    def move_raw(self, size: int) -> None:
        """Send, or receive, on the socket."""
        view = memoryview(self.into)
        for _ in range(size // len(MESSAGE)):
            if not self.duo.is_peer:
                self.raw.sendall(MESSAGE)
            elif self.raw.recv_into(view, len(view), socket.MSG_WAITALL) != len(view):
                raise EOFError("the other process is gone")


def measure(duo: Duo, name: str, size: int, work: Callable[[], None]) -> None:
    """Run one case for one round."""
    duo.meet()
    start = time.perf_counter()
    work()
    duo.meet()
    duo.case(name).values.append(size / (time.perf_counter() - start))


def main() -> None:
    """Run all cases, interleaved."""
    with Duo(rounds=7, rounds_quick=3) as duo, ExitStack() as stack:
        way = Way(duo, stack)
        fixed, grown = way.channel("fixed"), way.channel("growing")
        way.move(grown, WARM_BYTES)
        for _ in range(duo.rounds):
            measure(duo, "raw", BYTES, lambda: way.move_raw(BYTES))
            measure(duo, "fixed", BYTES_FIXED, lambda: way.move(fixed, BYTES_FIXED))
            measure(duo, "grown", BYTES, lambda: way.move(grown, BYTES))
            fresh = way.channel("growing")
            measure(duo, "fresh", BYTES, partial(way.move, fresh, BYTES))
            duo.meet()
            fresh.abort()
        duo.meet()
        for channel in (fixed, grown):
            channel.abort()
    duo.print("python-far", "bytes/s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--proxy"]:
        proxy(sys.argv[2])
    else:
        main()
