"""Which instance, which path, in which order: the policy, as pure functions."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest import ConfigurationError, Instance, Verdict
from eastwest._fabric import Fabric, absent
from eastwest._health import Ejection
from eastwest._select import Pick, merge, missing, order, plan, tier
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


def test_each_place_is_drawn_by_weight_from_those_that_are_left() -> None:
    weights = {A: 1, B: 2, C: 5, "d" * 32: 0}
    some = [instance(name, weight=weight) for name, weight in weights.items()]
    rng, rounds = random.Random(7), 20_000
    drawn = Counter(
        tuple(each.id for each in order(some, zone="", pick="nearest", rng=rng))
        for _ in range(rounds)
    )
    expected = {
        (one, two, three): weights[one] / 8 * weights[two] / (8 - weights[one])
        for one, two, three in permutations([A, B, C])
    }
    assert set(drawn) <= set(expected)  # never the one that drains
    squares = sum(
        (drawn[key] - share * rounds) ** 2 / (share * rounds) for key, share in expected.items()
    )
    assert squares < 20.5  # chi-square, 5 degrees of freedom, p = 0.001


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


# ------------------------------------------------------------------ the ejected


def out(seconds: float) -> Ejection:
    return Ejection(seconds, 3, "nobody there", "start it")


class Behind:
    """Ejects some by their id; keeps who was asked about."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = {{"a": A, "b": B, "c": C}[name]: each for name, each in seconds.items()}
        self.asked: list[str] = []

    def __call__(self, instances: Sequence[Instance]) -> list[Ejection | None]:
        self.asked += [each.id for each in instances]
        return [
            out(self.seconds[each.id]) if each.id in self.seconds else None for each in instances
        ]


def test_ejected_are_behind_all_tiers_by_their_return_and_before_the_stale() -> None:
    stale = instance("d" * 32, stale=True)
    some, behind = [stale, LOCAL, NEAR, FAR], Behind(a=9.0, b=2.0)
    picks: tuple[Pick, ...] = ("nearest", "spread")
    for pick in picks:
        found = order(some, zone="eu", pick=pick, rng=random.Random(0), ejections=behind)
        assert [each.id for each in found] == [C, B, A, stale.id]


def test_those_that_cannot_be_chosen_do_not_count_for_the_share() -> None:
    drains, stale = instance(B, weight=0), instance(C, stale=True)
    behind = Behind()
    order([LOCAL, drains, stale], zone="", pick="nearest", rng=random.Random(0), ejections=behind)
    assert behind.asked == [A]


def test_picked_function_gets_the_ejected_at_the_end() -> None:
    assert planned(LOCAL, FAR, pick=lambda those: those, ejections=Behind(a=1.0)) == [
        "tcp://10.0.0.3:1",
        SHM,
        TCP,
    ]


def test_every_candidate_of_an_ejected_one_says_so_and_the_plan_too() -> None:
    found = plan(
        [LOCAL, FAR],
        where={},
        pick="nearest",
        zone="",
        paths=PATHS,
        rng=random.Random(0),
        ejections=Behind(a=3.2),
    )
    assert [each.ejection for each in found.candidates] == [None, out(3.2), out(3.2)]
    assert found.ejected == (f"{A}: ejected for 3.2 s more after 3 failures: nobody there",)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=8),
    st.sampled_from(["nearest", "spread"]),
)
def test_order_loses_nobody_whoever_is_ejected(
    those: list[tuple[int, bool, bool]], pick: object
) -> None:
    some = [instance(f"{n:032x}", weight=each[0], stale=each[2]) for n, each in enumerate(those)]
    is_out = {one.id: each[1] for one, each in zip(some, those, strict=True)}

    def ejections(asked: Sequence[Instance]) -> list[Ejection | None]:
        return [out(1.0) if is_out[each.id] else None for each in asked]

    found = order(some, zone="", pick=pick, rng=random.Random(0), ejections=ejections)  # type: ignore[arg-type]
    assert sorted(each.id for each in found) == [each.id for each in some if each.weight]
    places = [2 if each.stale else int(is_out[each.id]) for each in found]
    assert places == sorted(places)


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
    seen, none = [Verdict("tcp", TCP, True, "hello", "")], absent(Fabric())
    shm, dpdk = missing(seen, ["/run/a", "/run/b"], [], none)
    assert "/run/a, /run/b" in shm.detail and shm.fix is not None
    assert dpdk is none
