"""Clients in bad company: servers that lie, two owners of one id, full disks, clocks that jump.

What a hostile client does to a server is in test_server.py and test_registry.py.
"""

import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import zmq

from eastwest_discovery import registry_pb2 as pb
from eastwest_discovery._cache import Cache
from eastwest_discovery._wire import REPLY_BYTES_MAX
from eastwest_discovery._zmq import Zmq
from tests.discovery.records import make
from tests.discovery.registries import DISCOVERY, Registry, clients, eventually, registries, url

Reply = Callable[[pb.Request], list[bytes]]
BOOT = b"boot-one"
_SERVICES = itertools.count(1)


@pytest.fixture(scope="module")
def good() -> Iterator[Registry]:
    with registries(1) as (server,):
        yield server


@pytest.fixture
def service() -> str:
    """One that no other test has used: what it withdrew stays dead."""
    return f"service-{next(_SERVICES)}"


def instances(client: Zmq, service: str = "pricing") -> list[str]:
    return [each.instance for each in client.poll("default", service, b"", 0.0).records]


# ------------------------------------------------------------------ servers


@contextmanager
def router(reply: Reply) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers as *reply* says; yield its address and who has asked."""
    asked: list[bytes] = []
    with zmq.Context() as context, context.socket(zmq.ROUTER) as sock:
        sock.linger = 0
        port = sock.bind_to_random_port("tcp://127.0.0.1")
        is_over = threading.Event()

        def serve() -> None:
            while not is_over.is_set():
                if sock.poll(50):
                    route, number, body = sock.recv_multipart()
                    asked.append(route)
                    frames = reply(pb.Request.FromString(body))
                    sock.send_multipart(
                        [route, *(frames if len(frames) != 1 else [number, *frames])]
                    )

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{port}", asked
        finally:
            is_over.set()
            thread.join()


def answer(**fields: object) -> list[bytes]:
    message = pb.Answer(**{"protocol": 1, "boot": BOOT, "complete": True, **fields})  # type: ignore[arg-type]
    return [message.SerializeToString()]


def one_page(**fields: object) -> list[bytes]:
    changes = {"revision": 1, "base": 1, "snapshot": True, **fields}
    return answer(changes=pb.Changes(**changes))  # type: ignore[arg-type]


def page_without_end(_: pb.Request) -> list[bytes]:
    return one_page(records=[make("lie").encode()], more=True)


def backwards(request: pb.Request) -> list[bytes]:
    if not request.poll.boot:
        return one_page(revision=9, base=9)
    return one_page(revision=3, base=9, snapshot=False)


LIES: dict[str, tuple[Reply, str]] = {
    "garbage": (lambda _: [b"\xff\xff\xff"], "garbage: 3 bytes, from ffffff"),
    "frames": (lambda _: [b"a", b"b", b"c"], "garbage: 3 frames"),
    "protocol": (lambda _: answer(protocol=2), "protocol 2, we speak 1"),
    "no boot": (lambda _: answer(boot=b"", held=pb.Held()), "boot id of 0 bytes"),
    "nothing": (lambda _: answer(), "without any content"),
    "other kind": (lambda _: answer(held=pb.Held()), "belongs to another question"),
    "empty pages": (lambda _: one_page(more=True), "a snapshot without an end"),
    "backwards": (backwards, "its revision went back"),
    "too long": (lambda _: [bytes(REPLY_BYTES_MAX + 1)], "the connection was lost"),
}


@pytest.mark.parametrize("lie", LIES)
def test_server_that_lies_is_named_left_alone_and_hides_nothing(
    lie: str, good: Registry, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    reply, says = LIES[lie]
    with (
        router(reply) as (bad, asked),
        clients(Zmq(f"zmq://{bad},{good.address}"), Zmq(url((good,)))) as (client, owner),
    ):
        owner.publish(make(service=service))
        eventually(lambda: instances(client, service) == ["a"])
        eventually(lambda: f"{bad}: " in client.problems() and says in client.problems())
        lost = f"registry_lost server={bad}"
        eventually(lambda: any(each.startswith(lost) for each in caplog.messages))
        assert len(asked) < 10  # it is asked again later and later
        assert instances(client, service) == ["a"]


def test_pages_without_end_do_not_fill_the_memory(
    good: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eastwest_discovery._agent.SNAPSHOT_RECORDS_MAX", 100)
    with router(page_without_end) as (bad, asked), clients(Zmq(f"zmq://{bad}")) as (client,):
        with pytest.raises(Exception, match="nobody could be asked"):
            client.poll("default", "pricing", b"", 5.0)
        assert "without an end" in client.problems()
        assert 100 <= len(asked) < 300


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        (b"", "no handshake: the server wants keys"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no handshake: the server wants keys"),
        (bytes(64), "the connection was lost"),  # as the first ZeroMQ spoke
    ],
    ids=["end", "http", "zeros"],
)
def test_what_speaks_no_zeromq_is_left_alone(
    says: bytes, problem: str, good: Registry, service: str
) -> None:
    """It says something and hangs up; a silent one is in test_zmq.py."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        accepted: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    accepted.append(stack.enter_context(listener.accept()[0]))
                except OSError:
                    return
                accepted[-1].sendall(says)
                accepted[-1].close()

        thread = threading.Thread(target=accept)
        thread.start()
        bad = f"127.0.0.1:{listener.getsockname()[1]}"
        with clients(Zmq(f"zmq://{bad},{good.address}")) as (client,):
            client.publish(make(service=service))
            assert instances(client, service) == ["a"]
            eventually(lambda: problem in client.problems())
            assert len(accepted) < 10
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


