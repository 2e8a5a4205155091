"""Channels found through DNS and through etcd."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dns.rcode
import pytest

from eastwest import Config, Context, ServiceNotFound, Unreachable
from eastwest_discovery import _dns
from tests.discovery.dns_server import Server
from tests.discovery.etcd_cluster import Cluster, needs_etcd, running
from tests.discovery.registries import eventually

SECONDS = 10.0


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def context(stack: ExitStack, registry: str, **more: Any) -> Context:
    """A context that shares no runtime directory with another one."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ew-"))
    settings = {"registry": (registry,), "registry_cache": "none", "runtime_dirs": (folder,)}
    return stack.enter_context(Context(Config(**{**settings, **more})))


def port_of(where: Context, service: str) -> int:
    (address,) = (each for each in where.instances(service)[0].addresses if "tcp" in each)
    return int(address.rpartition(":")[2])


# ------------------------------------------------------------------ dns


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Who is asked instead of the system's resolvers."""
    server = Server()
    real = _dns._resolver_of
    monkeypatch.setattr(_dns, "_resolver_of", lambda _, url: real(server.address, url))
    yield server
    server.close()


def test_name_of_dns_leads_to_its_listener(stack: ExitStack, resolver: Server) -> None:
    server = context(stack, "local:", bind="127.0.0.1:0")
    listener = stack.enter_context(server.listen("pricing"))
    resolver.table["pricing.example.org.", "A"] = (5, ["127.0.0.1"])
    registry = f"dns:{{service}}.example.org:{port_of(server, 'pricing')}"
    client = context(stack, registry)
    eventually(lambda: client.instances("pricing"))
    (seen,) = client.instances("pricing")
    assert (seen.id, seen.source) == ("", registry)
    with client.connect("pricing") as channel:
        listener.accept(timeout=SECONDS).send(b"here")
        assert channel.recv(timeout=SECONDS) == b"here"
        assert (channel.path, channel.peer.instance) == ("tcp", listener.instance.id)
    near = context(stack, registry, runtime_dirs=server.config.runtime_dirs)
    eventually(lambda: registry in near.instances("pricing")[0].source)
    (seen,) = near.instances("pricing")
    assert seen.id == listener.instance.id
    with near.connect("pricing") as channel:
        assert channel.path == "shm"
    eventually(lambda: client.instances("orders") or client.registries("orders")[0].complete)
    with pytest.raises(ServiceNotFound):
        client.connect("orders", timeout=0.1)


def test_resolver_that_fails_does_not_say_that_there_is_none(
    stack: ExitStack, resolver: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_dns, "ASK_SECONDS", 0.2)
    resolver.rcode = dns.rcode.SERVFAIL
    client = context(stack, "dns:{service}.example.org:7400")
    eventually(lambda: "pricing.example.org" in str(client.explain("pricing").facts["registries"]))
    with pytest.raises(Unreachable, match=r"nobody could be asked.*pricing\.example\.org"):
        client.connect("pricing", timeout=0.1)
    with context(stack, "dns:{service}.example.org:7400", bind="127.0.0.1:0").listen("x") as made:
        assert made.explain().facts["published"] == ()


# ------------------------------------------------------------------ etcd


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("etcd"), 1) as made:
        yield made


@needs_etcd
def test_server_is_found_through_etcd_and_changes_are_seen(
    stack: ExitStack, cluster: Cluster
) -> None:
    client = context(stack, cluster.url)
    eventually(lambda: client.instances("pricing") or client.registries("pricing")[0].complete)
    with pytest.raises(ServiceNotFound):
        client.connect("pricing", timeout=0.1)
    server = context(stack, cluster.url, bind="127.0.0.1:0")
    listener = server.listen("pricing", labels={"color": "blue"})
    eventually(lambda: len(client.instances("pricing")) == 1)
    eventually(lambda: client.services() == ("pricing",))
    eventually(lambda: "at 1 of 1 servers" in listener.explain().facts["published"][0])
    with client.connect("pricing", where={"color": "blue"}) as channel:
        listener.accept(timeout=SECONDS).send(b"here")
        assert channel.recv(timeout=SECONDS) == b"here"
    assert listener.drain(timeout=SECONDS)
    eventually(lambda: [each.weight for each in client.instances("pricing")] == [0])
    listener.close()
    eventually(lambda: client.instances("pricing") == ())


@needs_etcd
def test_etcd_that_is_gone_is_stale_and_the_disk_has_it(
    stack: ExitStack, cluster: Cluster, tmp_path: Path
) -> None:
    server = context(stack, cluster.url, bind="127.0.0.1:0")
    listener = stack.enter_context(server.listen("orders"))
    before = context(stack, cluster.url, registry_cache=str(tmp_path))
    eventually(lambda: len(before.instances("orders")) == 1)
    before.close()
    cluster.members[0].kill()
    after = context(stack, cluster.url, registry_cache=str(tmp_path))
    with after.connect("orders") as channel:
        listener.accept(timeout=SECONDS).send(b"still here")
        assert channel.recv(timeout=SECONDS) == b"still here"
    with pytest.raises(Unreachable, match="nobody could be asked"):
        after.connect("pricing", timeout=0.3)
    cluster.heal()
    eventually(lambda: [each.stale for each in after.instances("orders")] == [False])
