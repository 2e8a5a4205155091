"""connect and explain: waiting for a name, and what is said when nothing comes of it."""

import random
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from eastwest import (
    EastwestError,
    Instance,
    Refused,
    ServiceNotFound,
    Unreachable,
    Verdict,
)
from eastwest._connect import Connector, Request, probe
from eastwest._find import Finder
from eastwest._health import Health, Rules, mark_of
from eastwest._native_values import Answer as Said
from eastwest._providers import Answer
from eastwest._providers._base import Record
from eastwest._rundir import Search
from eastwest._select import Candidate
from eastwest._values import PATHS

A, B, C = "a" * 32, "b" * 32, "c" * 32
SHM, TCP = "shm:/run/eastwest/x.sock", "tcp://10.0.0.1:7411"


def instance(name: str = A, *addresses: str, **more: object) -> Instance:
    base = Instance("pricing", name, {}, "", 1, addresses or (TCP,), False, "static:f")
    return replace(base, **more)  # type: ignore[arg-type]


LOCAL = instance(A, SHM, TCP, source="local:/run/eastwest")
NEAR = instance(B, "tcp://10.0.0.2:1", zone="eu")
FAR = instance(C, "tcp://10.0.0.3:1", zone="us")


class Registry:
    """A provider that says what it is told, from the n-th look-up on."""

    source = "fake:"
    is_remote = False

    def __init__(self, *instances: Instance, after: int = 0, problems: tuple[Verdict, ...] = ()):
        self.instances = instances
        self.after = after
        self.problems = problems
        self.looks = 0

    def publish(self, record: Record) -> None: ...

    def withdraw(self, record: Record) -> None: ...

    def published(self, record: Record) -> str:
        return ""

    def state(self, service: str) -> None: ...

    def look_up(self, service: str, *, timeout: float) -> Answer:
        self.looks += 1
        found = tuple(each for each in self.instances if each.service == service)
        return Answer(found if self.looks > self.after else (), self.problems)

    def known(self, *, timeout: float) -> tuple[str, ...]:
        return tuple(each.service for each in self.instances)

    def age_seconds(self) -> float:
        return 0.0

    def close(self) -> None: ...


def finder(registry: Registry) -> Finder:
    return Finder([registry], lambda: Search(("/run/eastwest",), ()), "default")


def request(service: str = "pricing", **where: str) -> Request:
    return Request(service, where, "nearest", "", PATHS)


def connect(
    registry: Registry,
    attempt: Callable[[Candidate, float], str],
    asked: Request | None = None,
    timeout: float = 5.0,
) -> str:
    connector = Connector(finder(registry), attempt, lambda _: None, random.Random(0))
    channel, why = connector.run(asked or request(), timeout)
    assert why.chosen is not None
    return channel


def works(candidate: Candidate, seconds: float) -> str:
    return candidate.address


def refuses(candidate: Candidate, seconds: float) -> str:
    raise Refused("not you", reason="access")


def test_connect_waits_for_the_name_to_appear() -> None:
    registry = Registry(LOCAL, after=3)
    assert connect(registry, works) == SHM
    assert registry.looks == 4


def test_connect_without_time_looks_once() -> None:
    registry = Registry()
    with pytest.raises(ServiceNotFound):
        connect(registry, works, timeout=0.0)
    assert registry.looks == 1


def test_unknown_service_says_what_was_asked_and_what_is_known() -> None:
    with pytest.raises(ServiceNotFound) as caught:
        connect(Registry(LOCAL), works, request("pricng"), timeout=0.0)
    text = str(caught.value)
    for part in ("'pricng'", "'default'", "local:/run/eastwest", "fake:", "known: pricing"):
        assert part in text
    assert "did you mean 'pricing'?" in text
    assert caught.value.explanation.service == "pricng"


def test_instance_that_does_not_fit_is_not_found_and_the_error_says_why() -> None:
    with pytest.raises(ServiceNotFound, match=r"1 of that name did not fit.*color='red'"):
        connect(Registry(LOCAL), works, request(color="red"), timeout=0.0)


def test_refusal_of_everybody_is_refused_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(Refused, match="not you") as caught:
        connect(Registry(LOCAL, FAR), refuses)
    assert caught.value.reason == "access"
    assert {each.check for each in caught.value.explanation.rejected} >= {"access"}
    assert time.monotonic() - began < 2.0


def test_refusal_during_the_look_up_is_refused_and_not_unknown() -> None:
    problem = Verdict("shm", SHM, False, "access", "not on the list", "allow it")
    with pytest.raises(Refused, match="not on the list"):
        connect(Registry(problems=(problem,)), works)


def test_silence_of_everybody_is_unreachable() -> None:
    def silent(candidate: Candidate, seconds: float) -> str:
        raise Unreachable(f"nobody at {candidate.address}")

    with pytest.raises(Unreachable, match="nobody at tcp") as caught:
        connect(Registry(FAR), silent)
    assert not isinstance(caught.value, Refused)


def test_local_listener_that_is_stopped_is_unreachable_and_not_unknown() -> None:
    problem = Verdict("shm", SHM, False, "timeout", "did not answer in time")
    with pytest.raises(Unreachable, match="did not answer in time"):
        connect(Registry(problems=(problem,)), works, timeout=0.0)


