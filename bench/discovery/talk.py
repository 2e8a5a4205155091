"""Raw requests to a registry server as its client sends them, and many sockets in one process."""

import itertools
import os
import resource
import select
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import zmq
from google.protobuf.message import Message

from eastwest_discovery import registry_pb2 as pb
from eastwest_discovery._record import Record

NAMESPACE = "default"
TTL_S = 15  # of instances that are renewed
LASTING_S = 3600  # of those that are not
PATIENCE_MS = 30_000
FDS_OF_A_PROCESS = 200
FRAME_BYTES, LONG_FRAME_BYTES, SHORT_FRAME_MAX = 2, 9, 255  # ZMTP 3.1: flags and size
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Keys:
    """What a client needs to talk to a server with CURVE keys."""

    public: str
    secret: str
    server: str


def record(service: str, instance: int, version: int = 1, *, ttl: int = LASTING_S) -> Record:
    """Return a record as a service publishes it: two paths, two labels, some 220 bytes."""
    return Record(
        namespace=NAMESPACE,
        service=service,
        instance=f"{instance:032x}",
        version=version,
        protocol="orders/2",
        addresses={
            "tcp": (f"10.1.{instance >> 8 & 255}.{instance & 255}:40123",),
            "shm": (f"/run/eastwest/{instance:016x}.sock",),
        },
        zone="eu.a.rack7",
        labels={"build": "2026-11-22", "tier": "front"},
        ttl=ttl,
        host=f"host-{instance % 500}",
    )


def put(what: Record) -> bytes:
    """Return the request that publishes or renews a record."""
    return _request(put=pb.Put(record=what.encode()))


def poll(service: str, after: pb.Answer | None = None, *, wait_ms: int = 0) -> bytes:
    """Return the request for what is new of a service, or for all of it."""
    asked = pb.Poll(namespace=NAMESPACE, service=service, wait_ms=wait_ms)
    if after is not None:
        asked.boot, asked.revision = after.boot, after.changes.revision
        asked.base = after.changes.base
    return _request(poll=asked)


def status() -> bytes:
    """Return the request for the numbers of a server."""
    return _request(status=True)


def _request(**what: Any) -> bytes:
    return _bytes(pb.Request(protocol=1, **what))


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()


def answer(body: bytes) -> pb.Answer:
    """Return an answer; a refusal ends the benchmark."""
    found = pb.Answer.FromString(body)
    if found.problem:
        sys.exit(f"bench: the server refused: {found.text}")
    return found


# ------------------------------------------------------------------ sockets


def context_for(sockets: int) -> "zmq.Context[zmq.Socket[bytes]]":
    """Return a context for so many sockets, and let this process have the descriptors."""
    raise_limit(2 * sockets + FDS_OF_A_PROCESS)
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, max(1023, sockets + 16))
    return context


def raise_limit(wanted: int) -> None:
    """Let this process have so many descriptors; root may raise the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = max(hard, wanted) if os.geteuid() == 0 else hard
    if hard < wanted:
        sys.exit(f"bench: needs {wanted} open files, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def dealer(
    context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, keys: Keys | None = None
) -> "zmq.Socket[bytes]":
    """Return a socket that connects to a server."""
    made = context.socket(zmq.DEALER)
    made.linger = 0
    made.rcvtimeo = PATIENCE_MS
    if keys is not None:
        made.curve_publickey = keys.public.encode()
        made.curve_secretkey = keys.secret.encode()
        made.curve_serverkey = keys.server.encode()
    made.connect(endpoint)
    return made


def send(socket: "zmq.Socket[bytes]", body: bytes) -> None:
    """Send one request."""
    socket.send_multipart([struct.pack("!Q", next(_numbers)), body])


def ask(socket: "zmq.Socket[bytes]", body: bytes) -> bytes:
    """Send one request and return the answer, not decoded."""
    send(socket, body)
    return socket.recv_multipart()[1]


class Many:
    """Many sockets and one epoll: what wakes up costs, not what sleeps."""

    def __init__(self, sockets: "list[zmq.Socket[bytes]]") -> None:
        self.sockets: list[zmq.Socket[bytes]] = []
        self._by_fd: dict[int, int] = {}
        self._epoll = select.epoll()
        self._unsure: set[int] = set()
        for each in sockets:
            self.add(each)

    def add(self, socket: "zmq.Socket[bytes]") -> None:
        """Take one more."""
        fd = int(socket.getsockopt(zmq.FD))
        self._by_fd[fd] = len(self.sockets)
        self.look_again(len(self.sockets))
        self.sockets.append(socket)
        self._epoll.register(fd, select.EPOLLIN)

    def look_again(self, at: int) -> None:
        """Look at a socket that was sent on: the descriptor may not tell of what has come."""
        self._unsure.add(at)

    def take(self, seconds: float) -> Iterator[tuple[int, bytes]]:
        """Wait so long for anything; yield socket and body of each message that has come."""
        ready, self._unsure = self._unsure, set()
        events = self._epoll.poll(0.0 if ready else max(0.0, seconds))
        ready |= {self._by_fd[fd] for fd, _ in events if fd in self._by_fd}
        for at in ready:
            socket = self.sockets[at]
            while int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                yield at, socket.recv_multipart()[1]


def on_the_wire(body: bytes) -> int:
    """Return the bytes of a request or an answer in ZMTP without keys, both frames."""
    number = FRAME_BYTES + 8
    return number + len(body) + (FRAME_BYTES if len(body) <= SHORT_FRAME_MAX else LONG_FRAME_BYTES)
