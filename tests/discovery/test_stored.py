"""Records of other versions of record.proto, as they were stored: understood and passed on whole.

``stored/*.hex`` do not change: what reads and writes them today must do so tomorrow.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from eastwest_discovery import _etcd_wire, _wire
from eastwest_discovery import registry_pb2 as pb
from eastwest_discovery._cache import Cache
from eastwest_discovery._record import TTL_DEFAULT, WEIGHT_DEFAULT, Record, decode
from eastwest_discovery._registry import Registry
from tests.discovery.raw_protobuf import counted, embedded, varint
from tests.discovery.simulated import World

STORED = Path(__file__).parent / "stored"
NUMBER = b"12345678"
LATER = (
    counted(112, 7)
    + embedded(113, embedded(1, b"cert") + counted(2, 99))
    + varint(115 << 3 | 5)
    + b"\x01\x02\x03\x04"
    + varint(116 << 3 | 1)
    + b"12345678"
    + embedded(200, b"the last")
)
RECORDS = {
    "older": Record(
        service="pricing",
        instance="0123456789abcdef0123456789abcdef",
        version=41,
        addresses={"shm": ("shm:/run/eastwest",), "tcp": ("tcp://10.0.0.1:7400",)},
        weight=WEIGHT_DEFAULT,
        ttl=TTL_DEFAULT,
    ),
    "newer": Record(
        service="pricing",
        instance="a.later-1",
        version=42,
        protocol="orders/3",
        addresses={"quic": ("quic://10.0.0.2:443",), "tcp": ("tcp://10.0.0.2:7400",)},
        zone="eu.b",
        weight=0,
        labels={"tier": "2"},
        ttl=30,
        host="h2",
        unknown=LATER,
    ),
}


def stored(name: str) -> bytes:
    lines = (STORED / f"{name}.hex").read_text().splitlines()
    return bytes.fromhex("".join(each for each in lines if not each.startswith("#")))


def over_the_server(encoded: bytes) -> Record:
    """Put it as the other version does, and poll it as we do."""
    registry = Registry(b"boot-one", 0.0)
    put = pb.Request(protocol=1, put=pb.Put(record=encoded))
    body = registry.request(None, b"owner", NUMBER, put.SerializeToString())
    assert body is not None and pb.Answer.FromString(body).held.outcome == "stored"
    asked = pb.Request(protocol=1, poll=pb.Poll(namespace="default", service="pricing"))
    body = registry.request(None, b"reader", NUMBER, asked.SerializeToString())
    assert body is not None
    reply = _wire.answer([NUMBER, body]).reply
    assert isinstance(reply, _wire.Page)
    return reply.update.records[0]


def over_client_and_server(encoded: bytes) -> Record:
    """Publish it with one client of ours and find it with another one."""
    world = World(2, 2)
    world.publish(decode(encoded), 0)
    world.watch(1)
    world.settle_down()
    return world.watch(1).view.entries[0].record


def over_etcd(encoded: bytes) -> Record:
    """As the value of a key: read, written again, read."""
    record = _etcd_wire.record_of(decode(encoded).key, encoded)
    value = _etcd_wire.bytes_of(_etcd_wire.text_of(record.encode()))
    return _etcd_wire.record_of(record.key, value)


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("way", [decode, over_the_server, over_client_and_server, over_etcd])
def test_stored_record_is_understood_and_passed_on(
    name: str, way: Callable[[bytes], Record]
) -> None:
    found = way(stored(name))
    assert found == RECORDS[name]
    assert decode(found.encode()) == RECORDS[name]
    assert found.encode().endswith(RECORDS[name].unknown)


@pytest.mark.parametrize("name", RECORDS)
def test_stored_record_survives_the_disk(name: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path, "zmq://h1:7400")
    assert cache.save("default", "pricing", [(decode(stored(name)), 1.0)], 1000.0)
    assert cache.load("default", "pricing", 1000.0) == [(RECORDS[name], 1.0)]


def test_what_we_write_is_a_good_record_to_an_older_reader() -> None:
    """The fields that every version has had keep their numbers and kinds."""
    encoded = RECORDS["older"].encode()
    assert encoded.startswith(stored("older"))  # what follows is what it does not know
