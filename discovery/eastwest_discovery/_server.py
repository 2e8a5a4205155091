"""The registry server: a ROUTER socket around ``_registry.py``, one thread.

With keys (CURVE) each connection proves its public key, and only those of the permissions get in
(ZAP); without, only loopback addresses may be bound. What a client can make us keep is bounded:
requests of 8 KiB, 256 of them waiting to be read and 256 answers of 64 KiB waiting to be sent for
each connection (further ones are dropped: clients ask again); connections of hosts that show no
life end after 30 seconds. That is left to the kernel: ZeroMQ's own heartbeats cost half a CPU with
10,000 connections, each one that is answered walks through the timers of all.
"""

import ipaddress
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import zmq
import zmq.utils.z85

from . import _log as log
from ._access import Access
from ._errors import BadAddress
from ._keys import KeyPair
from ._leases import Limits
from ._protocol import BOOT_BYTES, NUMBER_BYTES
from ._record import TTL_DEFAULT
from ._registry import REQUEST_BYTES_MAX, TOLD_SECONDS, Registry

TURN_MS = 250  # at least so often: the leases take more than a second for a stall
BATCH = 256  # requests of one turn
QUEUE_MESSAGES = 256  # of each connection and direction; ZeroMQ may call half of it full
HANDSHAKE_MS = 10_000
PROBE_S, PROBES = 10, 2  # of a connection that has been silent for as long
SILENCE_MS = 30_000
BACKLOG = 1024
ZAP = "inproc://zeromq.zap.01"  # RFC 27 of ZeroMQ
ZAP_DOMAIN = b"eastwest"


