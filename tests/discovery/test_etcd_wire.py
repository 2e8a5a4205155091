"""Streams however they are cut, watches and snapshots from messages, the order of members."""

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest_discovery import _etcd_wire as wire
from eastwest_discovery._etcd_endpoints import Endpoints
from eastwest_discovery._etcd_view import Follower, Position, Question, Snapshot
from eastwest_discovery._record import Record
from tests.discovery.records import make

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(text: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(text), text)


def fed(parts: list[bytes]) -> list[wire.Json]:
    parser = wire.StreamParser()
    return [message for part in parts for message in parser.feed(part)]


@given(st.lists(st.integers(0, 400), max_size=8), st.integers(1, 60))
def test_messages_do_not_depend_on_how_the_bytes_are_cut(cuts: list[int], size: int) -> None:
    messages = [{"n": n, "text": "\r\n" + "x" * n} for n in range(4)]
    body = b"".join(json.dumps({"result": each}).encode() + b"\n" for each in messages)
    chunks = [chunk(body[n : n + size]) for n in range(0, len(body), size)]
    whole = HEAD + b"".join(chunks) + b"0\r\n\r\n"
    edges = [0, *sorted(min(each, len(whole)) for each in cuts), len(whole)]
    assert fed([whole[a:b] for a, b in pairwise(edges)]) == messages


def test_a_stream_that_ends_says_so() -> None:
    parser = wire.StreamParser()
    parser.feed(HEAD)
    assert not parser.ended
    parser.feed(b"0\r\n\r\n")
    assert parser.ended


@pytest.mark.parametrize(
    ("received", "problem"),
    [
        (b"220 mail.example ESMTP\r\n\r\n", "not the answer of an HTTP server"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "without chunks"),
        (b"x" * 70000, "a head of more than"),
        (HEAD + b"zz\r\n", "not the size of a chunk"),
        (HEAD + b"-5\r\n", "a chunk of -5 bytes"),
        (HEAD + b"1" * 2000, "not the size of a chunk"),
        (HEAD + b"7fffffff\r\n", "limit 16777216"),
        (HEAD + 3 * chunk(b"x" * 2**23), "a message of more than"),
        (HEAD + chunk(b"[1]\n"), "not a JSON object"),
        (HEAD + chunk(b"[" * 100_000 + b"\n"), "not a JSON object"),
        (HEAD + chunk(b'{"result": 5}\n'), "not an object"),
    ],
)
def test_what_is_no_stream_of_etcd_is_refused(received: bytes, problem: str) -> None:
    with pytest.raises(wire.NotEtcd, match=problem):
        fed([received])


@pytest.mark.parametrize(
    ("received", "code"),
    [
        (HEAD + chunk(b'{"error":{"grpc_code":14,"message":"no leader"}}\n'), 14),
        (HEAD + chunk(b'{"error":{"code":7,"message":"no"}}\n'), 7),
        (HEAD.replace(b"200 OK", b"401 X") + chunk(b'{"code":16,"message":"no"}') + b"0\r\n", 16),
    ],
)
def test_errors_of_a_stream_have_their_code(received: bytes, code: int) -> None:
    with pytest.raises(wire.Refusal) as caught:
        fed([received])
    assert caught.value.code == code


# ------------------------------------------------------------------ watches and snapshots


def question(told: list[str] | None = None) -> Question:
    return Question("/p", "default", "pricing", lambda key, _: (told or []).append(key))


def kv(record: Record, revision: int) -> dict[str, Any]:
    key = wire.text_of(f"/p/{record.key}")
    value = wire.text_of(record.encode())
    return {"kv": {"key": key, "value": value, "mod_revision": str(revision)}}


def gone(record: Record, revision: int) -> dict[str, Any]:
    key = wire.text_of(f"/p/{record.key}")
    return {"type": "DELETE", "kv": {"key": key, "mod_revision": str(revision)}}


def message(revision: int, *events: dict[str, Any], **more: object) -> dict[str, Any]:
    return {
        "header": {"cluster_id": "5", "revision": str(revision)},
        "events": list(events),
        **more,
    }


def follower(revision: int = 10) -> Follower:
    return Follower(question(), Position(5, revision))


def test_the_last_event_of_a_key_counts() -> None:
    follow = follower()
    events = (kv(make(version=1), 11), gone(make(), 12), kv(make(version=2), 13))
    update = follow.take(
        message(
            13,
            *events,
        )
    )
    assert update is not None
    assert update.records == (make(version=2),) and update.gone == ()
    assert follow.position == Position(5, 13)
    update = follow.take(message(14, gone(make(), 14)))
    assert update is not None and update.gone == (make().key,)


