"""The DNS provider: its decisions in simulated time, and against a small server of DNS."""

import threading
from collections.abc import Iterator

import dns.rcode
import pytest

from eastwest_discovery import _dns, _dns_state
from eastwest_discovery._dns import Dns
from eastwest_discovery._dns_state import Answer, Name, Place, merged, parse_dns_url
from eastwest_discovery._errors import BadAddress, BadRecord, DiscoveryError, Unavailable
from tests.discovery.dns_server import Server
from tests.discovery.records import make

URL = "dns:{service}.{namespace}.example.org:7400"
NAME = "pricing.default.example.org."


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(_dns, "ASK_SECONDS", 0.5)
    monkeypatch.setattr(_dns_state, "TTL_FLOOR", 0.05)
    monkeypatch.setattr(_dns_state, "RETRY_FIRST_SECONDS", 0.05)
    one = Server()
    yield one
    one.close()


@pytest.fixture
def provider(server: Server) -> Iterator[Dns]:
    one = Dns(URL, resolver=server.address)
    yield one
    one.close()


def tcp(provider: Dns, cursor: bytes = b"", timeout: float = 0) -> set[tuple[str, ...]]:
    update = provider.poll("default", "pricing", cursor, timeout)
    return {each.addresses["tcp"] for each in update.records}


def test_addresses_of_both_families_are_records(provider: Dns, server: Server) -> None:
    server.table[NAME, "A"] = (5, ["10.0.0.1", "10.0.0.2"])
    server.table[NAME, "AAAA"] = (5, ["fd00::1"])
    update = provider.poll("default", "pricing", b"", 0)
    assert update.snapshot and update.complete
    found = {each.addresses["tcp"] for each in update.records}
    assert found == {("10.0.0.1:7400",), ("10.0.0.2:7400",), ("[fd00::1]:7400",)}
    assert all(
        each.instance.startswith("dns-") and len(each.instance) == 20 for each in update.records
    )


def test_ids_are_the_same_in_every_process_and_differ_by_port(server: Server) -> None:
    server.table[NAME, "A"] = (5, ["10.0.0.1"])
    ids = []
    for url in (URL, URL, URL.replace("7400", "7401")):
        one = Dns(url, resolver=server.address)
        ids += [each.instance for each in one.poll("default", "pricing", b"", 0).records]
        one.close()
    assert ids[0] == ids[1] == Place(("10.0.0.1",), 7400).instance != ids[2]


def test_a_change_is_seen_when_the_ttl_is_over(provider: Dns, server: Server) -> None:
    server.table[NAME, "A"] = (0, ["10.0.0.1"])
    cursor = provider.poll("default", "pricing", b"", 0).cursor
    server.table[NAME, "A"] = (0, ["10.0.0.2"])
    update = provider.poll("default", "pricing", cursor, 10)
    assert [each.addresses["tcp"] for each in update.records] == [("10.0.0.2:7400",)]
    assert update.snapshot  # so what is not there is gone


def test_the_same_answer_in_another_order_is_no_change(provider: Dns, server: Server) -> None:
    server.table[NAME, "A"] = (0, ["10.0.0.1", "10.0.0.2"])
    cursor = provider.poll("default", "pricing", b"", 0).cursor
    server.table[NAME, "A"] = (0, ["10.0.0.2", "10.0.0.1", "10.0.0.2"])
    update = provider.poll("default", "pricing", cursor, 0.3)
    assert update.cursor == cursor and not update.snapshot and not update.records
    assert server.asked.count(f"{NAME} A") > 2


def test_a_name_is_not_asked_before_its_ttl_is_over(provider: Dns, server: Server) -> None:
    server.table[NAME, "A"] = (60, ["10.0.0.1"])
    cursor = provider.poll("default", "pricing", b"", 0).cursor
    provider.poll("default", "pricing", cursor, 0.3)
    assert server.asked.count(f"{NAME} A") == 1


def test_no_such_name_is_a_complete_answer(provider: Dns) -> None:
    update = provider.poll("default", "pricing", b"", 0)
    assert (update.records, update.snapshot, update.complete) == ((), True, True)


def test_a_name_that_comes_into_being_is_seen(provider: Dns, server: Server) -> None:
    cursor = provider.poll("default", "pricing", b"", 0).cursor
    server.table[NAME, "A"] = (5, ["10.0.0.1"])
    assert tcp(provider, cursor, 10) == {("10.0.0.1:7400",)}


def test_srv_tells_ports_weights_and_targets(server: Server) -> None:
    server.table["_ew._tcp.pricing.example.org.", "SRV"] = (
        5,
        ["0 30 7001 a.example.org.", "0 0 7002 b.example.org.", "9 5 7003 a.example.org."],
    )
    server.table["a.example.org.", "A"] = (5, ["10.0.0.1"])
    server.table["a.example.org.", "AAAA"] = (5, ["fd00::1"])
    server.table["b.example.org.", "A"] = (5, ["10.0.0.2"])
    provider = Dns("dns:_ew._tcp.{service}.example.org", resolver=server.address)
    found = provider.poll("default", "pricing", b"", 0).records
    provider.close()
    assert {(each.addresses["tcp"], each.weight) for each in found} == {
        (("10.0.0.1:7001", "[fd00::1]:7001"), 30),
        (("10.0.0.2:7002",), 1),
    }


def test_nobody_answers(provider: Dns, server: Server) -> None:
    server.is_silent = True
    with pytest.raises(Unavailable, match=r"pricing\.default\.example\.org.*resolv\.conf"):
        provider.poll("default", "pricing", b"", 0)


