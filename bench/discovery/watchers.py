"""``python -m bench.discovery.watchers REGISTRY BARE COUNT``: many who watch one service.

COUNT sockets to the registry server, each of which always has one long poll there, and as many to
the bare ROUTER, where each waits. Who is answered looks at the clock, decodes the answer, and asks
again at once. A line for each change that all have seen: when each of them had it.
"""

import json
import struct
import sys
import time
from collections import defaultdict

import zmq

from eastwest_discovery import record_pb2
from eastwest_discovery import registry_pb2 as pb

from .programs import main_of_child
from .server import HEAD
from .talk import Many, answer, context_for, dealer, poll, send

SERVICE = "watched"
WAIT_MS = 25_000


def ask_again(socket: "zmq.Socket[bytes]", after: pb.Answer | None) -> None:
    """Have a poll wait; the first is answered at once."""
    send(socket, poll(SERVICE, after, wait_ms=WAIT_MS))


def newest(found: pb.Answer) -> int:
    """Return the version of the record that came."""
    return max(record_pb2.Record.FromString(each).version for each in found.changes.records)


def main() -> None:
    """Watch until we are killed."""
    main_of_child()
    registry, bare, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    context = context_for(2 * count)
    sockets = [dealer(context, registry) for _ in range(count)]
    sockets += [dealer(context, bare) for _ in range(count)]
    many = Many(sockets)
    waits = HEAD.pack(b"W", 0) + bytes(len(poll(SERVICE)))
    for at, socket in enumerate(sockets):
        if at < count:
            ask_again(socket, None)
        else:
            send(socket, waits)
    print(json.dumps("ready"), flush=True)
    seen: dict[tuple[str, int], list[int]] = defaultdict(list)
    while True:
        for at, body in many.take(60.0):
            now = time.monotonic_ns()
            if at < count:
                found = answer(body)
                ask_again(sockets[at], found)
                if not found.changes.records:
                    continue
                what = "registry", newest(found)
            else:
                send(sockets[at], waits)
                what = "bare", struct.unpack_from("!Q", body, 1)[0]
            seen[what].append(now)
            if len(seen[what]) == count:
                print(json.dumps([*what, seen.pop(what)]), flush=True)


if __name__ == "__main__":
    main()
