"""Registries that are asked over the network: "dns:", "zmq://", "etcd://".

The package ``eastwest_discovery`` asks, publishes and remembers, in threads of its own; what of it
needs other packages is imported for such a URL only. Here its records become instances and back:

* What is published are the addresses that mean something elsewhere: never a socket of this host,
  never one that means every address. A loopback address is published, with the name of this host:
  a reader on another host leaves it out.
* The version of a record is the time, and rises with each change. If a registry has a newer record
  of our instance (another owner of its id, a clock that was set back), ours is published again
  above it, RAISE_SECONDS later: two owners that fight do so slowly.
* An answer is read from memory. Only the first question about a name waits, for at most
  FIRST_SECONDS; what nobody vouches for any more is stale and comes last.
"""

import os
import pathlib
import re
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from eastwest_discovery import _errors as theirs
from eastwest_discovery._errors import DiscoveryError

from .. import _log
from .._addresses import check_dialled, is_loopback, is_unspecified, path_of
from .._errors import ClosedHere, ConfigurationError, EastwestError, InternalError, Unreachable
from .._values import Instance, Path, Registry, Verdict
from ._base import KNOWN_MAX, Answer, Record

if TYPE_CHECKING:
    from eastwest_discovery._client import Client
    from eastwest_discovery._record import Key
    from eastwest_discovery._record import Record as Published
    from eastwest_discovery._union import Entry, View

FIRST_SECONDS = 1.0  # that the first question about a name waits for servers that hang
RAISE_SECONDS = 5.0  # a third of a lease
ANSWERS_MAX = 1024  # kept in the form of instances
ELSEWHERE: tuple[Path, ...] = ("dpdk", "tcp")
_ID = re.compile(r"[0-9a-f]{32}")
_VERSION_MAX = 2**64 - 1


