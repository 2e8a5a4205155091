"""The etcd provider against real etcd: one member, shared by the tests of this file."""

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eastwest_discovery._errors import BadAddress, DiscoveryError, Unavailable
from eastwest_discovery._etcd import Etcd
from eastwest_discovery._etcd_address import parse_etcd_url
from eastwest_discovery._etcd_gateway import Gateway
from eastwest_discovery._etcd_tenancy import Ask, Seen, Step
from eastwest_discovery._record import Key, Record
from tests.discovery.etcd_cluster import Cluster, Member, needs_etcd, running

pytestmark = needs_etcd


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("etcd"), 1) as one:
        yield one


@pytest.fixture
def member(cluster: Cluster) -> Member:
    return cluster.members[0]


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return f"/{request.node.name}"


@pytest.fixture
def connect(cluster: Cluster, prefix: str) -> Iterator[Callable[[], Etcd]]:
    made: list[Etcd] = []

    def make() -> Etcd:
        made.append(Etcd(cluster.url.removesuffix("/eastwest") + prefix))
        return made[-1]

    yield make
    for each in made:
        each.close()


def record(
    instance: str = "i1", version: int = 1, *, service: str = "pricing", **more: int
) -> Record:
    return Record(service=service, instance=instance, version=version, **more)  # type: ignore[arg-type]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def put(member: Member, key: str, value: str) -> None:
    member.ask("/v3/kv/put", {"key": b64(key), "value": b64(value)})


def test_what_is_published_is_in_the_snapshot(connect: Callable[[], Etcd]) -> None:
    etcd = connect()
    etcd.publish(record())
    update = connect().poll("default", "pricing", b"", 0)
    assert update.records == (record(),)
    assert update.snapshot and update.complete and not update.gone


def test_a_service_sees_its_own_records_only(connect: Callable[[], Etcd]) -> None:
    etcd = connect()
    for service in ("pricing", "pricing.eu", "pricing-2", "pricinh"):
        etcd.publish(record(service=service))
    etcd.publish(Record(namespace="other", service="pricing", instance="x", version=1))
    assert len(etcd.poll("default", "pricing", b"", 0).records) == 1
    assert len(etcd.poll("default", "", b"", 0).records) == 4


def test_a_change_ends_the_wait(connect: Callable[[], Etcd]) -> None:
    etcd, watcher = connect(), connect()
    first = watcher.poll("default", "pricing", b"", 0)
    timer = threading.Timer(0.1, etcd.publish, [record()])
    timer.start()
    update = watcher.poll("default", "pricing", first.cursor, 10)
    timer.join()
    assert update.records == (record(),) and not update.snapshot


def test_updates_follow_each_other_over_one_watch(connect: Callable[[], Etcd]) -> None:
    etcd, watcher = connect(), connect()
    cursor = watcher.poll("default", "pricing", b"", 0).cursor
    for version in range(1, 6):
        etcd.publish(record(version=version))
        update = watcher.poll("default", "pricing", cursor, 10)
        assert [each.version for each in update.records] == [version]
        cursor = update.cursor
    etcd.withdraw(record().key)
    assert watcher.poll("default", "pricing", cursor, 10).gone == (record().key,)


def test_nothing_new_is_an_empty_update(connect: Callable[[], Etcd]) -> None:
    etcd = connect()
    cursor = etcd.poll("default", "pricing", b"", 0).cursor
    update = etcd.poll("default", "pricing", cursor, 0.05)
    assert (update.records, update.gone, update.snapshot) == ((), (), False)


def test_an_older_version_does_not_replace_a_newer_one(
    connect: Callable[[], Etcd], caplog: pytest.LogCaptureFixture
) -> None:
    new, old = connect(), connect()
    new.publish(record(version=7))
    old.publish(record(version=3))
    assert "publish_superseded record=default/pricing/i1 version=3 held=7" in caplog.text
    assert new.poll("default", "pricing", b"", 0).records == (record(version=7),)


def test_a_newer_version_replaces_that_of_another_owner(connect: Callable[[], Etcd]) -> None:
    first, second = connect(), connect()
    first.publish(record(version=1))
    second.publish(record(version=2))
    first.close()  # withdraws its own only
    assert second.poll("default", "pricing", b"", 0).records == (record(version=2),)


def test_what_has_changed_since_it_was_looked_at_is_not_put_over(
    connect: Callable[[], Etcd],
) -> None:
    etcd = connect()
    etcd.publish(record(version=7))
    lease = etcd._keeper._grant(15).lease
    for step in (Step.PUT, Step.ERASE):
        late = Ask(step, record(version=3), lease, lease, Seen(None, 0, 0, 0, -1))
        assert etcd._keeper._answer(late) is False
    assert etcd.poll("default", "pricing", b"", 0).records == (record(version=7),)


