"""What a server answers, without its sockets and in simulated time."""

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest_discovery import _registry
from eastwest_discovery import registry_pb2 as pb
from eastwest_discovery._access import Access, Grant
from eastwest_discovery._leases import Limits
from eastwest_discovery._record import Key, decode
from eastwest_discovery._registry import Registry
from tests.discovery.records import make

BOOT = b"bootboot"
ROUTE, NUMBER = b"route", b"12345678"
ACCESS = Access(
    {
        "K1": Grant("one", ("default/*",), ("default/*",)),
        "K2": Grant("two", ("secret/*",), ("secret/*",)),
        "K3": Grant("three", ("default/pricing",), ("default/pricing",)),
    }
)


def fresh(access: Access | None = None, limits: Limits | None = None) -> Registry:
    return Registry(BOOT, 0.0, access=access, limits=limits)


def ask(registry: Registry, request: pb.Request, key: str | None = None) -> pb.Answer | None:
    request.protocol = request.protocol or 1
    answer = registry.request(key, ROUTE, NUMBER, request.SerializeToString())
    return None if answer is None else pb.Answer.FromString(answer)


def answered(registry: Registry, request: pb.Request, key: str | None = None) -> pb.Answer:
    answer = ask(registry, request, key)
    assert answer is not None
    assert (answer.protocol, answer.boot) == (1, BOOT)
    return answer


def put(instance: str = "a", version: int = 1, **more: str) -> pb.Request:
    return pb.Request(put=pb.Put(record=make(instance, version, **more).encode()))  # type: ignore[arg-type]


def poll(service: str = "pricing", namespace: str = "default", **more: int | bytes) -> pb.Request:
    return pb.Request(poll=pb.Poll(namespace=namespace, service=service, **more))  # type: ignore[arg-type]


def after(answer: pb.Answer, *, wait_ms: int = 60_000, service: str = "pricing") -> pb.Request:
    """The poll that goes on from an answer."""
    changes = answer.changes
    return poll(
        service,
        boot=answer.boot,
        revision=changes.revision,
        base=changes.base,
        wait_ms=wait_ms,
    )


def letters(registry: Registry, now: float) -> list[pb.Answer]:
    registry.tick(now)
    found = list(registry.letters())
    assert all(letter[:2] == (ROUTE, NUMBER) for letter in found)
    return [pb.Answer.FromString(body) for _, _, body in found]


def run(registry: Registry, now: float, until: float) -> list[pb.Answer]:
    found = []
    while now < until:
        now += 0.5
        found += letters(registry, now)
    return found


def test_put_is_polled() -> None:
    registry = fresh()
    assert answered(registry, put()).held == pb.Held(outcome="stored", version=1)
    assert answered(registry, put()).held == pb.Held(outcome="renewed", version=1)
    answer = answered(registry, poll())
    assert answer.changes.snapshot and not answer.complete
    assert [decode(each) for each in answer.changes.records] == [make()]


def test_poll_waits_for_a_change() -> None:
    registry = fresh()
    first = answered(registry, poll(wait_ms=60_000))
    assert ask(registry, after(first)) is None
    assert ask(registry, after(first, service="")) is None
    assert letters(registry, 0.5) == []
    answered(registry, put("other", service="other"))
    assert len(letters(registry, 0.6)) == 1  # who waits for the namespace
    answered(registry, put())
    (answer,) = letters(registry, 0.7)
    assert [decode(each) for each in answer.changes.records] == [make()]
    assert letters(registry, 0.8) == []


def test_poll_is_told_of_withdrawal_and_end() -> None:
    registry = fresh()
    answered(registry, put("a"))
    answered(registry, put("b"))
    first = answered(registry, poll())
    withdraw = pb.Withdraw(namespace="default", service="pricing", instance="a", version=1)
    assert answered(registry, pb.Request(withdraw=withdraw)).held.outcome == "withdrawn"
    answer = answered(registry, after(first))
    assert [each.instance for each in answer.changes.gone] == ["a"]
    assert ask(registry, after(answer)) is None
    found = run(registry, 0.0, 15.5)
    assert [gone.instance for each in found for gone in each.changes.gone] == ["b"]


