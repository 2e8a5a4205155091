"""Clients with keys against servers with keys: who gets in, what each may do, what errors say."""

import logging
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from eastwest_discovery import _keys
from eastwest_discovery._errors import DiscoveryError, NotAllowed, Unavailable
from eastwest_discovery._record import Record
from eastwest_discovery._zmq import Zmq
from eastwest_discovery._zmq_thread import Curve
from tests.discovery.records import make
from tests.discovery.registries import Registry, clients, eventually, registries, url

SERVER, ONE, TWO, STRANGER = (_keys.generate() for _ in range(4))
BOTH = {
    ONE.public: ("one", ["default/*"], ["default/*"]),
    TWO.public: ("two", ["secret/pricing"], ["secret/pricing"]),
}
Grants = dict[str, tuple[str, list[str], list[str]]]


@dataclass
class Guarded:
    """A server with keys, in a process of its own."""

    registry: Registry
    access: Path

    def allow(self, grants: Grants) -> None:
        """Change its permissions and have it read them."""
        write(self.access, grants)
        self.registry.signal(signal.SIGHUP)

    def client(self, keys: _keys.KeyPair | None, server: _keys.KeyPair = SERVER) -> Zmq:
        curve = Curve(keys.public, keys.secret, (server.public,)) if keys else None
        return Zmq(url((self.registry,)), keys=curve)


def write(path: Path, grants: Grants) -> None:
    path.write_text(
        "\n".join(
            f"[[client]]\nname = '{name}'\nkey = '{key}'\npublish = {publish}\nread = {read}\n"
            for key, (name, publish, read) in grants.items()
        )
    )


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    _keys.write(tmp_path / "server.key", SERVER)
    access = tmp_path / "access.toml"
    write(access, BOTH)
    keys = ("--key", str(tmp_path / "server.key"), "--access", str(access))
    with registries(1, *keys, settle=0.0) as (registry,):
        yield Guarded(registry, access)


def ask(client: Zmq, namespace: str = "default", service: str = "pricing") -> list[str]:
    update = client.poll(namespace, service, b"", 0.0)
    return [each.instance for each in update.records]


def refusal_of(ask: Callable[[], object], kind: type[DiscoveryError]) -> str:
    with pytest.raises(kind) as caught:
        ask()
    assert type(caught.value) is kind
    return str(caught.value)


def test_the_right_keys_get_in_and_namespaces_do_not_see_each_other(guarded: Guarded) -> None:
    with clients(guarded.client(ONE), guarded.client(TWO)) as (one, two):
        one.publish(make("mine"))
        two.publish(make("hidden", namespace="secret"))
        eventually(lambda: ask(one) == ["mine"])
        eventually(lambda: ask(one, service="") == ["mine"])
        eventually(lambda: ask(two, "secret") == ["hidden"])
        for client, name, namespace, service in (
            (one, "one", "secret", "pricing"),
            (one, "one", "secret", ""),
            (two, "two", "default", "pricing"),
            (two, "two", "secret", ""),
            (two, "two", "secret", "other"),
        ):
            text = refusal_of(lambda c=client, n=namespace, s=service: ask(c, n, s), NotAllowed)  # type: ignore[misc]
            assert f"client '{name}' may not read '{namespace}/{service or '*'}'" in text
            assert f"127.0.0.1:{guarded.registry.port}" in text
            assert "add it to its 'read' list" in text and "SIGHUP" in text


def test_publishing_without_the_right_is_refused_and_tells_which(guarded: Guarded) -> None:
    with clients(guarded.client(TWO), guarded.client(ONE)) as (two, one):
        text = refusal_of(lambda: two.publish(make()), NotAllowed)
        assert (
            "client 'two' may not publish 'default/pricing'; add it to its 'publish' list" in text
        )
        assert ask(one) == []


@pytest.mark.parametrize(
    ("keys", "server", "says"),
    [
        (STRANGER, SERVER, f"does not know our key {STRANGER.public}; add it to its file"),
        (ONE, STRANGER, f"another key than {STRANGER.public}, or none; compare"),
        (None, SERVER, "the server wants keys and we have none"),
    ],
    ids=["client", "server", "none"],
)
def test_wrong_keys_are_refused_with_the_cause(
    guarded: Guarded,
    keys: _keys.KeyPair | None,
    server: _keys.KeyPair,
    says: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "eastwest_discovery")
    with clients(guarded.client(keys, server), guarded.client(ONE)) as (wrong, right):
        wrong.publish(make())  # no error: it is published as soon as the key is known
        assert says in refusal_of(lambda: ask(wrong), Unavailable)
        assert ask(right) == []
    lost = [each for each in caplog.messages if each.startswith("registry_lost")]
    assert lost and says in lost[0]


def test_keys_for_a_server_without_any_are_refused_with_the_cause() -> None:
    with registries(1) as several:
        curve = Curve(ONE.public, ONE.secret, (SERVER.public,))
        with clients(Zmq(url(several), keys=curve)) as (client,):
            text = refusal_of(lambda: ask(client), Unavailable)
            assert re.search(r"another key than \S+, or none; compare", text)


def test_key_that_is_added_later_gets_in_by_itself(guarded: Guarded) -> None:
    with clients(guarded.client(STRANGER), guarded.client(ONE)) as (late, one):
        late.publish(make("late"))
        refusal_of(lambda: ask(late), Unavailable)
        guarded.allow({**BOTH, STRANGER.public: ("late", ["default/pricing"], [])})
        eventually(lambda: ask(one) == ["late"])


def test_right_that_is_taken_away_is_gone_at_once_and_comes_back(guarded: Guarded) -> None:
    def record(version: int) -> Record:
        return make("mine", version, ttl=1)

    with clients(guarded.client(ONE), guarded.client(TWO)) as (one, two):
        one.publish(record(1))
        cursor = one.poll("default", "pricing", b"", 0.0).cursor
        guarded.allow(
            {
                ONE.public: ("one", [], []),
                TWO.public: ("two", [], ["default/pricing"]),
            }
        )
        # who waits is told at once, what was published runs out, nothing new gets in
        update = one.poll("default", "pricing", cursor, 10.0)
        assert not update.complete
        assert "client 'one' may not read" in refusal_of(
            lambda: one.poll("default", "other", b"", 0.0), NotAllowed
        )
        refused = refusal_of(lambda: one.publish(make("other", 2)), NotAllowed)
        assert "client 'one' may not publish 'default/pricing'" in refused
        eventually(lambda: ask(two) == [])
        guarded.allow({**BOTH, TWO.public: ("two", [], ["default/pricing"])})
        eventually(lambda: ask(two) == ["mine"])  # nobody has published it again