class Remote:
    """One registry, of one namespace. Threads: any number, as the client."""

    is_remote = True

    def __init__(self, namespace: str, not_kept: str = "") -> None:
        """Begin without a client; ``attach`` it before anything else.

        Args:
            not_kept: why it keeps nothing on disk; "": it does.
        """
        self._namespace = namespace
        self._not_kept = not_kept
        self._client: Client | None = None
        self._first: dict[str, float] = {}  # when a name was first asked for
        self._answers: dict[str, tuple[View, Answer]] = {}
        self._lock = threading.Lock()  # of what follows
        self._published: dict[str, Published] = {}  # by instance
        self._timers: dict[str, threading.Timer] = {}

    def attach(self, client: "Client") -> None:
        """Have somebody to ask."""
        self._client = client

    @property
    def client(self) -> "Client":
        """Who asks."""
        if self._client is None:
            raise InternalError("a registry without a client")
        return self._client

    @property
    def source(self) -> str:
        """The URL, without secrets."""
        return self.client.source

    # ------------------------------------------------------------------ publish

    def publish(self, record: Record) -> None:
        """Publish it, or the next version of it; see ``Provider``."""
        id = record.instance.id
        try:
            with self._lock:
                old = self._published.get(id)
                made = _to_publish(record, _next_version(old))
                if made is not None:
                    self._published[id] = made
            if made is not None:
                self.client.publish(made)
            elif old is not None:
                self.withdraw(record)
        except DiscoveryError as error:
            with self._lock:
                self._published.pop(id, None)
            raise translated(error, self.source) from None

    def published(self, record: Record) -> str:
        """Return what the servers have, for ``explain``."""
        with self._lock:
            made = self._published.get(record.instance.id)
        if made is None:
            return f"{self.source}: not published: {_nowhere(record.instance)}"
        servers = self.client.published(made.key)
        if not servers:
            return ""
        lacking = [f"{server}: {why}" for server, why in servers.items() if why]
        many = f"published at {len(servers) - len(lacking)} of {len(servers)} servers"
        return f"{self.source}: {'; '.join([many, *lacking])}"

    def withdraw(self, record: Record) -> None:
        """Withdraw it; the servers are told by a thread."""
        with self._lock:
            made = self._published.pop(record.instance.id, None)
            timer = self._timers.pop(record.instance.id, None)
        if timer is not None:
            timer.cancel()
        if made is not None:
            self._withdraw(made.key)

    def _withdraw(self, key: "Key") -> None:
        with suppress(DiscoveryError):  # it was closed, which withdraws everything
            self.client.withdraw(key)

    def superseded(self, key: "Key", version: int) -> None:
        """Note that a registry has our key in another version. By a thread of the client."""
        timer = threading.Timer(RAISE_SECONDS, self._raise, [key, version])
        timer.daemon = True
        with self._lock:
            if key.instance in self._published and key.instance not in self._timers:
                self._timers[key.instance] = timer
                timer.start()

    def _raise(self, key: "Key", version: int) -> None:
        """Publish again, above *version*."""
        with self._lock:
            self._timers.pop(key.instance, None)
            old = self._published.get(key.instance)
            if old is None or version >= _VERSION_MAX:
                return
            made = replace(old, version=max(_next_version(old), version + 1))
            self._published[key.instance] = made
        try:
            self.client.publish(made)
        except DiscoveryError as error:
            _log.warning("publish_fail", source=self.source, instance=key.instance, detail=error)
            return
        with self._lock:
            is_over = key.instance not in self._published
        if is_over:  # it was withdrawn meanwhile
            self._withdraw(key)

    # ------------------------------------------------------------------ look up

    def look_up(self, service: str, *, timeout: float) -> Answer:
        """Return what is known, from memory but for the first question; see ``Provider``.

        What is on disk from before does not do for a first answer: perhaps somebody knows better.
        """
        view = self.client.view(self._namespace, service)
        if view is None or not view.asked:
            view = self._ask(service, timeout, is_new=view is None)
        kept = self._answers.get(service)
        if kept is not None and kept[0] is view:
            return kept[1]
        answer = self._answer(view)
        if len(self._answers) >= ANSWERS_MAX:
            self._answers.clear()
        if not any(each.confirmed for each in view.entries):  # else it grows older
            self._answers[service] = view, answer
        return answer

    def _ask(self, service: str, timeout: float, *, is_new: bool) -> "View":
        """Wait for a first answer, but nobody waits for a name that was asked for long ago."""
        now = time.monotonic()
        if is_new:
            if len(self._first) >= ANSWERS_MAX:
                self._first.clear()
            self._first[service] = now
        left = self._first.get(service, now) + FIRST_SECONDS - now
        try:
            return self.client.look(self._namespace, service, max(0.0, min(timeout, left)))
        except DiscoveryError as error:
            raise translated(error, self.source) from None

    def _answer(self, view: "View") -> Answer:
        instances: list[Instance] = []
        problems: list[Verdict] = []
        now, host = time.monotonic(), os.uname().nodename
        for entry in view.entries:
            addresses, wrong = _addresses(entry.record, host)
            problems += wrong
            if addresses:
                instances.append(_instance(entry, addresses, self.source, now))
        return Answer(tuple(instances), tuple(problems), view.complete)

    def state(self, service: str) -> Registry:
        """Return how the source stands with *service*."""
        view = self.client.view(self._namespace, service)
        servers = dict(self.client.states(self._namespace, service))
        if view is None:
            return Registry(self.source, False, False, servers=servers, not_kept=self._not_kept)
        now = time.monotonic()
        return Registry(
            source=self.source,
            answered=view.asked > 0,
            complete=view.complete,
            instances=len(view.entries),
            stale=sum(each.is_stale for each in view.entries),
            age=max((each.age(now) for each in view.entries), default=0.0),
            servers=servers,
            not_kept=self._not_kept,
        )

    def known(self, *, timeout: float) -> tuple[str, ...]:
        """Return the names of services, sorted, at most 256; DNS cannot tell them."""
        instances = self.look_up("", timeout=timeout).instances
        return tuple(sorted({each.service for each in instances})[:KNOWN_MAX])

    def age_seconds(self) -> float:
        """Return how long ago the oldest thing that is known was confirmed."""
        return self.client.age_seconds()

    def close(self) -> None:
        """Withdraw what is published, end the threads. Idempotent."""
        with self._lock:
            timers = list(self._timers.values())
            self._timers.clear()
            self._published.clear()
        for each in timers:
            each.cancel()
        self.client.close()


# ------------------------------------------------------------------ records


def _next_version(old: "Published | None") -> int:
    return max(time.time_ns(), old.version + 1 if old is not None else 0)


