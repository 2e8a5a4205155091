"""Asking several sources: who is waited for, what is proven, and what is told to registries."""

import random
import threading
import time
from dataclasses import replace

import pytest

from eastwest import ConfigurationError, Instance, Refused, ServiceNotFound, Unreachable
from eastwest._connect import Connector, Request
from eastwest._find import Finder
from eastwest._providers import Answer
from eastwest._providers._base import Record
from eastwest._publish import Publisher
from eastwest._rundir import Search
from eastwest._select import Pick, merge
from eastwest._values import PATHS, Registry

A, B = "a" * 32, "b" * 32
SHM, TCP, OTHER = "shm:/run/eastwest/x.sock", "tcp://10.0.0.1:1", "tcp://10.0.0.2:1"


def instance(id: str = A, *addresses: str, **more: object) -> Instance:
    base = Instance("pricing", id, {}, "", 1, addresses or (TCP,), False, "zmq://h:1")
    return replace(base, **more)  # type: ignore[arg-type]


class Source:
    """A source that answers at once, or when it is waited for long enough."""

    def __init__(self, name: str, *instances: Instance, complete: bool = True) -> None:
        self.source = name
        self.is_remote = not name.startswith("local:")
        self.answer = Answer(instances, complete=complete)
        self.needs_seconds = 0.0
        self.waits: list[float] = []
        self.told: list[Record | None] = []
        self.refusal: ConfigurationError | None = None

    def publish(self, record: Record) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.told.append(record)

    def published(self, record: Record) -> str:
        return f"{self.source}: weight {record.instance.weight}" if self.is_remote else ""

    def withdraw(self, record: Record) -> None:
        self.told.append(None)

    def look_up(self, service: str, *, timeout: float) -> Answer:
        self.waits.append(timeout)
        return self.answer if timeout >= self.needs_seconds else Answer((), complete=False)

    def state(self, service: str) -> Registry | None:
        if not self.is_remote:
            return None
        servers = {"h:1": "" if self.answer.complete else "cannot connect"}
        return Registry(self.source, self.answer.complete, self.answer.complete, servers=servers)

    def known(self, *, timeout: float) -> tuple[str, ...]:
        return tuple(each.service for each in self.answer.instances)

    def age_seconds(self) -> float:
        return 0.0

    def close(self) -> None: ...


def finder(*sources: Source) -> Finder:
    return Finder(sources, lambda: Search(("/run/eastwest",), ()), "default")


def connect(
    *sources: Source,
    where: dict[str, str] | None = None,
    pick: Pick = "nearest",
    timeout: float = 0.0,
) -> object:
    connector = Connector(
        finder(*sources), lambda c, _: c.address, lambda _: None, random.Random(0)
    )
    return connector.run(Request("pricing", where or {}, pick, "", PATHS), timeout)[0]


# ------------------------------------------------------------------ who is waited for


def test_registry_is_waited_for_when_nothing_is_nearer() -> None:
    slow = Source("zmq://h:1", instance())
    slow.needs_seconds = 0.05
    assert connect(Source("local:"), slow, timeout=5.0) == TCP
    assert slow.waits[0] == 0 and slow.waits[1] > 0.05


def test_nobody_waits_for_a_registry_who_has_an_instance_here() -> None:
    slow = Source("zmq://h:1", instance(B))
    slow.needs_seconds = 0.05
    assert connect(Source("local:", instance(A, SHM)), slow) == SHM
    assert slow.waits == [0]


def test_stale_instance_is_no_reason_not_to_wait() -> None:
    slow = Source("zmq://h:1", instance(B, OTHER))
    slow.needs_seconds = 0.05
    old = Source("etcd://h", instance(A, TCP, stale=True), complete=False)
    assert connect(old, slow, timeout=5.0) == OTHER


@pytest.mark.parametrize("choosy", [{"where": {}}, {"pick": "spread"}, {"where": {"a": "b"}}])
def test_who_is_choosy_waits_for_everybody(choosy: dict[str, object]) -> None:
    slow = Source("zmq://h:1", instance(B, OTHER, labels={"a": "b"}))
    slow.needs_seconds = 0.05
    connect(Source("local:", instance(A, SHM, labels={"a": "b"})), slow, **choosy)  # type: ignore[arg-type]
    assert len(slow.waits) == (1 if choosy == {"where": {}} else 2)


# ------------------------------------------------------------------ what is proven


def test_not_found_needs_a_complete_answer_of_everybody() -> None:
    with pytest.raises(ServiceNotFound):
        connect(Source("local:"), Source("zmq://h:1"), Source("etcd://h"))