def test_poll_waits_25_seconds_at_most_and_is_then_answered() -> None:
    registry = fresh()
    run(registry, 0.0, 20.0)
    first = answered(registry, poll())
    assert ask(registry, after(first, wait_ms=2**32 - 1)) is None
    assert run(registry, 20.0, 44.9) == []
    (answer,) = run(registry, 45.0, 45.6)
    assert answer.complete and not answer.changes.records


def test_waiting_polls_are_told_when_answers_become_complete() -> None:
    registry = fresh()
    first = answered(registry, poll())
    assert not first.complete
    ask(registry, after(first))
    (answer,) = run(registry, 0.0, 15.5)
    assert answer.complete


def test_poll_of_an_earlier_start_gets_a_snapshot() -> None:
    registry = fresh()
    answered(registry, put())
    answer = answered(registry, poll(boot=b"other", revision=1, base=1, wait_ms=1000))
    assert answer.changes.snapshot
    answer = answered(registry, poll(boot=BOOT, revision=2, base=2, wait_ms=1000))
    assert answer.changes.snapshot


def test_namespaces_do_not_see_each_other() -> None:
    registry = fresh(ACCESS)
    assert answered(registry, put(), "K1").held.outcome == "stored"
    assert answered(registry, put("s", namespace="secret"), "K2").held.outcome == "stored"
    for request in (
        poll(namespace="secret"),
        poll("", "secret"),
        put("s", 2, namespace="secret"),
        pb.Request(withdraw=pb.Withdraw(namespace="secret", service="pricing", instance="s")),
    ):
        answer = answered(registry, request, "K1")
        assert answer.problem == pb.NOT_ALLOWED
        assert "client 'one' may not" in answer.text and "secret/" in answer.text
        assert answer.WhichOneof("what") is None
    records = answered(registry, poll(""), "K1").changes.records
    assert [decode(each).instance for each in records] == ["a"]


def test_right_to_a_service_is_none_to_its_namespace() -> None:
    registry = fresh(ACCESS)
    assert answered(registry, poll(), "K3").problem == pb.NONE
    assert answered(registry, poll(""), "K3").problem == pb.NOT_ALLOWED
    assert answered(registry, put(service="other"), "K3").problem == pb.NOT_ALLOWED


def test_unknown_key_may_nothing_and_no_key_neither() -> None:
    registry = fresh(ACCESS)
    for key in ("K9", None):
        assert answered(registry, poll(), key).problem == pb.NOT_ALLOWED
        assert answered(registry, pb.Request(status=True), key).problem == pb.NOT_ALLOWED


def test_revoked_client_is_told_and_the_others_go_on() -> None:
    registry = fresh(ACCESS)
    for key in ("K1", "K3"):
        ask(registry, after(answered(registry, poll(), key)), key)
    left = Access({"K1": ACCESS.grants["K1"]})
    told = [pb.Answer.FromString(body).problem for _, _, body in registry.set_access(left)]
    assert sorted(told) == [pb.NONE, pb.NOT_ALLOWED]
    assert answered(registry, poll(), "K3").problem == pb.NOT_ALLOWED


def test_other_protocol_version_is_told_which() -> None:
    answer = answered(fresh(), pb.Request(protocol=2, status=True))
    assert answer.problem == pb.BAD_PROTOCOL
    assert "version 2" in answer.text


