"""One client that asks: from its cache, and over the wire."""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from tempfile import TemporaryDirectory

import zmq

from eastwest import Config, Context
from eastwest_discovery import _record
from eastwest_discovery._zmq import Zmq

from .figures import Figures
from .programs import Server
from .server import HEAD
from .talk import NAMESPACE, answer, ask, dealer, poll, put, record

INSTANCES = 10  # of a service that is looked up
CALLS = 20_000  # of a round; one of CALLS_A_SAMPLE has a look at the clock of its own
CALLS_A_SAMPLE = 10
TRIPS = 60  # of a round; a client remembers 128 services


class Lookups:
    """What is known already, read by a process that has it."""

    def __init__(self, stack: ExitStack, server: Server, service: str) -> None:
        """Ask for it once, as a client of discovery and as a context of ``eastwest``."""
        url = f"zmq://{server.address}"
        folder = stack.enter_context(TemporaryDirectory(prefix="eastwest-bench-"))
        settings = Config(registry=(url,), registry_cache="none", runtime_dirs=(folder,))
        self._service = service
        self._client = stack.enter_context(closing(Zmq(url)))
        self._client.poll(NAMESPACE, service, b"", 1.0)
        self._context = stack.enter_context(Context(settings))
        assert len(self._context.instances(service)) == INSTANCES

    def round(self, figures: Figures) -> None:
        """Read it often, and a dictionary of the same shape as often."""
        service, view = self._service, self._client.view
        known = {(NAMESPACE, service): view(NAMESPACE, service)}
        _, finder = self._context._open()
        local, registry = finder.providers
        for case, call in (
            ("dict", lambda: known.get((NAMESPACE, service))),
            ("view", lambda: view(NAMESPACE, service)),
            ("provider", lambda: registry.look_up(service, timeout=0)),
            ("this host", lambda: local.look_up(service, timeout=0)),
            ("connect", lambda: finder.look_up(service, timeout=0)),
        ):
            _calls(figures, f"lookup/{case}, ns", call)


def _calls(figures: Figures, case: str, call: Callable[[], object]) -> None:
    clock = time.perf_counter_ns
    count = figures.size(CALLS)
    call()
    began = clock()
    for _ in range(count):
        call()
    figures.add(case, (clock() - began) / count)
    for _ in range(count // CALLS_A_SAMPLE):
        began = clock()
        call()
        figures.series[case].samples.append(clock() - began)


class Trips:
    """Round trips of one client to one server process, in turns with a bare ROUTER there."""

    def __init__(self, server: Server, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self._server = server
        self._registry = dealer(context, server.endpoint)
        self._bare = dealer(context, server.bare)
        self._asked = 0
        for at in range(TRIPS):
            answer(ask(self._registry, put(record(f"trip-{at}", at))))

    def round(self, figures: Figures) -> None:
        """Ask for a service each time, of which one instance is known to the server."""
        count = figures.size(TRIPS)
        request = poll("trip-0")
        size = len(ask(self._registry, request))
        echo = HEAD.pack(b"E", size).ljust(len(request), b"\0")
        _samples(figures, "trip/bare, ns", count, lambda _: ask(self._bare, echo))
        _samples(figures, "trip/registry, ns", count, self._decoded)
        client = Zmq(f"zmq://{self._server.address}")
        try:
            _samples(figures, "trip/first of a process, ns", 1, lambda _: _found(client, "trip-0"))
            services = [f"trip-{at}" for at in range(1, TRIPS)]
            _samples(figures, "trip/client, ns", count - 1, lambda at: _found(client, services[at]))
        finally:
            client.close()

    def _decoded(self, at: int) -> None:
        changes = answer(ask(self._registry, poll(f"trip-{at}"))).changes
        assert len([_record.decode(each) for each in changes.records]) == 1


def _found(client: Zmq, service: str) -> None:
    assert len(client.poll(NAMESPACE, service, b"", 1.0).records) == 1


def _samples(figures: Figures, case: str, count: int, call: Callable[[int], object]) -> None:
    clock = time.perf_counter_ns
    taken = []
    for at in range(count):
        began = clock()
        call(at)
        taken.append(clock() - began)
    figures.add_samples(case, taken)
