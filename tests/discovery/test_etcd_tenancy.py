"""A record's stay in etcd in simulated time, against a plain model of etcd that loses answers."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eastwest_discovery._errors import Unavailable
from eastwest_discovery._etcd_tenancy import Ask, Granted, Seen, Step, Tenancy
from eastwest_discovery._record import Record, newer
from tests.discovery.records import make


@dataclass
class Model:
    """One key of etcd, its grave, and leases. ``now`` is the only time there is."""

    now: float = 0.0
    revision: int = 1
    leases: dict[int, float] = field(default_factory=dict)  # lease: when it ends
    ttls: dict[int, int] = field(default_factory=dict)
    here: tuple[Record, int, int] | None = None  # record, lease, revision
    grave: tuple[int, int, int] | None = None  # version, lease, revision
    history: list[int] = field(default_factory=list)  # versions that were put

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for lease, end in list(self.leases.items()):
            if self.now > end:
                self.end(lease)

    def end(self, lease: int) -> None:
        self.leases.pop(lease, None)
        if self.here and self.here[1] == lease:
            self.here = None
        if self.grave and self.grave[1] == lease:
            self.grave = None

    def grant(self, ttl: int) -> Granted:
        lease = len(self.ttls) + 1
        self.leases[lease], self.ttls[lease] = self.now + ttl, ttl
        return Granted(lease, ttl)

    def answer(self, ask: Ask) -> Granted | Seen | bool | None:
        """Do what is asked; None: the lease is not known."""
        match ask.step:
            case Step.GRANT:
                return self.grant(ask.record.ttl)
            case Step.GRANT_GRAVE:
                return self.grant(2 * ask.record.ttl)
            case Step.RENEW:
                if ask.lease not in self.leases:
                    return Granted(ask.lease, 0)
                self.leases[ask.lease] = self.now + self.ttls[ask.lease]
                return Granted(ask.lease, self.ttls[ask.lease])
            case Step.LOOK:
                return self.look()
            case Step.REVOKE:
                known = ask.lease in self.leases
                self.end(ask.lease)
                return known or None
            case Step.PUT | Step.ERASE:
                return self.change(ask)

    def look(self) -> Seen:
        record, lease, revision = self.here or (None, 0, 0)
        buried, _, grave_revision = self.grave or (-1, 0, 0)
        return Seen(record, lease, revision, grave_revision, buried)

    def change(self, ask: Ask) -> bool | None:
        now, seen = self.look(), ask.seen
        assert seen is not None
        lease = ask.lease if ask.step is Step.PUT else ask.grave_lease
        if (now.record_revision, now.grave_revision) != (seen.record_revision, seen.grave_revision):
            return False
        if lease not in self.leases:
            return None
        self.revision += 1
        if ask.step is Step.PUT:
            self.here = (ask.record, lease, self.revision)
            self.history.append(ask.record.version)
        else:
            self.here = None
            self.grave = (ask.record.version, lease, self.revision)
        return True


def hand(tenancy: Tenancy, ask: Ask, answer: Granted | Seen | bool | None, asked_at: float) -> None:
    match answer:
        case None:
            tenancy.lost(ask)
        case Granted():
            tenancy.granted(ask, answer, asked_at)
        case Seen():
            tenancy.looked(answer, asked_at)
        case _:
            tenancy.done(ask, answer)


def work(tenancy: Tenancy, model: Model, steps: int = 20) -> list[Step]:
    """Ask and answer until nothing is due; return what was asked."""
    asked: list[Step] = []
    while (ask := tenancy.ask(model.now)) and len(asked) < steps:
        asked.append(ask.step)
        hand(tenancy, ask, model.answer(ask), model.now)
    return asked


def settled(record: Record) -> tuple[Tenancy, Model]:
    tenancy, model = Tenancy(record), Model()
    work(tenancy, model)
    return tenancy, model


def test_lease_look_put_and_then_renewals() -> None:
    tenancy, model = Tenancy(make(ttl=15)), Model()
    assert work(tenancy, model) == [Step.GRANT, Step.LOOK, Step.PUT]
    assert tenancy.due() == 5.0
    for _ in range(10):
        model.pass_time(5.0)
        assert work(tenancy, model) == [Step.RENEW, Step.LOOK]
    assert model.here is not None and model.here[0] == make(ttl=15)


def test_what_was_deleted_behind_our_back_is_put_again() -> None:
    tenancy, model = settled(make(ttl=15))
    model.here = None
    model.pass_time(5.0)
    assert work(tenancy, model) == [Step.RENEW, Step.LOOK, Step.PUT]
    assert model.here is not None


def test_what_a_newer_one_replaced_is_put_again_when_that_is_gone() -> None:
    tenancy, model = settled(make(version=1, ttl=15))
    other = Tenancy(make(version=2, ttl=15))
    work(other, model)
    for _ in range(3):  # the other one renews no more
        model.pass_time(5.0)
        assert work(tenancy, model) == [Step.RENEW, Step.LOOK]
        assert tenancy.superseded == 2 and tenancy.put is None
    model.pass_time(5.0)
    assert work(tenancy, model) == [Step.RENEW, Step.LOOK, Step.PUT]


def test_a_lost_lease_is_replaced_and_the_record_put_again() -> None:
    tenancy, model = settled(make(ttl=15))
    model.pass_time(100)
    assert model.here is None
    assert work(tenancy, model) == [Step.RENEW, Step.GRANT, Step.LOOK, Step.PUT]
    assert model.here is not None


def test_an_answer_to_a_put_that_was_lost_is_found_by_looking() -> None:
    tenancy, model = Tenancy(make()), Model()
    for _ in range(2):
        ask = tenancy.ask(0)
        assert ask is not None
        hand(tenancy, ask, model.answer(ask), 0)
    put = tenancy.ask(0)
    assert put is not None and put.step is Step.PUT
    model.answer(put)
    tenancy.failed(Unavailable("cut"), 0, 0.5)
    assert tenancy.ask(0) is None  # it waits
    model.pass_time(1)
    assert work(tenancy, model) == [Step.LOOK]
    assert tenancy.is_settled and model.history == [1]


def test_a_put_that_arrives_after_the_withdrawal_changes_nothing() -> None:
    tenancy, model = Tenancy(make()), Model()
    late: Ask | None = None
    while late is None or late.step is not Step.PUT:
        late = tenancy.ask(0)
        assert late is not None
        if late.step is not Step.PUT:
            hand(tenancy, late, model.answer(late), 0)
    tenancy.failed(Unavailable("cut"), 0, 0.5)
    tenancy.leave(0)
    work(tenancy, model)
    assert tenancy.ended
    assert not model.answer(late) and model.here is None


def test_a_withdrawal_erases_buries_and_ends_the_lease() -> None:
    tenancy, model = settled(make(version=7))
    tenancy.leave(model.now)
    assert work(tenancy, model) == [Step.LOOK, Step.GRANT_GRAVE, Step.ERASE, Step.REVOKE]
    assert tenancy.ended and model.here is None
    assert model.grave is not None and model.grave[0] == 7
    model.pass_time(29)
    assert model.grave is not None  # twice the ttl of 15 s
    model.pass_time(2)
    assert model.grave is None


def test_a_withdrawal_leaves_a_newer_record_alone() -> None:
    tenancy, model = settled(make(version=1))
    model.here = (make(version=2), model.grant(15).lease, 99)
    tenancy.leave(model.now)
    work(tenancy, model)
    assert tenancy.ended and model.here is not None and model.here[0].version == 2


@pytest.mark.parametrize("version", [1, 3])
def test_a_grave_of_the_same_version_or_a_later_one_supersedes(version: int) -> None:
    tenancy, model = Tenancy(make(version=1, ttl=15)), Model()
    model.grave = (version, model.grant(30).lease, 9)
    assert work(tenancy, model) == [Step.GRANT, Step.LOOK]
    assert tenancy.superseded == version and tenancy.due() == 5.0
    for _ in range(5):
        model.pass_time(5)
        assert work(tenancy, model) == [Step.RENEW, Step.LOOK]
    assert model.here is None
    model.pass_time(6)  # the grave is no more, and we still are
    work(tenancy, model)
    assert model.here is not None


def test_a_record_that_superseded_ours_and_runs_out_gives_way() -> None:
    tenancy, model = settled(make(version=1, ttl=15))
    other = Tenancy(make(version=2, ttl=15))
    work(other, model)
    model.pass_time(16)
    work(tenancy, model)
    assert tenancy.put is not None and model.here is not None and model.here[0].version == 1


def test_an_older_version_is_not_wanted() -> None:
    tenancy, _ = settled(make(version=5))
    assert not tenancy.replace(make(version=4))
    assert tenancy.wanted.version == 5


def test_another_ttl_gets_another_lease() -> None:
    tenancy, model = settled(make(version=1, ttl=15))
    tenancy.replace(make(version=2, ttl=30))
    assert work(tenancy, model) == [Step.GRANT, Step.LOOK, Step.PUT]
    model.pass_time(20)
    work(tenancy, model)
    assert model.here is not None and model.here[0].ttl == 30


def test_leaving_is_given_up_when_the_record_has_run_out() -> None:
    tenancy, _ = settled(make(ttl=15))
    tenancy.leave(100.0)
    tenancy.failed(Unavailable("down"), 100.0, 0.5)
    assert tenancy.ask(116.0) is None and tenancy.ended


def test_what_was_never_put_leaves_at_once() -> None:
    tenancy = Tenancy(make())
    tenancy.failed(Unavailable("down"), 0, 0.5)
    tenancy.leave(0)
    assert tenancy.ended


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), owners=st.integers(1, 3))
def test_the_highest_version_is_there_in_the_end(seed: int, owners: int) -> None:
    """Owners of one key whose questions and answers get lost, delayed and repeated."""
    dice, model = random.Random(seed), Model()
    tenancies = [Tenancy(make(version=n, ttl=15)) for n in range(owners)]
    late: list[Ask] = []
    top = owners - 1
    for _ in range(150):
        tenancy = dice.choice(tenancies)
        ask = tenancy.ask(model.now)
        fate = dice.random()
        if ask and fate < 0.5:
            hand(tenancy, ask, model.answer(ask), model.now)
        elif ask:
            if fate < 0.7:
                model.answer(ask)  # done, but nobody hears of it
            elif fate < 0.85 and ask.seen:
                late.append(ask)  # it arrives later
            tenancy.failed(Unavailable("lost"), model.now, dice.random())
        if late and dice.random() < 0.2:
            model.answer(late.pop(dice.randrange(len(late))))
        if dice.random() < 0.05:
            top += 1
            tenancies[-1].replace(make(version=top, ttl=15))
        model.pass_time(dice.random() * (30 if dice.random() < 0.03 else 0.5))
        assert tenancies[-1].superseded == -1  # nobody is newer than this one
    for _ in range(40):
        for tenancy in tenancies:
            work(tenancy, model)
        model.pass_time(1)
    assert model.here is not None
    assert model.here[0] == tenancies[-1].wanted == tenancies[-1].put
    for tenancy in tenancies:
        tenancy.leave(model.now)
    for _ in range(10):
        for tenancy in tenancies:
            work(tenancy, model)
        model.pass_time(0.5)
    for ask in late:
        model.answer(ask)
    assert model.here is None and all(each.ended for each in tenancies)


@given(a=st.integers(0, 3), b=st.integers(0, 3))
def test_two_contents_of_one_version_have_one_winner(a: int, b: int) -> None:
    first, second = (make(version=1, labels={"n": str(n)}) for n in (a, b))
    one, other, model = Tenancy(first), Tenancy(second), Model()
    work(one, model)
    work(other, model)
    assert model.here is not None and model.here[0] == newer(first, second)
