"""What every provider of records must do; a test module subclasses this with its own fixture.

``world`` gives providers that share one registry; how long things may take is up to it.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from eastwest_discovery._errors import DiscoveryError
from eastwest_discovery._provider import Provider, Update
from eastwest_discovery._record import Key, Record

_SERVICES = itertools.count(1)
_VERSIONS = itertools.count(1)


@dataclass
class World:
    """A registry, and clients of it.

    Attributes:
        connect: makes one more client.
        seconds: until what one client does must be seen by another one.
    """

    connect: Callable[[], Provider]
    seconds: float = 10.0
    put: Callable[[str, int], None] | None = None  # behind the back of the providers
    _owner: Provider | None = None

    def populate(self, service: str, count: int) -> None:
        """Have *count* instances of a service in the namespace "default"."""
        if self.put is not None:
            self.put(service, count)
            return
        owner = self._owner = self._owner or self.connect()
        for number in range(count):
            owner.publish(Record(service=service, instance=f"i{number}", version=1))

    def close(self) -> None:
        """End what ``populate`` began."""
        if self._owner is not None:
            self._owner.close()
            self._owner = None


@contextmanager
def clients(world: World, count: int) -> Iterator[list[Provider]]:
    with ExitStack() as stack:
        several = [world.connect() for _ in range(count)]
        for each in several:
            stack.callback(each.close)
        yield several


class Reader:
    """One that follows a service by cursor, as the contract says."""

    def __init__(self, provider: Provider, service: str, namespace: str = "default") -> None:
        self.provider, self.namespace, self.service = provider, namespace, service
        self.known: dict[Key, Record] = {}
        self.cursor = b""
        self.updates: list[Update] = []

    def poll(self, timeout: float = 0.0) -> Update:
        update = self.provider.poll(self.namespace, self.service, self.cursor, timeout)
        if update.snapshot:
            assert not update.gone
            self.known.clear()
        self.known.update((each.key, each) for each in update.records)
        for key in update.gone:
            self.known.pop(key, None)
        self.cursor = update.cursor
        self.updates.append(update)
        return update

    def until(self, is_so: Callable[[dict[Key, Record]], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self.poll()
        while not is_so(self.known):
            left = deadline - time.monotonic()
            assert left > 0, f"only {self.known} after {seconds} s"
            self.poll(left)


class ReaderContract:
    """What also those keep through which nothing can be published; each test has its service."""

    @pytest.fixture
    def service(self) -> str:
        return f"service-{next(_SERVICES)}"

    def test_first_answer_is_a_snapshot_and_its_cursor_has_no_news(
        self, world: World, service: str
    ) -> None:
        with clients(world, 1) as (client,):
            world.populate(service, 2)
            reader = Reader(client, service)
            reader.until(lambda known: len(known) == 2, world.seconds)
            assert reader.updates[0].snapshot
            there = dict(reader.known)
            reader.poll(0.2)
            assert reader.known == there

    def test_change_is_seen_from_the_cursor_on(self, world: World, service: str) -> None:
        with clients(world, 1) as (client,):
            world.populate(service, 1)
            reader = Reader(client, service)
            reader.until(lambda known: len(known) == 1, world.seconds)
            world.populate(service, 3)
            reader.until(lambda known: len(known) == 3, world.seconds)

    def test_readers_see_the_same(self, world: World, service: str) -> None:
        world.populate(service, 3)
        with clients(world, 2) as several:
            seen = []
            for each in several:
                reader = Reader(each, service)
                reader.until(lambda known: len(known) == 3, world.seconds)
                seen.append(reader.known.keys())
            assert seen[0] == seen[1]

    def test_cursor_of_nobody_is_answered_with_a_snapshot(self, world: World, service: str) -> None:
        with clients(world, 1) as (client,):
            world.populate(service, 1)
            reader = Reader(client, service)
            reader.until(bool, world.seconds)
            for cursor in (b"garbage", bytes(200)):
                update = client.poll("default", service, cursor, 0.0)
                assert update.snapshot and [each.key for each in update.records] == list(
                    reader.known
                )

    def test_poll_waits_for_a_change_and_no_longer_than_asked(
        self, world: World, service: str
    ) -> None:
        with clients(world, 1) as (client,):
            reader = Reader(client, service)
            deadline = time.monotonic() + world.seconds
            while not reader.poll(0.1).complete:  # a server that has just started
                assert time.monotonic() < deadline
            start = time.monotonic()
            update = reader.poll(0.2)
            assert 0.15 < time.monotonic() - start < 2.0
            assert not update.records and not update.gone and update.complete

    def test_source_says_where_records_come_from(self, world: World) -> None:
        with clients(world, 1) as (client,):
            assert ":" in client.source

    def test_closed_is_not_asked_any_more(self, world: World, service: str) -> None:
        with clients(world, 1) as (client,):
            client.close()
            client.close()
            with pytest.raises(DiscoveryError):
                client.poll("default", service, b"", 0.0)


class ProviderContract(ReaderContract):
    """All of it."""

    @staticmethod
    def record(service: str, instance: str = "k", *, namespace: str = "default") -> Record:
        return Record(
            namespace=namespace,
            service=service,
            instance=instance,
            version=next(_VERSIONS),
            addresses={"tcp": ("127.0.0.1:1",), "shm": ("a", "b")},
            labels={"release": "7"},
            zone="eu.a",
            weight=0,
            ttl=5,
            host="here",
        )

    def test_what_is_published_is_found_as_it_was_written(self, world: World, service: str) -> None:
        with clients(world, 2) as (owner, other):
            record = self.record(service)
            owner.publish(record)
            reader = Reader(other, service)
            reader.until(lambda known: known == {record.key: record}, world.seconds)
            assert reader.updates[0].snapshot

    def test_newer_version_replaces_and_is_told_once(self, world: World, service: str) -> None:
        with clients(world, 2) as (owner, other):
            owner.publish(self.record(service))
            reader = Reader(other, service)
            reader.until(bool, world.seconds)
            new = self.record(service)
            owner.publish(new)
            reader.until(lambda known: known == {new.key: new}, world.seconds)

    def test_older_version_changes_nothing(self, world: World, service: str) -> None:
        with clients(world, 2) as (owner, other):
            old, new = self.record(service), self.record(service)
            owner.publish(new)
            owner.publish(old)
            reader = Reader(other, service)
            reader.until(bool, world.seconds)
            assert reader.known == {new.key: new}

    def test_withdrawn_is_gone_and_withdrawing_again_is_no_error(
        self, world: World, service: str
    ) -> None:
        with clients(world, 2) as (owner, other):
            one, two = self.record(service, "one"), self.record(service, "two")
            owner.publish(one)
            owner.publish(two)
            reader = Reader(other, service)
            reader.until(lambda known: len(known) == 2, world.seconds)
            owner.withdraw(one.key)
            owner.withdraw(one.key)
            owner.withdraw(Key("default", service, "never-there"))
            reader.until(lambda known: known == {two.key: two}, world.seconds)

    def test_newer_version_is_alive_after_a_withdrawal(self, world: World, service: str) -> None:
        with clients(world, 2) as (owner, other):
            owner.publish(self.record(service))
            owner.withdraw(self.record(service).key)
            new = self.record(service)
            owner.publish(new)
            reader = Reader(other, service)
            reader.until(lambda known: known == {new.key: new}, world.seconds)

    def test_close_withdraws_what_was_published_and_is_idempotent(
        self, world: World, service: str
    ) -> None:
        with clients(world, 2) as (owner, other):
            owner.publish(self.record(service))
            reader = Reader(other, service)
            reader.until(bool, world.seconds)
            owner.close()
            owner.close()
            reader.until(lambda known: not known, world.seconds)
            with pytest.raises(DiscoveryError):
                owner.publish(self.record(service))

    def test_namespaces_and_services_do_not_see_each_other(
        self, world: World, service: str
    ) -> None:
        with clients(world, 2) as (owner, other):
            here = self.record(service)
            there = self.record(service, namespace="other")
            neighbour = self.record(f"{service}-x")
            for each in (here, there, neighbour):
                owner.publish(each)
            for namespace, name, record in (
                ("default", service, here),
                ("other", service, there),
                ("default", f"{service}-x", neighbour),
            ):
                reader = Reader(other, name, namespace)
                reader.until(bool, world.seconds)
                assert reader.known == {record.key: record}

    def test_empty_service_is_every_service_of_the_namespace(
        self, world: World, service: str
    ) -> None:
        namespace = f"all-of-{service}"
        with clients(world, 2) as (owner, other):
            records = [self.record(f"s{index}", namespace=namespace) for index in range(3)]
            for each in records:
                owner.publish(each)
            reader = Reader(other, "", namespace)
            wanted = {each.key: each for each in records}
            reader.until(lambda known: known == wanted, world.seconds)
