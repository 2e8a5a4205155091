"""Questions to etcd's JSON gateway over HTTP/1.1, to whichever member answers.

Every question may be asked twice (the members' answers get lost), and every answer has a limit of
size and of time. A member that does not answer, or is without a leader, is left for another one.
"""

import contextlib
import http.client
import json
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from . import _etcd_wire as wire
from ._errors import BadAddress, DiscoveryError, NotAllowed, Unavailable
from ._etcd_address import EtcdAddress, shown
from ._etcd_endpoints import Endpoint, Endpoints

ANSWER_SECONDS = 2.0  # of one member; a leader that died is replaced in one to two
ANSWER_BYTES_MAX = 8 * 2**20
IDLE_MAX = 4  # connections that wait to be used again
LEADER_HEADER = {"Grpc-Metadata-hasleader": "true"}  # end the watch of a member without a leader
_BROKEN = (OSError, http.client.HTTPException, wire.NotEtcd)


class TooLarge(DiscoveryError):
    """An answer exceeds what is taken."""


class Stream:
    """A watch that a member serves. Used by one thread; ``cut`` may come from any."""

    def __init__(self, endpoint: Endpoint, connection: http.client.HTTPConnection) -> None:
        self.endpoint = endpoint
        self._connection = connection
        self._socket: socket.socket = connection.sock
        self._parser = wire.StreamParser()
        self._waiting: list[wire.Json] = []

    def read(self, timeout: float) -> wire.Json | None:
        """Take the next message; see ``peek``."""
        message = self.peek(timeout)
        if message is not None:
            self._waiting.pop(0)
        return message

    def peek(self, timeout: float) -> wire.Json | None:
        """Return the next message; None when none comes within *timeout* seconds.

        Raises:
            OSError, NotEtcd: the stream is cut or broken.
            Refusal: etcd has ended it.
        """
        deadline = time.monotonic() + timeout
        while not self._waiting:
            if self._parser.ended:
                raise ConnectionResetError("the server has ended the stream")
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                received = self._socket.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                if time.monotonic() >= deadline:
                    return None
                continue
            if not received:
                raise ConnectionResetError("the connection was closed")
            self._waiting += self._parser.feed(received)
        return self._waiting[0]

    def cut(self) -> None:
        """End it; a thread that reads wakes up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back to the system."""
        self._connection.close()


