"""Channels through registry servers: two programs that share no runtime directory."""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from eastwest import (
    Channel,
    Config,
    ConfigurationError,
    Context,
    Instance,
    Refused,
    ServiceNotFound,
    Unreachable,
    aio,
)
from eastwest._providers import _remote
from eastwest_discovery import _keys
from eastwest_discovery._record import Record
from eastwest_discovery._zmq import Zmq
from tests.discovery.registries import Registry, eventually, registries, start_all, url

Servers = tuple[Registry, ...]
LOOPBACK = "127.0.0.1:0"
SECONDS = 10.0
OUTAGE_SECONDS = 120.0


@pytest.fixture(scope="module")
def two() -> Iterator[Servers]:
    with registries(2, settle=0.2) as several:
        yield several


@pytest.fixture
def servers(two: Servers) -> Servers:
    """Two servers that run, whatever a test did to them."""
    start_all(two)
    return two


class Hosts:
    """Contexts that are as if each were on a host of its own: no directory in common."""

    def __init__(self, stack: ExitStack, registry: str, cache: Path) -> None:
        self._stack = stack
        self._registry = registry
        self._cache = cache

    def context(self, **more: Any) -> Context:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="ew-"))
        settings = {
            "registry": (self._registry,),
            "registry_cache": str(self._cache),
            "runtime_dirs": (folder,),
            **more,
        }
        return self._stack.enter_context(Context(Config(**settings)))

    def server(self, **more: Any) -> Context:
        return self.context(bind=LOOPBACK, **more)


@contextmanager
def hosts_of(several: Servers, cache: Path) -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(stack, url(several), cache)


