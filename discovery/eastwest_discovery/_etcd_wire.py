"""What is said to etcd's JSON gateway, and how its answers are read. Pure.

Keys        PREFIX/NAMESPACE/SERVICE/INSTANCE   an encoded record, under the owner's lease
            PREFIX/.gone/NAMESPACE/SERVICE/INSTANCE   the version that was withdrawn, in decimal
            (no namespace begins with a dot)
Numbers     64-bit integers are strings, and absent when they are 0; bytes are base64.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ._errors import BadRecord, DiscoveryError
from ._record import Key, Record, decode

Json: TypeAlias = Mapping[str, Any]

MESSAGE_BYTES_MAX = 16 * 2**20  # one message of a stream; etcd fragments beyond 1.5 MB
HEAD_BYTES_MAX = 65536
CHUNK_LINE_BYTES_MAX = 1024
CANCELLED, UNKNOWN, BAD_ARGUMENT, DEADLINE, NOT_FOUND = 1, 2, 3, 4, 5  # codes of gRPC
DENIED, EXHAUSTED, OUT_OF_RANGE, INTERNAL, UNAVAILABLE, NO_LOGIN = 7, 8, 11, 13, 14, 16
PASSING = (CANCELLED, UNKNOWN, DEADLINE, INTERNAL, UNAVAILABLE)  # another member may do better


class NotEtcd(DiscoveryError):
    """What answers does not speak as etcd does."""


class Refusal(DiscoveryError):
    """etcd answered with an error; ``code`` is one of gRPC's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Compacted(DiscoveryError):
    """The history after our position is gone, or is another cluster's: begin with a snapshot."""


@dataclass(frozen=True, slots=True)
class Value:
    """One key of etcd."""

    key: str
    value: bytes
    mod_revision: int
    lease: int


def text_of(value: str | bytes) -> str:
    """Return base64, as the gateway wants keys and values."""
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def bytes_of(value: object) -> bytes:
    """Return what base64 from etcd stands for.

    Raises:
        NotEtcd: it is no base64.
    """
    try:
        return base64.b64decode(value, validate=True)  # type: ignore[arg-type]
    except (TypeError, ValueError, binascii.Error):
        raise NotEtcd(f"{value!r:.60} is not base64") from None


def number(message: Json, name: str) -> int:
    """Return a number of a message; 0 when it is absent.

    Raises:
        NotEtcd: it is no number.
    """
    try:
        return int(message.get(name, 0))
    except (TypeError, ValueError):
        raise NotEtcd(f"{name} {message.get(name)!r:.60} is not a number") from None


def child(message: Json, name: str) -> Json:
    """Return a message within a message; an empty one when it is absent.

    Raises:
        NotEtcd: it is no message.
    """
    found = message.get(name, {})
    if not isinstance(found, dict):
        raise NotEtcd(f"{name} {found!r:.60} is not an object")
    return found


def children(message: Json, name: str) -> Sequence[Json]:
    """Return the messages of a list; none when it is absent.

    Raises:
        NotEtcd: it is no list of messages.
    """
    found = message.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise NotEtcd(f"{name} {found!r:.60} is not a list of objects")
    return found


def parse(encoded: bytes) -> Json:
    """Return the JSON object that *encoded* holds.

    Raises:
        NotEtcd: it holds none.
    """
    try:
        message = json.loads(encoded)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise NotEtcd(f"{encoded[:60]!r} is not a JSON object")
    return message


def refusal(message: Json) -> Refusal:
    """Return the error that an answer, or a message of a stream, tells."""
    error = message.get("error", message)
    inner: Json = error if isinstance(error, dict) else message
    code = number(inner, "grpc_code" if "grpc_code" in inner else "code")
    return Refusal(code or UNKNOWN, str(inner.get("message", ""))[:300])


def value_of(kv: Json) -> Value:
    """Return the key that a range or an event tells.

    Raises:
        NotEtcd: it tells none.
    """
    key = bytes_of(kv.get("key", "")).decode(errors="backslashreplace")
    value = bytes_of(kv.get("value", ""))
    return Value(key, value, number(kv, "mod_revision"), number(kv, "lease"))


# ------------------------------------------------------------------ our keys


def record_key(prefix: str, key: Key) -> str:
    """Return where the record of *key* is kept."""
    return f"{prefix}/{key}"


def grave_key(prefix: str, key: Key) -> str:
    """Return where it is written that *key* was withdrawn."""
    return f"{prefix}/.gone/{key}"


