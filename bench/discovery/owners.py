"""``python -m bench.discovery.owners JSON``: owners of many instances, which keep them alive.

The argument has: endpoint, keys (public, secret, server; or null), is_bare, service, first and
count of the instances, and over how many connections. A bare ROUTER gets and gives messages of the
same sizes. All are published at once; after a line ``{"seconds":
S}`` on stdin they are renewed for so long as a client does it, each after a third of the ttl or a
little less, drawn at random; then comes a line with what that was.
"""

import heapq
import json
import random
import sys
import time
from collections.abc import Sequence

from eastwest_discovery import registry_pb2 as pb
from eastwest_discovery._link import RENEWALS_PER_TTL

from .programs import main_of_child
from .server import HEAD
from .talk import TTL_S, Keys, Many, answer, context_for, dealer, on_the_wire, put, record, send

AT_ONCE = 128  # publications on their way: no storm of connections
SERVICES = 1000
HELD_BYTES = len(
    pb.Answer(
        protocol=1, boot=bytes(8), complete=True, held=pb.Held(outcome="renewed", version=1)
    ).SerializeToString()
)


class Owners:
    """Instances over connections."""

    def __init__(
        self, endpoint: str, keys: Keys | None, connections: int, *, is_bare: bool
    ) -> None:
        self._is_bare = is_bare
        context = context_for(connections)
        self._endpoint, self._keys, self._context = endpoint, keys, context
        self._count = connections
        self.many = Many([])
        self.answers = self.bytes = 0
        self._outstanding = 0

    def publish(self, requests: Sequence[bytes]) -> None:
        """Connect and publish all; return when the server has them."""
        for at, request in enumerate(requests):
            if at < self._count:
                self.many.add(dealer(self._context, self._endpoint, self._keys))
            self.send(at, request)
            while self._outstanding >= AT_ONCE:
                self.take(1.0)
        while self._outstanding:
            self.take(1.0)

    def send(self, at: int, request: bytes) -> None:
        """Send the request of one instance."""
        send(self.many.sockets[at % self._count], request)
        self.many.look_again(at % self._count)
        self._outstanding += 1
        self.bytes += on_the_wire(request)

    def take(self, seconds: float) -> None:
        """Take the answers that come within so many seconds, if none has come yet."""
        for _, body in self.many.take(seconds):
            if not self._is_bare:
                answer(body)
            self.answers += 1
            self._outstanding -= 1
            self.bytes += on_the_wire(body)

    def renew(self, requests: Sequence[bytes], seconds: float) -> None:
        """Keep all alive for so long."""
        third = TTL_S / RENEWALS_PER_TTL
        start = time.monotonic()
        due = [(start + random.random() * third, at) for at in range(len(requests))]
        heapq.heapify(due)
        self.answers = self.bytes = 0
        while (now := time.monotonic()) < start + seconds:
            while due[0][0] <= now:
                when, at = due[0]
                heapq.heapreplace(due, (when + third * (1.0 - 0.1 * random.random()), at))
                self.send(at, requests[at])
            self.take(min(due[0][0], start + seconds) - now)


def main() -> None:
    """Publish, then renew as often as asked."""
    main_of_child()
    asked = json.loads(sys.argv[1])
    keys = Keys(*asked["keys"]) if asked["keys"] else None
    owners = Owners(asked["endpoint"], keys, asked["connections"], is_bare=asked["is_bare"])
    numbers = range(asked["first"], asked["first"] + asked["count"])
    requests = [put(record(f"{asked['service']}-{at % SERVICES}", at, ttl=TTL_S)) for at in numbers]
    if asked["is_bare"]:
        requests = [HEAD.pack(b"E", HELD_BYTES).ljust(len(each), b"\0") for each in requests]
    owners.publish(requests)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        owners.renew(requests, json.loads(line)["seconds"])
        print(json.dumps({"renewed": owners.answers, "bytes": owners.bytes}), flush=True)


if __name__ == "__main__":
    main()