def test_local_listener_that_vanished_meanwhile_is_waited_for() -> None:
    answers: list[EastwestError | None] = [Unreachable("stale socket"), None]

    def restarts(candidate: Candidate, seconds: float) -> str:
        error = answers.pop(0)
        if error is not None:
            raise error
        return "new"

    assert connect(Registry(instance(A, SHM)), restarts) == "new"


def test_explanation_of_a_channel_has_every_path() -> None:
    connector = Connector(finder(Registry(LOCAL)), works, lambda _: None, random.Random(0))
    _, why = connector.run(request(), 1.0)
    assert why.chosen is not None and why.chosen.path == "shm"
    assert {each.path for each in why.rejected} == {"tcp", "dpdk"}


def said(service: str = "pricing", name: str = A) -> Said:
    return Said(name, "default", service, "", "{}", 1, 0, 0, 1, 0.001)


def test_explain_chooses_what_connect_would_and_judges_the_others() -> None:
    why = probe(
        finder(Registry(LOCAL, FAR)),
        lambda address, *_: said(name=C if "10.0.0.3" in address else A),
        request(),
        random.Random(0),
    )
    assert why.chosen is not None and why.chosen.address == SHM
    assert [(each.address, each.check) for each in why.rejected[:2]] == [
        (TCP, "order"),
        ("tcp://10.0.0.3:1", "order"),
    ]
    assert "no fabric_network is configured" in str(why)


def test_explain_of_an_unknown_service_chooses_nothing_and_says_what_is_known() -> None:
    why = probe(finder(Registry(LOCAL)), lambda *_: said(), request("prices"), random.Random(0))
    assert why.chosen is None
    assert why.facts["known"] == ("pricing",)


def test_explain_notices_another_service_and_another_instance() -> None:
    why = probe(
        finder(Registry(NEAR, FAR)),
        lambda address, *_: said("orders") if "10.0.0.2" in address else said(name=A),
        request(),
        random.Random(0),
    )
    assert why.chosen is None
    assert {each.check for each in why.rejected} >= {"service", "instance"}


# ------------------------------------------------------------------ health


def test_connects_stop_beginning_with_the_one_that_fails_and_the_verdict_says_why() -> None:
    tried: list[str] = []

    def attempt(candidate: Candidate, seconds: float) -> str:
        tried.append(candidate.address)
        if candidate.instance is NEAR:
            raise Unreachable("connection refused")
        return candidate.address

    connector = Connector(
        finder(Registry(NEAR, FAR)),
        attempt,
        lambda _: None,
        random.Random(0),
        health=Health(Rules(failures=2)),
    )
    zone = replace(request(), zone="eu")
    for _ in range(3):
        _, why = connector.run(zone, 5.0)
    assert tried == [NEAR.addresses[0], FAR.addresses[0]] * 2 + [FAR.addresses[0]]
    (verdict,) = [each for each in why.rejected if each.address == NEAR.addresses[0]]
    assert (verdict.check, verdict.ok) == ("ejected", False)
    assert "s more after 2 failures: connection refused" in verdict.detail
    assert verdict.fix == "check the address, the route and the firewall, and that the server runs"
    (sentence,) = why.facts["ejected"]
    assert sentence == f"{B}: {verdict.detail}"
    assert f"ejected            {B}: ejected for " in str(why)


def ejected(*those: Instance) -> Health:
    health = Health(Rules(failures=1))
    for each in those:
        health.failed(mark_of(each), "connection refused", "start it", time.monotonic())
    return health


def test_error_says_who_was_behind() -> None:
    def nobody(candidate: Candidate, seconds: float) -> str:
        raise Unreachable("connection refused")

    connector = Connector(
        finder(Registry(NEAR, FAR)), nobody, lambda _: None, random.Random(0), health=ejected(NEAR)
    )
    with pytest.raises(Unreachable) as caught:
        connector.run(request(), 1.0)
    assert caught.value.explanation.facts["ejected"][0].startswith(f"{B}: ejected for ")


def test_explain_asks_the_ejected_too_says_so_and_changes_nothing() -> None:
    health = ejected(NEAR)
    for _ in range(2):
        why = probe(
            finder(Registry(NEAR, FAR)),
            lambda address, *_: said(name=C if "10.0.0.3" in address else B),
            replace(request(), zone="eu"),
            random.Random(0),
            health,
        )
        assert why.chosen is not None and why.chosen.address == FAR.addresses[0]
        verdict = why.rejected[0]
        assert (verdict.check, verdict.fix) == ("ejected", "start it")
        assert verdict.detail.startswith("it answered the hello; ejected for ")
        assert len(why.facts["ejected"]) == 1


def test_explain_of_an_ejected_one_that_is_still_silent_has_both() -> None:
    def ask(address: str, *_: object) -> Said:
        if "10.0.0.3" in address:
            return said(name=C)
        raise Unreachable("connection refused")

    why = probe(finder(Registry(NEAR, FAR)), ask, request(), random.Random(0), health=ejected(NEAR))
    verdict = why.rejected[0]
    assert verdict.check == "reach"
    assert verdict.detail.startswith("connection refused; ejected for ")
