"""The union against a plain model, and against honest servers that are lost and restarted.

The model keeps no derived state: after each step it judges every instance anew, from the last word
of every server and from what it offered before.
"""

from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st

from eastwest_discovery._provider import Update
from eastwest_discovery._record import Key, Record, newer
from eastwest_discovery._union import STALE_SECONDS_MAX, Union

SERVERS = ("a", "b", "c")
INSTANCES = ("i", "j", "k")
TTLS = {"i": 5, "j": 10, "k": 40}


def make(instance: str, version: int, host: str) -> Record:
    ttl = TTLS[instance]
    return Record(service="s", instance=instance, version=version, host=host, ttl=ttl)


records = st.builds(make, st.sampled_from(INSTANCES), st.integers(0, 3), st.sampled_from("xy"))
keys = st.builds(lambda name: Key("default", "s", name), st.sampled_from(INSTANCES))
foreign = st.just(Record(service="other", instance="i", version=9))


@dataclass
class Answer:
    """What a server says; any of it may be a lie."""

    server: str
    records: list[Record]
    gone: list[Key]
    snapshot: bool
    complete: bool
    is_late: bool


@dataclass
class Lost:
    server: str
    heard_before: float  # seconds


@dataclass
class Sleep:
    seconds: float


servers = st.sampled_from(SERVERS)
answers = st.builds(
    Answer,
    servers,
    st.lists(st.one_of(records, records, foreign), max_size=3),
    st.lists(keys, max_size=2),
    st.booleans(),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
)
losses = st.builds(Lost, servers, st.sampled_from([0.0, 1.0, 100.0]))
sleeps = st.builds(Sleep, st.sampled_from([1.0, 4.0, 10.0, 100.0, STALE_SECONDS_MAX]))
steps = st.lists(st.one_of(answers, answers, losses, sleeps), max_size=25)


@dataclass
class Word:
    records: dict[Key, Record] = field(default_factory=dict)
    gone: set[Key] = field(default_factory=set)
    asked: bool = False
    complete: bool = False
    heard: float = 0.0


@dataclass
class Model:
    words: dict[str, Word] = field(default_factory=lambda: {name: Word() for name in SERVERS})
    buried: list[tuple[Key, int, float]] = field(default_factory=list)
    offered: dict[Key, tuple[Record, bool, float | None]] = field(default_factory=dict)

    def answer(self, said: Answer, now: float) -> None:
        word = self.words[said.server]
        good = {each.key: each for each in said.records if each.service == "s"}
        if said.snapshot:
            word.records, word.gone = good, set()
        else:
            for key, each in good.items():
                held = word.records.get(key, each)
                word.records[key] = newer(held, each)
                word.gone.discard(key)
            for key in set(said.gone) - good.keys():
                if key in word.records:
                    dead = word.records.pop(key)
                    self.buried.append((key, dead.version, now + 2 * dead.ttl))
                word.gone.add(key)
        word.asked, word.complete, word.heard = True, said.complete, now

    def lose(self, lost: Lost, now: float) -> None:
        word = self.words[lost.server]
        if word.asked:
            word.heard = max(word.heard, now - lost.heard_before)
        word.asked = False

    def judge(self, now: float) -> None:
        for name in INSTANCES:
            key = Key("default", "s", name)
            verdict = self.verdict(key, now)
            self.offered.pop(key, None)
            if verdict is not None:
                self.offered[key] = verdict

    def verdict(self, key: Key, now: float) -> tuple[Record, bool, float | None] | None:
        dead = max((v for k, v, until in self.buried if k == key and now < until), default=-1)
        found: list[tuple[Word, Record]] = []
        for word in self.words.values():
            held = word.records.get(key)
            if held and not word.asked and now - word.heard >= held.ttl:
                del word.records[key]
            elif held and held.version >= dead:
                found.append((word, held))
        if found:
            best = found[0][1]
            for _, each in found:
                best = newer(best, each)
            have = [word for word, each in found if each == best]
            if any(word.asked for word in have):
                return best, False, None
            return best, False, max(word.heard for word in have)
        for word in self.words.values():
            if word.asked and key not in word.records and (word.complete or key in word.gone):
                return None
        if key not in self.offered:
            return None
        record, _, confirmed = self.offered[key]
        confirmed = now if confirmed is None else confirmed
        return (record, True, confirmed) if now - confirmed < STALE_SECONDS_MAX else None


