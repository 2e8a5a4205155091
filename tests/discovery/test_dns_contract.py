"""The contract of providers, as far as DNS can keep it: it is read, others write it."""

from collections.abc import Iterator

import pytest

from eastwest_discovery._dns import Dns
from tests.discovery.contract_provider import ReaderContract, World, clients
from tests.discovery.dns_server import Server
from tests.discovery.records import make
from tests.discovery.test_dns import URL, server

__all__ = ["server"]  # a fixture


class TestDns(ReaderContract):
    @pytest.fixture
    def world(self, server: Server) -> Iterator[World]:
        def put(service: str, count: int) -> None:
            addresses = [f"10.0.0.{number + 1}" for number in range(count)]
            server.table[f"{service}.default.example.org.", "A"] = (0, addresses)

        yield World(lambda: Dns(URL, resolver=server.address), put=put)

    def test_publishing_and_withdrawing_change_nothing_and_are_no_error(
        self, world: World, service: str
    ) -> None:
        with clients(world, 1) as (client,):
            world.populate(service, 1)
            before = client.poll("default", service, b"", 0.0)
            client.publish(make(service=service))
            client.withdraw(make(service=service).key)
            client.withdraw(before.records[0].key)
            after = client.poll("default", service, b"", 0.0)
            assert after.records == before.records and after.complete
