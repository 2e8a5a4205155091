"""How long until everybody who watches a service sees what was registered?

Watchers are sockets of their own (``watchers.py``), in two processes, each with one long poll at
the server; one client as applications have it watches beside them, in the process that registers.
The time begins before the request to register is made. The bare ROUTER answers to as many sockets
in the same processes, with messages of the same size.
"""

import struct
import time

import zmq

from eastwest_discovery._record import Record
from eastwest_discovery._zmq import Zmq

from .figures import Figures
from .programs import Program, Server
from .server import HEAD
from .talk import NAMESPACE, answer, ask, dealer, poll, put, record, status
from .watchers import SERVICE

PROCESSES, PROCESSES_QUICK = 2, 1
PATIENCE_S = 20.0


class Watched:
    """One service, many watchers."""

    def __init__(
        self, server: Server, context: "zmq.Context[zmq.Socket[bytes]]", programs: list[Program]
    ) -> None:
        self._programs = programs
        self._registry = dealer(context, server.endpoint)
        self._bare = dealer(context, server.bare)
        self._client = Zmq(f"zmq://{server.address}")
        self._version = 0
        self._cursor = self._client.poll(NAMESPACE, SERVICE, b"", 1.0).cursor

    def close(self) -> None:
        """End the client."""
        self._client.close()

    def round(self, figures: Figures, watchers: int) -> None:
        """Register once, and have the bare ROUTER tell as many."""
        self._version += 1
        self._settle(watchers)
        what = record(SERVICE, 0, self._version)
        began = time.monotonic_ns()
        assert answer(ask(self._registry, put(what))).held.outcome == "stored"
        self._until_seen(what)
        figures.add("seen/by a client, ns", time.monotonic_ns() - began)
        self._add(figures, "registry", began)
        whole = ask(self._registry, poll(SERVICE))
        told = HEAD.pack(b"F", self._version).ljust(len(whole), b"\0")
        began = time.monotonic_ns()
        ask(self._bare, told)
        self._add(figures, "bare", began)

    def _settle(self, watchers: int) -> None:
        """Wait until all of them wait, also at the bare ROUTER, and our client too."""
        until = time.monotonic() + PATIENCE_S
        count = HEAD.pack(b"N", 0)
        while (
            answer(ask(self._registry, status())).status.numbers["waiting"] < watchers + 1
            or struct.unpack("!Q", ask(self._bare, count))[0] < watchers
        ):
            assert time.monotonic() < until, "the watchers do not come back"

    def _until_seen(self, what: Record) -> None:
        while True:
            update = self._client.poll(NAMESPACE, SERVICE, self._cursor, PATIENCE_S)
            self._cursor = update.cursor
            if any(each.version == what.version for each in update.records):
                return

    def _add(self, figures: Figures, who: str, began: int) -> None:
        times: list[int] = []
        for each in self._programs:
            of, version, seen = each.hear()
            assert (of, version) == (who, self._version), "a watcher saw another change"
            times += (at - began for at in seen)
        figures.add_samples(f"seen/{who}, ns", times)
        figures.add(f"seen/{who}, the last, ns", max(times))