def test_an_older_version_does_not_raise_the_dead(connect: Callable[[], Etcd]) -> None:
    etcd, other = connect(), connect()
    etcd.publish(record(version=5))
    etcd.withdraw(record().key)
    other.publish(record(version=5))
    assert other.poll("default", "pricing", b"", 0).records == ()
    other.publish(record(version=6))
    assert other.poll("default", "pricing", b"", 0).records == (record(version=6),)


def test_withdrawing_twice_or_what_never_was_is_no_error(connect: Callable[[], Etcd]) -> None:
    etcd = connect()
    etcd.withdraw(Key("default", "pricing", "never"))
    etcd.publish(record())
    etcd.withdraw(record().key)
    etcd.withdraw(record().key)


def test_close_withdraws(connect: Callable[[], Etcd]) -> None:
    etcd, watcher = connect(), connect()
    etcd.publish(record())
    etcd.close()
    assert watcher.poll("default", "pricing", b"", 0).records == ()
    with pytest.raises(DiscoveryError, match="closed"):
        etcd.publish(record(version=2))


def test_close_ends_a_wait(connect: Callable[[], Etcd]) -> None:
    etcd = connect()
    cursor = etcd.poll("default", "pricing", b"", 0).cursor
    timer = threading.Timer(0.1, etcd.close)
    timer.start()
    with pytest.raises(DiscoveryError, match="closed"):
        etcd.poll("default", "pricing", cursor, 20)
    timer.join()


def test_a_lease_is_renewed(connect: Callable[[], Etcd]) -> None:
    etcd, watcher = connect(), connect()
    etcd.publish(record(ttl=1))
    cursor = watcher.poll("default", "pricing", b"", 0).cursor
    update = watcher.poll("default", "pricing", cursor, 2.5)
    assert (update.records, update.gone) == ((), ())


def test_a_revoked_lease_is_replaced(connect: Callable[[], Etcd], member: Member) -> None:
    etcd, watcher = connect(), connect()
    etcd.publish(record(ttl=3))
    cursor = watcher.poll("default", "pricing", b"", 0).cursor
    for each in member.ask("/v3/lease/leases")["leases"]:
        member.ask("/v3/lease/revoke", {"ID": each["ID"]})
    gone = watcher.poll("default", "pricing", cursor, 5)
    assert gone.gone == (record().key,)
    back = watcher.poll("default", "pricing", gone.cursor, 5)
    assert back.records == (record(ttl=3),)


OWNER = """
import sys, time
from eastwest_discovery._etcd import Etcd
from eastwest_discovery._etcd_address import parse_etcd_url
from eastwest_discovery._etcd_gateway import Gateway
from eastwest_discovery._record import Record
etcd = Etcd(sys.argv[1])
etcd.publish(Record(service="pricing", instance="i1", version=1, ttl=1))
print("there", flush=True)
sys.stdin.read()
"""


def test_a_stopped_owner_runs_out_and_comes_back(
    connect: Callable[[], Etcd], cluster: Cluster, prefix: str
) -> None:
    url = cluster.url.removesuffix("/eastwest") + prefix
    watcher = connect()
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "discovery"},
    )
    try:
        assert owner.stdout is not None and owner.stdout.readline() == b"there\n"
        cursor = watcher.poll("default", "pricing", b"", 0).cursor
        owner.send_signal(signal.SIGSTOP)
        gone = watcher.poll("default", "pricing", cursor, 10)
        assert gone.gone == (record().key,)
        owner.send_signal(signal.SIGCONT)
        back = watcher.poll("default", "pricing", gone.cursor, 10)
        assert back.records == (record(ttl=1),)
    finally:
        owner.kill()
        owner.communicate()


def test_compaction_leads_to_a_snapshot(connect: Callable[[], Etcd], member: Member) -> None:
    etcd, watcher = connect(), connect()
    cursor = watcher.poll("default", "pricing", b"", 0).cursor
    etcd.publish(record(version=1))
    etcd.publish(record(version=2))
    put(member, "/unrelated", "1")
    revision = member.ask("/v3/kv/range", {"key": b64("/unrelated")})["header"]["revision"]
    member.ask("/v3/kv/compaction", {"revision": revision, "physical": True})
    update = connect().poll("default", "pricing", cursor, 5)
    assert update.snapshot and update.records == (record(version=2),)


def test_a_cursor_from_the_future_leads_to_a_snapshot(connect: Callable[[], Etcd]) -> None:
    etcd = connect()
    etcd.publish(record())
    cluster_id = etcd.poll("default", "pricing", b"", 0).cursor.partition(b":")[0]
    assert etcd.poll("default", "pricing", cluster_id + b":999999999", 5).snapshot


@pytest.mark.parametrize("cursor", [b"1:1", b"x", b"1:", b":1", b"-1:5", b"1:" + b"9" * 100])
def test_a_foreign_cursor_leads_to_a_snapshot(connect: Callable[[], Etcd], cursor: bytes) -> None:
    assert connect().poll("default", "pricing", cursor, 5).snapshot


