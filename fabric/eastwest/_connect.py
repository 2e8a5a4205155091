"""connect and explain as policy: wait for the name, plan, dial, and keep why.

The channel is a type parameter and the attempt is passed in, so this is tested without sockets.
Imports no native module.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from ._dial import Dialled, Dialler
from ._errors import EastwestError, Interrupted, Refused, ServiceNotFound, Unreachable
from ._fabric import absent
from ._facts import parse
from ._find import Finder, Found
from ._health import Health, mark_of
from ._parallel import in_parallel
from ._providers._base import Ask
from ._select import (
    REASONS,
    Candidate,
    Ejections,
    Pick,
    Plan,
    failure,
    is_gone,
    is_refusal,
    merge,
    missing,
    nobody,
    plan,
)
from ._values import Explanation, Path, Verdict

BACKOFF_SECONDS = 0.01
BACKOFF_SECONDS_MAX = 0.1  # what a name that appears may have to wait for us
BACKOFF_FACTOR = 1.5
PROBE_SECONDS = 1.0
LOOK_SECONDS_MIN = 0.1  # a look-up with less would find nobody
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Request:
    """What the application asked for, and what the configuration allows."""

    service: str
    where: Mapping[str, str]
    pick: Pick
    zone: str
    paths: tuple[Path, ...]
    network: str = ""

    @property
    def is_choosy(self) -> bool:
        """Whether the nearest one may not do."""
        return bool(self.where) or self.pick != "nearest"


class Connector(Generic[C]):
    """One connect: looks the name up until it is there, then dials what fits.

    Args:
        attempt: (candidate, seconds) -> a channel; raises an EastwestError.
        discard: frees a channel that came too late.
        given_up: set by another thread: the connect ends as ``Interrupted`` before the next try.
        health: of the instances, as the connects before this one saw it; None: nobody keeps it.
    """

    def __init__(
        self,
        finder: Finder,
        attempt: Callable[[Candidate, float], C],
        discard: Callable[[C], None],
        rng: random.Random,
        given_up: threading.Event | None = None,
        health: Health | None = None,
    ) -> None:
        self._finder = finder
        self._attempt = attempt
        self._discard = discard
        self._rng = rng
        self._given_up = given_up
        self._health = Health() if health is None else health

    def run(self, request: Request, timeout: float) -> tuple[C, Explanation]:
        """Return a channel and why it is the one.

        Args:
            timeout: seconds; the first look-up is made even if it is 0.

        Raises:
            ServiceNotFound: nothing that fits appeared until the timeout.
            Refused: nobody gave a channel, and at least one said no, or goes away.
            Unreachable: it is published, and nobody answered; or nobody could be asked for it.
            ConfigurationError: what the providers read is not in order.
        """
        began = time.monotonic()
        deadline = began + timeout
        pause = BACKOFF_SECONDS
        found: Found | None = None
        while True:
            left = max(LOOK_SECONDS_MIN, deadline - time.monotonic())
            found = self._finder.look_up(
                request.service, left, is_choosy=request.is_choosy, before=found
            )
            chosen = _plan(found, request, self._rng, self._health)
            rejected = (*chosen.rejected, *found.problems)
            if chosen.candidates:
                dialled = self._dial(chosen, deadline)
                if dialled.channel is not None:
                    why = self._explained(request, dialled, rejected, chosen.ejected)
                    return dialled.channel, why
                if not all(map(is_gone, dialled.rejected)):
                    raise self._no_channel(request, dialled, rejected, chosen.ejected)
                rejected = (*dialled.rejected, *rejected)
            elif any(map(is_refusal, found.problems)):
                raise self._no_channel(request, Dialled(None, None, found.problems), ())
            if time.monotonic() >= deadline:
                if not found.instances and any(each.check == "timeout" for each in found.problems):
                    raise self._no_channel(request, Dialled(None, None, found.problems), ())
                leaving = tuple(filter(is_refusal, chosen.rejected))
                if leaving:  # and nobody came in their place
                    raise self._no_channel(request, Dialled(None, None, leaving), ())
                raise self._not_found(request, found, rejected, time.monotonic() - began)
            self._sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * BACKOFF_FACTOR, BACKOFF_SECONDS_MAX)

    def _dial(self, chosen: Plan, deadline: float) -> Dialled[C]:
        dialler = Dialler(self._attempt, self._discard, deadline, health=self._health)
        return dialler.run(chosen.candidates)

    def _sleep(self, seconds: float) -> None:
        if self._given_up is None:
            time.sleep(seconds)
        elif self._given_up.wait(seconds):
            raise Interrupted("the connect was given up")

    def _explained(
        self,
        request: Request,
        dialled: Dialled[C],
        rejected: tuple[Verdict, ...],
        ejected: tuple[str, ...],
    ) -> Explanation:
        verdicts = (*dialled.rejected, *rejected)
        return explanation(self._finder, request.service, dialled.chosen, verdicts, ejected)

    def _no_channel(
        self,
        request: Request,
        dialled: Dialled[C],
        rejected: tuple[Verdict, ...],
        ejected: tuple[str, ...] = (),
    ) -> Unreachable:
        """Return the error for a service that is there and cannot be had."""
        tried = dialled.rejected
        why = self._explained(request, dialled, rejected, ejected)
        text = f"service {request.service!r}: " + "; ".join(
            f"{each.address}: {each.detail}" + (f" ({each.fix})" if each.fix else "")
            for each in tried
        )
        answers = [each.check for each in tried if is_refusal(each)]
        for reason in REASONS:
            if answers and answers[0] == reason:
                return Refused(text, why, reason)
        return Unreachable(text, why)

    def _not_found(
        self, request: Request, found: Found, rejected: tuple[Verdict, ...], seconds: float
    ) -> ServiceNotFound | Unreachable:
        why = explanation(self._finder, request.service, None, rejected)
        if found.unproven:
            return Unreachable(self._finder.unknown(request.service, seconds, found), why)
        details = [f"{each.check}: {each.detail}" for each in rejected[:4]]
        text = self._finder.not_found(request.service, seconds, found, details)
        return ServiceNotFound(text, why)


def _plan(found: Found, request: Request, rng: random.Random, health: Health) -> Plan:
    return plan(
        found.instances,
        where=request.where,
        pick=request.pick,
        zone=request.zone,
        paths=request.paths,
        rng=rng,
        network=request.network,
        ejections=ejections_now(health),
    )


def ejections_now(health: Health) -> Ejections:
    """Return who is behind the others, as ``order`` and ``plan`` ask for it."""
    now = time.monotonic()
    if health.is_spotless:
        return nobody
    return lambda instances: health.ejections([mark_of(each) for each in instances], now)


def explanation(
    finder: Finder,
    service: str,
    chosen: Verdict | None,
    rejected: tuple[Verdict, ...],
    ejected: tuple[str, ...] = (),
) -> Explanation:
    """Return the explanation of a decision, with a verdict for each path that had no candidate.

    Args:
        ejected: a sentence for each instance that is behind the others.
    """
    search = finder.search()
    seen = (*([chosen] if chosen else []), *rejected)
    dpdk = absent(finder.fabric())
    return Explanation(
        service=service,
        chosen=chosen,
        rejected=(*rejected, *missing(seen, search.usable, search.problems, dpdk)),
        facts={
            "namespace": finder.namespace,
            "asked": finder.sources(),
            "registries": finder.states(service),
            "ejected": ejected,
        },
    )


def probe(
    finder: Finder, ask: Ask, request: Request, rng: random.Random, health: Health | None = None
) -> Explanation:
    """Say which path a connect would take now; asks with a hello that opens no channel.

    Args:
        health: of the instances; it is looked at and not changed.
    """
    found = finder.look_up(request.service, PROBE_SECONDS, is_choosy=True)
    chosen = _plan(found, request, rng, Health() if health is None else health)
    verdicts = in_parallel(lambda each: _probed(each, ask, request), chosen.candidates)
    best = next((each for each in verdicts if each.ok), None)
    others = [
        _second(candidate, each, best)
        for candidate, each in zip(chosen.candidates, verdicts, strict=True)
        if each is not best
    ]
    rejected = (*others, *chosen.rejected, *found.problems)
    why = explanation(finder, request.service, best, rejected, chosen.ejected)
    facts = {**why.facts, "instances": len(merge(found.instances))}
    if best is None and not found.instances:
        facts["known"] = finder.known()
    return replace(why, facts=facts)


def _probed(candidate: Candidate, ask: Ask, request: Request) -> Verdict:
    began = time.monotonic()
    path, address = candidate.path, candidate.address
    try:
        said = ask(address, request.service, PROBE_SECONDS)
    except EastwestError as error:
        verdict = failure(path, address, error, time.monotonic() - began)
        if verdict is None:
            raise
        return verdict
    seconds = time.monotonic() - began
    expected = candidate.instance.id
    if said.service != request.service:
        detail = f"{said.service!r} listens there"
        return Verdict(path, address, False, "service", detail, "correct the address", seconds)
    if expected and said.instance != expected:
        detail = f"instance {said.instance} listens there, not {expected}"
        return Verdict(path, address, False, "instance", detail, None, seconds)
    if not parse(said.facts).weight:
        return Verdict(path, address, False, "draining", "it is going away", None, seconds)
    return Verdict(path, address, True, "hello", "it answered the hello", None, seconds)


def _second(candidate: Candidate, verdict: Verdict, best: Verdict | None) -> Verdict:
    """Return the verdict of one that could be used, with why it is not."""
    ejection = candidate.ejection
    if best is None or not verdict.ok:
        words = f"{verdict.detail}; {ejection}" if ejection else verdict.detail
        return replace(verdict, detail=words)
    if ejection is not None:
        detail = f"it answered the hello; {ejection}"
        return replace(verdict, check="ejected", detail=detail, fix=ejection.fix)
    detail = f"it answered the hello; {best.address} comes before it"
    return replace(verdict, check="order", detail=detail)