def test_fragments_are_one_update_and_the_position_waits_for_the_last() -> None:
    follow = follower()
    assert follow.take(message(11, kv(make("a"), 11), fragment=True)) is None
    assert follow.position.revision == 10
    update = follow.take(message(11, kv(make("b"), 11)))
    assert update is not None and len(update.records) == 2
    assert follow.position.revision == 11


def test_the_position_follows_events_not_the_header() -> None:
    follow = follower()
    follow.take(message(50, kv(make(), 11)))
    assert follow.position.revision == 11  # 12 to 50 may still come
    follow.take(message(60))  # progress: nothing up to here was left out
    assert follow.position.revision == 60


@pytest.mark.parametrize(
    "lost",
    [
        message(0, canceled=True, compact_revision="12"),
        {"header": {"cluster_id": "6", "revision": "11"}, "created": True},
    ],
)
def test_a_lost_position_is_told(lost: dict[str, Any]) -> None:
    with pytest.raises(wire.Compacted):
        follower().take(lost)


def test_a_member_behind_us_is_suspicious() -> None:
    follow = follower(10)
    follow.take(message(9, created=True))
    assert follow.suspicious
    follow = follower(10)
    follow.take(message(10, created=True))
    assert not follow.suspicious


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("etcdserver: permission denied", wire.DENIED),
        ("etcdserver: invalid auth token", wire.NO_LOGIN),
        ("etcdserver: no leader", wire.UNAVAILABLE),
    ],
)
def test_an_ended_watch_says_why(reason: str, code: int) -> None:
    with pytest.raises(wire.Refusal) as caught:
        follower().take(message(11, canceled=True, cancel_reason=reason))
    assert caught.value.code == code


def test_all_pages_of_a_snapshot_are_of_the_first_ones_revision() -> None:
    snapshot = Snapshot(question())
    assert "revision" not in snapshot.request()
    first = {"header": {"cluster_id": "5", "revision": "7"}, "more": True}
    assert snapshot.take(first | {"kvs": [kv(make("a"), 3)["kv"]]}) is None
    assert snapshot.request()["revision"] == "7"
    assert wire.bytes_of(snapshot.request()["key"]) == b"/p/default/pricing/a\0"
    update = snapshot.take({"header": {"revision": "9"}, "kvs": [kv(make("b"), 4)["kv"]]})
    assert update is not None and update.cursor == b"5:7" and len(update.records) == 2


def test_pages_shrink_to_one_key_and_no_further() -> None:
    snapshot = Snapshot(question())
    assert [snapshot.too_large() for _ in range(9)] == [True] * 8 + [False]


@pytest.mark.parametrize(
    "bad",
    [
        {"header": 5},
        {"header": {"revision": "x"}},
        {"kvs": {}},
        {"kvs": [5]},
        {"kvs": [{"key": "*"}]},
        {"kvs": [{"key": 5}]},
        {"kvs": [{"key": "", "value": "???"}]},
        {"kvs": [{"key": "", "mod_revision": []}]},
    ],
)
def test_answers_that_are_not_etcds_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(wire.NotEtcd):
        Snapshot(question()).take(bad)


# ------------------------------------------------------------------ members

MEMBERS = [("a", 1), ("b", 1), ("c", 1)]


def test_members_come_in_any_order_until_one_works() -> None:
    firsts = {Endpoints(MEMBERS, random.Random(n).random).order(0)[0] for n in range(50)}
    assert firsts == set(MEMBERS)
    endpoints = Endpoints(MEMBERS, random.random)
    endpoints.worked(("b", 1))
    assert all(endpoints.order(n)[0] == ("b", 1) for n in range(20))


def test_who_failed_comes_last_until_its_wait_is_over() -> None:
    endpoints = Endpoints(MEMBERS, lambda: 0.0)
    endpoints.worked(("b", 1))
    endpoints.failed(("b", 1), 100.0, "refused")
    assert endpoints.order(100.0)[-1] == ("b", 1)
    assert endpoints.problems() == {("b", 1): "refused"}
    for member in MEMBERS:
        endpoints.failed(member, 100.0, "refused")
    assert sorted(endpoints.order(100.0)) == MEMBERS  # the last resort
    endpoints.worked(("c", 1))
    assert endpoints.order(100.0)[0] == ("c", 1)


def test_waits_double_up_to_ten_seconds() -> None:
    endpoints = Endpoints([("a", 1), ("b", 1)], lambda: 0.0)
    now, waits = 0.0, []
    for _ in range(8):
        endpoints.failed(("a", 1), now, "x")
        waits.append(endpoints._states[("a", 1)].until - now)
    assert waits == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
