"""The runtime directories of this host: one host needs no server.

A listener's socket is its registration: its name begins with a hash of namespace and service, and
asking it (a hello that opens no channel) gives the rest. What does not answer is not an instance;
it is kept as a verdict, because "there is a socket and it refuses you" is what ``explain`` is for.
Nor is one that was asked in vain waited for at each look-up: for some seconds it is what it said
the last time, and stale, unless nobody else answers.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from .._errors import EastwestError
from .._facts import parse
from .._health import Group, Health, Mark, Rules
from .._parallel import in_parallel
from .._rundir import Search
from .._select import failure
from .._values import Instance, Verdict
from ._base import KNOWN_MAX, Answer, Ask, Asked, Record

ASK_SECONDS_MAX = 1.0  # as long as a listener gives a hello, design section 5
ASK_SECONDS_AGAIN = 0.25  # for one that did not answer the last time: this is all it costs
ENTRIES_MAX = 65536
REMEMBERED_MAX = 1024
ASKING = Group("ask")
RULES = Rules(failures=1, seconds=2.0, seconds_max=15.0, trial_seconds=1.0)
"""Of asking: one silence is enough, since it costs a look-up a second; asking again costs less."""


@dataclass(frozen=True, slots=True)
class SocketNames:
    """How the C side names the sockets of listeners."""

    prefix: Callable[[str, str], str]  # (namespace, service) -> the first part
    is_socket: Callable[[str], bool]


class Local:
    """Listeners of this host, found by their sockets."""

    source = "local:"
    is_remote = False

    def __init__(
        self,
        namespace: str,
        search: Callable[[], Search],
        ask: Ask,
        names: SocketNames,
        rules: Rules = RULES,
    ) -> None:
        self._namespace = namespace
        self._search = search
        self._ask = ask
        self._names = names
        self._health = Health(rules)  # of sockets that are asked, not of connects
        self._remembered: dict[str, Instance] = {}

    def publish(self, record: Record) -> None:
        """Do nothing: the listener's socket is its record."""

    def withdraw(self, record: Record) -> None:
        """Do nothing: closing the listener removes its socket."""

    def published(self, record: Record) -> str:
        """Return "": the socket is there."""
        return ""

    def state(self, service: str) -> None:
        """Return None: everything is asked anew."""

    def look_up(self, service: str, *, timeout: float) -> Answer:
        """Ask each socket that may belong to *service*."""
        prefix = self._names.prefix(self._namespace, service) if service else ""
        sockets = self._sockets(prefix)
        began = time.monotonic()
        silent = self._silent(service, sockets, began)
        asked = [each for each in sockets if each not in silent]
        answer = self._answer(asked, service, timeout)
        if not silent:
            return answer
        if not answer.instances:
            left = timeout - (time.monotonic() - began)
            late = self._answer(list(silent), service, left)
            return Answer(late.instances, (*answer.problems, *late.problems))
        old = (self._remembered.get(each) for each in silent)
        stale = (replace(each, stale=True) for each in old if each is not None)
        return Answer((*answer.instances, *stale), (*answer.problems, *silent.values()))

    def _silent(self, service: str, sockets: Sequence[str], now: float) -> dict[str, Verdict]:
        """Return those that are not asked for now, and why."""
        marks = [Mark(service, each) for each in sockets]
        found = zip(sockets, self._health.ejections(marks, now), strict=True)
        return {
            at: Verdict("shm", at, False, "ejected", str(each), each.fix)
            for at, each in found
            if each is not None
        }

    def _answer(self, sockets: list[str], service: str, timeout: float) -> Answer:
        found = self._ask_all(sockets, service, timeout)
        instances = {
            address: _instance(address, said)
            for address, said in found
            if not isinstance(said, Verdict) and self._is(said, service)
        }
        old = self._remembered if len(self._remembered) < REMEMBERED_MAX else {}
        self._remembered = {**old, **instances}
        problems = tuple(said for _, said in found if isinstance(said, Verdict))
        return Answer(tuple(instances.values()), problems)

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
        return service in ("", said.service) and said.namespace == self._namespace

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
        mark, began = Mark(service, address), time.monotonic()
        if self._health.begins(mark, began):
            timeout = min(timeout, ASK_SECONDS_AGAIN)
        try:
            said: Asked | Verdict = self._ask(address, service, timeout)
        except EastwestError as error:
            verdict = failure("shm", address, error, 0.0)
            if verdict is None:
                raise
            said = verdict
        self._heard(mark, said, began)
        return said

    def _heard(self, mark: Mark, said: Asked | Verdict, began: float) -> None:
        """Note whether a socket answered, whatever it said."""
        now = time.monotonic()
        if not isinstance(said, Verdict) or said.check != "timeout":
            self._health.is_well(mark, now)
        elif self._health.is_late(mark, ASKING, now - began):
            self._health.failed(mark, f"no answer in {now - began:.3g} s", said.fix, now)


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
