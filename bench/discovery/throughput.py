"""How many polls a second does one server answer?

One process asks over CONNECTIONS with WINDOW polls under way on each; a server that is busy all
the time shows it in ``of one CPU``: its own CPU time for a poll, turned around, which does not
depend on what else the machine does.

unchanged     nothing is new since the last answer
snapshot      10 instances, of another one of 1,000 services each time
waited        nothing new for as long as the poll waits; answered at its end
keys          unchanged, over CURVE
bare          the bare ROUTER, with the sizes of unchanged; bare/snapshot with those of snapshot
"""

import itertools
import time
from collections.abc import Iterator, Sequence

import zmq

from .figures import Figures
from .programs import Server
from .server import HEAD
from .talk import answer, ask, dealer, poll, put, record, send

CONNECTIONS, WINDOW = 8, 32
WAITING_CONNECTIONS, WAITING_WINDOW = 80, 100  # the server looks at its clock four times a second
SERVICES, INSTANCES = 1000, 10
SECONDS, SECONDS_QUICK = 1.0, 0.1
WAIT_MS = 1

Sockets = Sequence["zmq.Socket[bytes]"]


class Load:
    """Two servers with instances, without keys and with."""

    def __init__(
        self, plain: Server, keyed: Server, context: "zmq.Context[zmq.Socket[bytes]]", services: int
    ) -> None:
        self._plain, self._keyed = plain, keyed
        self._services = [f"polled-{at}" for at in range(services)]
        keys = keyed.keys[0]
        self._sockets = [dealer(context, plain.endpoint) for _ in range(CONNECTIONS)]
        self._bare = [dealer(context, plain.bare) for _ in range(CONNECTIONS)]
        self._with_keys = [dealer(context, keyed.endpoint, keys) for _ in range(CONNECTIONS)]
        self._many = [dealer(context, plain.endpoint) for _ in range(WAITING_CONNECTIONS)]
        for at in range(services * INSTANCES):
            request = put(record(self._services[at // INSTANCES], at))
            answer(ask(self._sockets[at % CONNECTIONS], request))

    def round(self, figures: Figures) -> None:
        """Measure each case once."""
        snapshot = poll(self._services[0])
        whole = ask(self._sockets[0], snapshot)
        unchanged = poll(self._services[0], answer(whole))
        small = ask(self._sockets[0], unchanged)
        plain, keyed = self._plain, self._keyed
        nobody = poll("nobody", answer(ask(self._with_keys[0], poll("nobody"))))

        def echo(request: bytes, size: int) -> Iterator[bytes]:
            return itertools.repeat(HEAD.pack(b"E", size).ljust(len(request), b"\0"))

        snapshots = itertools.cycle([poll(each) for each in self._services])
        measure(figures, "bare", plain, self._bare, echo(unchanged, len(small)))
        measure(figures, "unchanged", plain, self._sockets, itertools.repeat(unchanged))
        measure(figures, "bare/snapshot", plain, self._bare, echo(snapshot, len(whole)))
        measure(figures, "snapshot", plain, self._sockets, snapshots)
        waits = poll(self._services[0], answer(whole), wait_ms=WAIT_MS)
        window = figures.size(WAITING_WINDOW)
        measure(figures, "waited", plain, self._many, itertools.repeat(waits), window=window)
        measure(figures, "keys", keyed, self._with_keys, itertools.repeat(nobody))


def measure(
    figures: Figures,
    case: str,
    server: Server,
    sockets: Sockets,
    requests: Iterator[bytes],
    *,
    window: int = WINDOW,
) -> None:
    """Keep a server busy for a while."""
    seconds = SECONDS_QUICK if figures.is_quick else SECONDS
    cpu, began = server.program.cpu_seconds(), time.monotonic()
    count, last = keep_busy(sockets, requests, window, seconds)
    took = time.monotonic() - began
    used = server.program.cpu_seconds() - cpu
    if not case.startswith("bare"):
        answer(last)
    figures.add(f"polls/{case}, 1/s", count / took)
    figures.add(f"polls/{case}, 1/s of one CPU", count / max(used, 1e-9))


def keep_busy(
    sockets: Sockets, requests: Iterator[bytes], window: int, seconds: float
) -> tuple[int, bytes]:
    """Have *window* requests under way on each socket; return the answers, and the last of them."""
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
        for _ in range(window):
            send(socket, next(requests))
    until, count, last = time.monotonic() + seconds, 0, b""
    outstanding = window * len(sockets)
    while outstanding:
        is_over = time.monotonic() >= until
        for socket, _ in poller.poll():
            while True:
                try:
                    last = socket.recv_multipart(zmq.NOBLOCK)[1]
                except zmq.Again:
                    break
                count += 1
                if is_over:
                    outstanding -= 1
                else:
                    send(socket, next(requests))
    return count, last
