"""The record: what is allowed, that nothing is lost on the wire, which of two wins."""

import dataclasses
import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest_discovery import record_pb2 as pb
from eastwest_discovery._errors import BadRecord
from eastwest_discovery._record import RECORD_BYTES_MAX, Key, Record, decode, newer
from tests.discovery.records import make, records

PACKAGE = Path(pb.__file__).parent
# written by version 1 of record.proto; never to be changed
STORED = bytes.fromhex(
    "0a0764656661756c7412077072696369"
    "6e671a016120012a086f72646572732f"
    "32320b0a0373686d120468657265"
    "32140a03746370120d31302e302e302e"
    "313a3734303032150a03746370120e5b"
    "666430303a3a315d3a373430303a0465"
    "752e6140644a090a0474696572120131"
    "500f5a026831"
)
LATER = b"\xa2\x06\x03new" + b"\xa8\x06\x2a"  # fields 100 and 101, of a later record.proto


@given(records)
def test_record_survives_the_wire(record: Record) -> None:
    assert decode(record.encode()) == record


def test_stored_record_is_still_understood() -> None:
    then = dataclasses.replace(make(labels={"tier": "1"}), weight=100)
    assert decode(STORED) == then
    assert then.encode() == STORED


@given(records)
def test_unknown_fields_are_kept_and_passed_on(record: Record) -> None:
    known = decode(record.encode() + LATER)
    assert known.unknown == LATER
    assert decode(known.encode()) == known
    assert dataclasses.replace(known, unknown=b"") == record


def test_unknown_fields_between_known_ones_are_kept() -> None:
    assert decode(LATER + make().encode()).unknown == LATER


def test_a_known_field_may_not_hide_among_the_unknown() -> None:
    with pytest.raises(BadRecord, match="unknown fields of 2 bytes"):
        dataclasses.replace(make(), unknown=pb.Record(version=9).SerializeToString())


def test_absent_weight_and_ttl_mean_the_defaults_and_zero_weight_is_zero() -> None:
    bare = pb.Record(namespace="default", service="a", instance="b")
    assert decode(bare.SerializeToString()).weight == 1
    assert decode(bare.SerializeToString()).ttl == 15
    bare.weight = 0
    assert decode(bare.SerializeToString()).weight == 0


@given(st.binary(max_size=200))
def test_garbage_is_a_bad_record_or_a_record(garbage: bytes) -> None:
    try:
        record = decode(garbage)
    except BadRecord:
        return
    assert decode(record.encode()) == record