@pytest.fixture
def hosts(servers: Servers, tmp_path: Path) -> Iterator[Hosts]:
    with hosts_of(servers, tmp_path / "cache") as made:
        yield made


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A service of this test only: the servers outlive it."""
    return str(request.node.name).replace("_", "-").removeprefix("test-")[:60].rstrip("-")


def talk(one: Channel, other: Channel) -> None:
    one.send(b"ping")
    assert other.recv(timeout=SECONDS) == b"ping"


def found(context: Context, service: str) -> list[Instance]:
    return list(context.instances(service))


def sure(context: Context, service: str) -> None:
    """Wait until the registries know that a service is not there."""
    eventually(lambda: found(context, service) or context.registries(service)[0].complete)


def the_one(context: Context, service: str) -> Instance:
    """The instance of a service that has one, as soon as it is known."""
    eventually(lambda: len(found(context, service)) == 1)
    return found(context, service)[0]


def test_server_is_found_through_registries_only(hosts: Hosts, name: str) -> None:
    with hosts.server(zone="eu").listen(name, labels={"color": "blue"}) as listener:
        client = hosts.context()
        seen = the_one(client, name)
        assert (seen.id, seen.zone, seen.labels) == (listener.instance.id, "eu", {"color": "blue"})
        assert seen.source.startswith("zmq://") and not seen.stale and seen.version > 0
        assert [each.partition(":")[0] for each in seen.addresses] == ["tcp"]
        with client.connect(name, where={"color": "blue"}) as channel:
            talk(channel, listener.accept(timeout=SECONDS))
            assert channel.path == "tcp"
        eventually(lambda: "at 2 of 2 servers" in listener.explain().facts["published"][0])
        eventually(lambda: client.explain(name).facts["registries"][0].complete)
        (state,) = client.explain(name).facts["registries"]
        assert (state.answered, state.instances, state.stale) == (True, 1, 0)


def test_client_that_waits_sees_the_name_appear_and_later_go(hosts: Hosts, name: str) -> None:
    client, server = hosts.context(), hosts.server()
    assert found(client, name) == []
    with server.listen(name):
        eventually(lambda: len(found(client, name)) == 1)
        eventually(lambda: client.services() == (name,))
    eventually(lambda: found(client, name) == [])


def test_same_host_is_one_instance_and_over_shared_memory(hosts: Hosts, name: str) -> None:
    server = hosts.server()
    with server.listen(name) as listener:
        near = hosts.context(runtime_dirs=server.config.runtime_dirs)
        eventually(lambda: ", zmq://" in found(near, name)[0].source)
        assert the_one(near, name).source.startswith("local:")
        with near.connect(name) as channel:
            listener.accept(timeout=SECONDS)
            assert channel.path == "shm"


def test_draining_listener_has_weight_0_everywhere(hosts: Hosts, name: str) -> None:
    client = hosts.context()
    with hosts.server().listen(name) as listener:
        before = the_one(client, name)
        assert listener.drain(timeout=SECONDS)
        eventually(lambda: [each.weight for each in found(client, name)] == [0])
        assert found(client, name)[0].version > before.version
        assert listener.instance.weight == 0
        with pytest.raises(Refused, match="its weight is 0: it is going away") as caught:
            client.connect(name, timeout=0.2)
        assert caught.value.reason == "draining"


def test_record_of_another_owner_is_outdone(
    hosts: Hosts, servers: Servers, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_remote, "RAISE_SECONDS", 0.05)
    client, stranger = hosts.context(), Zmq(url(servers))
    with hosts.server().listen(name) as listener:
        id, version = listener.instance.id, 2 * time.time_ns()
        lies = {"tcp": ("10.255.255.1:1",)}
        stranger.publish(Record(service=name, instance=id, version=version, addresses=lies))
        eventually(lambda: the_one(client, name).version == version)
        listener.drain(timeout=SECONDS)  # else it is noticed with the next renewal
        eventually(lambda: the_one(client, name).version > version)
        seen = the_one(client, name)
        assert (seen.weight, seen.addresses[0].startswith("tcp://127.0.0.1:")) == (0, True)
    stranger.close()


def test_unknown_name_is_not_found_once_a_registry_is_sure(hosts: Hosts, name: str) -> None:
    client = hosts.context()
    with hosts.server().listen(f"{name}-x"):
        eventually(lambda: f"{name}-x" in client.services())
        sure(client, name)
        with pytest.raises(ServiceNotFound) as caught:
            client.connect(name, timeout=0.1)
    assert f"did you mean '{name}-x'?" in str(caught.value)


def test_unknown_name_while_nobody_answers_is_not_called_unknown(
    hosts: Hosts, servers: Servers, name: str
) -> None:
    client = hosts.context()
    for each in servers:
        each.kill()
    eventually(lambda: found(client, name) or str(client.registries(name)).count("cannot") == 2)
    began = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        client.connect(name, timeout=0.3)
    assert not isinstance(caught.value, ServiceNotFound) and time.monotonic() - began < 2.0
    text = str(caught.value)
    for part in (f"whether service '{name}'", servers[0].address, "cannot connect", "doctor"):
        assert part in text
    (state,) = client.explain(name).facts["registries"]
    assert not state.answered and all(state.servers.values())


def test_answer_from_before_the_outage_proves_nothing_later(
    hosts: Hosts, servers: Servers, name: str
) -> None:
    client = hosts.context()
    sure(client, name)
    for each in servers:
        each.kill()
    eventually(lambda: not client.registries(name)[0].answered)
    with pytest.raises(Unreachable, match="nobody could be asked"):
        client.connect(name, timeout=0.2)


def test_channel_goes_on_and_a_restarted_client_connects_while_all_are_down(
    hosts: Hosts, servers: Servers, name: str
) -> None:
    with hosts.server().listen(name) as listener:
        before = hosts.context()
        channel = before.connect(name)
        other = listener.accept(timeout=SECONDS)
        for each in servers:
            each.kill()
        eventually(lambda: not before.registries(name)[0].answered)
        talk(channel, other)
        before.connect(name).abort()
        before.close()
        after = hosts.context()  # from the disk: it has never seen a server
        with after.connect(name) as again:
            listener.accept(timeout=SECONDS).abort()
            talk(again, listener.accept(timeout=SECONDS))
        (seen,) = found(after, name)
        assert seen.stale and seen.age > 0.0
        start_all(servers)
        eventually(lambda: [each.stale for each in found(after, name)] == [False])


@pytest.mark.deep
def test_channels_go_on_at_full_speed_while_all_are_down_for_minutes(
    hosts: Hosts, servers: Servers, name: str
) -> None:
    """How fast is printed; that they go on, and that a client connects, is tested."""
    with hosts.server().listen(name) as listener:
        here = hosts.context()
        channel = here.connect(name)
        other = listener.accept(timeout=SECONDS)
        rates = [exchanges(channel, other, OUTAGE_SECONDS / 10)]
        for each in servers:
            each.kill()
        rates += [exchanges(channel, other, OUTAGE_SECONDS / 10) for _ in range(10)]
        with hosts.context().connect(name) as late:
            talk(late, listener.accept(timeout=SECONDS))
        assert channel.stats().path_changes == 0
    print(f"\n  messages/s before: {rates[0]:.0f}, during: {min(rates[1:]):.0f} or more")


def exchanges(one: Channel, other: Channel, seconds: float) -> float:
    """Hand messages over, one by one, for so long; return how many a second."""
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        talk(one, other)
        count += 1
    return count / seconds


def test_listener_that_starts_during_an_outage_is_published_later(
    hosts: Hosts, servers: Servers, name: str
) -> None:
    for each in servers:
        each.kill()
    with hosts.server().listen(name) as listener:
        assert "published at 0 of 2 servers" in listener.explain().facts["published"][0]
        start_all(servers)
        eventually(lambda: "2 of 2" in listener.explain().facts["published"][0])
        the_one(hosts.context(), name)


def test_listener_for_this_host_only_is_not_published_and_says_so(hosts: Hosts, name: str) -> None:
    with hosts.context().listen(name) as listener:
        (said,) = listener.explain().facts["published"]
        assert "no address for other hosts" in said and "EASTWEST_BIND" in said
        assert found(hosts.context(), name) == []
    any_address = hosts.context(bind="0.0.0.0:0", security="none")
    with any_address.listen(name) as listener:
        (said,) = listener.explain().facts["published"]
        assert "means every address" in said
        assert found(hosts.context(), name) == []


def test_namespaces_do_not_see_each_other(hosts: Hosts, name: str) -> None:
    with hosts.server(namespace="one").listen(name):
        assert found(hosts.context(namespace="two"), name) == []
        the_one(hosts.context(namespace="one"), name)


def test_child_makes_a_context_of_its_own_and_the_parent_goes_on(hosts: Hosts, name: str) -> None:
    server, client = hosts.server(), hosts.context()
    with server.listen(name) as listener:
        the_one(client, name)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with Context(client.config) as mine, mine.connect(name) as channel:
                    channel.send(b"from the child")
                    code = 0
            finally:
                os._exit(code)
        assert listener.accept(timeout=SECONDS).recv(timeout=SECONDS) == b"from the child"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not found(client, name)[0].stale and not client.registries(name)[0].stale


# ------------------------------------------------------------------ keys


ACCESS = """
[[client]]
name = "server"
key = "{server}"
publish = ["default/*"]
read = []

