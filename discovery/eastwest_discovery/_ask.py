"""Ask one registry server one thing: for tools and tests. Applications use a provider."""

import math
import os
import time

import zmq
from google.protobuf.message import DecodeError
from zmq.utils.monitor import recv_monitor_message

from . import registry_pb2 as pb
from ._errors import BadRecord, DiscoveryError, LimitReached, NotAllowed, Unavailable
from ._keys import KeyPair
from ._registry import NUMBER_BYTES, PROTOCOL

ANSWER_BYTES_MAX = 1 << 20
_ERRORS: dict[int, type[DiscoveryError]] = {
    pb.BAD_REQUEST: BadRecord,
    pb.NOT_ALLOWED: NotAllowed,
    pb.LIMIT_REACHED: LimitReached,
}
_SAYS_NO = zmq.EVENT_HANDSHAKE_FAILED_AUTH
_FAILED: dict[int, str] = {
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "it speaks no ZeroMQ, or only with keys",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "it has another key than we think, or no keys, or we none",
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
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.ipv6 = True
        self._socket.maxmsgsize = ANSWER_BYTES_MAX
        if keys is not None and server_key is not None:
            self._socket.curve_secretkey = keys.secret.encode()
            self._socket.curve_publickey = keys.public.encode()
            self._socket.curve_serverkey = server_key.encode()
        self._monitor = self._socket.get_monitor_socket(_SAYS_NO | sum(_FAILED))
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
        """Give the sockets back. Idempotent."""
        self._context.destroy(linger=0)

    def ask(self, request: pb.Request, timeout: float) -> pb.Answer:
        """Return the answer to *request*, whose protocol version is filled in.

        Raises:
            Unavailable: none came within *timeout* seconds; the text says why, if we know.
            NotAllowed: the server does not know our key, or the key may not do this.
            LimitReached, BadRecord: so says the server.
        """
        request.protocol = PROTOCOL
        number = os.urandom(NUMBER_BYTES)
        self._socket.send_multipart([number, request.SerializeToString()])
        deadline = time.monotonic() + timeout
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        why = "nothing came back"
        while (left := deadline - time.monotonic()) > 0:
            ready = dict(poller.poll(math.ceil(left * 1000)))
            if self._monitor in ready:
                seen = recv_monitor_message(self._monitor)["event"]
                if seen == _SAYS_NO:
                    raise NotAllowed(
                        f"{self.endpoint}: the server does not know our key; "
                        "add it to its file of permissions, and send it SIGHUP"
                    )
                why = _FAILED.get(seen, why)
            if self._socket in ready:
                frames = self._socket.recv_multipart()
                if len(frames) == 2 and frames[0] == number:
                    return self._understood(frames[1])
        raise Unavailable(f"{self.endpoint}: no answer within {timeout:g} s: {why}")

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
