"""Leases against a plain model: any order of puts, withdrawals, time, stalls, restarts, polls."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eastwest_discovery import _leases
from eastwest_discovery._leases import START, Leases, Position
from eastwest_discovery._record import Key, Record, decode, parse
from tests.discovery.records import make

SERVICES = ("x", "y")
instances = st.sampled_from("abcd")
services = st.sampled_from(SERVICES)
versions = st.integers(0, 4)
parts = st.integers(1, 64).map(lambda number: number / 64)  # of a second, exact in binary


@dataclass
class Fact:
    """What the model knows of one key."""

    ttl: int
    record: Record | None  # None: dead
    least: tuple[int, bytes]  # what may replace it
    ends: float


@dataclass
class Poller:
    """Someone who keeps a view up to date, page by page."""

    service: str
    position: Position = START
    view: dict[Key, bytes] = field(default_factory=dict)

    def ask(self, leases: Leases) -> bool:
        """Apply one page; return whether there is more."""
        changes = leases.poll("default", self.service, self.position)
        if changes.snapshot:
            self.view = {}
        for encoded in changes.records:
            self.view[decode(encoded).key] = encoded
        for key in changes.gone:
            self.view.pop(key, None)
        self.position = changes.position
        return changes.more


class Machine(RuleBasedStateMachine):
    """The model: a dict of facts with deadlines, looked at in full each time."""

    def __init__(self) -> None:
        super().__init__()
        self.boots = 0
        self.now = 0.0
        self.pollers = [Poller(service) for service in (*SERVICES, "") for _ in range(2)]
        self.restart()

    @rule()
    def restart(self) -> None:
        self.boots += 1
        self.leases = Leases(b"%d" % self.boots, self.now)
        self.facts: dict[Key, Fact] = {}

    @rule(instance=instances, service=services, version=versions, ttl=st.sampled_from([1, 5, 60]))
    def put(self, instance: str, service: str, version: int, ttl: int) -> None:
        record = make(instance, version, service=service, ttl=ttl)
        encoded = record.encode()
        held = self.leases.put("c", encoded, parse(encoded))
        fact = self.facts.get(record.key)
        if fact is not None and (version, encoded) < fact.least:
            assert held.outcome == "superseded"
            return
        known = fact is not None and fact.record == record
        assert held.outcome == ("renewed" if known else "stored")
        self.facts[record.key] = Fact(ttl, record, (version, encoded), self.now + ttl)

    @rule(instance=instances, service=services, version=versions)
    def delete(self, instance: str, service: str, version: int) -> None:
        key = Key("default", service, instance)
        fact = self.facts.get(key)
        held = self.leases.delete(key, version, 5)
        if fact is None:
            self.die(key, (version + 1, b""), 5)
        elif fact.record is not None and version < fact.record.version:
            assert held.outcome == "superseded"
        elif fact.record is not None or (version, b"") >= fact.least:
            self.die(key, (version + 1, b""), fact.ttl)

    @rule(seconds=parts, times=st.integers(1, 70))
    def time_goes_on(self, seconds: float, times: int) -> None:
        for _ in range(times):
            self.now += seconds
            self.leases.tick(self.now)
            self.end_what_is_due()

    @rule(seconds=st.integers(2, 1000))
    def stall(self, seconds: int) -> None:
        for fact in self.facts.values():
            fact.ends += seconds
        self.now += seconds
        self.leases.tick(self.now)
        self.end_what_is_due()

    @rule(index=st.integers(0, 5), page=st.integers(1, 3))
    def one_page(self, index: int, page: int) -> None:
        self.read(self.pollers[index], page, once=True)

    @rule(index=st.integers(0, 5), page=st.integers(1, 3))
    def all_pages(self, index: int, page: int) -> None:
        poller = self.pollers[index]
        self.read(poller, page, once=False)
        want = {
            key: fact.record.encode()
            for key, fact in self.facts.items()
            if fact.record is not None and poller.service in ("", key.service)
        }
        assert poller.view == want
        assert not self.leases.poll("default", poller.service, poller.position)

    @invariant()
    def numbers_agree(self) -> None:
        live = [fact.record.encode() for fact in self.facts.values() if fact.record is not None]
        assert self.leases.all.records == len(live)
        assert self.leases.all.bytes == sum(map(len, live))
        assert self.leases.dead == len(self.facts) - len(live)
        assert len(self.leases._heap) <= 2 * len(self.facts) + 18

    def read(self, poller: Poller, page: int, *, once: bool) -> None:
        before = _leases.PAGE_RECORDS
        _leases.PAGE_RECORDS = page
        try:
            while poller.ask(self.leases) and not once:
                pass
        finally:
            _leases.PAGE_RECORDS = before

    def end_what_is_due(self) -> None:
        for key, fact in list(self.facts.items()):
            if fact.ends <= self.now and fact.record is not None:
                self.die(key, (fact.record.version, b""), fact.ttl)
            elif fact.ends <= self.now:
                del self.facts[key]

    def die(self, key: Key, least: tuple[int, bytes], ttl: int) -> None:
        self.facts[key] = Fact(ttl, None, least, self.now + 2 * ttl)


TestLeases = Machine.TestCase
TestLeases.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
