"""The contract of providers, kept by each of them."""

import secrets
import threading
import time
from collections.abc import Iterator

import pytest

from eastwest_discovery._errors import DiscoveryError
from eastwest_discovery._journal import Journal
from eastwest_discovery._provider import Cursor, Update
from eastwest_discovery._record import Key, Record, newer
from eastwest_discovery._union import Entry, View
from eastwest_discovery._zmq import Zmq
from tests.discovery.contract_provider import ProviderContract, World
from tests.discovery.registries import registries, url


class Shelf:
    """Records that several clients of one process share."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.records: dict[Key, Record] = {}
        self.journals: dict[tuple[str, str], Journal] = {}

    def put(self, key: Key, record: Record | None) -> None:
        if record is None:
            self.records.pop(key, None)
        else:
            self.records[key] = record
        for (namespace, service), journal in self.journals.items():
            if key.namespace == namespace and service in ("", key.service):
                journal.note({key: record}, is_complete=True)
        self.changed.notify_all()


class Memory:
    """The plainest provider: the contract without any network."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._own: set[Key] = set()
        self._is_closed = False

    @property
    def source(self) -> str:
        return "memory:"

    def publish(self, record: Record) -> None:
        with self._shelf.changed:
            if self._is_closed:
                raise DiscoveryError("closed")
            held = self._shelf.records.get(record.key)
            if held is None or newer(record, held) is record:
                self._shelf.put(record.key, record)
            self._own.add(record.key)

    def withdraw(self, key: Key) -> None:
        with self._shelf.changed:
            if key in self._own:
                self._own.remove(key)
                self._shelf.put(key, None)

    def poll(self, namespace: str, service: str, cursor: Cursor, timeout: float) -> Update:
        deadline = time.monotonic() + timeout
        with self._shelf.changed:
            if self._is_closed:
                raise DiscoveryError("closed")
            new = Journal(secrets.token_bytes(8))
            journal = self._shelf.journals.setdefault((namespace, service), new)
            while journal.cursor == cursor and (left := deadline - time.monotonic()) > 0:
                self._shelf.changed.wait(left)
            entries = tuple(
                Entry(each, ("memory:",))
                for each in self._shelf.records.values()
                if each.namespace == namespace and service in ("", each.service)
            )
            return journal.since(cursor, View(entries, True, 1))

    def close(self) -> None:
        for key in list(self._own):
            self.withdraw(key)
        self._is_closed = True


class TestMemory(ProviderContract):
    @pytest.fixture
    def world(self) -> World:
        shelf = Shelf()
        return World(lambda: Memory(shelf))


@pytest.fixture(scope="module")
def one() -> Iterator[World]:
    with registries(1) as servers:
        world = World(lambda: Zmq(url(servers)))
        yield world
        world.close()


@pytest.fixture(scope="module")
def three() -> Iterator[World]:
    with registries(3) as servers:
        world = World(lambda: Zmq(url(servers)))
        yield world
        world.close()


class TestZmqWithOneServer(ProviderContract):
    @pytest.fixture
    def world(self, one: World) -> World:
        return one


class TestZmqWithThreeServers(ProviderContract):
    @pytest.fixture
    def world(self, three: World) -> World:
        return three
