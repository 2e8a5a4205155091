"""The sweep over message sizes: which sizes, on which paths, and a short real one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.compare import harness, plan, sweep
from bench.compare.harness import Case
from bench.compare.networks import Unavailable
from bench.compare.specs import PairSpec


def test_sizes_are_powers_and_what_lies_around_them() -> None:
    found = sweep.sizes(64, 8, 3)
    assert found == [1, 4, 5, 8, 11, 61, 64, 67]


def test_sizes_ascend_without_doubles_and_hold_every_power_of_the_range() -> None:
    found = sweep.sizes(sweep.MOST_BYTES, sweep.FACTOR, sweep.AROUND_BYTES)
    assert found == sorted(set(found))
    assert (found[0], found[-1]) == (1, (16 << 20) + 3)
    for power in range(25):
        near = {(1 << power) + each for each in (-3, 0, 3)}
        assert {each for each in near if each > 0} <= set(found)


def test_a_size_is_not_taken_beyond_the_most() -> None:
    assert sweep.sizes(100, 10, 0) == [1, 10, 100]
    assert sweep.sizes(99, 10, 0) == [1, 10]


def test_throughput_is_that_of_half_a_round_trip() -> None:
    assert sweep.bits_per_s(1250, 2_000) == 10e9


def test_a_quick_sweep_spans_the_same_range_with_fewer_sizes() -> None:
    spec = PairSpec("sweep", "any", "python", "spin")
    every, few = (
        [each.bytes for each in sweep.cases([spec], is_quick=is_quick)]
        for is_quick in (False, True)
    )
    assert (every[0], every[-1]) == (few[0], few[-1])
    assert set(few) < set(every)


def test_every_path_gets_every_size_once() -> None:
    specs = [PairSpec("sweep", each, "python", "spin") for each in ("one", "other")]
    found = sweep.cases(specs, is_quick=True)
    sizes = sweep.sizes(sweep.MOST_BYTES, sweep.FACTOR_QUICK, sweep.AROUND_BYTES)
    assert len(found) == len(set(found)) == 2 * len(sizes)
    assert {each.work for each in found} == {"trip"}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three small sizes over shared memory, on a machine as it is."""
    monkeypatch.setattr(harness, "wait_for_idle", lambda: True)
    monkeypatch.setattr(harness, "FOREIGN_SHARE", 2.0)
    monkeypatch.setattr(sweep, "MOST_BYTES", 4)
    monkeypatch.setattr(sweep, "AROUND_BYTES", 0)
    monkeypatch.setattr(sweep, "LOCAL", (("eastwest-shm", "python", "adaptive", "ways"),))
    monkeypatch.setattr(sweep, "DEVICES", ())


@pytest.mark.usefixtures("few")
def test_a_sweep_of_three_sizes() -> None:
    section = sweep.run(plan.FULL, is_quick=False, progress=lambda _: None)
    assert section.missing == []
    assert sorted(each.bytes for each in section.series) == [1, 2, 4]
    for each in section.series:
        assert (each.section, each.system, each.unit) == ("sweep", "eastwest-shm ways", "ns")
        assert len(each.values) == sweep.ROUNDS
        assert all(value > 0 for value in each.values)
        assert (each.histogram, each.raw, each.cpu_ns) == ("", [], None)
    lines = sweep.table(section.series).splitlines()
    assert [line.split()[0] for line in lines] == ["bytes", "1", "2", "4"]


@pytest.mark.usefixtures("few")
def test_a_path_that_is_not_there_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def moon() -> Iterator[dict[str, str]]:
        raise Unavailable("moon", "too far", "wait")
        yield {}

    @contextmanager
    def wire() -> Iterator[dict[str, str]]:
        yield {"length": "short"}

    taken: list[Case] = []

    def measure(cases: list[Case], *_: object, **__: object) -> harness.Section:
        taken.extend(cases)
        return harness.Section()

    monkeypatch.setattr(sweep, "PATHS", {"moon": moon, "wire": wire})
    monkeypatch.setattr(sweep, "measure", measure)
    monkeypatch.setattr(sweep, "DEVICES", ("moon", "wire"))
    section = sweep.run(plan.FULL, is_quick=True, progress=lambda _: None)
    assert [(each.what, each.fix) for each in section.missing] == [("eastwest-dpdk moon", "wait")]
    assert {(each.spec.label, each.spec.options.get("length")) for each in taken} == {
        ("eastwest-shm ways", None),
        ("eastwest-dpdk wire", "short"),
    }
