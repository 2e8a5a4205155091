"""The runtime directories of this host: one host needs no server.

A listener's socket is its registration: its name begins with a hash of namespace and service, and
asking it (a hello that opens no channel) gives the rest. What does not answer is not an instance;
it is kept as a verdict, because "there is a socket and it refuses you" is what ``explain`` is for.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .._errors import EastwestError
from .._facts import parse
from .._parallel import in_parallel
from .._rundir import Search
from .._select import failure
from .._values import Instance, Verdict
from ._base import KNOWN_MAX, Answer, Ask, Asked, Record

ASK_SECONDS_MAX = 1.0  # as long as a listener gives a hello, design section 5
ENTRIES_MAX = 65536


@dataclass(frozen=True, slots=True)
class SocketNames:
    """How the C side names the sockets of listeners."""

    prefix: Callable[[str, str], str]  # (namespace, service) -> the first part
    is_socket: Callable[[str], bool]


class Local:
    """Listeners of this host, found by their sockets."""

    source = "local:"

    def __init__(
        self, namespace: str, search: Callable[[], Search], ask: Ask, names: SocketNames
    ) -> None:
        self._namespace = namespace
        self._search = search
        self._ask = ask
        self._names = names

    def publish(self, record: Record) -> None:
        """Do nothing: the listener's socket is its record."""

    def withdraw(self, record: Record) -> None:
        """Do nothing: closing the listener removes its socket."""

    def look_up(self, service: str, *, timeout: float) -> Answer:
        """Ask each socket that may belong to *service*."""
        prefix = self._names.prefix(self._namespace, service)
        found = self._ask_all(self._sockets(prefix), service, timeout)
        instances = [
            _instance(address, said)
            for address, said in found
            if not isinstance(said, Verdict) and self._is(said, service)
        ]
        problems = tuple(said for _, said in found if isinstance(said, Verdict))
        return Answer(tuple(instances), problems)

    def address_of(self, service: str, instance: str) -> str | None:
        """Return where an instance is reached on this host, by the names of sockets alone."""
        wanted = f"{self._names.prefix(self._namespace, service)}{instance}-"
        for directory in self._search().usable:
            for name in _names_in(directory):
                if name.startswith(wanted) and self._names.is_socket(name):
                    return f"shm:{directory}/{name}"
        return None

    def known(self, *, timeout: float) -> tuple[str, ...]:
        """Ask every socket for the name that it serves."""
        found = self._ask_all(self._sockets(""), "", timeout)
        names = {
            said.service
            for _, said in found
            if not isinstance(said, Verdict) and said.namespace == self._namespace
        }
        return tuple(sorted(names))

    def age_seconds(self) -> float:
        """Return 0: everything is asked anew."""
        return 0.0

    def close(self) -> None:
        """Hold nothing."""

    def _is(self, said: Asked, service: str) -> bool:
        return said.service == service and said.namespace == self._namespace

    def _sockets(self, prefix: str) -> list[str]:
        """Return the addresses of the listeners' sockets, best directory first."""
        found = []
        for directory in self._search().usable:
            for name in sorted(_names_in(directory)):
                if name.startswith(prefix) and self._names.is_socket(name):
                    found.append(f"shm:{directory}/{name}")
        return found[:KNOWN_MAX]

    def _ask_all(
        self, addresses: list[str], service: str, timeout: float
    ) -> list[tuple[str, Asked | Verdict]]:
        limit = max(0.0, min(timeout, ASK_SECONDS_MAX))
        said = in_parallel(lambda each: self._ask_one(each, service, limit), addresses)
        return list(zip(addresses, said, strict=True))

    def _ask_one(self, address: str, service: str, timeout: float) -> Asked | Verdict:
        try:
            return self._ask(address, service, timeout)
        except EastwestError as error:
            verdict = failure("shm", address, error, 0.0)
            if verdict is None:
                raise
            return verdict


def _names_in(directory: str) -> Iterator[str]:
    """Yield the names in a directory that may vanish meanwhile."""
    try:
        with os.scandir(directory) as entries:
            for entry, _ in zip(entries, range(ENTRIES_MAX), strict=False):
                yield entry.name
    except OSError:
        return


def _instance(address: str, said: Asked) -> Instance:
    facts = parse(said.facts)
    directory = os.path.dirname(address.removeprefix("shm:"))
    return Instance(
        service=said.service,
        id=said.instance,
        labels=facts.labels,
        zone=facts.zone,
        weight=facts.weight,
        addresses=tuple(each for each in (address, facts.dpdk, facts.tcp) if each),
        stale=False,
        source=f"local:{directory}",
    )