class Server:
    """One registry server. ``stop`` and ``reload`` may be called from anywhere."""

    def __init__(
        self,
        listen: Sequence[str],
        *,
        keys: KeyPair | None = None,
        access: Access | None = None,
        limits: Limits | None = None,
        settle_seconds: float = TTL_DEFAULT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Bind the addresses.

        Args:
            listen: "tcp://ADDRESS:PORT", the address in numbers; port 0 takes a free one.
            keys: of this server; None only with loopback addresses.
            access: what each client may do; with keys only, and then needed.

        Raises:
            BadAddress: one cannot be bound; the text says which, why and what would do.
        """
        if (keys is None) != (access is None):
            raise BadAddress("a server needs both its keys and the permissions of its clients")
        wanted = [check_endpoint(each, has_keys=keys is not None) for each in listen]
        self.boot = os.urandom(BOOT_BYTES)
        self._clock = clock
        self._registry = Registry(
            self.boot, clock(), access=access, limits=limits, settle_seconds=settle_seconds
        )
        self._access = access
        self._new_access: Access | None = None
        self._stopped = False
        self._reported = {"garbage": 0, "dropped": 0, "unroutable": 0}
        self._reported_at = clock()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._context = zmq.Context()
        self._zap = self._context.socket(zmq.REP)
        self._router = self._context.socket(zmq.ROUTER)
        try:
            self._set_options(keys)
            self.endpoints = tuple(self._bind(each) for each in wanted)
        except BaseException:
            self.close()
            raise

    def run(self) -> None:
        """Serve until ``stop`` is called."""
        poller = zmq.Poller()
        for each in (self._router, self._zap, self._bell):
            poller.register(each, zmq.POLLIN)
        log.info("serve", endpoints=self.endpoints, boot=self.boot.hex(), keys=bool(self._access))
        while not self._stopped:
            ready = dict(poller.poll(TURN_MS))
            self._registry.tick(self._clock())
            if self._bell in ready:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._bell)
            self._take_new_access()
            if self._zap in ready:
                self._admit()
            if self._router in ready:
                self._serve_batch()
            for letter in self._registry.letters():
                self._send(*letter)
            self._report()
        numbers = self.numbers()
        log.info("end", uptime_seconds=numbers["age_seconds"], records=int(numbers["records"]))

    def stop(self) -> None:
        """Have ``run`` return soon. Also from a signal handler."""
        self._stopped = True
        os.eventfd_write(self._bell, 1)

    def reload(self, access: Access) -> None:
        """Have other permissions soon. Also from a signal handler."""
        self._new_access = access
        os.eventfd_write(self._bell, 1)

    def numbers(self) -> dict[str, float]:
        """Return what STATUS shows; from any thread."""
        return self._registry.numbers()

    def close(self) -> None:
        """Give the sockets back. Not while ``run`` runs. Idempotent."""
        self._context.destroy(linger=0)
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1

    # ----------------------------------------------------------- sockets

    def _set_options(self, keys: KeyPair | None) -> None:
        router = self._router
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.MAXMSGSIZE, REQUEST_BYTES_MAX),
            (zmq.RCVHWM, QUEUE_MESSAGES),
            (zmq.SNDHWM, QUEUE_MESSAGES),
            (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
            (zmq.TCP_KEEPALIVE, 1),
            (zmq.TCP_KEEPALIVE_IDLE, PROBE_S),
            (zmq.TCP_KEEPALIVE_INTVL, PROBE_S),
            (zmq.TCP_KEEPALIVE_CNT, PROBES),
            (zmq.TCP_MAXRT, SILENCE_MS),  # for what was sent and not acknowledged
            (zmq.BACKLOG, BACKLOG),
        ):
            router.setsockopt(option, value)
        if keys is not None:
            self._zap.bind(ZAP)  # before the router: without a handler, everybody gets in
            router.curve_server = True
            router.curve_secretkey = keys.secret.encode()
            router.curve_publickey = keys.public.encode()
            router.zap_domain = ZAP_DOMAIN

    def _bind(self, endpoint: str) -> str:
        self._router.ipv6 = "[" in endpoint
        try:
            self._router.bind(endpoint)
        except zmq.ZMQError as error:
            raise BadAddress(
                f"cannot listen at {endpoint}: {error.strerror}; "
                "choose an address of this host and a free port (0 takes any)"
            ) from None
        last = self._router.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(last, bytes)
        return last.rstrip(b"\0").decode()

    def _admit(self) -> None:
        """Answer who asks whether a key may connect: ZeroMQ, for each new connection."""
        while True:
            try:
                asked = self._zap.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            version, number, _, address, _, mechanism, *credentials = asked
            key = ""
            if mechanism == b"CURVE" and len(credentials) == 1 and len(credentials[0]) == 32:
                key = zmq.utils.z85.encode(credentials[0]).decode()
            known = self._access is not None and self._access.of(key) is not None
            status = [b"200", b"OK", key.encode()] if known else [b"400", b"unknown key", b""]
            if not known:
                self._registry.knock(address.decode(errors="replace"), key)
            self._zap.send_multipart([version, number, *status, b""])

    def _serve_batch(self) -> None:
        for _ in range(BATCH):
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if len(frames) != 3 or len(frames[1]) != NUMBER_BYTES:
                self._registry.counts["garbage"] += 1
                continue
            route, number, body = (frame.bytes for frame in frames)
            answer = self._registry.request(self._key_of(frames[2]), route, number, body)
            if answer is not None:
                self._send(route, number, answer)

    def _key_of(self, frame: zmq.Frame) -> str | None:
        if self._access is None:
            return None
        key = frame.get("User-Id")
        assert isinstance(key, str)
        return key

    def _send(self, route: bytes, number: bytes, answer: bytes) -> None:
        try:
            self._router.send_multipart([route, number, answer], zmq.NOBLOCK, copy=False)
        except zmq.Again:  # it does not read its answers
            self._registry.counts["dropped"] += 1
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._registry.counts["unroutable"] += 1

    # ----------------------------------------------------------- the rest

    def _take_new_access(self) -> None:
        access, self._new_access = self._new_access, None
        if access is None or self._access is None:
            return
        self._access = access
        for letter in self._registry.set_access(access):
            self._send(*letter)
        log.info("reload", clients=len(access.grants))

    def _report(self) -> None:
        """Log what outsiders can cause at most once in ten seconds."""
        now = self._clock()
        if now - self._reported_at < TOLD_SECONDS:
            return
        self._reported_at = now
        counts = self._registry.counts
        new = {name: counts[name] - before for name, before in self._reported.items()}
        self._reported = {name: counts[name] for name in new}
        if new["garbage"]:
            log.warning("garbage", messages=new["garbage"])
        if new["dropped"] or new["unroutable"]:
            log.warning("lost", full=new["dropped"], gone=new["unroutable"])


def check_endpoint(endpoint: str, *, has_keys: bool) -> str:
    """Return an address to bind as ZeroMQ writes it.

    Raises:
        BadAddress: it is none, or not a loopback address although there are no keys.
    """
    scheme, _, rest = endpoint.rpartition("://")
    host, _, port = rest.rpartition(":")
    if scheme not in ("", "tcp") or not host or not (port.isascii() and port.isdigit()):
        raise BadAddress(f"address {endpoint!r}: want tcp://ADDRESS:PORT, as in 127.0.0.1:7400")
    if int(port) > 65535:
        raise BadAddress(f"address {endpoint!r}: port {port}, limit 65535")
    try:
        number = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        raise BadAddress(
            f"address {endpoint!r}: {host!r} is not an address in numbers; "
            "want one of this host, as 'ip address' shows them, or 0.0.0.0"
        ) from None
    if not has_keys and not number.is_loopback:
        raise BadAddress(
            f"address {endpoint!r}: without keys only loopback addresses may be bound, as anybody "
            "who reaches it may publish anything; make keys with 'keygen' and give --key and "
            "--access, or listen at 127.0.0.1"
        )
    return f"tcp://[{number}]:{port}" if number.version == 6 else f"tcp://{number}:{port}"
