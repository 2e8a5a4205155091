"""Which instance, which path, in which order: the policy, as pure functions."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest import ConfigurationError, Instance, Verdict
from eastwest._fabric import Fabric, absent
from eastwest._select import merge, missing, order, plan, tier
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
    seen, none = [Verdict("tcp", TCP, True, "hello", "")], absent(Fabric())
    shm, dpdk = missing(seen, ["/run/a", "/run/b"], [], none)
    assert "/run/a, /run/b" in shm.detail and shm.fix is not None
    assert dpdk is none
