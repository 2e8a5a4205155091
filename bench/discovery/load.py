"""What do ten thousand instances cost a server: memory, and renewals at a ttl of 15 s?

shared   over few connections: what the records themselves cost
each     one connection each, as processes with one instance have it
keys     likewise, over CURVE; bytes on the wire are those before encryption
bare     a connection each to a bare ROUTER, messages of the same sizes

Renewals go as clients make them, each instance after 4.5 to 5 s. Of fewer instances (--quick)
the numbers are multiplied to those of ten thousand.

A connection costs most of that, and more the longer it is used, as ZeroMQ's queues of 256 places
are touched one by one: ``of a used connection`` is what is resident after 300 requests on each.
"""

import json
import time

import zmq

from .figures import Figures
from .programs import Program, server, several
from .server import HEAD
from .talk import Keys, context_for, dealer, poll, send

INSTANCES, INSTANCES_QUICK = 10_000, 300
PROCESSES, PROCESSES_QUICK = 4, 1
SHARED_CONNECTIONS = 5  # of a process: 500 instances on each
SECONDS, SECONDS_QUICK = 10.0, 0.3
CONNECTIONS, REQUESTS, AT_ONCE = 400, 300, 50
CASES = ("shared", "each", "keys", "bare")


def measure(figures: Figures, case: str) -> None:
    """Have a new server, publish, renew."""
    processes = PROCESSES_QUICK if figures.is_quick else PROCESSES
    of_process = (INSTANCES_QUICK if figures.is_quick else INSTANCES) // processes
    connections = SHARED_CONNECTIONS if case == "shared" else of_process
    clients = processes if case == "keys" else 0
    is_bare = case == "bare"
    with server(bare=is_bare, clients=clients) as one:
        before = one.program.resident()
        arguments = [
            json.dumps(
                {
                    "endpoint": one.bare if is_bare else one.endpoint,
                    "is_bare": is_bare,
                    "keys": _words(one.keys[at]) if clients else None,
                    "service": "held",
                    "first": at * of_process,
                    "count": of_process,
                    "connections": connections,
                }
            )
            for at in range(processes)
        ]
        with several("owners", *([each] for each in arguments)) as owners:
            times = INSTANCES / (of_process * processes)
            grown = (one.program.resident() - before) * times
            figures.add(f"memory/{case}, MiB", grown / (1 << 20))
            _renew(figures, case, one.program, owners, times)
            if case in ("each", "bare"):
                use(figures, case, one.program, one.bare if is_bare else one.endpoint)


def _renew(
    figures: Figures, case: str, program: Program, owners: list[Program], times: float
) -> None:
    seconds = SECONDS_QUICK if figures.is_quick else SECONDS
    cpu, began = program.cpu_seconds(), time.monotonic()
    for each in owners:
        each.tell(seconds=seconds)
    done = [each.hear() for each in owners]
    took = time.monotonic() - began
    used = program.cpu_seconds() - cpu
    figures.add(f"renew/{case}, % of a CPU", used / took * 100 * times)
    figures.add(f"renew/{case}, 1/s", sum(each["renewed"] for each in done) / took * times)
    figures.add(f"renew/{case}, bytes/s", sum(each["bytes"] for each in done) / took * times)


def use(figures: Figures, case: str, program: Program, endpoint: str) -> None:
    """Use new connections until they cost no more."""
    count = figures.size(CONNECTIONS)
    request = HEAD.pack(b"E", 30) if case == "bare" else poll("nobody")
    with context_for(count) as context:
        before = program.resident()
        sockets = [dealer(context, endpoint) for _ in range(count)]
        for _ in range(figures.size(REQUESTS)):
            _each_once(sockets, request)
        kib = (program.resident() - before) / count / 1024
        figures.add(f"memory/of a used connection/{case}, KiB", kib)
        context.destroy(linger=0)


def _each_once(sockets: "list[zmq.Socket[bytes]]", request: bytes) -> None:
    for at in range(0, len(sockets), AT_ONCE):
        for socket in sockets[at : at + AT_ONCE]:
            send(socket, request)
        for socket in sockets[at : at + AT_ONCE]:
            socket.recv_multipart()


def _words(keys: Keys) -> tuple[str, str, str]:
    return keys.public, keys.secret, keys.server