def _to_publish(record: Record, version: int) -> "Published | None":
    """Return the record for others, None if they have no use for it."""
    from eastwest_discovery._record import Record as Published

    instance = record.instance
    addresses: dict[str, tuple[str, ...]] = {}
    for path in ELSEWHERE:
        for each in instance.addresses:
            if path_of(each) == path and not (path == "tcp" and is_unspecified(each)):
                addresses[path] = (*addresses.get(path, ()), each.removeprefix(f"{path}://"))
    if not addresses:
        return None
    return Published(
        namespace=record.namespace,
        service=instance.service,
        instance=instance.id,
        version=version,
        protocol=record.protocol,
        addresses=addresses,
        zone=instance.zone,
        weight=instance.weight,
        labels=instance.labels,
        host=os.uname().nodename,
    )


def _nowhere(instance: Instance) -> str:
    """Return why an instance has no address for others, and what would give it one."""
    any_address = [each for each in instance.addresses if path_of(each) == "tcp"]
    if any_address:
        return f"{any_address[0]} means every address; bind the one that others reach"
    return "it has no address for other hosts; set EASTWEST_BIND=ADDR:PORT, or give listen() bind="


def _addresses(record: "Published", host: str) -> tuple[tuple[str, ...], list[Verdict]]:
    """Return the addresses that may be dialled from here, and the verdicts of the others."""
    good: list[str] = []
    wrong: list[Verdict] = []
    for path in ELSEWHERE:
        for each in record.addresses.get(path, ()):
            address = f"{path}://{each}"
            try:
                good.append(_dialled_from(host, check_dialled(address), record.host))
            except ConfigurationError as error:
                wrong.append(Verdict(path, address, False, "address", str(error)))
    return tuple(good), wrong


def _dialled_from(ours: str, address: str, theirs: str) -> str:
    if theirs not in ("", ours) and path_of(address) == "tcp" and is_loopback(address):
        raise ConfigurationError(f"it is for processes of its own host, {theirs}; this is {ours}")
    return address


def _instance(entry: "Entry", addresses: tuple[str, ...], source: str, now: float) -> Instance:
    record = entry.record
    is_ours = _ID.fullmatch(record.instance) is not None  # else: one of DNS, known by its hello
    return Instance(
        service=record.service,
        id=record.instance if is_ours else "",
        labels=dict(record.labels),
        zone=record.zone,
        weight=record.weight,
        addresses=addresses,
        stale=entry.is_stale,
        source=source,
        age=entry.age(now),
        version=record.version if is_ours else 0,
    )


# ------------------------------------------------------------------ opening


def translated(error: Exception, source: str) -> EastwestError:
    """Return our error for one of the package ``eastwest_discovery``."""
    text = str(error)
    shown = text if source in text else f"registry {source}: {text}"
    if isinstance(error, theirs.Unavailable):
        return Unreachable(shown)
    known = (theirs.NotAllowed, theirs.LimitReached, ValueError)  # the last: a bad value, or file
    return ConfigurationError(shown) if isinstance(error, known) else ClosedHere(shown)


def open_remote(
    url: str,
    namespace: str,
    *,
    key_file: str | None = None,
    server_keys: Iterable[str] = (),
    cache: str | None = None,
    not_kept: str = "",
) -> Remote:
    """Return the registry at a URL; nobody is asked yet.

    Args:
        key_file: of our pair of keys, for servers with keys.
        server_keys: of the servers of this URL, or one for all.
        cache: a folder of ours; None keeps nothing on disk.
        not_kept: why there is none.

    Raises:
        ConfigurationError: a package is not installed, or the URL or a file cannot be used.
    """
    remote = Remote(namespace, "" if cache else not_kept)
    folder = pathlib.Path(cache) if cache else None
    try:
        from eastwest_discovery._client import Keys, open_client

        keys = Keys(pathlib.Path(key_file), tuple(server_keys)) if key_file else None
        client = open_client(url, keys=keys, cache=folder, superseded=remote.superseded)
    except ImportError as error:
        raise ConfigurationError(
            f"registry {url}: {error.name or error} is not installed; "
            "pip install 'eastwest[discovery]'"
        ) from None
    except DiscoveryError as error:
        raise ConfigurationError(f"registry {url}: {error}") from None
    remote.attach(client)
    return remote
