"""Requests and answers of the registry's protocol, as a client writes and reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest_discovery import _wire as wire
from eastwest_discovery import registry_pb2 as pb
from eastwest_discovery._errors import DiscoveryError, LimitReached, NotAllowed
from eastwest_discovery._link import Delete, Poll, Put
from eastwest_discovery._provider import Update
from eastwest_discovery._record import Key, decode
from eastwest_discovery._registry import Registry
from tests.discovery import raw_protobuf as raw
from tests.discovery.records import make

BOOT = b"boot-one"
NUMBER = bytes(7) + b"\x07"


def read(message: pb.Answer) -> wire.Answer:
    return wire.answer([NUMBER, message.SerializeToString()])


def answer(**fields: object) -> pb.Answer:
    return pb.Answer(**{"protocol": 1, "boot": BOOT, **fields})  # type: ignore[arg-type]


def cursor(revision: int, base: int, boot: bytes = BOOT) -> bytes:
    changes = pb.Changes(revision=revision, base=base)
    reply = read(answer(boot=boot, changes=changes)).reply
    assert isinstance(reply, wire.Page)
    return reply.update.cursor


# ------------------------------------------------------------------ requests


def test_requests_say_what_is_wanted() -> None:
    key = make().key
    for what, written in (
        (Put(make()), pb.Request(put=pb.Put(record=make().encode()))),
        (
            Delete(key, 7, 15),
            pb.Request(
                withdraw=pb.Withdraw(
                    namespace=key.namespace,
                    service=key.service,
                    instance=key.instance,
                    version=7,
                    ttl=15,
                )
            ),
        ),
        (
            Poll(("default", "pricing"), 15.0),
            pb.Request(
                poll=pb.Poll(
                    namespace="default",
                    service="pricing",
                    wait_ms=15_000,
                    boot=BOOT,
                    revision=3,
                    base=2,
                )
            ),
        ),
    ):
        number, body = wire.request(7, what, cursor(3, 2))
        written.protocol = 1
        assert (number, pb.Request.FromString(body)) == (NUMBER, written)


@pytest.mark.parametrize("strange", [b"", b"short", bytes(200)])
def test_cursor_of_another_source_asks_from_the_start(strange: bytes) -> None:
    _, body = wire.request(1, Poll(("default", "pricing"), 0.0), strange)
    poll = pb.Request.FromString(body).poll
    assert (poll.boot, poll.revision, poll.base) == (b"", 0, 0)


# ------------------------------------------------------------------ answers


def test_answer_to_a_poll_is_an_update() -> None:
    gone = pb.Gone(namespace="default", service="pricing", instance="b")
    changes = pb.Changes(
        records=[make().encode()], gone=[gone], revision=9, base=5, snapshot=True, more=True
    )
    found = read(answer(complete=True, changes=changes))
    key = Key("default", "pricing", "b")
    update = Update((make(),), (key,), cursor(9, 5), True, True)
    assert found == wire.Answer(7, BOOT, wire.Page(update, more=True))


def test_answer_to_a_publication_tells_what_is_held() -> None:
    for outcome in ("stored", "renewed", "withdrawn", "superseded"):
        found = read(answer(held=pb.Held(outcome=outcome, version=4))).reply
        assert found == wire.Held(outcome == "superseded", 4)


@pytest.mark.parametrize(
    ("problem", "error"),
    [
        (pb.NOT_ALLOWED, NotAllowed),
        (pb.LIMIT_REACHED, LimitReached),
        (pb.BAD_REQUEST, DiscoveryError),
        (77, DiscoveryError),  # of a later server
    ],
)
def test_problem_is_the_error_of_its_kind(problem: int, error: type[DiscoveryError]) -> None:
    reply = read(answer(problem=problem, text="because")).reply
    assert type(reply) is error and str(reply) == "because"
    assert str(read(answer(problem=problem)).reply) == "no reason was given"


def test_bad_record_is_left_out_and_the_rest_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    encoded = [b"\xff", make("a").encode(), bytes(4097), pb.Gone(namespace="A").SerializeToString()]
    reply = read(answer(changes=pb.Changes(records=[*encoded, make("b").encode()]))).reply
    assert isinstance(reply, wire.Page)
    assert [each.instance for each in reply.update.records] == ["a", "b"]
    assert sum("record_ignored" in each for each in caplog.messages) == 3
    assert "4097 bytes, limit 4096" in caplog.text


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        ([], "0 frames"),
        ([NUMBER], "1 frames"),
        ([NUMBER, b"", b""], "3 frames"),
        ([b"1234567", b""], "2 frames of 7 bytes"),
        ([NUMBER, b"\xff\xff"], "2 bytes, from ffff"),
        ([NUMBER, b""], "protocol 0, we speak 1"),
        ([NUMBER, answer(protocol=2).SerializeToString()], "protocol 2, we speak 1; update"),
        ([NUMBER, answer(boot=b"").SerializeToString()], "a boot id of 0 bytes, want 8"),
        ([NUMBER, answer(boot=bytes(9)).SerializeToString()], "a boot id of 9 bytes, want 8"),
        ([NUMBER, answer().SerializeToString()], "without any content"),
        ([NUMBER, answer(status=pb.Status()).SerializeToString()], "without any content"),
    ],
)
def test_what_is_no_answer_is_named(frames: list[bytes], says: str) -> None:
    with pytest.raises(wire.BadAnswer, match=says):
        wire.answer(frames)


@pytest.mark.parametrize(
    ("before", "after", "is_so"),
    [
        (cursor(5, 5), cursor(5, 5), False),
        (cursor(5, 3), cursor(6, 3), False),
        (cursor(5, 5), cursor(4, 5), True),
        (cursor(5, 5), cursor(6, 4), True),
        (cursor(5, 5), cursor(6, 6, b"boot-two"), True),
        (b"", cursor(5, 5), False),
    ],
)
def test_server_cannot_go_back_without_starting_over(
    before: bytes, after: bytes, is_so: bool
) -> None:
    assert wire.is_backwards(before, after) == is_so


# ------------------------------------------------------------------ whatever comes

ENVELOPE = pb.Answer(protocol=1, boot=BOOT).SerializeToString()
REQUEST = pb.Request(protocol=1).SerializeToString()


def content(field: int) -> st.SearchStrategy[bytes]:
    """Answers or requests with one field that is taken, and anything in it."""
    return raw.messages.map(lambda inner: raw.embedded(field, inner))


anything = raw.messages | st.builds(
    bytes.__add__, st.just(ENVELOPE), content(4) | content(5) | raw.messages
)


@given(anything)
def test_whatever_comes_is_an_answer_or_named(body: bytes) -> None:
    try:
        found = wire.answer([NUMBER, body])
    except wire.BadAnswer as error:
        assert str(error)
        return
    assert isinstance(found.reply, wire.Held | wire.Page | DiscoveryError)
    if isinstance(found.reply, wire.Page):
        for each in found.reply.update.records:
            assert decode(each.encode()) == each


MALFORMED = {
    "protocol": raw.counted(1, 3),
    "boot": raw.embedded(2, b"x"),
    "complete": raw.embedded(3, b"x"),
    "held": raw.counted(4, 1),
    "changes": raw.counted(5, 1),
    "problem": raw.embedded(7, b"x"),
    "text": raw.embedded(8, b"\xff"),
    "held.outcome": raw.embedded(4, raw.embedded(1, b"\xff")),
    "held.version": raw.embedded(4, raw.embedded(2, b"x")),
    "changes.records": raw.embedded(5, raw.embedded(1, b"\xff")),
    "changes.gone": raw.embedded(5, raw.embedded(2, raw.embedded(1, b"\xff"))),
    "changes.gone.service": raw.embedded(5, raw.embedded(2, raw.embedded(2, b"\xff"))),
    "changes.gone.instance": raw.embedded(5, raw.embedded(2, raw.embedded(3, b"\xff"))),
    "changes.revision": raw.embedded(5, raw.embedded(3, b"x")),
    "changes.base": raw.embedded(5, raw.embedded(4, b"x")),
    "changes.snapshot": raw.embedded(5, raw.embedded(5, b"x")),
    "cut short": raw.embedded(5, bytes(9))[:-1],
}


@pytest.mark.parametrize("field", MALFORMED)
def test_each_malformed_field_is_refused_or_is_as_if_it_were_not_there(field: str) -> None:
    good = answer(held=pb.Held(outcome="stored", version=1)).SerializeToString()
    try:
        found = wire.answer([NUMBER, good + MALFORMED[field]])
    except wire.BadAnswer:
        return
    assert isinstance(found.reply, wire.Held | wire.Page | DiscoveryError)
    assert not isinstance(found.reply, wire.Page) or not found.reply.update.records


@given(st.builds(bytes.__add__, st.just(REQUEST), content(2) | content(3) | content(4)))
def test_server_answers_whatever_comes_or_counts_it(body: bytes) -> None:
    registry = Registry(BOOT, 0.0)
    replied = registry.request(None, b"route", NUMBER, body)
    if replied is None:
        waiting, garbage = (registry.numbers()[each] for each in ("waiting", "garbage_total"))
        assert waiting + garbage == 1
    else:
        said = pb.Answer.FromString(replied)
        assert said.boot == BOOT and bool(said.problem) == bool(said.text)
