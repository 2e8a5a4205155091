"""What goes to a registry server and comes back, as ``registry.proto`` says. Pure.

Nothing that comes is believed: an answer that breaks the rules is BadAnswer, and a record in it
that does is left out (a server hands on what owners wrote, one of them may be wrong).
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from . import _log as log
from . import registry_pb2 as pb
from ._errors import BadRecord, DiscoveryError, LimitReached, NotAllowed
from ._link import Delete, Poll, Put, Request
from ._protocol import BOOT_BYTES, PROTOCOL
from ._provider import Cursor, Update
from ._record import Key, Record, decode

REPLY_BYTES_MAX = 8 << 20  # a page of records is far smaller

_NUMBER = struct.Struct("!Q")
_POSITION = struct.Struct(f"!{BOOT_BYTES}sQQ")  # boot id, revision, base: a cursor
_ERRORS: dict[int, type[DiscoveryError]] = {
    pb.NOT_ALLOWED: NotAllowed,
    pb.LIMIT_REACHED: LimitReached,
}


class BadAnswer(DiscoveryError):
    """What came is no answer of a registry server."""


@dataclass(frozen=True, slots=True)
class Held:
    """The answer to a publication or a withdrawal.

    Attributes:
        is_superseded: the server has something newer, of ``version``.
    """

    is_superseded: bool
    version: int


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to a poll, or a part of it."""

    update: Update
    more: bool  # the rest follows the next poll


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says, and which start of it."""

    number: int
    boot: bytes
    reply: Held | Page | DiscoveryError


def request(number: int, what: Request, cursor: Cursor) -> list[bytes]:
    """Return the frames of a request.

    Args:
        cursor: of a poll.
    """
    message = pb.Request(protocol=PROTOCOL)
    if isinstance(what, Put):
        message.put.record = what.record.encode()
    elif isinstance(what, Delete):
        key = what.key
        message.withdraw.namespace, message.withdraw.service = key.namespace, key.service
        message.withdraw.instance, message.withdraw.version = key.instance, what.version
        message.withdraw.ttl = what.ttl
    else:
        _fill(message.poll, what, cursor)
    return [_NUMBER.pack(number), message.SerializeToString()]


def answer(frames: Sequence[bytes]) -> Answer:
    """Return what the frames of an answer say.

    Raises:
        BadAnswer: they are none.
    """
    if len(frames) != 2 or len(frames[0]) != _NUMBER.size:
        raise BadAnswer(f"{len(frames)} frames of {sum(map(len, frames))} bytes are no answer")
    message = pb.Answer()
    try:
        message.ParseFromString(frames[1])
    except (DecodeError, UnicodeDecodeError):  # the second: protobuf's pure Python
        raise BadAnswer(f"{len(frames[1])} bytes, from {frames[1][:16].hex()}") from None
    if message.protocol != PROTOCOL:
        raise BadAnswer(f"protocol {message.protocol}, we speak {PROTOCOL}; update the older side")
    return Answer(_NUMBER.unpack(frames[0])[0], message.boot, _reply(message))


def is_backwards(before: Cursor, after: Cursor) -> bool:
    """Whether a server that gave *before* cannot give *after* unless it starts over."""
    then, now = _position(before), _position(after)
    if then is None or now is None:
        return then is not None
    return now[0] != then[0] or now[1] < then[1] or now[2] < then[2]


def _position(cursor: Cursor) -> tuple[bytes, int, int] | None:
    """Return boot id, revision and base; None: it is of another source, or the start."""
    if len(cursor) != _POSITION.size:
        return None
    boot, revision, base = _POSITION.unpack(cursor)
    return boot, revision, base


def _fill(poll: "pb.Poll", what: Poll, cursor: Cursor) -> None:
    poll.namespace, poll.service = what.watched
    poll.wait_ms = int(what.wait * 1000)
    if position := _position(cursor):
        poll.boot, poll.revision, poll.base = position


def _reply(message: "pb.Answer") -> Held | Page | DiscoveryError:
    if message.problem != pb.NONE:
        return _ERRORS.get(message.problem, DiscoveryError)(message.text or "no reason was given")
    if len(message.boot) != BOOT_BYTES:
        raise BadAnswer(f"a boot id of {len(message.boot)} bytes, want {BOOT_BYTES}")
    if message.HasField("held"):
        return Held(message.held.outcome == "superseded", message.held.version)
    if message.HasField("changes"):
        changes = message.changes
        update = Update(
            tuple(_records(changes.records)),
            tuple(Key(each.namespace, each.service, each.instance) for each in changes.gone),
            _POSITION.pack(message.boot, changes.revision, changes.base),
            changes.snapshot,
            message.complete,
        )
        return Page(update, changes.more)
    raise BadAnswer("an answer without any content")


def _records(encoded: Iterable[bytes]) -> Iterable[Record]:
    for each in encoded:
        try:
            yield decode(each)
        except BadRecord as error:
            log.warning("record_ignored", detail=error)