BAD = [
    (pb.Request(), "nothing this server knows"),
    (pb.Request(put=pb.Put(record=b"\xff")), "not a record"),
    (pb.Request(put=pb.Put(record=bytes(4097))), "4097 bytes, limit 4096"),
    (pb.Request(put=pb.Put()), "namespace ''"),
    (poll("A"), "service name 'A'"),
    (poll(namespace=""), "namespace ''"),
    (pb.Request(withdraw=pb.Withdraw(namespace="a", service="b")), "instance ''"),
    (
        pb.Request(withdraw=pb.Withdraw(namespace="a", service="b", instance="c", ttl=9999)),
        "ttl 9999",
    ),
]


@pytest.mark.parametrize(("request_", "text"), BAD)
def test_bad_request_is_named(request_: pb.Request, text: str) -> None:
    registry = fresh()
    answer = answered(registry, request_)
    assert answer.problem == pb.BAD_REQUEST
    assert text in answer.text
    assert registry.numbers()["refused_request_total"] == 1
    assert registry.leases.all.records == registry.leases.dead == 0


@given(st.binary(max_size=200))
def test_garbage_is_dropped_or_refused(garbage: bytes) -> None:
    registry = fresh()
    answer = registry.request(None, ROUTE, NUMBER, garbage)
    if answer is None:
        assert registry.numbers()["garbage_total"] == 1
    else:
        assert pb.Answer.FromString(answer).problem in (pb.BAD_PROTOCOL, pb.BAD_REQUEST)


def test_limits_are_told() -> None:
    registry = fresh(limits=Limits(records_per_client=1, polls_per_client=1))
    answered(registry, put("a"))
    answer = answered(registry, put("b"))
    assert answer.problem == pb.LIMIT_REACHED and "limit of this server, 1" in answer.text
    first = answered(registry, poll())
    assert ask(registry, after(first)) is None
    answer = answered(registry, after(first))
    assert answer.problem == pb.LIMIT_REACHED and "waiting polls" in answer.text
    assert registry.numbers()["refused_limit_total"] == 2


def test_same_answer_is_made_once_and_not_kept_over_a_change() -> None:
    registry = fresh()
    answered(registry, put("a"))
    body = poll().SerializeToString()
    request = pb.Request(protocol=1, poll=pb.Poll.FromString(poll().poll.SerializeToString()))
    body = request.SerializeToString()
    one = registry.request(None, ROUTE, NUMBER, body)
    assert registry.request(None, ROUTE, NUMBER, body) is one
    answered(registry, put("b"))
    two = answered(registry, poll())
    assert len(two.changes.records) == 2


def test_refusals_are_logged_once_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "eastwest_discovery")
    registry = fresh(ACCESS)
    for _ in range(5):
        answered(registry, poll("", "secret"), "K1")
    assert [r.getMessage().split()[:3] for r in caplog.records] == [
        ["refuse", "client=one", "problem=NotAllowed"]
    ]
    registry.tick(_registry.TOLD_SECONDS)
    answered(registry, poll("", "secret"), "K1")
    assert sum(r.getMessage().startswith("refuse") for r in caplog.records) == 2


def test_status_has_the_numbers() -> None:
    registry = fresh()
    answered(registry, put())
    numbers = answered(registry, pb.Request(status=True)).status.numbers
    assert numbers["records"] == numbers["stored_total"] == numbers["services"] == 1
    assert numbers["record_bytes"] == len(make().encode())


def test_numbers_may_be_asked_for_by_another_thread_while_services_come() -> None:
    # catches: the thread of the metrics died of a dictionary that grew while it counted
    registry = fresh()
    for number in range(2000):
        registry.leases.delete(Key("default", f"s{number}", "a"), 1)
    is_over = threading.Event()
    errors: list[RuntimeError] = []

    def ask() -> None:
        while not is_over.is_set():
            try:
                registry.numbers()
            except RuntimeError as error:
                errors.append(error)
                return

    thread = threading.Thread(target=ask)
    thread.start()
    for number in range(2000, 12_000):
        registry.leases.delete(Key("default", f"s{number}", "a"), 1)
    is_over.set()
    thread.join()
    assert not errors
