"""The contract of providers, kept by etcd."""

from collections.abc import Iterator

import pytest

from eastwest_discovery._etcd import Etcd
from tests.discovery.contract_provider import ProviderContract, World
from tests.discovery.etcd_cluster import needs_etcd, running

pytestmark = needs_etcd


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("etcd"), 1) as cluster:
        world = World(lambda: Etcd(cluster.url))
        yield world
        world.close()


class TestEtcd(ProviderContract):
    @pytest.fixture
    def world(self, one: World) -> World:
        return one
