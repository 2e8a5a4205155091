"""A registry beyond this host as a provider: records from instances, instances from records."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from eastwest import ClosedHere, ConfigurationError, EastwestError, Instance, Unreachable
from eastwest._providers import Remote
from eastwest._providers import _remote as remote_module
from eastwest._providers._base import Record
from eastwest._providers._remote import translated
from eastwest_discovery import _errors as theirs
from eastwest_discovery._record import Key
from eastwest_discovery._record import Record as Published
from eastwest_discovery._union import Entry, View

A = "a" * 32
TCP, DPDK, SHM = "tcp://10.0.0.1:7411", "dpdk://rack/10.7.0.1:7411", "shm:/run/eastwest/x.sock"
HERE = os.uname().nodename


class Client:
    """A source that says what it is told, and keeps what is published."""

    source = "fake://h:1"

    def __init__(self) -> None:
        self.views: dict[str, View] = {}
        self.coming: dict[str, View] = {}  # what an answer brings
        self.looks: list[tuple[str, float]] = []
        self.published_records: list[Published] = []
        self.withdrawn: list[Key] = []
        self.refusal: theirs.DiscoveryError | None = None
        self.is_closed = False

    def publish(self, record: Published) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.published_records.append(record)

    def withdraw(self, key: Key) -> None:
        if self.is_closed:
            raise theirs.DiscoveryError("it was closed")
        self.withdrawn.append(key)

    def view(self, namespace: str, service: str) -> View | None:
        return self.views.get(service)

    def look(self, namespace: str, service: str, timeout: float) -> View:
        if self.is_closed:
            raise theirs.DiscoveryError("it was closed")
        self.looks.append((service, timeout))
        known = self.views.get(service, View())
        self.views[service] = self.coming.get(service, known) if timeout else known
        return self.views[service]

    def states(self, namespace: str, service: str) -> dict[str, str]:
        return {"h:1": "" if self.views.get(service, View()).complete else "no answer yet"}

    def published(self, key: Key) -> dict[str, str]:
        return {"h:1": "", "h:2": "cannot connect"}

    def age_seconds(self) -> float:
        return 7.0

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def remote(client: Client) -> Iterator[Remote]:
    made = Remote("default")
    made.attach(client)
    yield made
    made.close()


def record(*addresses: str, weight: int = 1) -> Record:
    instance = Instance("pricing", A, {"color": "blue"}, "eu", weight, addresses, False, "self")
    return Record(instance, "orders/2", "default")


def published(**more: object) -> Published:
    given: dict[str, object] = {"addresses": {"tcp": ("10.0.0.1:7411",)}, "version": 5, **more}
    return Published(service="pricing", instance=str(given.pop("instance", A)), **given)  # type: ignore[arg-type]


def view(*records: Published, complete: bool = True, confirmed: float | None = None) -> View:
    sources = ("h:1",) if confirmed is None else ()
    return View(tuple(Entry(each, sources, confirmed) for each in records), complete, 1)


# ------------------------------------------------------------------ publish


def test_what_means_something_elsewhere_is_published(remote: Remote, client: Client) -> None:
    remote.publish(record(SHM, DPDK, TCP))
    (made,) = client.published_records
    assert dict(made.addresses) == {"dpdk": ("rack/10.7.0.1:7411",), "tcp": ("10.0.0.1:7411",)}
    assert (made.service, made.instance, made.protocol) == ("pricing", A, "orders/2")
    assert (made.zone, made.weight, dict(made.labels)) == ("eu", 1, {"color": "blue"})
    assert made.host == HERE
    assert "published at 1 of 2 servers; h:2: cannot connect" in remote.published(record(TCP))


def test_version_rises_with_each_change_whatever_the_clock(
    remote: Remote, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([1000, 900, 900])
    monkeypatch.setattr(time, "time_ns", lambda: next(times))
    for weight in (1, 0, 3):
        remote.publish(record(TCP, weight=weight))
    assert [each.version for each in client.published_records] == [1000, 1001, 1002]
    assert [each.weight for each in client.published_records] == [1, 0, 3]


@pytest.mark.parametrize("addresses", [(SHM,), (SHM, "tcp://0.0.0.0:7411"), ("tcp://[::]:7411",)])
def test_instance_without_an_address_for_others_is_not_published(
    remote: Remote, client: Client, addresses: tuple[str, ...]
) -> None:
    remote.publish(record(*addresses))
    assert client.published_records == []
    assert "not published: " in remote.published(record(*addresses))
    remote.withdraw(record(*addresses))
    assert client.withdrawn == []


def test_withdrawn_is_withdrawn_once(remote: Remote, client: Client) -> None:
    remote.publish(record(TCP))
    remote.withdraw(record(TCP))
    remote.withdraw(record(TCP))
    assert client.withdrawn == [client.published_records[0].key]


def test_instance_that_loses_its_addresses_is_withdrawn(remote: Remote, client: Client) -> None:
    remote.publish(record(TCP))
    remote.publish(record(SHM))
    assert client.withdrawn == [client.published_records[0].key]


def test_superseded_record_is_published_again_above_the_other(
    remote: Remote, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_module, "RAISE_SECONDS", 0.01)
    remote.publish(record(TCP))
    (first,) = client.published_records
    theirs_is = first.version + 10**18
    for _ in range(3):  # every server says so
        remote.superseded(first.key, theirs_is)
    deadline = time.monotonic() + 10.0
    while len(client.published_records) < 2 and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    assert client.published_records[1:] == [replace(first, version=theirs_is + 1)]
    remote.publish(record(TCP, weight=0))
    assert client.published_records[2].version == theirs_is + 2


def test_withdrawn_record_is_not_raised_again(remote: Remote, client: Client) -> None:
    remote.publish(record(TCP))
    key = client.published_records[0].key
    remote.superseded(key, 1)
    remote.withdraw(record(TCP))
    remote._raise(key, 1)
    assert len(client.published_records) == 1


def test_end_of_the_context_while_it_is_raised_is_quiet(remote: Remote, client: Client) -> None:
    remote.publish(record(TCP))
    key = client.published_records[0].key
    publish = client.publish

    def ends(record: Published) -> None:
        publish(record)
        remote.close()

    client.publish = ends  # type: ignore[method-assign]
    remote._raise(key, 1)
    assert client.is_closed and client.withdrawn == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (theirs.NotAllowed("may not publish"), ConfigurationError),
        (theirs.LimitReached("1000 records"), ConfigurationError),
        (theirs.BadRecord("too long"), ConfigurationError),
        (theirs.Unavailable("nobody"), Unreachable),
        (theirs.DiscoveryError("it was closed"), ClosedHere),
    ],
)
def test_errors_are_ours_and_name_the_registry(
    remote: Remote, client: Client, error: theirs.DiscoveryError, kind: type[EastwestError]
) -> None:
    client.refusal = error
    with pytest.raises(kind, match=f"^registry fake://h:1: {error}$"):
        remote.publish(record(TCP))
    assert type(translated(error, "x")) is kind
    remote.withdraw(record(TCP))
    assert client.withdrawn == []


def test_labels_that_make_a_record_too_long_are_a_configuration_error(remote: Remote) -> None:
    long = record(TCP)
    labels = {f"k{number}": "x" * 250 for number in range(20)}
    with pytest.raises(ConfigurationError, match="limit 4096; drop labels"):
        remote.publish(replace(long, instance=replace(long.instance, labels=labels)))


# ------------------------------------------------------------------ look up


def test_record_becomes_an_instance(remote: Remote, client: Client) -> None:
    addresses = {"tcp": ("10.0.0.1:7411", "[fd00::1]:7411"), "dpdk": ("rack/10.7.0.1:1",)}
    client.views["pricing"] = view(published(addresses=addresses, zone="eu", weight=3))
    answer = remote.look_up("pricing", timeout=0)
    tcp = ("tcp://10.0.0.1:7411", "tcp://[fd00::1]:7411")
    want = Instance(
        "pricing", A, {}, "eu", 3, ("dpdk://rack/10.7.0.1:1", *tcp), False, "fake://h:1", 0.0, 5
    )
    assert answer.instances == (want,)
    assert answer.complete and not answer.problems


def test_known_name_is_answered_from_memory_without_work(remote: Remote, client: Client) -> None:
    client.views["pricing"] = view(published())
    assert remote.look_up("pricing", timeout=5.0) is remote.look_up("pricing", timeout=5.0)
    assert client.looks == []


def test_first_question_waits_for_its_time_and_a_second_at_most(
    remote: Remote, client: Client
) -> None:
    for service, timeout in (("a", 0.25), ("b", 60.0)):
        remote.look_up(service, timeout=timeout)
    assert client.looks[0] == ("a", 0.25)
    assert client.looks[1][0] == "b" and 0.9 < client.looks[1][1] <= remote_module.FIRST_SECONDS


def test_name_that_nobody_answers_for_is_not_waited_for_again(
    remote: Remote, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_module, "FIRST_SECONDS", 0.0)
    for _ in range(3):
        assert not remote.look_up("pricing", timeout=60.0).complete
    assert [seconds for _, seconds in client.looks] == [0.0] * 3


def test_what_is_on_disk_waits_for_who_knows_better(remote: Remote, client: Client) -> None:
    client.views["pricing"] = View((Entry(published(), (), 0.0),), False, 0)
    client.coming["pricing"] = view(published(weight=9))
    (found,) = remote.look_up("pricing", timeout=1.0).instances
    assert (found.stale, found.weight) == (False, 9)


def test_stale_entries_have_an_age_that_grows(remote: Remote, client: Client) -> None:
    client.views["pricing"] = view(published(), complete=False, confirmed=time.monotonic() - 100)
    ages = []
    for _ in range(2):
        (found,) = remote.look_up("pricing", timeout=0).instances
        ages.append(found.age)
    assert found.stale and 100 <= ages[0] < ages[1] < 200
    state = remote.state("pricing")
    assert (state.instances, state.stale, state.answered, state.complete) == (1, 1, True, False)
    assert "1 instance, 1 of them stale, up to 100 s; h:1: no answer yet" in str(state)


def test_loopback_is_for_its_own_host(remote: Remote, client: Client) -> None:
    there = published(addresses={"tcp": ("127.0.0.1:1", "10.0.0.1:1")}, host=f"not-{HERE}")
    client.views["pricing"] = view(there)
    answer = remote.look_up("pricing", timeout=0)
    assert answer.instances[0].addresses == ("tcp://10.0.0.1:1",)
    assert [(each.check, each.address) for each in answer.problems] == [
        ("address", "tcp://127.0.0.1:1")
    ]
    assert "not-" in answer.problems[0].detail
    for host in (HERE, ""):
        client.views["pricing"] = view(published(addresses=dict(there.addresses), host=host))
        assert len(remote.look_up("pricing", timeout=0).instances[0].addresses) == 2


@pytest.mark.parametrize("address", ["0.0.0.0:1", "10.0.0.1", "10.0.0.1:0", "somewhere:80"])
def test_address_that_cannot_be_dialled_is_left_out_with_the_reason(
    remote: Remote, client: Client, address: str
) -> None:
    client.views["pricing"] = view(published(addresses={"tcp": (address,), "shm": ("/x",)}))
    answer = remote.look_up("pricing", timeout=0)
    assert answer.instances == ()
    assert [each.address for each in answer.problems] == [f"tcp://{address}"]


def test_instance_of_dns_is_known_by_its_hello_only(remote: Remote, client: Client) -> None:
    client.views["pricing"] = view(published(instance="dns-0123456789abcdef"))
    (found,) = remote.look_up("pricing", timeout=0).instances
    assert (found.id, found.version) == ("", 0)


def test_names_and_age_come_from_the_client(remote: Remote, client: Client) -> None:
    client.coming[""] = view(published(), replace(published(), service="orders", instance="b"))
    assert remote.known(timeout=1.0) == ("orders", "pricing")
    assert remote.age_seconds() == 7.0


def test_question_after_the_end_is_closed_here(remote: Remote) -> None:
    remote.close()
    with pytest.raises(ClosedHere, match="it was closed"):
        remote.look_up("pricing", timeout=1.0)