def test_a_resolver_that_fails_later_removes_nothing(
    provider: Dns, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.table[NAME, "A"] = (0, ["10.0.0.1"])
    cursor = provider.poll("default", "pricing", b"", 0).cursor
    server.rcode = dns.rcode.SERVFAIL
    with pytest.raises(Unavailable, match="SERVFAIL"):
        for _ in range(100):
            cursor = provider.poll("default", "pricing", cursor, 0.2).cursor
    server.rcode = None
    server.table[NAME, "A"] = (0, ["10.0.0.2"])
    assert tcp(provider, cursor, 10) == {("10.0.0.2:7400",)}
    assert sum("dns_fail" in each.getMessage() for each in caplog.records) == 1


def test_all_services_of_a_namespace_cannot_be_told(provider: Dns) -> None:
    update = provider.poll("default", "", b"", 0)
    assert (update.records, update.snapshot, update.complete) == ((), True, False)


def test_publishing_is_nothing_and_says_so_once(
    provider: Dns, caplog: pytest.LogCaptureFixture
) -> None:
    provider.publish(make())
    provider.withdraw(make().key)
    assert sum("dns_no_publish" in each.getMessage() for each in caplog.records) == 1


def test_a_service_that_cannot_be_is_refused(provider: Dns, server: Server) -> None:
    with pytest.raises(BadRecord, match="Not A Name"):
        provider.poll("default", "Not A Name", b"", 0)
    assert not server.asked


def test_a_name_that_nobody_wants_is_forgotten(
    provider: Dns, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.table[NAME, "A"] = (0, ["10.0.0.1"])
    cursor = provider.poll("default", "pricing", b"", 0).cursor
    monkeypatch.setattr(_dns, "FORGET_SECONDS", 0.0)
    provider.poll("default", "", b"1", 0.3)
    assert not provider._names
    monkeypatch.setattr(_dns, "FORGET_SECONDS", 60.0)
    server.table[NAME, "A"] = (0, ["10.0.0.2"])
    assert tcp(provider, cursor, 10) == {("10.0.0.2:7400",)}


def test_close_ends_a_wait(provider: Dns, server: Server) -> None:
    cursor = provider.poll("default", "pricing", b"", 0).cursor
    timer = threading.Timer(0.1, provider.close)
    timer.start()
    with pytest.raises(DiscoveryError, match="closed"):
        provider.poll("default", "pricing", cursor, 20)
    timer.join()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("dns:", "want dns:NAME"),
        ("dns://h/{service}", "want dns:NAME"),
        ("dns:{service}.x:0", "1..65535"),
        ("dns:{service}.x:70000", "1..65535"),
        ("dns:{service}.x:http", "1..65535"),
        ("dns:fixed.example.org:7400", "want {service}"),
        ("dns:{service}.{zone}.x:1", "want {service}"),
        ("dns:{service!r}.x:1", "want {service}"),
        ("dns:{service.x:1", "expected|want|Single|bracket"),
        ("dns:{}.x:1", "want {service}"),
        ("dns:{service.__class__}.x:1", "want {service}"),
    ],
)
def test_bad_patterns_are_refused(url: str, problem: str) -> None:
    with pytest.raises(BadAddress, match=problem):
        parse_dns_url(url)


# ------------------------------------------------------------------ in simulated time


def test_the_ttl_has_a_floor_and_absence_is_asked_again_at_the_floor() -> None:
    name = Name("default", "pricing")
    place = Place(("10.0.0.1",), 1)
    for answer, due in (
        (Answer((place,), 0.0), 105.0),
        (Answer((place,), 30.0), 130.0),
        (Answer((place,), 1e9), 3700.0),
        (Answer((), float("inf")), 105.0),
    ):
        name.answered(answer, 1, 100.0, 0.0)
        assert name.due == due


def test_failures_wait_longer_and_longer_and_forget_nothing() -> None:
    name = Name("default", "pricing")
    name.answered(Answer((Place(("10.0.0.1",), 1),), 5.0), 1, 0.0, 7.0)
    waits = []
    for _ in range(7):
        name.failed("x", 0.0, 0.0)
        waits.append(name.due)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert len(name.records) == 1 and name.generation == 1


def test_versions_are_the_time_of_the_change() -> None:
    name = Name("default", "pricing")
    place = Place(("10.0.0.1",), 1, 5)
    name.answered(Answer((place,), 5.0), 1, 0.0, 7.0)
    name.answered(Answer((place,), 5.0), 2, 5.0, 12.0)
    assert (name.generation, name.records[0].version) == (1, 7)
    name.answered(Answer((Place(("10.0.0.1",), 1, 6),), 5.0), 3, 10.0, 17.0)
    assert (name.generation, name.records[0].version, name.records[0].weight) == (3, 17, 6)
    name.answered(Answer((place,), 5.0), 4, 10.0, 3.0)
    assert name.records[0].version == 18  # though the clock was set back


def test_duplicates_are_merged() -> None:
    places = [Place(("b", "a", "a"), 1, 3), Place(("a", "b"), 1, 9), Place((), 1), Place(("a",), 0)]
    assert merged(places) == (Place(("a", "b"), 1, 9),)


def test_more_places_than_are_taken_are_not_complete() -> None:
    name = Name("default", "pricing")
    many = tuple(Place((f"10.{n // 256}.{n % 256}.1",), 1) for n in range(1001))
    name.answered(Answer(many, 5.0), 1, 0.0, 7.0)
    assert len(name.records) == 1000 and not name.is_whole