def test_one_source_that_could_not_be_asked_makes_it_unknown() -> None:
    dead = Source("zmq://h:1", complete=False)
    with pytest.raises(Unreachable) as caught:
        connect(Source("local:"), dead, Source("etcd://h"))
    assert not isinstance(caught.value, ServiceNotFound)
    text = str(caught.value)
    assert "nobody could be asked whether service 'pricing' is in namespace 'default'" in text
    assert "zmq://h:1 (h:1: cannot connect); it is not in local:/run/eastwest, etcd://h" in text
    assert "EASTWEST_REGISTRY" in text
    (dead_state, good) = caught.value.explanation.facts["registries"]
    assert (dead_state.complete, good.complete) == (False, True)


def test_who_has_answered_once_has_answered() -> None:
    source = Source("zmq://h:1")
    asked = finder(source)
    first = asked.look_up("pricing", 0.0)
    source.answer = Answer((), complete=False)
    assert asked.look_up("pricing", 0.0, before=first).unproven == frozenset()
    assert asked.look_up("pricing", 0.0).unproven == {"zmq://h:1"}


def test_service_that_only_drains_is_waited_for_and_then_refused() -> None:
    source = Source("zmq://h:1", instance(weight=0))
    with pytest.raises(Refused, match="it is going away") as caught:
        connect(source)
    assert caught.value.reason == "draining"
    timer = threading.Timer(0.05, lambda: setattr(source, "answer", Answer((instance(B, OTHER),))))
    timer.start()
    assert connect(source, timeout=5.0) == OTHER
    timer.join()


# ------------------------------------------------------------------ merge


def test_highest_version_counts_and_the_older_only_vouches_for_it() -> None:
    old = instance(A, TCP, version=4, weight=1, source="zmq://h:1")
    new = instance(A, OTHER, version=5, weight=0, source="etcd://h", stale=True, age=9.0)
    want = replace(new, stale=False, age=0.0, source="etcd://h, zmq://h:1")
    for order in ((old, new), (new, old)):
        assert merge(order) == (want,)


def test_same_version_of_two_sources_is_one_with_both() -> None:
    one, two = instance(version=4), instance(version=4, source="etcd://h", stale=True, age=9.0)
    (found,) = merge((two, one))
    assert (found.stale, found.age) == (False, 0.0)
    assert set(found.source.split(", ")) == {"zmq://h:1", "etcd://h"}


def test_what_the_instance_says_itself_counts_before_registries() -> None:
    here = instance(A, SHM, TCP, source="local:/run", weight=0)
    there = instance(A, TCP, version=9, weight=5, stale=True, age=3.0)
    (found,) = merge((there, here))
    assert (found.weight, found.stale, found.age, found.version) == (0, False, 0.0, 9)


@pytest.mark.parametrize("owner", [instance(A, SHM, TCP), instance(A, TCP, version=3), instance()])
def test_address_of_dns_belongs_to_who_publishes_it(owner: Instance) -> None:
    nameless = instance("", TCP, source="dns:{service}.x:1")
    (found,) = merge((nameless, owner))
    assert found.id == A and found.addresses == owner.addresses
    assert len(merge((instance("", OTHER), owner))) == 2


# ------------------------------------------------------------------ publish


def record(weight: int = 1) -> Record:
    return Record(instance(weight=weight), "", "default")


def test_refused_publication_leaves_nothing_with_the_others() -> None:
    first, second = Source("zmq://h:1"), Source("etcd://h")
    second.refusal = ConfigurationError("may not")
    publisher = Publisher((first, second))
    with pytest.raises(ConfigurationError, match="may not"):
        publisher.publish("listener", record())
    assert first.told == [record(), None]
    assert publisher.published("listener") == ()
    assert not publisher.change("listener", instance(weight=0))


def test_change_is_told_to_all_though_one_refuses(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Source("zmq://h:1"), Source("etcd://h")
    publisher = Publisher((Source("local:"), first, second))
    publisher.publish("listener", record())
    first.refusal = ConfigurationError("full")
    assert publisher.change("listener", instance(weight=0))
    assert second.told == [record(), record(weight=0)]
    assert "publish_fail" in caplog.text and "full" in caplog.text
    assert publisher.published("listener") == ("zmq://h:1: weight 0", "etcd://h: weight 0")


def test_withdrawn_while_it_is_published_stays_withdrawn() -> None:
    slow = Source("zmq://h:1")
    entered, go_on = threading.Event(), threading.Event()
    publish = slow.publish

    def late(record: Record) -> None:
        entered.set()
        go_on.wait(10.0)
        publish(record)

    slow.publish = late  # type: ignore[method-assign]
    publisher = Publisher((slow,))
    thread = threading.Thread(target=publisher.publish, args=("listener", record()))
    thread.start()
    assert entered.wait(10.0)
    began = time.monotonic()
    publisher.withdraw("listener")
    assert time.monotonic() - began < 1.0  # it waits for nobody
    go_on.set()
    thread.join()
    assert slow.told[-1] is None