def test_values_that_are_no_records_are_skipped_and_told_once(
    connect: Callable[[], Etcd], member: Member, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    etcd = connect()
    etcd.publish(record())
    put(member, f"{prefix}/default/pricing/bad", "\x01garbage")
    put(member, f"{prefix}/default/pricing/i9", record("i8").encode().decode())
    put(member, f"{prefix}/default/pricing/a/b", "")
    for _ in range(2):
        assert etcd.poll("default", "pricing", b"", 0).records == (record(),)
    told = [each.getMessage() for each in caplog.records if "etcd_skip" in each.getMessage()]
    assert len(told) == 3
    assert any("i9" in each and "default/pricing/i8" in each for each in told)


def test_a_record_that_becomes_garbage_is_gone(
    connect: Callable[[], Etcd], member: Member, prefix: str
) -> None:
    etcd = connect()
    etcd.publish(record())
    cursor = etcd.poll("default", "pricing", b"", 0).cursor
    put(member, f"{prefix}/default/pricing/i1", "\x01garbage")
    assert etcd.poll("default", "pricing", cursor, 5).gone == (record().key,)


def test_a_snapshot_of_many_pages(connect: Callable[[], Etcd], member: Member, prefix: str) -> None:
    key, changes = f"{prefix}/default/pricing/", []
    for n in range(1100):
        value = base64.b64encode(record(f"i{n:04}").encode()).decode()
        changes.append({"request_put": {"key": b64(f"{key}i{n:04}"), "value": value}})
    for n in range(0, len(changes), 100):
        member.ask("/v3/kv/txn", {"success": changes[n : n + 100]})
    update = connect().poll("default", "pricing", b"", 0)
    assert [each.instance for each in update.records] == [f"i{n:04}" for n in range(1100)]


def test_answers_that_are_too_large_are_asked_for_in_smaller_pages(
    connect: Callable[[], Etcd], member: Member, prefix: str
) -> None:
    for n in range(12):
        put(member, f"{prefix}/default/pricing/big{n}", "x" * 1_000_000)
    etcd = connect()
    etcd.publish(record("zz"))
    assert etcd.poll("default", "pricing", b"", 0).records == (record("zz"),)


def test_nobody_there_names_the_member_and_the_way_out(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"etcd://127.0.0.1:{taken.getsockname()[1]}/x"
        etcd = Etcd(url)
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+ .*refused.*do they run"):
            etcd.poll("default", "pricing", b"", 0)
        etcd.publish(record())
        assert "etcd_put_fail" in caplog.text and "refused" in caplog.text
        etcd.close()


def test_what_is_not_etcd_is_told_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        thread = threading.Thread(target=serve)
        thread.start()
        etcd = Etcd(f"etcd://127.0.0.1:{server.getsockname()[1]}")
        try:
            with pytest.raises(Unavailable, match=r"hello.*not etcd's gateway"):
                etcd.poll("default", "pricing", b"", 0)
            with pytest.raises(Unavailable, match="without chunks"):
                etcd.poll("default", "pricing", b"1:1", 0)
        finally:
            stop.set()
            socket.create_connection(server.getsockname()).close()
            thread.join()
            etcd.close()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("etcd:///x", "no HOST"),
        ("etcd://h:0/x", "no HOST"),
        ("etcd://h:99999", "no HOST"),
        ("etcd://h1,,h2", "no HOST"),
        ("etcd://u:p@h1/x", "want etcd://"),
        ("http://h1", "want etcd://"),
        ("etcd://h1/?colour=red", "no parameter 'colour'"),
        ("etcd://h1/?user=me", "needs password-file"),
        ("etcd://h1/?user=me&password-file=/nowhere/at/all", "/nowhere/at/all"),
        ("etcd://h1/?cert=/c&key=/k", "needs ca="),
        ("etcd://h1/?ca=/nowhere/ca.pem", "/nowhere/ca.pem"),
        ("etcd://h1/" + "x" * 300, "at most 255"),
    ],
)
def test_bad_urls_are_refused(url: str, problem: str) -> None:
    with pytest.raises(BadAddress, match=problem):
        Etcd(url)


def test_a_url_has_default_ports_and_no_password_in_the_source(
    tmp_path: Path,
) -> None:
    (file := tmp_path / "password").write_text("secret\n")
    etcd = Etcd(f"etcd://h1,[::1]:99,h3/a/b/?user=me&password-file={file}")
    assert etcd.source == "etcd://h1:2379,[::1]:99,h3:2379/a/b"
    etcd.close()


def test_an_answer_that_comes_after_the_end_keeps_no_connection(cluster: Cluster) -> None:
    # catches: a thread that was asking while another one closed
    gateway = Gateway(parse_etcd_url(cluster.url))
    gateway.ask("/v3/maintenance/status", {})
    assert len(gateway._idle) == 1
    gateway.close()
    gateway.ask("/v3/maintenance/status", {})
    assert gateway._idle == []
