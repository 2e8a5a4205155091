"""The record: one instance of one service. It cannot be made with values that are not allowed.

On the wire it is ``record.proto``. The encoding is canonical: equal records have equal bytes, in
every process, so that ties between versions are decided alike everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from google.protobuf.message import DecodeError

from . import names
from . import record_pb2 as pb
from ._errors import BadRecord

RECORD_BYTES_MAX = 4096
VERSION_MAX = 2**64 - 1
WEIGHT_MAX = 65535
WEIGHT_DEFAULT = 1
TTL_MAX = 3600  # seconds
TTL_DEFAULT = 15  # seconds

_FIELDS = tuple(each.name for each in pb.Record.DESCRIPTOR.fields)


@dataclass(frozen=True, slots=True)
class Key:
    """What a record is about: at most one record of each key is the newest."""

    namespace: str
    service: str
    instance: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}/{self.instance}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One instance of one service, and where it may be reached. Immutable and checked.

    Raises:
        BadRecord: a value is not allowed; the text has the value, the limit and the way out.
    """

    namespace: str = "default"  # one DNS label
    service: str  # DNS labels, at most 200 bytes
    instance: str  # 32 hexadecimal digits or 1..64 of [A-Za-z0-9._-]
    version: int  # 0 .. 2^64 - 1; raised by the owner at each change
    protocol: str = ""
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by path, <= 16
    zone: str = ""
    weight: int = WEIGHT_DEFAULT  # 0 .. 65535; 0 = draining
    labels: Mapping[str, str] = field(default_factory=dict)  # <= 32
    ttl: int = TTL_DEFAULT  # seconds, 1 .. 3600: how long it lives without renewal
    host: str = ""  # for people
    unknown: bytes = b""  # fields of a later record.proto, encoded: kept and passed on

    def __post_init__(self) -> None:
        for path, several in self.addresses.items():
            if isinstance(several, str):
                raise BadRecord(f"addresses of path {path!r} are {several!r}: want a tuple of str")
        addresses = {path: tuple(several) for path, several in self.addresses.items() if several}
        object.__setattr__(self, "addresses", MappingProxyType(addresses))
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))
        if problem := self._problem():
            raise BadRecord(problem)
        size = len(self.encode())
        if size > RECORD_BYTES_MAX:
            raise BadRecord(
                f"record {self.key} has {size} bytes, limit {RECORD_BYTES_MAX}; "
                "drop labels or addresses"
            )

    @property
    def key(self) -> Key:
        """Which instance this is about."""
        return Key(self.namespace, self.service, self.instance)

    def encode(self) -> bytes:
        """Return the canonical encoding, at most 4096 bytes."""
        known = pb.Record(
            namespace=self.namespace,
            service=self.service,
            instance=self.instance,
            version=self.version,
            protocol=self.protocol,
            addresses=[
                pb.Address(path=path, address=each)
                for path, several in sorted(self.addresses.items())
                for each in several
            ],
            zone=self.zone,
            weight=self.weight,
            labels=self.labels,
            ttl=self.ttl,
            host=self.host,
        )
        return known.SerializeToString(deterministic=True) + self.unknown

    def _problem(self) -> str | None:
        texts = (self.namespace, self.service, self.instance, self.protocol, self.zone, self.host)
        return (
            _not_text(*texts, *self.labels, *self.labels.values(), *self.addresses)
            or _not_text(*(each for several in self.addresses.values() for each in several))
            or names.namespace_problem(self.namespace)
            or names.service_problem(self.service)
            or names.instance_problem(self.instance)
            or names.protocol_problem(self.protocol)
            or names.addresses_problem(self.addresses)
            or names.zone_problem(self.zone)
            or names.labels_problem(self.labels)
            or names.host_problem(self.host)
            or _number_problem("version", self.version, 0, VERSION_MAX)
            or _number_problem("weight", self.weight, 0, WEIGHT_MAX)
            or _number_problem("ttl", self.ttl, 1, TTL_MAX)
            or _unknown_problem(self.unknown)
        )


def decode(encoded: bytes) -> Record:
    """Return the record that *encoded* holds.

    Raises:
        BadRecord: too long, not protobuf, or with a value that is not allowed.
    """
    return of_message(parse(encoded))


def parse(encoded: bytes) -> pb.Record:
    """Return the message that *encoded* holds; its values are not checked.

    Raises:
        BadRecord: too long, or not protobuf.
    """
    if len(encoded) > RECORD_BYTES_MAX:
        raise BadRecord(f"a record of {len(encoded)} bytes, limit {RECORD_BYTES_MAX}")
    message = pb.Record()
    try:
        message.ParseFromString(encoded)
    except (DecodeError, UnicodeDecodeError):  # the second: protobuf's pure Python
        raise BadRecord(
            f"{len(encoded)} bytes, beginning with {encoded[:16].hex()}, are not a record; "
            "does the sender speak this protocol?"
        ) from None
    return message


def of_message(message: pb.Record) -> Record:
    """Return the record that *message* holds, which is used up.

    Raises:
        BadRecord: a value is not allowed.
    """
    addresses: dict[str, tuple[str, ...]] = {}
    for each in message.addresses:
        addresses[each.path] = (*addresses.get(each.path, ()), each.address)
    return Record(
        namespace=message.namespace,
        service=message.service,
        instance=message.instance,
        version=message.version,
        protocol=message.protocol,
        addresses=addresses,
        zone=message.zone,
        weight=message.weight if message.HasField("weight") else WEIGHT_DEFAULT,
        labels=dict(message.labels),
        ttl=message.ttl if message.HasField("ttl") else TTL_DEFAULT,
        host=message.host,
        unknown=_left_over(message),  # the last: it empties the message
    )


def newer(a: Record, b: Record) -> Record:
    """Return which of two records of one key to believe; everybody decides alike.

    The higher version wins. Two contents of one version are a mistake of the owner (or two
    owners of one instance id): then the larger encoding wins.
    """
    if a.version != b.version:
        return a if a.version > b.version else b
    return a if a.encode() >= b.encode() else b


def _left_over(message: pb.Record) -> bytes:
    """Return the fields of *message* that this version does not know; empties the message."""
    for name in _FIELDS:
        message.ClearField(name)
    return message.SerializeToString()


def _not_text(*values: object) -> str | None:
    for value in values:
        if not isinstance(value, str):
            return f"{value!r} in a record: want a str, got {type(value).__name__}"
    return None


def _number_problem(what: str, value: int, least: int, most: int) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return None
    return f"{what} {value!r}: want a whole number, {least}..{most}"


def _unknown_problem(unknown: bytes) -> str | None:
    if not unknown:
        return None
    if not isinstance(unknown, bytes) or _left_over(parse(unknown)) != unknown:
        return f"unknown fields of {len(unknown)} bytes: want only what decode() found"
    return None