[[client]]
name = "client"
key = "{client}"
publish = []
read = ["default/*"]
"""


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, _keys.KeyPair]:
    made = {each: _keys.generate() for each in ("registry", "server", "client", "stranger")}
    for each, pair in made.items():
        _keys.write(tmp_path / each, pair)
    (tmp_path / "access.toml").write_text(
        ACCESS.format(server=made["server"].public, client=made["client"].public)
    )
    return made


def test_keys_say_who_may_publish_and_who_may_read(
    keys: dict[str, _keys.KeyPair], tmp_path: Path
) -> None:
    access = ("--key", str(tmp_path / "registry"), "--access", str(tmp_path / "access.toml"))
    with registries(1, *access, settle=0.0) as one, hosts_of(one, tmp_path / "cache") as hosts:
        public = (keys["registry"].public,)

        def who(name: str) -> dict[str, Any]:
            return {"registry_key": str(tmp_path / name), "registry_server_keys": public}

        with hosts.server(**who("server")).listen("pricing"):
            client = hosts.context(**who("client"))
            the_one(client, "pricing")
            with pytest.raises(ConfigurationError, match="may not publish") as caught:
                hosts.server(**who("client")).listen("orders")
            assert one[0].address in str(caught.value)
            sure(client, "orders")
            with pytest.raises(ServiceNotFound):
                client.connect("orders", timeout=0.1)
            for stranger in (who("stranger"), {}):
                with pytest.raises(Unreachable, match="nobody could be asked"):
                    hosts.context(registry_cache="none", **stranger).connect("pricing", timeout=0.5)


def test_refused_listener_leaves_nothing_behind(
    keys: dict[str, _keys.KeyPair], tmp_path: Path
) -> None:
    access = ("--key", str(tmp_path / "registry"), "--access", str(tmp_path / "access.toml"))
    with registries(1, *access, settle=0.0) as one, hosts_of(one, tmp_path / "cache") as hosts:
        settings: dict[str, Any] = {
            "registry_key": str(tmp_path / "client"),
            "registry_server_keys": (keys["registry"].public,),
        }
        context = hosts.server(**settings)
        with pytest.raises(ConfigurationError, match="may not publish"):
            context.listen("orders")
        assert list(Path(context.config.runtime_dirs[0]).glob("*.sock")) == []
        assert context.stats().listeners == 0

        async def refused() -> None:
            there = aio.Context(context.config)
            with pytest.raises(ConfigurationError, match="may not publish"):
                async with there.listen("orders"):
                    pass
            with pytest.raises(ConfigurationError, match="may not publish"):
                await there.listen("orders").accept(timeout=SECONDS)
            await there.close()

        asyncio.run(refused())
        assert list(Path(context.config.runtime_dirs[0]).glob("*.sock")) == []


def test_registry_that_is_full_refuses_the_listener(tmp_path: Path) -> None:
    limit = ("--limit", "records_per_client=1")
    with registries(1, *limit, settle=0.0) as one, hosts_of(one, tmp_path) as hosts:
        server = hosts.server()
        with (
            server.listen("pricing"),
            pytest.raises(ConfigurationError, match="limit of this server, 1") as caught,
        ):
            server.listen("orders")
        assert one[0].address in str(caught.value)
        server.listen("orders").close()  # there is room again


# ------------------------------------------------------------------ asyncio


def test_loop_does_not_stand_still_while_registries_do(
    hosts: Hosts, servers: Servers, name: str
) -> None:
    for each in servers:
        each.signal(19)  # SIGSTOP: connections are accepted and nothing is answered

    async def run() -> float:
        longest, last = 0.0, time.monotonic()
        there = aio.Context(hosts.server().config)
        listener = there.listen(name)
        asking = asyncio.ensure_future(there.instances(name))
        while not asking.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert [each.id for each in asking.result()] == [listener.instance.id]
        async with listener:
            pass
        await there.close()
        return longest

    try:
        assert asyncio.run(run()) < 0.5
    finally:
        for each in servers:
            each.signal(18)