class Gateway:
    """The members of one cluster. Every method may be called from any thread."""

    def __init__(self, address: EtcdAddress) -> None:
        self._address = address
        self._tls = _tls_of(address)
        self._endpoints = Endpoints(address.endpoints, random.random)
        self._lock = threading.Lock()
        self._idle: list[tuple[Endpoint, http.client.HTTPConnection]] = []
        self._token = ""
        self._is_closed = False

    def ask(
        self, path: str, question: Mapping[str, Any], *, at: Endpoint | None = None
    ) -> wire.Json:
        """Return the answer of a member, or of the member *at*.

        Raises:
            Unavailable: nobody answered; the text says who was tried and what went wrong.
            Refusal: etcd says no, for a reason that does not pass by itself.
            NotAllowed: user and password are refused.
            TooLarge: the answer exceeds 8 MiB.
        """
        body = json.dumps(question).encode()
        for endpoint in self._candidates(at):
            with self._noted(endpoint, path):
                return self._ask_one(endpoint, path, body)
        raise self.unavailable(path, at)

    def watch(self, question: Mapping[str, Any]) -> Stream:
        """Open a watch; return it when its first message is there, unread.

        Raises:
            Unavailable, Refusal, NotAllowed: like ``ask``.
        """
        body = json.dumps(question).encode()
        for endpoint in self._candidates(None):
            with self._noted(endpoint, "/v3/watch"):
                return self._watch_one(endpoint, body)
        raise self.unavailable("/v3/watch")

    def broken(self, endpoint: Endpoint, problem: str) -> None:
        """A stream of this member broke: others first."""
        with self._lock:
            self._endpoints.failed(endpoint, time.monotonic(), problem)

    def close(self) -> None:
        """Close the connections that wait to be used again; none will from now on."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    # -------------------------------------------------------------- one member

    def _candidates(self, at: Endpoint | None) -> list[Endpoint]:
        with self._lock:
            return [at] if at else self._endpoints.order(time.monotonic())

    @contextlib.contextmanager
    def _noted(self, endpoint: Endpoint, path: str) -> Iterator[None]:
        """Note whether the member works; swallow what another one may do better."""
        try:
            yield
        except _BROKEN as error:
            self.broken(endpoint, f"{path}: {error or type(error).__name__}")
        except wire.Refusal as error:
            if error.code not in wire.PASSING:
                raise
            self.broken(endpoint, f"{path}: {error}")
        else:
            with self._lock:
                self._endpoints.worked(endpoint)

    def unavailable(self, path: str, at: Endpoint | None = None) -> Unavailable:
        """Return the error that tells who was tried, and what went wrong."""
        with self._lock:
            problems = self._endpoints.problems()
        tried = "; ".join(f"{shown(each)} {why}" for each, why in problems.items())
        whom = shown(at) if at else str(self._address)
        return Unavailable(
            f"{whom}: no member answered {path} ({tried}); "
            "do they run, is this their client port, and have they got a leader?"
        )

    def _ask_one(self, endpoint: Endpoint, path: str, body: bytes) -> wire.Json:
        token = self._login(endpoint)
        try:
            return self._exchange(endpoint, path, body, token)
        except wire.Refusal as error:
            if not _is_old_token(error, token):
                raise
        return self._exchange(endpoint, path, body, self._login(endpoint, old=token))

    def _exchange(self, endpoint: Endpoint, path: str, body: bytes, token: str) -> wire.Json:
        while connection := self._take_idle(endpoint):
            try:
                return self._exchange_over(endpoint, connection, path, body, token)
            except (OSError, http.client.HTTPException) as error:
                connection.close()  # it may have been closed while it waited
                if isinstance(error, TimeoutError):
                    raise
        return self._exchange_over(endpoint, self._connect(endpoint), path, body, token)

    def _exchange_over(
        self,
        endpoint: Endpoint,
        connection: http.client.HTTPConnection,
        path: str,
        body: bytes,
        token: str,
    ) -> wire.Json:
        try:
            connection.request("POST", path, body, _headers(token))
            answer = connection.getresponse()
            content = answer.read(ANSWER_BYTES_MAX + 1)
            if len(content) > ANSWER_BYTES_MAX:
                raise TooLarge(f"{shown(endpoint)}: {path}: more than {ANSWER_BYTES_MAX} bytes")
            message = _first_message(answer.status, content)
        except BaseException:
            connection.close()
            raise
        self._put_idle(endpoint, connection)
        if answer.status != 200 or "error" in message:
            raise wire.refusal(message)
        return message

    def _watch_one(self, endpoint: Endpoint, body: bytes) -> Stream:
        token = self._login(endpoint)
        try:
            return self._open_watch(endpoint, body, token)
        except wire.Refusal as error:
            if not _is_old_token(error, token):
                raise
        return self._open_watch(endpoint, body, self._login(endpoint, old=token))

    def _open_watch(self, endpoint: Endpoint, body: bytes, token: str) -> Stream:
        connection = self._connect(endpoint)
        try:
            connection.request("POST", "/v3/watch", body, _headers(token) | LEADER_HEADER)
            stream = Stream(endpoint, connection)
            first = stream.peek(ANSWER_SECONDS)
            if first is None:
                raise TimeoutError(f"no answer within {ANSWER_SECONDS:g} s")
            if "auth token" in str(first.get("cancel_reason", "")):
                raise wire.Refusal(wire.NO_LOGIN, str(first["cancel_reason"]))
        except BaseException:
            connection.close()
            raise
        return stream

    def _login(self, endpoint: Endpoint, *, old: str | None = None) -> str:
        """Return a token; a new one if all we have is *old*, which etcd has forgotten."""
        if not self._address.user or self._token != (old or ""):
            return self._token
        who = {"name": self._address.user, "password": self._address.password}
        try:
            body = json.dumps(who).encode()
            answer = self._exchange(endpoint, "/v3/auth/authenticate", body, "")
        except wire.Refusal as error:
            if error.code in wire.PASSING:
                raise
            raise NotAllowed(
                f"{shown(endpoint)}: user {self._address.user!r}: {error}; "
                "see the user, its password-file and 'etcdctl auth status'"
            ) from None
        self._token = str(answer.get("token", ""))
        return self._token

    # -------------------------------------------------------------- connections

    def _connect(self, endpoint: Endpoint) -> http.client.HTTPConnection:
        host, port = endpoint
        if self._tls:
            secure = http.client.HTTPSConnection(
                host, port, timeout=ANSWER_SECONDS, context=self._tls
            )
            secure.connect()
            return secure
        connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
        connection.connect()
        return connection

    def _take_idle(self, endpoint: Endpoint) -> http.client.HTTPConnection | None:
        with self._lock:
            for each in self._idle:
                if each[0] == endpoint:
                    self._idle.remove(each)
                    return each[1]
        return None

    def _put_idle(self, endpoint: Endpoint, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.append((endpoint, connection))
            is_full = len(self._idle) > IDLE_MAX or self._is_closed
            surplus = self._idle.pop(0)[1] if is_full else None
        if surplus:
            surplus.close()


def _tls_of(address: EtcdAddress) -> ssl.SSLContext | None:
    if not address.ca_file:
        return None
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
        if address.certificate_file:
            context.load_cert_chain(address.certificate_file, address.key_file)
    except (OSError, ssl.SSLError) as error:
        files = (address.ca_file, address.certificate_file, address.key_file)
        missing = [each for each in files if each and not os.access(each, os.R_OK)]
        which = missing or [each for each in files if each]
        raise BadAddress(f"{address}: TLS with {', '.join(which)}: {error}") from None
    return context


def _headers(token: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    return headers | {"Authorization": token} if token else headers


def _first_message(status: int, content: bytes) -> wire.Json:
    try:
        message = wire.parse(content.partition(b"\n")[0])
    except wire.NotEtcd as error:
        raise wire.NotEtcd(f"HTTP status {status}, {error}: not etcd's gateway (/v3)") from None
    return message


def _is_old_token(error: wire.Refusal, token: str) -> bool:
    return bool(token) and error.code == wire.NO_LOGIN
