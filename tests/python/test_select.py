"""Which instance, which path, what is said about the others: the policy, with fakes."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest import (
    ClosedHere,
    ConfigurationError,
    EastwestError,
    Instance,
    OutOfMemory,
    Refused,
    ServiceNotFound,
    Unreachable,
    Verdict,
)
from eastwest._connect import Connector, Request, probe
from eastwest._dial import Dialled, Dialler
from eastwest._find import Finder
from eastwest._native_values import Answer as Said
from eastwest._parallel import Attempt, Race
from eastwest._providers import Answer
from eastwest._providers._base import Record
from eastwest._rundir import Search
from eastwest._select import Candidate, merge, missing, order, plan, tier
from eastwest._values import PATHS

A, B, C = "a" * 32, "b" * 32, "c" * 32
SHM, TCP = "shm:/run/eastwest/x.sock", "tcp://10.0.0.1:7411"


def instance(name: str = A, *addresses: str, **more: object) -> Instance:
    base = Instance("pricing", name, {}, "", 1, addresses or (TCP,), False, "static:f")
    return replace(base, **more)  # type: ignore[arg-type]


LOCAL = instance(A, SHM, TCP, source="local:/run/eastwest")
NEAR = instance(B, "tcp://10.0.0.2:1", zone="eu")
FAR = instance(C, "tcp://10.0.0.3:1", zone="us")


def planned(*instances: Instance, **more: object) -> list[str]:
    arguments: dict[str, object] = {
        "where": {},
        "pick": "nearest",
        "zone": "eu",
        "paths": PATHS,
        "rng": random.Random(1),
    }
    return [each.address for each in plan(instances, **{**arguments, **more}).candidates]  # type: ignore[arg-type]


# ------------------------------------------------------------------ merge


def test_instance_of_two_providers_is_one_and_shm_comes_first() -> None:
    (found,) = merge([instance(A, "tcp://10.0.0.9:1"), LOCAL])
    assert found.addresses == (SHM, TCP, "tcp://10.0.0.9:1")
    assert found.source == "local:/run/eastwest, static:f"


def test_line_without_an_id_is_known_by_a_local_instances_address() -> None:
    (found,) = merge([instance("", TCP), LOCAL])
    assert found.id == A


def test_lines_without_an_id_stay_apart() -> None:
    assert len(merge([instance("", TCP), instance("", "tcp://10.0.0.2:1")])) == 2


def test_merged_instance_is_stale_only_if_all_say_so() -> None:
    (found,) = merge([LOCAL, instance(A, stale=True)])
    assert not found.stale


ids = st.sampled_from(["", A, B])
addresses = st.lists(st.sampled_from([SHM, TCP, "tcp://10.0.0.2:1"]), min_size=1, unique=True)


@given(st.lists(st.builds(lambda name, at: instance(name, *at), ids, addresses)))
def test_merge_loses_no_address_and_keeps_ids_apart(instances: list[Instance]) -> None:
    merged = merge(instances)
    had = {address for each in instances for address in each.addresses}
    assert {address for each in merged for address in each.addresses} == had
    named = [each.id for each in merged if each.id]
    assert len(named) == len(set(named)) and set(named) == {each.id for each in instances} - {""}


# ------------------------------------------------------------------ order


def test_same_host_then_same_zone_then_the_rest_then_stale() -> None:
    stale = instance("d" * 32, stale=True)
    found = order([stale, FAR, NEAR, LOCAL], zone="eu", pick="nearest", rng=random.Random(0))
    assert [each.id for each in found] == [A, B, C, stale.id]


def test_without_a_zone_of_our_own_all_zones_are_equally_far() -> None:
    assert tier(NEAR, "") == tier(FAR, "") == tier(instance(), "") == tier(instance(), "eu")


def test_weight_is_the_share_within_a_tier() -> None:
    heavy, light = instance(A, weight=3), instance(B, weight=1)
    first = Counter(
        order([light, heavy], zone="", pick="nearest", rng=random.Random(seed))[0].id
        for seed in range(2000)
    )
    assert 1400 < first[A] < 1600  # 1500 of 2000; sigma is 19


def test_spread_ignores_how_near() -> None:
    first = {
        order([LOCAL, FAR], zone="eu", pick="spread", rng=random.Random(seed))[0].id
        for seed in range(64)
    }
    assert first == {A, C}


def test_picked_function_gets_the_nearest_first_and_decides() -> None:
    seen: list[str] = []

    def last(instances: object) -> list[Instance]:
        seen.extend(each.id for each in instances)  # type: ignore[attr-defined]
        return [FAR]

    assert planned(FAR, LOCAL, pick=last) == ["tcp://10.0.0.3:1"]
    assert seen == [A, C]


def test_picked_stranger_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="was not given"):
        order([LOCAL], zone="", pick=lambda _: [FAR], rng=random.Random(0))


def test_unknown_pick_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="'nearest', 'spread'"):
        order([LOCAL], zone="", pick="closest", rng=random.Random(0))  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 65535), max_size=8), st.integers())
def test_order_is_a_permutation_of_those_with_weight(weights: list[int], seed: int) -> None:
    given_ = [instance(f"{n:032x}", weight=weight) for n, weight in enumerate(weights)]
    found = order(given_, zone="", pick="nearest", rng=random.Random(seed))
    assert sorted(each.id for each in found) == [each.id for each in given_ if each.weight]


# ------------------------------------------------------------------ plan


def test_shm_is_tried_before_tcp_of_the_same_instance() -> None:
    assert planned(instance(A, TCP, SHM)) == [SHM, TCP]


def test_label_that_differs_is_a_verdict() -> None:
    blue = instance(A, labels={"color": "blue"})
    found = plan(
        [blue, FAR],
        where={"color": "red"},
        pick="nearest",
        zone="",
        paths=PATHS,
        rng=random.Random(0),
    )
    assert found.candidates == ()
    assert [each.detail for each in found.rejected] == [
        "want label color='red', it has 'blue'",
        "want label color='red', it has no such label",
    ]


def test_instance_of_weight_zero_is_a_verdict() -> None:
    assert planned(instance(A, weight=0), FAR) == ["tcp://10.0.0.3:1"]


def test_path_that_is_switched_off_is_a_verdict_with_a_fix() -> None:
    found = plan([LOCAL], where={}, pick="nearest", zone="", paths=("tcp",), rng=random.Random(0))
    assert [each.address for each in found.candidates] == [TCP]
    assert (found.rejected[0].path, found.rejected[0].check) == ("shm", "paths")
    assert "add 'shm' to paths" in str(found.rejected[0].fix)


def test_missing_paths_say_where_was_looked() -> None:
    shm, dpdk = missing([Verdict("tcp", TCP, True, "hello", "")], ["/run/a", "/run/b"], [])
    assert "/run/a, /run/b" in shm.detail and shm.fix is not None
    assert dpdk.path == "dpdk"


# ------------------------------------------------------------------ dial


class Network:
    """Answers attempts as told: an error, a name, or either of them after some seconds."""

    def __init__(self, **answers: object) -> None:
        self.answers = {key.replace("_", ""): value for key, value in answers.items()}
        self.tried: list[str] = []
        self.discarded: list[str] = []
        self.all_done = threading.Event()

    def attempt(self, candidate: Candidate, seconds: float) -> str:
        self.tried.append(candidate.address)
        answer = self.answers[candidate.address]
        if isinstance(answer, tuple):
            time.sleep(answer[0])
            answer = answer[1]
        if isinstance(answer, EastwestError):
            raise answer
        return str(answer)

    def discard(self, channel: str) -> None:
        self.discarded.append(channel)
        self.all_done.set()

    def dial(self, candidates: list[Candidate], seconds: float = 5.0) -> Dialled[str]:
        deadline = time.monotonic() + seconds
        return Dialler(self.attempt, self.discard, deadline, stagger=0.02).run(candidates)


def candidate(address: str, of: Instance = LOCAL) -> Candidate:
    return Candidate(of, address, "shm" if address.startswith("s") else "tcp")


def two(first: str = "t1", second: str = "t2") -> list[Candidate]:
    return [candidate(first, NEAR), candidate(second, FAR)]


def test_first_success_wins_and_the_rest_is_not_tried() -> None:
    network = Network(s1="ok", t1="no")
    found = network.dial([candidate("s1"), candidate("t1")])
    assert found.channel == "ok"
    assert network.tried == ["s1"]
    assert [(each.address, each.check) for each in found.rejected] == [("t1", "order")]


def test_unreachable_socket_leads_to_the_next_address() -> None:
    found = Network(s1=Unreachable("gone"), t1="ok").dial([candidate("s1"), candidate("t1")])
    assert found.channel == "ok"
    assert [each.check for each in found.rejected] == ["reach"]


def test_refusal_spares_the_other_addresses_of_the_instance() -> None:
    network = Network(s1=Refused("full", reason="full"), t2="ok")
    found = network.dial([candidate("s1"), candidate("t1"), candidate("t2", FAR)])
    assert found.channel == "ok"
    assert network.tried == ["s1", "t2"]
    assert [each.check for each in found.rejected] == ["full", "full"]


def test_refusal_in_a_race_spares_the_other_addresses_of_the_instance() -> None:
    network = Network(t1=Refused("full", reason="full"), t3="ok")
    found = network.dial([candidate("t1", NEAR), candidate("t2", NEAR), candidate("t3", FAR)])
    assert found.channel == "ok"
    assert network.tried == ["t1", "t3"]


def test_slow_first_is_overtaken_and_its_channel_freed() -> None:
    network = Network(t1=(0.2, "slow"), t2="fast")
    found = network.dial(two())
    assert found.channel == "fast"
    assert network.all_done.wait(5)
    assert network.discarded == ["slow"]


def test_fast_first_is_not_disturbed_by_the_second() -> None:
    network = Network(t1="fast", t2="other")
    assert network.dial(two()).channel == "fast"
    assert network.tried == ["t1"]


def test_failure_starts_the_next_at_once() -> None:
    began = time.monotonic()
    network = Network(t1=Unreachable("no"), t2="ok")
    deadline = began + 5
    found = Dialler(network.attempt, network.discard, deadline, stagger=3.0).run(two())
    assert found.channel == "ok"
    assert time.monotonic() - began < 2.0


def test_failure_starts_the_next_at_once_beside_one_that_runs() -> None:
    network = Network(t1=(2.0, "slow"), t2=Unreachable("no"), t3="ok")
    began = time.monotonic()
    dialler = Dialler(network.attempt, network.discard, began + 5, stagger=0.4)
    assert dialler.run([*two(), candidate("t3", LOCAL)]).channel == "ok"
    assert time.monotonic() - began < 0.7


def test_race_keeps_one_success_and_frees_the_other() -> None:
    freed: list[str] = []
    race: Race[str, str] = Race(lambda item, seconds: item, freed.append, stagger=1.0)
    race._finished += [Attempt("a", "one", None, 0.0), Attempt("b", "two", None, 0.0)]
    won = race.run([], time.monotonic() + 1, skip=lambda _: False, failed=lambda *_: None)
    assert won is not None and won.value == "one"
    assert freed == ["two"]


def test_race_that_is_interrupted_frees_a_success() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    freed: list[str] = []
    race: Race[str, str] = Race(lambda item, seconds: item, freed.append, stagger=1.0)
    race._finished += [Attempt("a", None, Unreachable(""), 0.0), Attempt("b", "ok", None, 0.0)]
    with pytest.raises(KeyboardInterrupt):
        race.run([], time.monotonic() + 1, skip=lambda _: False, failed=interrupt)
    assert freed == ["ok"]


def test_all_failures_are_kept() -> None:
    found = Network(t1=Unreachable("one"), t2=Unreachable("two")).dial(two())
    assert found.channel is None
    assert [each.detail for each in found.rejected] == ["one", "two"]


def test_deadline_leaves_a_verdict_for_those_that_are_late() -> None:
    network = Network(t1=(0.5, "late"), t2=(0.5, "later"))
    found = network.dial(two(), seconds=0.1)
    assert found.channel is None
    assert [each.check for each in found.rejected] == ["timeout", "timeout"]


@pytest.mark.parametrize("error", [OutOfMemory("budget"), ClosedHere("closed")])
def test_error_that_is_nobodys_fault_ends_the_attempts(error: EastwestError) -> None:
    with pytest.raises(type(error)):
        Network(s1=error, t1="ok").dial([candidate("s1"), candidate("t1")])


def test_error_that_is_nobodys_fault_ends_a_race_and_frees_what_comes() -> None:
    network = Network(t1=(0.1, "late"), t2=OutOfMemory("budget"))
    with pytest.raises(OutOfMemory):
        network.dial(two())
    assert network.all_done.wait(5)
    assert network.discarded == ["late"]


# ------------------------------------------------------------------ connect, explain


class Registry:
    """A provider that says what it is told, from the n-th look-up on."""

    source = "fake:"

    def __init__(self, *instances: Instance, after: int = 0, problems: tuple[Verdict, ...] = ()):
        self.instances = instances
        self.after = after
        self.problems = problems
        self.looks = 0

    def publish(self, record: Record) -> None: ...

    def withdraw(self, record: Record) -> None: ...

    def look_up(self, service: str, *, timeout: float) -> Answer:
        self.looks += 1
        found = tuple(each for each in self.instances if each.service == service)
        return Answer(found if self.looks > self.after else (), self.problems)

    def known(self, *, timeout: float) -> tuple[str, ...]:
        return tuple(each.service for each in self.instances)

    def age_seconds(self) -> float:
        return 0.0

    def close(self) -> None: ...


def finder(registry: Registry) -> Finder:
    return Finder([registry], lambda: Search(("/run/eastwest",), ()), "default")


def request(service: str = "pricing", **where: str) -> Request:
    return Request(service, where, "nearest", "", PATHS)


def connect(
    registry: Registry,
    attempt: Callable[[Candidate, float], str],
    asked: Request | None = None,
    timeout: float = 5.0,
) -> str:
    connector = Connector(finder(registry), attempt, lambda _: None, random.Random(0))
    channel, why = connector.run(asked or request(), timeout)
    assert why.chosen is not None
    return channel


def works(candidate: Candidate, seconds: float) -> str:
    return candidate.address


def refuses(candidate: Candidate, seconds: float) -> str:
    raise Refused("not you", reason="access")


def test_connect_waits_for_the_name_to_appear() -> None:
    registry = Registry(LOCAL, after=3)
    assert connect(registry, works) == SHM
    assert registry.looks == 4


def test_connect_without_time_looks_once() -> None:
    registry = Registry()
    with pytest.raises(ServiceNotFound):
        connect(registry, works, timeout=0.0)
    assert registry.looks == 1


def test_unknown_service_says_what_was_asked_and_what_is_known() -> None:
    with pytest.raises(ServiceNotFound) as caught:
        connect(Registry(LOCAL), works, request("pricng"), timeout=0.0)
    text = str(caught.value)
    for part in ("'pricng'", "'default'", "local:/run/eastwest", "fake:", "known: pricing"):
        assert part in text
    assert "did you mean 'pricing'?" in text
    assert caught.value.explanation.service == "pricng"


def test_instance_that_does_not_fit_is_not_found_and_the_error_says_why() -> None:
    with pytest.raises(ServiceNotFound, match=r"1 of that name did not fit.*color='red'"):
        connect(Registry(LOCAL), works, request(color="red"), timeout=0.0)


def test_refusal_of_everybody_is_refused_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(Refused, match="not you") as caught:
        connect(Registry(LOCAL, FAR), refuses)
    assert caught.value.reason == "access"
    assert {each.check for each in caught.value.explanation.rejected} >= {"access"}
    assert time.monotonic() - began < 2.0


def test_refusal_during_the_look_up_is_refused_and_not_unknown() -> None:
    problem = Verdict("shm", SHM, False, "access", "not on the list", "allow it")
    with pytest.raises(Refused, match="not on the list"):
        connect(Registry(problems=(problem,)), works)


def test_silence_of_everybody_is_unreachable() -> None:
    def silent(candidate: Candidate, seconds: float) -> str:
        raise Unreachable(f"nobody at {candidate.address}")

    with pytest.raises(Unreachable, match="nobody at tcp") as caught:
        connect(Registry(FAR), silent)
    assert not isinstance(caught.value, Refused)


def test_local_listener_that_vanished_meanwhile_is_waited_for() -> None:
    answers: list[EastwestError | None] = [Unreachable("stale socket"), None]

    def restarts(candidate: Candidate, seconds: float) -> str:
        error = answers.pop(0)
        if error is not None:
            raise error
        return "new"

    assert connect(Registry(instance(A, SHM)), restarts) == "new"


def test_explanation_of_a_channel_has_every_path() -> None:
    connector = Connector(finder(Registry(LOCAL)), works, lambda _: None, random.Random(0))
    _, why = connector.run(request(), 1.0)
    assert why.chosen is not None and why.chosen.path == "shm"
    assert {each.path for each in why.rejected} == {"tcp", "dpdk"}


def said(service: str = "pricing", name: str = A) -> Said:
    return Said(name, "default", service, "", "{}", 1, 0, False, 0, 1, 0.001)


def test_explain_chooses_what_connect_would_and_judges_the_others() -> None:
    why = probe(
        finder(Registry(LOCAL, FAR)),
        lambda address, _: said(name=C if "10.0.0.3" in address else A),
        request(),
        random.Random(0),
    )
    assert why.chosen is not None and why.chosen.address == SHM
    assert [(each.address, each.check) for each in why.rejected[:2]] == [
        (TCP, "order"),
        ("tcp://10.0.0.3:1", "order"),
    ]
    assert "no DPDK stack" in str(why)


def test_explain_of_an_unknown_service_chooses_nothing_and_says_what_is_known() -> None:
    why = probe(finder(Registry(LOCAL)), lambda *_: said(), request("prices"), random.Random(0))
    assert why.chosen is None
    assert why.facts["known"] == ("pricing",)


def test_explain_notices_another_service_and_another_instance() -> None:
    why = probe(
        finder(Registry(NEAR, FAR)),
        lambda address, _: said("orders") if "10.0.0.2" in address else said(name=A),
        request(),
        random.Random(0),
    )
    assert why.chosen is None
    assert {each.check for each in why.rejected} >= {"service", "instance"}
