"""The etcd provider against a cluster whose members die, hang and ask who we are."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eastwest_discovery import _etcd, _etcd_gateway
from eastwest_discovery._errors import NotAllowed, Unavailable
from eastwest_discovery._etcd import Etcd
from eastwest_discovery._record import Record
from tests.discovery.etcd_cluster import Cluster, eventually, needs_etcd, running
from tests.discovery.records import make

pytestmark = needs_etcd


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("etcd"), 3) as three:
        yield three


@pytest.fixture
def cluster(members: Cluster, request: pytest.FixtureRequest) -> Cluster:
    members.heal()
    members.prefix = f"/{request.node.name}"
    return members


class Watcher:
    """A client that follows a service, as the union of providers will."""

    def __init__(self, etcd: Etcd) -> None:
        self.known: dict[str, Record] = {}
        self.failures: list[Unavailable] = []
        self.snapshots = 0
        self._etcd = etcd
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        cursor = b""
        while not self._stop.is_set():
            try:
                update = self._etcd.poll("default", "pricing", cursor, 1.0)
            except Unavailable as error:
                self.failures.append(error)
                self._stop.wait(0.1)
                continue
            cursor = update.cursor
            if update.snapshot:
                self.known.clear()
                self.snapshots += 1
            self.known |= {each.instance: each for each in update.records}
            for key in update.gone:
                self.known.pop(key.instance, None)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._etcd.close()


def test_the_leader_is_killed_while_clients_register_and_watch(cluster: Cluster) -> None:
    watchers = [Watcher(Etcd(cluster.url)) for _ in range(3)]
    owners = [Etcd(cluster.url) for _ in range(4)]
    stop = threading.Event()
    published: list[Record] = []

    def register(number: int) -> None:
        count = 0
        while not stop.is_set() and count < 400:
            record = make(f"i{number}-{count % 20}", version=count)
            owners[number].publish(record)
            published.append(record)
            count += 1

    threads = [threading.Thread(target=register, args=(n,)) for n in range(len(owners))]
    try:
        for each in threads:
            each.start()
        eventually(lambda: len(published) > 40)
        dead = cluster.leader()
        dead.kill()
        count = len(published)
        eventually(lambda: len(published) > count + 80)
        dead.start()
        eventually(dead.is_up)
        stop.set()
        for each in threads:
            each.join()
        wanted: dict[str, Record] = {}
        for record in published:
            if record.instance not in wanted or record.version > wanted[record.instance].version:
                wanted[record.instance] = record
        for watcher in watchers:
            eventually(lambda watcher=watcher: watcher.known == wanted)  # type: ignore[misc]
            assert watcher.snapshots == 1  # nothing was compacted: no watch began anew
        owners[0].close()
        eventually(lambda: not any(each.startswith("i0-") for each in watchers[0].known))
    finally:
        stop.set()
        for watcher in watchers:
            watcher.stop()
        for owner in owners:
            owner.close()


def test_a_member_that_hangs_is_left(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_etcd, "PROBE_SECONDS", 0.3)
    monkeypatch.setattr(_etcd_gateway, "ANSWER_SECONDS", 0.7)
    etcd, owner = Etcd(cluster.url), Etcd(cluster.url)
    try:
        cursor = etcd.poll("default", "pricing", b"", 0).cursor
        cursor = etcd.poll("default", "pricing", cursor, 0).cursor  # the watch is open now
        (watch,) = etcd._kept.values()
        port = watch.stream.endpoint[1]
        hanging = next(each for each in cluster.members if each.port == port)
        hanging.signal(signal.SIGSTOP)
        owner.publish(make())
        update = etcd.poll("default", "pricing", cursor, 20)
        assert update.records == (make(),) and not update.snapshot
        (watch,) = etcd._kept.values()
        assert watch.stream.endpoint[1] != port
    finally:
        hanging.signal(signal.SIGCONT)
        for each in (etcd, owner):
            each.close()


def test_without_a_leader_nobody_can_be_asked(cluster: Cluster) -> None:
    etcd = Etcd(cluster.url)
    cursor = etcd.poll("default", "pricing", b"", 0).cursor
    for member in cluster.members[1:]:
        member.kill()
    start = time.monotonic()
    with pytest.raises(Unavailable, match="got a leader"):
        while time.monotonic() < start + 30:
            cursor = etcd.poll("default", "pricing", cursor, 10).cursor
    etcd.close()


# ------------------------------------------------------------------ who we are


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A CA, a certificate for 127.0.0.1 that servers and clients use, and a CA of somebody else."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
    for name in ("ca", "foreign"):
        made = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
        openssl(tmp_path, "req", "-x509", *key, *made, "-days", "2")
    openssl(tmp_path, "req", *key, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=own")
    (tmp_path / "extra").write_text(
        "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
    )
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "extra", "-days", "2")
    openssl(tmp_path, "x509", "-req", "-in", "own.csr", "-out", "own.pem", *signed)
    return tmp_path


def test_tls_with_certificates_on_both_sides(certificates: Path) -> None:
    own = certificates
    options = [f"--cert-file={own / 'own.pem'}", f"--key-file={own / 'own.key'}"]
    options += ["--client-cert-auth", f"--trusted-ca-file={own / 'ca.pem'}"]
    cluster = Cluster(certificates, 1, options)
    ca, foreign = f"?ca={own / 'ca.pem'}", f"?ca={own / 'foreign.pem'}"
    ours = f"&cert={own / 'own.pem'}&key={own / 'own.key'}"
    etcd = Etcd(cluster.url + ca + ours)
    try:
        cluster.start()
        eventually(lambda: can_poll(etcd))
        etcd.publish(make())
        cursor = etcd.poll("default", "pricing", b"", 0).cursor
        etcd.publish(make(version=2))
        assert etcd.poll("default", "pricing", cursor, 5).records == (make(version=2),)
        for wrong, problem in (
            (ca, "alert|reset|EOF|closed"),
            (foreign + ours, "CERTIFICATE_VERIFY_FAILED"),
            ("", "reset|closed|status 400|without response|not etcd"),
        ):
            other = Etcd(cluster.url + wrong)
            with pytest.raises(Unavailable, match=problem):
                other.poll("default", "pricing", b"", 0)
            other.close()
    finally:
        etcd.close()
        cluster.stop()


def can_poll(etcd: Etcd) -> bool:
    try:
        etcd.poll("default", "pricing", b"", 0)
    except Unavailable:
        return False
    return True


def set_up_users(ask: Callable[[str, dict[str, object]], object]) -> None:
    for name in ("root", "me"):
        ask("/v3/auth/user/add", {"name": name, "password": "secret"})
        ask("/v3/auth/role/add", {"name": name})
        ask("/v3/auth/user/grant", {"user": name, "role": name})
    permission = {
        "permType": "READWRITE",
        "key": "L2Vhc3R3ZXN0Lw==",
        "range_end": "L2Vhc3R3ZXN0MA==",
    }
    ask("/v3/auth/role/grant", {"name": "me", "perm": permission})
    ask("/v3/auth/enable", {})


def test_user_and_password(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 1)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "wrong").write_text("guess\n")
    me = f"?user=me&password-file={tmp_path}/"
    etcd = Etcd(cluster.url + me + "password")
    try:
        cluster.start()
        member = cluster.members[0]
        set_up_users(member.ask)
        etcd.publish(make())
        cursor = etcd.poll("default", "pricing", b"", 0).cursor
        root = {"name": "root", "password": "secret"}
        token = member.ask("/v3/auth/authenticate", root)["token"]
        member.ask("/v3/auth/user/changepw", {"name": "me", "password": "secret"}, token)
        # all tokens of this user are forgotten now
        etcd.publish(make(version=2))
        assert etcd.poll("default", "pricing", cursor, 5).records == (make(version=2),)
        for url, problem in (
            (cluster.url + me + "wrong", "user 'me': .*invalid user ID or password"),
            (cluster.url, "no user"),
            (cluster.url.replace("/eastwest", "/else") + me + "password", "permission denied"),
        ):
            other = Etcd(url)
            with pytest.raises(NotAllowed, match=problem):
                other.poll("default", "pricing", b"", 0)
            with pytest.raises(NotAllowed, match=problem):
                other.publish(make())
            with pytest.raises(NotAllowed, match=problem):
                other.poll("default", "pricing", cursor, 5)
            other.close()
    finally:
        etcd.close()
        cluster.stop()
