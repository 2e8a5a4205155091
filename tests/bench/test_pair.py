"""The pair program in Python: every system does every work, or says why not, and leaves nothing."""

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench.compare.pair import work
from bench.compare.pair.__main__ import Options
from bench.compare.pair.ends import Cannot, Ends, Missing, Setup
from bench.compare.pair.systems import MODULES, NAMES, opener_of
from bench.compare.pair.work import BadOrder, Order, Works
from bench.python.duo import Duo

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("", "fabric", "discovery")
SHARED = Path("/dev/shm")
LEAVES = re.compile(r"^ewb|^ecal_|\.zenoh$|^iox2_|^sem\.|^psm_")  # names of libraries' segments
SMALL, LARGE = 64, 1 << 20
ORDERS = [f"{each} {size} 0.005" for size in (SMALL, LARGE) for each in ("trip", "flow", "fan")]
SMALL_ONLY = {"posix-mq", "unix-seqpacket"}  # the kernel's limits
NEEDS_DEVICE = {"eastwest-dpdk"}
POLLED = ("pipe", "iceoryx2")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield an empty directory with a short name: sockets have it in their paths."""
    with tempfile.TemporaryDirectory(prefix="ewpair-") as name:
        yield Path(name)


def pair(folder: Path, system: str, *options: str, ask: list[str]) -> tuple[int, str, str]:
    """Run a pair on whatever cores there are; return exit code, stdout and stderr."""
    command = [sys.executable, "-m", "bench.compare.pair", system, "cores=", f"folder={folder}"]
    paths = os.pathsep.join(str(ROOT / each) for each in SOURCES)
    done = subprocess.run(
        [*command, *options],
        input="".join(f"{line}\n" for line in ask),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": paths},
    )
    return done.returncode, done.stdout, done.stderr


def answers(folder: Path, system: str, *options: str, ask: list[str]) -> list[dict[str, Any]]:
    """Return what a pair answers, after what it is; skip the test if it cannot be had."""
    code, out, err = pair(folder, system, *options, ask=ask)
    assert code == 0, err
    first, *rest = [json.loads(line) for line in out.splitlines()]
    if "missing" in first:
        pytest.skip(f"needs a peer of ./dev bench: {first['missing']}")
    assert first["ready"] == system and first["version"]
    return rest


def left(before: set[Path]) -> set[Path]:
    """Return the shared memory since then that no process has mapped: others measure, too."""
    found = {each for each in set(SHARED.iterdir()) - before if LEAVES.search(each.name)}
    for each in Path("/proc").glob("[0-9]*/maps") if found else ():
        with suppress(OSError):  # it has ended
            maps = each.read_text()
            found = {file for file in found if str(file) not in maps}
    return found


@pytest.mark.parametrize("system", [each for each in NAMES if each not in NEEDS_DEVICE])
def test_system_does_every_work_and_leaves_nothing(system: str, folder: Path) -> None:
    before = set(SHARED.iterdir())
    done = answers(folder, system, "wait=block", "links=2", ask=ORDERS)
    assert len(done) == len(ORDERS)
    for order, answer in zip(ORDERS, done, strict=True):
        if system in SMALL_ONLY and str(LARGE) in order:
            assert "cannot" in answer, order
        else:
            assert min(answer["count"], answer["ns"], answer["cpu_ns"]) > 0, order
    assert not left(before)


def test_table_names_what_each_module_has() -> None:
    for module, names in MODULES.items():
        found = importlib.import_module(f"bench.compare.pair.systems.{module}")
        assert tuple(found.SYSTEMS) == names


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="who spins needs a core of its own")
@pytest.mark.parametrize("system", POLLED)
def test_polled_system_answers(system: str, folder: Path) -> None:
    done = answers(folder, system, "wait=spin", ask=[ORDERS[0]])
    assert "count" in done[0]


def test_system_without_its_device_is_missing(folder: Path) -> None:
    code, out, _ = pair(folder, "eastwest-dpdk", ask=[])
    assert code == 0 and "fabric_device" in json.loads(out)["missing"]


def test_samples_are_one_for_each_trip(folder: Path) -> None:
    samples = folder / "samples"
    options = ("wait=block", f"samples={samples}")
    done = answers(folder, "unix-stream", *options, ask=["trip 8 0.005", "paced 8 0.02 500"])
    found = array("I", samples.read_bytes())
    assert done[1]["count"] == len(found) == 10
    assert min(found) > 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "no system ''"),
        (["pipe", "wait=maybe"], "wait=maybe"),
        (["pipe", "links=none"], "links: no number 'none'"),
        (["pipe", "links=0"], "links=0"),
        (["pipe", "cores=0"], "cores=0"),
        (["pipe", "cores=0,9999"], "9999"),
        (["pipe", "netns=a"], "netns=a"),
        (["pipe", "netns=nobody-made-this,nor-this"], "nobody-made-this"),
        (["pipe", "fast"], "'fast'"),
    ],
)
def test_wrong_option_is_named(arguments: list[str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Options.parsed(arguments)


def test_wrong_command_line_ends_the_pair(folder: Path) -> None:
    refuses(pair(folder, "nobody", ask=[]), "no system 'nobody'")


def test_wrong_work_is_named_and_ends_the_pair(folder: Path) -> None:
    refuses(pair(folder, "pipe", "wait=block", ask=["swim 64 0.1"]), "no work 'swim'")


def refuses(result: tuple[int, str, str], text: str) -> None:
    """Assert that it ended with 2 and one clear line."""
    code, _, err = result
    assert code == 2, err
    assert err.startswith("pair: ") and err.count("\n") == 1 and text in err


@pytest.mark.parametrize(
    "line",
    [
        "trip",
        "trip many 0.1",
        "trip 0 1",
        "trip -1 1",
        "trip 1e9 1",
        "trip 99999999999 1",
        "trip 64 0",
        "trip 64 nan",
        "trip 64 1 5",
        "paced 64 1",
        "paced 64 1 0",
        "paced 64 1 inf",
        "paced 64 1 nan",
    ],
)
def test_order_that_cannot_be_is_refused(line: str) -> None:
    with pytest.raises(BadOrder, match=line):
        Order.parsed(line)


# ---------------------------------------------------------------------- how often work is done


class Alone(Duo):
    """A client whose server is always there."""

    def __init__(self) -> None:
        self.is_peer = False

    def tell(self, text: str) -> str:
        return text


class Idle(Ends):
    """Links that are never used."""

    def send_of(self, link: int) -> Callable[[bytes], object]:
        raise Cannot("idle")

    def recv_of(self, link: int) -> Callable[[], object]:
        raise Cannot("idle")

    def close(self) -> None:
        return


def test_package_that_cannot_be_loaded_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynng", None)
    with pytest.raises(Missing, match="pynng") as error:
        opener_of("nng-ipc")(Setup(Alone(), "block", 1, "", {}))
    assert error.value.fix == "pip install pynng"


def test_wait_that_makes_no_sense_is_missing() -> None:
    with pytest.raises(Missing, match="no wait=spin"):
        opener_of("nng-ipc")(Setup(Alone(), "spin", 1, "", {}))


@pytest.mark.parametrize("disturbed", [None, 0, 1, 2, 5, 9, 10, 11])
def test_count_fits_the_seconds_whichever_trial_is_disturbed(
    disturbed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_ns, hiccup_ns, seconds = 5_000, 30_000_000, 0.05
    time, trials = 0, 0

    def run(count: int) -> None:
        nonlocal time, trials
        time += count * message_ns + (hiccup_ns if trials == disturbed else 0)
        trials += 1

    monkeypatch.setattr(work, "clock", lambda: time)
    works = Works(Setup(Alone(), "block", 1, "", {}), Idle())
    count = works._count(run, Order("flow", 64, seconds))
    fits = seconds * 1e9 / message_ns
    assert fits / 2 <= count <= fits
    assert time < 2 * seconds * 1e9 + hiccup_ns
