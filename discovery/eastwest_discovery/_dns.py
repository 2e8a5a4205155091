"""DNS as a provider: headless services of Kubernetes, or any name with several addresses.

The resolvers of /etc/resolv.conf are asked, with its search list, by a thread of its own;
/etc/hosts is not read. A name is asked again when its ttl is over, at least 5 s later; a name that
nobody has wanted for a minute is forgotten. Of SRV records those of the lowest priority count.
"""

import os
import random
import threading
import time
from itertools import count
from typing import Any

import dns.exception
import dns.resolver

from . import _log
from ._dns_state import Answer, Name, Place, check_question, parse_dns_url
from ._errors import DiscoveryError, Unavailable
from ._provider import Cursor, Update
from ._record import Key, Record

ASK_SECONDS = 3.0  # for one name, all resolvers and repetitions together
FIRST_SECONDS = 2 * ASK_SECONDS  # that a snapshot waits for the first answer
FORGET_SECONDS = 60.0  # after the last poll


class Dns:
    """A provider over DNS names.

    Args:
        url: ``dns:{service}.apps.svc.cluster.local:7400``; without a port SRV is asked.
        resolver: whom to ask instead of the system's resolvers: IP address and port.

    Raises:
        BadAddress: the URL has no such pattern.
        Unavailable: the system has no resolvers configured.
    """

    def __init__(self, url: str, *, resolver: tuple[str, int] | None = None) -> None:
        self._url = url
        self._pattern = parse_dns_url(url)
        self._resolver = _resolver_of(resolver, url)
        self._boot = os.urandom(4).hex().encode()
        self._changed = threading.Condition()
        self._names: dict[tuple[str, str], Name] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._has_told = False
        self._generations = count(1)

    @property
    def source(self) -> str:
        """The URL."""
        return self._url

    def publish(self, record: Record) -> None:
        """Do nothing: DNS has the address when the cluster says so."""
        self._tell_once(record.key)

    def withdraw(self, key: Key) -> None:
        """Do nothing, as for ``publish``."""
        self._tell_once(key)

    def problem_of(self, key: Key) -> None:
        """Return None: who publishes in DNS is the cluster."""

    def poll(self, namespace: str, service: str, cursor: Cursor, timeout: float) -> Update:
        """Return what the name has; see Provider. Changes come as snapshots.

        DNS cannot tell which services there are: "" is answered with nothing, incomplete.

        Raises:
            BadRecord: the service has no such name.
            Unavailable: no resolver answered.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            if not service:
                return self._everything(cursor, deadline)
            name = self._wanted(namespace, service)
            if not self._has_seen(name, cursor):
                self._wait_for_first(name)
                return self._update(name)
            while self._has_seen(name, cursor) and self._wait(deadline):
                name = self._wanted(namespace, service)
            if not self._has_seen(name, cursor):
                return self._update(name)
            if name.problem:
                raise self._unavailable(name)
            return Update((), (), cursor, False, name.is_whole)

    def close(self) -> None:
        """End the thread, waiting for a question that it asks: 3 s at most."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread, self._thread = self._thread, None
        if thread:
            thread.join()

    # -------------------------------------------------------------- under the lock

    def _wanted(self, namespace: str, service: str) -> Name:
        self._check_open()
        name = self._names.get((namespace, service))
        if name is None:
            check_question(namespace, service)
            name = self._names[namespace, service] = Name(namespace, service)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="eastwest-dns", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        name.wanted_at = time.monotonic()
        return name

    def _everything(self, cursor: Cursor, deadline: float) -> Update:
        self._check_open()
        while cursor and self._wait(deadline):
            pass
        return Update((), (), self._cursor(0), True, False)

    def _wait_for_first(self, name: Name) -> None:
        deadline = time.monotonic() + FIRST_SECONDS
        while not name.asked and self._wait(deadline):
            pass
        if not name.generation or (name.problem):
            raise self._unavailable(name)

    def _wait(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        self._changed.wait(left)
        self._check_open()
        return True

    def _cursor(self, generation: int) -> Cursor:
        return b"%b:%d" % (self._boot, generation)

    def _has_seen(self, name: Name, cursor: Cursor) -> bool:
        return name.generation > 0 and cursor == self._cursor(name.generation)

    def _update(self, name: Name) -> Update:
        return Update(name.records, (), self._cursor(name.generation), True, name.is_whole)

    def _unavailable(self, name: Name) -> Unavailable:
        asked = self._pattern.of(name.namespace, name.service)
        problem = name.problem or f"no answer within {FIRST_SECONDS:g} s"
        return Unavailable(
            f"{self._url}: {asked}: {problem}; see /etc/resolv.conf and the resolver"
        )

    def _check_open(self) -> None:
        if self._closed:
            raise DiscoveryError(f"{self._url} is closed")

    def _tell_once(self, key: Key) -> None:
        self._check_open()
        if not self._has_told:
            self._has_told = True
            _log.warning("dns_no_publish", key=key, source=self._url)

    # -------------------------------------------------------------- the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                now = time.monotonic()
                self._names = {
                    key: each
                    for key, each in self._names.items()
                    if now - each.wanted_at < FORGET_SECONDS
                }
                name = min(self._names.values(), key=lambda each: each.due, default=None)
                if name is None or name.due > now:
                    self._changed.wait(name.due - now if name else None)
                    continue
            self._ask(name)

    def _ask(self, name: Name) -> None:
        asked = self._pattern.of(name.namespace, name.service)
        try:
            answer = self._answer(asked)
        except (dns.exception.DNSException, OSError) as error:
            with _log.later(), self._changed:
                if not name.failures:
                    _log.warning("dns_fail", dns_name=asked, detail=error)
                name.failed(str(error), time.monotonic(), random.random())
                self._changed.notify_all()
            return
        with _log.later(), self._changed:
            name.answered(answer, next(self._generations), time.monotonic(), time.time())
            if not name.is_whole:
                _log.warning("dns_many", dns_name=asked, taken=len(name.records))
            self._changed.notify_all()

    # -------------------------------------------------------------- questions

    def _answer(self, name: str) -> Answer:
        deadline = time.monotonic() + ASK_SECONDS
        if not self._pattern.port:
            return self._answer_of_srv(name, deadline)
        addresses, ttl = self._addresses(name, deadline)
        return Answer(tuple(Place((each,), self._pattern.port) for each in addresses), ttl)

    def _answer_of_srv(self, name: str, deadline: float) -> Answer:
        targets, ttl = self._ask_for(name, "SRV", deadline)
        best = min((each.priority for each in targets), default=0)
        places = []
        for each in targets:
            if each.priority == best:
                addresses, ttl_there = self._addresses(each.target.to_text(), deadline)
                places.append(Place(addresses, each.port, each.weight))
                ttl = min(ttl, ttl_there)
        return Answer(tuple(places), ttl)

    def _addresses(self, name: str, deadline: float) -> tuple[tuple[str, ...], float]:
        four, ttl = self._ask_for(name, "A", deadline)
        six, ttl_six = self._ask_for(name, "AAAA", deadline)
        return tuple(each.address for each in (*four, *six)), min(ttl, ttl_six)

    def _ask_for(self, name: str, kind: str, deadline: float) -> tuple[list[Any], float]:
        """Return what a name has of one kind, and its ttl; nothing if the name is not there."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {ASK_SECONDS:g} s")
        try:
            answer = self._resolver.resolve(
                name, kind, lifetime=left, search=True, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN:
            return [], float("inf")
        if answer.rrset is None:
            return [], float("inf")
        return list(answer.rrset), float(answer.rrset.ttl)


def _resolver_of(whom: tuple[str, int] | None, url: str) -> dns.resolver.Resolver:
    try:
        resolver = dns.resolver.Resolver(configure=whom is None)
    except dns.exception.DNSException as error:
        raise Unavailable(f"{url}: {error}; see /etc/resolv.conf") from None
    if whom:
        resolver.nameservers, resolver.port = [whom[0]], whom[1]
    return resolver