# ------------------------------------------------------------------ owners


def test_two_owners_of_one_instance_id_are_told_and_all_see_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with registries(2) as several:
        one, two, reader = (Zmq(url(several)) for _ in range(3))
        with clients(one, two, reader):
            one.publish(make("same", 7, labels={"who": "one"}))
            two.publish(make("same", 7, labels={"who": "two"}))  # a larger encoding: it wins
            two.publish(make("other", 5))
            one.publish(make("other", 4))

            def seen(client: Zmq) -> dict[str, tuple[int, str]]:
                found = client.poll("default", "pricing", b"", 0.0).records
                return {e.instance: (e.version, e.labels.get("who", "")) for e in found}

            for client in (reader, one, two):
                wanted = {"same": (7, "two"), "other": (5, "")}
                eventually(lambda c=client, w=wanted: seen(c) == w)  # type: ignore[misc]
    told = [each for each in caplog.messages if each.startswith("publish_superseded")]
    assert any("default/pricing/other version=4 held=5" in each for each in told)
    assert all("two owners of one instance id" in each for each in told)


# ------------------------------------------------------------------ clocks, disks, name servers


def test_jumps_of_the_wall_clock_change_nothing_but_ages_on_disk(
    good: Registry, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = time.time
    jumps = (3600.0, -86_400.0)
    with clients(Zmq(url((good,)))) as (owner,):
        owner.publish(make(service=service, ttl=1))
        with clients(Zmq(url((good,)), cache=tmp_path)) as (client,):
            assert instances(client, service) == ["a"]
            for jump in jumps:
                monkeypatch.setattr(time, "time", lambda by=jump: wall() + by)
                cursor = client.poll("default", service, b"", 0.0).cursor
                update = client.poll("default", service, cursor, 1.2)  # longer than the ttl
                assert (update.records, update.gone) == ((), ())
                view = client.view("default", service)
                assert view is not None and not view.entries[0].is_stale
        ((_, age),) = Cache(tmp_path, url((good,))).load("default", service, wall())
    assert 0.0 <= age < 86_400.0 + 60.0


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root for a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "eastwest-test", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs root for a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_is_logged_and_the_client_goes_on(
    good: Registry, service: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with full_disk(tmp_path) as folder:
        (folder / "cache").mkdir(0o700)
        filler = folder / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", 0) as file:
            while True:
                file.write(bytes(4096))
        with clients(Zmq(url((good,)), cache=folder / "cache")) as (client,):
            client.publish(make(service=service))
            assert instances(client, service) == ["a"]
            eventually(lambda: "cache_not_saved" in caplog.text)
            assert "No space left" in caplog.text
            filler.unlink()
            client.publish(make("b", service=service))
            eventually(lambda: sorted(instances(client, service)) == ["a", "b"])
            eventually(lambda: len(list((folder / "cache").glob("*.records"))) == 1)


SLOW_NAMES = """
import socket, sys, time
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 53))
from eastwest_discovery._zmq import Zmq
from tests.discovery.records import make
from tests.discovery.registries import clients, registries
with registries(1) as (good,):
    Zmq(f"zmq://{good.address}").publish(make())
    client = Zmq(f"zmq://slow.example:7400,{good.address}")
    start = time.monotonic()
    assert [each.instance for each in client.poll("default", "pricing", b"", 0.0).records] == ["a"]
    asked = time.monotonic()
    client.close()
    print("seconds", asked - start, time.monotonic() - asked)
"""


def test_name_server_that_hangs_holds_up_neither_other_servers_nor_the_end(tmp_path: Path) -> None:
    # catches: one thread for all names; the client knew nobody and close took 18 s
    if os.geteuid() != 0 or subprocess.run(["unshare", "-nm", "true"]).returncode != 0:
        pytest.skip("needs root and namespaces")
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    script = (
        "ip link set lo up && mount --bind "
        f"{tmp_path}/resolv.conf /etc/resolv.conf && exec {sys.executable} -c '{SLOW_NAMES}'"
    )
    done = subprocess.run(
        ["unshare", "-nm", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": f"{DISCOVERY.parent}:{DISCOVERY}"},
    )
    assert done.returncode == 0, done.stderr
    asked, closed = map(float, done.stdout.split()[1:])
    assert asked < 1.0 and closed < 4.0, done.stdout