def folder(prefix: str, namespace: str, service: str) -> str:
    """Return what the keys of a service begin with; of all in the namespace if it is ""."""
    return f"{prefix}/{namespace}/{service}/" if service else f"{prefix}/{namespace}/"


def key_of(prefix: str, text: str) -> Key | None:
    """Return which record a key of etcd is for, or None."""
    parts = text.removeprefix(f"{prefix}/").split("/")
    if not text.startswith(f"{prefix}/") or len(parts) != 3 or parts[0].startswith("."):
        return None
    return Key(*parts)


def record_of(key: Key, value: bytes) -> Record:
    """Return the record that etcd keeps at *key*.

    Raises:
        BadRecord: it is none, or another one's.
    """
    record = decode(value)
    if record.key != key:
        raise BadRecord(f"the record is {record.key}; only its owner's key may hold it")
    return record


def within(begin: str) -> dict[str, str]:
    """Return the range of all keys that begin with *begin*, which ends with a slash."""
    return {"key": text_of(begin), "range_end": text_of(begin[:-1] + "0")}  # "0" follows "/"


# ------------------------------------------------------------------ HTTP streams


class StreamParser:
    """Messages out of the bytes of one HTTP/1.1 answer without end, however they are cut.

    ``feed`` takes what came and returns the messages that are complete. It raises Refusal for
    another status than 200 and for errors within the stream, NotEtcd for what is no such stream.
    ``ended`` tells that the server has said its last word.
    """

    def __init__(self) -> None:
        self.ended = False
        self._raw = bytearray()  # not looked at yet
        self._text = bytearray()  # of the body: the beginning of a message
        self._status = 0  # 0: the head is not complete
        self._chunk = 0  # bytes left of the chunk, and of the line end behind it

    def feed(self, received: bytes) -> list[Json]:
        """Return the messages that are complete now."""
        self._raw += received
        if not self._status and not self._take_head():
            return []
        while self._take_chunk():
            pass
        if len(self._text) > MESSAGE_BYTES_MAX:
            raise NotEtcd(f"a message of more than {MESSAGE_BYTES_MAX} bytes")
        if self._status != 200:
            return self._refused()
        *lines, rest = bytes(self._text).split(b"\n") if b"\n" in self._text else [None]
        if rest is None:
            return []
        self._text[:] = rest
        messages = [parse(line) for line in lines if line and not line.isspace()]
        for message in messages:
            if "error" in message:
                raise refusal(message)
        return [child(message, "result") for message in messages]

    def _take_head(self) -> bool:
        head, mark, rest = bytes(self._raw).partition(b"\r\n\r\n")
        if not mark:
            if len(self._raw) > HEAD_BYTES_MAX:
                raise NotEtcd(f"a head of more than {HEAD_BYTES_MAX} bytes")
            return False
        lines = head.decode("latin-1").lower().split("\r\n")
        words = lines[0].split(" ")
        if not words[0].startswith("http/1.") or len(words) < 2 or not words[1].isdecimal():
            raise NotEtcd(f"{lines[0]!r:.60} is not the answer of an HTTP server")
        self._status = int(words[1])
        self._raw[:] = rest
        if "transfer-encoding: chunked" not in lines:
            raise NotEtcd(f"HTTP status {self._status} without chunks: not etcd's gateway")
        return True

    def _take_chunk(self) -> bool:
        """Move bytes of the body; return False when more must come first."""
        if self.ended:
            return False
        if self._chunk:
            part = self._raw[: self._chunk]
            if not part:
                return False
            self._text += part[: max(0, self._chunk - 2)]
            self._chunk -= len(part)
            del self._raw[: len(part)]
            return True
        line, mark, _ = bytes(self._raw[:CHUNK_LINE_BYTES_MAX]).partition(b"\r\n")
        if not mark:
            if len(self._raw) >= CHUNK_LINE_BYTES_MAX:
                raise NotEtcd(f"{line[:60]!r} is not the size of a chunk")
            return False
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            raise NotEtcd(f"{line[:60]!r} is not the size of a chunk") from None
        if not 0 <= size <= MESSAGE_BYTES_MAX:
            raise NotEtcd(f"a chunk of {size} bytes, limit {MESSAGE_BYTES_MAX}")
        del self._raw[: len(line) + 2]
        self.ended = size == 0
        self._chunk = size + 2
        return True

    def _refused(self) -> list[Json]:
        if not self.ended:
            return []
        raise refusal(parse(bytes(self._text)))
