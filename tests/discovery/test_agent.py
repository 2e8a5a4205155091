"""What a client of several servers does, in simulated time, with servers that are honest or lie."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eastwest_discovery import _agent, _leases
from eastwest_discovery import _wire as wire
from eastwest_discovery import registry_pb2 as pb
from eastwest_discovery._agent import BACKWARDS, NO_ANSWER, NO_END, TOO_MANY, Agent
from eastwest_discovery._errors import NotAllowed, Unavailable
from eastwest_discovery._link import ANSWER_SECONDS, POLL_SECONDS
from eastwest_discovery._provider import Update
from eastwest_discovery._record import Key, Record, parse
from eastwest_discovery._wire import Answer, Held, Page
from eastwest_discovery.record_pb2 import Record as Message
from tests.discovery.records import make
from tests.discovery.simulated import WATCHED, World, due

S0, S1 = "s0:1", "s1:1"
BOOT = b"boot-one"


def at(revision: int, base: int | None = None, boot: bytes = BOOT) -> bytes:
    message = pb.Answer(protocol=1, boot=boot, changes=pb.Changes(revision=revision))
    message.changes.base = revision if base is None else base
    reply = wire.answer([bytes(8), message.SerializeToString()]).reply
    assert isinstance(reply, Page)
    return reply.update.cursor


def page(
    *records: Record,
    revision: int,
    gone: tuple[Key, ...] = (),
    snapshot: bool = False,
    more: bool = False,
    base: int | None = None,
) -> Page:
    return Page(Update(records, gone, at(revision, base), snapshot, True), more)


class Liar:
    """A server whose answers the test makes up; the only one of its client."""

    def __init__(self) -> None:
        self.world = World(1)
        self.watch = self.world.watch()
        self.agent = self.world.agents[0]
        self.link = self.agent.links[S0]

    def answer(self, *replies: Page | Held) -> list[bytes]:
        """Answer the polls that come, one after the other; return their cursors."""
        cursors = []
        for reply in replies:
            ((number, cursor),) = due(self.world, S0)
            cursors.append(cursor)
            self.agent.replied(S0, Answer(number, BOOT, reply), self.world.now)
            self.world.now += 0.1
        return cursors

    def seen(self) -> list[str]:
        return [each.record.instance for each in self.watch.view.entries]


@pytest.fixture
def liar() -> Liar:
    return Liar()


# ------------------------------------------------------------------ pages and cursors


def message(number: int) -> Message:
    return parse(make(f"i{number}").encode())


def test_snapshot_in_pages_counts_when_all_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_leases, "PAGE_RECORDS", 10)
    world = World(1)
    for number in range(95):
        world.registries[S0].leases.put("x", make(f"i{number}").encode(), message(number))
    watch = world.watch()
    counts = set()
    for _ in range(20):
        world.settle_down(1)
        counts.add(len(watch.view.entries))
    assert counts == {0, 95}
    assert watch.view.complete


def test_polls_go_on_from_the_last_answer(liar: Liar) -> None:
    first = page(make("a"), revision=3, snapshot=True)
    second = page(make("b"), revision=4)
    third = page(revision=6, gone=(make("a").key,))
    assert liar.answer(first, second, third) == [b"", at(3), at(4)]
    assert liar.seen() == ["b"]


def test_pages_go_on_from_the_last_page_and_start_over_when_told(liar: Liar) -> None:
    cursors = liar.answer(
        page(make("old"), revision=2, base=9, snapshot=True, more=True),
        page(make("a"), revision=1, base=10, snapshot=True, more=True),  # something was forgotten
        page(make("b"), revision=11, gone=(make("c").key,)),
    )
    assert cursors == [b"", at(2, 9), at(1, 10)]
    assert liar.seen() == ["a", "b"]


def test_pages_of_a_lost_server_are_forgotten(liar: Liar) -> None:
    liar.answer(page(make("old"), revision=2, base=9, snapshot=True, more=True))
    liar.agent.failed(S0, "lost", liar.world.now)
    liar.world.now += 60.0
    assert liar.answer(page(make("a"), revision=1, snapshot=True)) == [b""]
    assert liar.seen() == ["a"]


def test_late_and_foreign_answers_change_nothing(liar: Liar) -> None:
    liar.answer(page(make("a"), revision=3, snapshot=True))
    for number in (0, 1, 2**64 - 1):
        lie = page(make("b"), revision=9, snapshot=True)
        liar.agent.replied(S0, Answer(number, BOOT, lie), liar.world.now)
    assert liar.seen() == ["a"] and liar.link.is_open


# ------------------------------------------------------------------ restarts


def test_other_boot_id_is_a_restart_and_all_is_published_again() -> None:
    world = World(1, 2)
    world.publish(make("a"))
    world.watch(1)
    world.settle_down()
    assert world.seen(1) == {"a": 1}
    world.registries[S0] = World(1).registries[S0]  # behind an address that stays connected
    world.registries[S0].leases.boot = b"another!"
    world.pass_time(POLL_SECONDS + ANSWER_SECONDS + 20)
    assert world.registries[S0].leases.all.records == 1
    assert world.seen(1) == {"a": 1}


def test_answer_of_another_boot_is_not_taken(liar: Liar) -> None:
    liar.answer(page(make("a"), revision=3, snapshot=True))
    ((number, _),) = due(liar.world, S0)
    lie = page(make("b"), revision=4)
    liar.agent.replied(S0, Answer(number, b"boot-two", lie), liar.world.now)
    assert liar.link.problem == "it was restarted" and not liar.link.is_open
    assert liar.seen() == ["a"]


def test_superseded_version_is_told_with_the_one_that_is_held(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(1, 2)
    world.publish(make("a", 9), 0)
    world.settle_down()
    world.publish(make("a", 4), 1)
    world.settle_down()
    (line,) = [each for each in caplog.messages if each.startswith("publish_superseded")]
    assert "version=4 held=9" in line and "two owners of one instance id" in line
    world.watch(1)
    world.settle_down()
    assert world.seen(1) == {"a": 9}


def test_two_owners_of_one_id_and_version_are_seen_alike_by_all() -> None:
    world = World(2, 3)
    world.publish(make("a", labels={"who": "one"}), 0)
    world.publish(make("a", labels={"who": "two"}), 1)
    for client in range(3):
        world.watch(client)
    world.pass_time(30)
    views = [world.watch(client).view for client in range(3)]
    found = {each.record.labels["who"] for view in views for each in view.entries}
    assert found == {"two"}


# ------------------------------------------------------------------ lies


def lost(liar: Liar) -> str:
    assert not liar.link.is_open and liar.link.retry_at > liar.world.now - 0.2
    return liar.link.problem


def test_revision_that_goes_back_ends_the_connection_and_changes_nothing(liar: Liar) -> None:
    liar.answer(page(make("a"), revision=5, snapshot=True))
    liar.answer(page(make("b"), revision=4))
    assert lost(liar) == BACKWARDS and liar.seen() == ["a"]


def test_revision_that_goes_back_with_a_snapshot_starts_over(liar: Liar) -> None:
    liar.answer(page(make("a"), revision=5, snapshot=True))
    liar.answer(page(make("b"), revision=1, snapshot=True))
    assert liar.link.is_open and liar.seen() == ["b"]


def test_page_that_brings_nothing_and_promises_more_ends_the_connection(liar: Liar) -> None:
    liar.answer(page(revision=5, snapshot=True, more=True))
    assert lost(liar) == NO_END


@pytest.mark.parametrize("snapshot", [False, True])
def test_snapshot_without_an_end_ends_the_connection(
    liar: Liar, snapshot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_agent, "SNAPSHOT_RECORDS_MAX", 100)
    liar.answer(page(make("a"), revision=1, base=900, snapshot=True, more=True))
    pages = 0
    while liar.link.is_open:
        pages += 1
        lie = page(make("a"), revision=1 + pages, base=900, snapshot=snapshot, more=True)
        liar.answer(lie)
    assert pages == 100 and lost(liar) == NO_END and liar.seen() == []


def test_changes_that_promise_more_without_end_are_taken_slowly(liar: Liar) -> None:
    liar.answer(page(make("a"), revision=1, snapshot=True))
    ((number, _),) = due(liar.world, S0)
    lie = page(make("a", 2), revision=2, more=True)
    liar.agent.replied(S0, Answer(number, BOOT, lie), liar.world.now)
    assert list(due(liar.world, S0)) == []  # not at once
    assert liar.link.next() is not None


def test_more_instances_than_anybody_has_end_the_connection(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eastwest_discovery._union.INSTANCES_MAX", 10)
    liar.answer(page(*(make(f"i{n}") for n in range(11)), revision=1, snapshot=True))
    assert lost(liar) == TOO_MANY and liar.seen() == []


def test_records_that_nobody_asked_for_are_dropped_and_logged(
    liar: Liar, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = make("a", namespace="other"), make("b", service="other")
    liar.answer(page(*foreign, make("c"), revision=1, snapshot=True))
    assert liar.seen() == ["c"]
    (line,) = caplog.messages
    assert "record_ignored" in line and "record=other/pricing/a" in line and "2 in one" in line


def test_changes_without_a_snapshot_before_are_not_taken(liar: Liar) -> None:
    liar.answer(page(make("a"), revision=5))
    assert lost(liar) == TOO_MANY and liar.seen() == []


def test_answer_of_the_other_kind_ends_the_connection(liar: Liar) -> None:
    liar.answer(Held(False, 1))
    assert lost(liar) == NO_ANSWER
    world = World(1)
    world.publish(make(), 0)
    ((number, _),) = due(world, S0)
    world.agents[0].replied(S0, Answer(number, BOOT, page(make(), revision=1)), world.now)
    assert world.agents[0].links[S0].problem == NO_ANSWER


def test_refusals_are_logged_once_and_tell_what_error_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    liar = Liar()
    for _ in range(3):
        ((number, _),) = due(liar.world, S0)
        answer = Answer(number, BOOT, NotAllowed("client 'a' may not read 'default/pricing'"))
        liar.agent.replied(S0, answer, liar.world.now)
        liar.world.now += 30.0
    assert len(caplog.messages) == 1 and "registry_refused" in caplog.messages[0]
    assert liar.agent.refusal(liar.watch) is NotAllowed
    assert liar.agent.problems(liar.watch).endswith("may not read 'default/pricing'")
    assert Liar().agent.refusal(Liar().watch) is Unavailable


# ------------------------------------------------------------------ whatever comes

keys = st.builds(Key, st.sampled_from(["default", "x"]), st.just("pricing"), st.sampled_from("abc"))
records = st.builds(
    make,
    st.sampled_from("abc"),
    st.integers(0, 5),
    namespace=st.sampled_from(["default", "x"]),
    service=st.sampled_from(["pricing", "y"]),
    ttl=st.integers(1, 20),
)
cursors = st.builds(
    at, st.integers(0, 9), st.integers(0, 9), st.sampled_from([BOOT, b"boot-two"])
) | st.binary(max_size=24)
updates = st.builds(
    Update,
    st.lists(records, max_size=4).map(tuple),
    st.lists(keys, max_size=3).map(tuple),
    cursors,
    st.booleans(),
    st.booleans(),
)
replies = (
    st.builds(Page, updates, st.booleans())
    | st.builds(Held, st.booleans(), st.integers(0, 9))
    | st.just(NotAllowed("no"))
)
boots = st.sampled_from([BOOT, BOOT, BOOT, b"boot-two", b""])


@settings(max_examples=200)
@given(st.lists(st.tuples(replies, boots, st.integers(-1, 1), st.floats(0, 30)), max_size=12))
def test_whatever_a_server_says_the_view_is_in_order(
    script: list[tuple[Page | Held | NotAllowed, bytes, int, float]],
) -> None:
    agent = Agent((S0, S1), random.Random(1))
    agent.publish(make("own"), 0.0)
    watch = agent.watch(WATCHED, 0.0)
    agent.remember(WATCHED, [(make("z"), 5.0)], 0.0)
    now, numbers = 0.0, [0]
    for reply, boot, offset, seconds in script:
        if agent.links[S0].wants_socket(now):
            agent.links[S0].opened()
        numbers += [number for number, _, _ in agent.due(S0, now)]
        agent.replied(S0, Answer(numbers[-1] + offset, boot, reply), now)
        now += seconds
        agent.turn(now)
        entries = watch.view.entries
        assert len({each.record.key for each in entries}) == len(entries)
        assert all((each.record.namespace, each.record.service) == WATCHED for each in entries)
        assert not watch.view.asked or agent.links[S0].is_open
    snapshot = watch.journal.since(b"", watch.view)
    assert snapshot.snapshot and len(snapshot.records) == len(watch.view.entries)


actions = st.lists(
    st.tuples(
        st.sampled_from(["publish", "withdraw", "cut", "heal", "restart", "wait"]),
        st.integers(0, 1),
        st.sampled_from("abc"),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(actions)
def test_what_is_published_is_seen_by_all_when_all_can_be_reached_again(
    script: list[tuple[str, int, str]],
) -> None:
    """Two servers that are lost, cut off and restarted; one owner, one reader."""
    world = World(2, 2, settle=15.0)
    world.watch(1)
    published: dict[str, int] = {}
    version = 0
    for action, which, instance in script:
        source = world.sources[which]
        if action == "publish":
            version += 1
            published[instance] = version
            world.publish(make(instance, version))
        elif action == "withdraw":
            published.pop(instance, None)
            world.agents[0].withdraw(make(instance).key, world.now)
        elif action == "restart":
            world.restart(source)
        elif action == "wait":
            world.pass_time(4.0)
        else:
            world.cut(source, is_cut=action == "cut")
        world.settle_down(2)
    for source in world.sources:
        world.cut(source, is_cut=False)
    world.pass_time(60.0)
    assert world.seen(1) == published
    assert world.watch(1).view.complete
    assert len(world.watch(1).view.entries) == len(published)


# ------------------------------------------------------------------ who waits, and for what


def test_answers_that_came_before_the_disk_was_read_are_news_then() -> None:
    # catches: who waits for both waits on
    world = World(1)
    agent = world.agents[0]
    watch = agent.watch(WATCHED, world.now)
    world.settle_down()
    before = agent.news
    assert not agent.is_answered(watch)
    agent.remember(WATCHED, [], world.now)
    assert agent.is_answered(watch)
    assert agent.news > before


def test_whatever_somebody_may_wait_for_is_news() -> None:
    world = World(1)
    agent = world.agents[0]
    before = agent.news

    def is_news() -> bool:
        nonlocal before
        before, was = agent.news, before
        return before > was

    world.publish(make())
    world.settle_down()
    assert is_news(), "a publication has arrived"
    agent.withdraw(make().key, world.now)
    world.settle_down()
    assert is_news(), "a withdrawal has arrived"
    world.settle_down()
    assert not is_news(), "nothing happens"
    world.publish(make(version=2))
    world.settle_down()
    before = agent.news
    agent.failed(S0, "killed", world.now)
    assert is_news(), "a server is lost"
    world.watch()
    assert not is_news(), "nothing was on disk"
    agent.remember(WATCHED, [(make("z"), 5.0)], world.now)
    assert is_news(), "what was on disk"
    world.pass_time(20.0)
    assert is_news(), "the record is seen"
    agent.failed(S0, "killed", world.now)
    before = agent.news
    agent.turn(world.now + make().ttl)
    assert is_news(), "its word no longer counts"


def test_time_looks_only_at_what_it_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1)
    agent = world.agents[0]
    used = world.watch().used
    agent.watch(("default", "feed"), world.now + 1e6)
    world.settle_down()
    looked: list[str] = []
    look = agent._look

    def noted(watched: tuple[str, str], now: float) -> None:
        looked.append(watched[1])
        look(watched, now)

    monkeypatch.setattr(agent, "_look", noted)
    agent.turn(used + _agent.IDLE_SECONDS - 1.0)
    assert looked == []
    agent.watches[WATCHED].used = used + 1.0
    agent.turn(used + _agent.IDLE_SECONDS)
    assert looked == ["pricing"], "it was used since"
    agent.turn(used + _agent.IDLE_SECONDS + 1.0)
    assert WATCHED not in agent.watches
