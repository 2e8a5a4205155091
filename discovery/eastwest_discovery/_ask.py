"""Ask one registry server one thing: for tools and tests. Applications use a provider."""

import math
import os
import threading
import time
from contextlib import suppress

import zmq
from google.protobuf.message import DecodeError
from zmq.utils.monitor import recv_monitor_message

from . import registry_pb2 as pb
from ._errors import BadRecord, DiscoveryError, LimitReached, NotAllowed, Unavailable
from ._handshake import EVENTS, NO_HANDSHAKE, NOT_KNOWN, Ends
from ._keys import KeyPair
from ._protocol import NUMBER_BYTES, PROTOCOL

ANSWER_BYTES_MAX = 1 << 20
END_SECONDS = 1.0  # how long close() waits for a name that is being asked for
_ERRORS: dict[int, type[DiscoveryError]] = {
    pb.BAD_REQUEST: BadRecord,
    pb.NOT_ALLOWED: NotAllowed,
    pb.LIMIT_REACHED: LimitReached,
}


class Asker:
    """A connection to one server. One thread; a context manager."""

    def __init__(
        self, endpoint: str, *, keys: KeyPair | None = None, server_key: str | None = None
    ) -> None:
        """Begin to connect.

        Args:
            endpoint: "tcp://HOST:PORT".
            keys: ours, if the server wants them; then also its public one, *server_key*.
        """
        self.endpoint = endpoint
        self._ends = Ends(keys.public, server_key) if keys and server_key else Ends()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.ipv6 = True
        self._socket.maxmsgsize = ANSWER_BYTES_MAX
        if keys is not None and server_key is not None:
            self._socket.curve_secretkey = keys.secret.encode()
            self._socket.curve_publickey = keys.public.encode()
            self._socket.curve_serverkey = server_key.encode()
        self._monitor = self._socket.get_monitor_socket(EVENTS)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise Unavailable(f"{endpoint}: {error.strerror}; want tcp://HOST:PORT") from None

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the sockets back. Idempotent; a name server that hangs is not waited for."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
        end = threading.Thread(target=self._context.term, daemon=True)
        end.start()
        end.join(END_SECONDS)

    def ask(self, request: pb.Request, timeout: float) -> pb.Answer:
        """Return the answer to *request*, whose protocol version is filled in.

        Raises:
            Unavailable: none came within *timeout* seconds; the text says why, if we know.
            NotAllowed: the server does not know our key, or the key may not do this.
            LimitReached, BadRecord: so says the server.
        """
        request.protocol = PROTOCOL
        number = os.urandom(NUMBER_BYTES)
        with suppress(zmq.Again):  # a handshake that failed took the way with it: see the monitor
            self._socket.send_multipart([number, request.SerializeToString()], zmq.DONTWAIT)
        deadline = time.monotonic() + timeout
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        why = ""
        while (left := deadline - time.monotonic()) > 0:
            ready = dict(poller.poll(math.ceil(left * 1000)))
            if self._monitor in ready:
                seen = recv_monitor_message(self._monitor)["event"]
                problem = self._ends.problem(seen)
                if seen == NOT_KNOWN:
                    raise NotAllowed(f"{self.endpoint}: {problem}")
                why = problem if seen in NO_HANDSHAKE else why or problem
            if self._socket in ready:
                frames = self._socket.recv_multipart()
                if len(frames) == 2 and frames[0] == number:
                    return self._understood(frames[1])
        raise Unavailable(
            f"{self.endpoint}: no answer within {timeout:g} s: {why or 'it is silent'}"
        )

    def _understood(self, body: bytes) -> pb.Answer:
        try:
            answer = pb.Answer.FromString(body)
        except (DecodeError, UnicodeDecodeError):
            raise Unavailable(f"{self.endpoint}: its answer is not one of a registry") from None
        if answer.problem:
            error = _ERRORS.get(answer.problem, Unavailable)
            raise error(f"{self.endpoint}: {answer.text}")
        return answer


def status(
    endpoint: str,
    *,
    keys: KeyPair | None = None,
    server_key: str | None = None,
    timeout: float = 2.0,
) -> dict[str, float]:
    """Return the numbers of a server.

    Raises:
        Unavailable, NotAllowed: as ``Asker.ask``.
    """
    with Asker(endpoint, keys=keys, server_key=server_key) as asker:
        answer = asker.ask(pb.Request(status=True), timeout)
    return dict(sorted(answer.status.numbers.items()))