@given(records, st.data())
def test_damaged_record_is_a_bad_record_or_a_record(record: Record, data: st.DataObject) -> None:
    encoded = bytearray(record.encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        damaged = decode(bytes(encoded))
    except BadRecord:
        return
    assert decode(damaged.encode()) == damaged


BAD: list[tuple[str, Any, str]] = [
    ("namespace", "", "namespace ''"),
    ("namespace", "a.b", "one label"),
    ("service", "Pricing", "'Pricing'"),
    ("service", "a..b", "a label is empty"),
    ("service", "a." * 100 + "a", "201 bytes, limit 200"),
    ("service", "\ud800", "DNS label"),
    ("service", 7, "7 in a record: want a str"),
    ("instance", "", "1..64"),
    ("instance", "a" * 65, "1..64"),
    ("instance", "a/b", "'a/b'"),
    ("version", -1, "version -1"),
    ("version", 2**64, "version 18446744073709551616"),
    ("version", 1.0, "version 1.0"),
    ("protocol", "a b", "without spaces"),
    ("protocol", "a" * 64, "64 characters, limit 63"),
    ("addresses", {"TCP": ("a",)}, "path 'TCP'"),
    ("addresses", {"tcp": ("a b",)}, "address 'a b'"),
    ("addresses", {"tcp": ("",)}, "address ''"),
    ("addresses", {"tcp": ("a" * 256,)}, "1..255"),
    ("addresses", {"tcp": ("a",) * 17}, "17 addresses, limit 16"),
    ("addresses", {"tcp": "a"}, "want a tuple"),
    ("zone", "A", "zone 'A'"),
    ("weight", 65536, "weight 65536"),
    ("weight", True, "weight True"),
    ("labels", {str(i): "" for i in range(33)}, "33 labels, limit 32"),
    ("labels", {"a b": ""}, "label 'a b'"),
    ("labels", {"a": "\n"}, "printable"),
    ("labels", {"a": "é" * 128}, "256 bytes, limit 255"),
    ("labels", {"a": None}, "want a str"),
    ("ttl", 0, "ttl 0"),
    ("ttl", 3601, "1..3600"),
    ("host", "\ud800", "printable"),
    ("host", "a" * 256, "256 bytes, limit 255"),
    ("unknown", b"\xff", "1 bytes"),
]


@pytest.mark.parametrize(("name", "value", "text"), BAD)
def test_bad_value_is_named(name: str, value: Any, text: str) -> None:
    with pytest.raises(BadRecord, match=re.escape(text)):
        dataclasses.replace(make(), **{name: value})


def test_long_record_is_refused_both_ways() -> None:
    labels = {f"l{i}": "x" * 255 for i in range(16)}
    with pytest.raises(BadRecord, match=f"limit {RECORD_BYTES_MAX}; drop labels"):
        make(labels=labels)
    with pytest.raises(BadRecord, match=f"limit {RECORD_BYTES_MAX}"):
        decode(make().encode() + b"\xa2\x06\x90\x1f" + bytes(4000))


def test_record_cannot_be_changed() -> None:
    labels = {"a": "1"}
    record = make(labels=labels)
    labels["a"] = "2"
    assert record.labels == {"a": "1"}
    with pytest.raises(TypeError):
        record.labels["a"] = "2"  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.version = 2  # type: ignore[misc]


def test_equal_records_have_equal_bytes() -> None:
    one = Record(service="a", instance="b", version=1, labels={"x": "1", "a": "2"})
    two = Record(service="a", instance="b", version=1, labels={"a": "2", "x": "1"})
    assert one == two
    assert one.encode() == two.encode()


def test_path_without_addresses_is_left_out() -> None:
    assert Record(service="a", instance="b", version=1, addresses={"tcp": ()}).addresses == {}


def test_higher_version_wins() -> None:
    assert newer(make(version=2), make(version=1)).version == 2
    assert newer(make(version=1), make(version=2)).version == 2


small = st.builds(make, version=st.integers(0, 1), service=st.sampled_from(["a", "bb", "c"]))


@given(st.tuples(small, small, small))
def test_everybody_agrees_who_wins(three: tuple[Record, Record, Record]) -> None:
    winners = {newer(newer(a, b), c).encode() for a, b, c in itertools.permutations(three)}
    assert len(winners) == 1


def test_key_is_readable() -> None:
    assert str(make().key) == "default/pricing/a"
    assert make().key == Key("default", "pricing", "a")


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.proto")), ids=lambda path: path.name)
def test_generated_code_is_of_the_schema(path: Path) -> None:
    """Names, numbers and order of every field, as far as both say them."""
    text = re.sub(r"//.*", "", path.read_text())
    written = re.findall(r"(\w+) = (\d+);", text)
    stub = (PACKAGE / f"{path.stem}_pb2.pyi").read_text()
    code = __import__(f"eastwest_discovery.{path.stem}_pb2", fromlist=["DESCRIPTOR"])
    messages = code.DESCRIPTOR.message_types_by_name.values()
    enums = code.DESCRIPTOR.enum_types_by_name.values()
    made = [(f.name, str(f.number)) for m in messages for f in m.fields]
    made += [(v.name, str(v.number)) for e in enums for v in e.values]
    assert sorted(made) == sorted(written)
    assert all(re.search(rf"\b{name}\b", stub) for name, _ in written)


def test_package_imports_nothing_of_ours() -> None:
    modules = [f"eastwest_discovery.{p.stem}" for p in PACKAGE.glob("*.py") if p.stem[:2] != "__"]
    assert len(modules) > 4
    loaded = (
        f"import sys, {', '.join(modules)};"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('eastwest', 'tests', 'bench')];"
        "sys.exit(' '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