@given(steps)
@example(  # b said so before anybody had it
    [
        Answer("b", [], [], True, False, False),
        Answer("b", [], [Key("default", "s", "i")], False, False, False),
        Answer("a", [make("i", 0, "x")], [], True, False, False),
        Answer("a", [], [], True, False, False),
    ]
)
def test_union_is_the_model(script: list[Answer | Lost | Sleep]) -> None:
    union, model, now = Union("default", "s", SERVERS), Model(), 1000.0
    told: dict[Key, Record] = {}
    for count, step in enumerate(script):
        now += 0.5
        union.turn(now)
        model.judge(now)
        if isinstance(step, Answer):
            asked = union.cursor(step.server)
            update = Update(
                tuple(step.records),
                tuple(step.gone),
                b"%d" % count,
                step.snapshot,
                step.complete,
            )
            taken = union.apply(step.server, b"late" if step.is_late else asked, update, now)
            assert taken == (not step.is_late and (bool(asked) or step.snapshot))
            if taken:
                model.answer(step, now)
        elif isinstance(step, Lost):
            union.lost(step.server, now, heard=now - step.heard_before)
            model.lose(step, now)
        else:
            now += step.seconds
        union.turn(now)
        model.judge(now)
        view = union.view()
        seen = {each.record.key: each for each in view.entries}
        assert {
            key: (each.record, each.is_stale, each.confirmed) for key, each in seen.items()
        } == model.offered
        assert view.asked == sum(word.asked for word in model.words.values())
        assert view.complete == any(w.asked and w.complete for w in model.words.values())
        for key, change in union.changes().items():
            if change is None:
                told.pop(key)
            else:
                told[key] = change
        assert told == {key: each.record for key, each in seen.items()}


# ------------------------------------------------------------------ honest servers


@dataclass
class Honest:
    """A server that says what it knows: all it ever heard, and what was withdrawn since."""

    boot: int = 0
    revision: int = 0
    records: dict[Key, Record] = field(default_factory=dict)
    gone: dict[Key, int] = field(default_factory=dict)
    changed: dict[Key, int] = field(default_factory=dict)
    complete: bool = True

    def put(self, record: Record) -> None:
        self.revision += 1
        self.records[record.key] = record
        self.gone.pop(record.key, None)
        self.changed[record.key] = self.revision

    def delete(self, key: Key) -> None:
        if self.records.pop(key, None):
            self.revision += 1
            self.gone[key] = self.revision

    def restart(self) -> None:
        self.__init__(boot=self.boot + 1, complete=False)  # type: ignore[misc]

    def poll(self, cursor: bytes) -> Update:
        here = b"%d %d" % (self.boot, self.revision)
        boot, _, revision = cursor.partition(b" ")
        if cursor and int(boot) == self.boot and int(revision) <= self.revision:
            after = int(revision)
            new = tuple(
                self.records[k]
                for k, at in self.changed.items()
                if at > after and k in self.records
            )
            gone = tuple(key for key, at in self.gone.items() if at > after)
            return Update(new, gone, here, False, self.complete)
        return Update(tuple(self.records.values()), (), here, True, self.complete)


events = st.tuples(
    st.sampled_from(["put", "delete", "restart", "poll", "poll", "lose answer", "old answer"]),
    servers,
    st.sampled_from(INSTANCES),
)


@given(st.lists(events, max_size=40))
def test_union_of_honest_servers_comes_to_agree(script: list[tuple[str, str, str]]) -> None:
    """Whatever was lost, late or restarted: when all servers know all, so does the client."""
    union = Union("default", "s", SERVERS)
    honest = {name: Honest() for name in SERVERS}
    alive: dict[str, Record] = {}
    old: list[tuple[str, bytes, Update]] = []
    now = 0.0
    for version, (what, server, instance) in enumerate(script, 1):
        now += 0.25
        if what == "put":
            alive[instance] = make(instance, version, "x")
            honest[server].put(alive[instance])  # the others hear of it later
        elif what == "delete":
            alive.pop(instance, None)
            honest[server].delete(Key("default", "s", instance))
        elif what == "restart":
            honest[server].restart()
            union.lost(server, now)
        elif what == "old answer":
            for name, asked, update in old[-3:]:
                union.apply(name, asked, update, now)
        else:
            asked = union.cursor(server)
            update = honest[server].poll(asked)
            old.append((server, asked, update))
            if what == "poll":
                assert union.apply(server, asked, update, now)
        union.turn(now)
    for each in honest.values():  # every owner renews, every lease of others runs out
        for instance in INSTANCES:
            if instance in alive:
                each.put(alive[instance])
            else:
                each.delete(Key("default", "s", instance))
        each.complete = True
    for server in SERVERS:
        union.apply(server, union.cursor(server), honest[server].poll(union.cursor(server)), now)
    union.turn(now + 1000.0)
    entries = union.view().entries
    assert {each.record.instance: each.record for each in entries} == alive
    assert not any(each.is_stale for each in entries)


def test_garbage_in_the_cursor_is_only_given_back() -> None:
    union = Union("default", "s", ["a"])
    for cursor in (b"\xff" * 100, b"", b"\0"):
        assert union.apply("a", union.cursor("a"), Update((), (), cursor, True, True), 0.0)
        assert union.cursor("a") == cursor
