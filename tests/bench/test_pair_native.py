"""The pair program in C: every system does every work or says why not; nothing is left behind."""

import json
import os
import select
import signal
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "dev" / "bench" / "pair"
PLUGIN = ROOT / "bindings" / "dpdk" / "eastwest_dpdk" / "eastwest_dpdk_plugin.so"
PATIENCE_S = 60
SECONDS = "0.005"
SIZES = (64, 1 << 20)
LINKS = 3
MEBIBYTE_CANNOT = {"unix-seqpacket": "212960", "posix-mq": "8192"}
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="needs ./dev build")

WAITS = {
    "eastwest-shm": ("spin", "adaptive", "block"),
    "eastwest-tcp": ("spin", "adaptive", "block"),
    "unix-stream": ("spin", "block", "epoll"),
    "unix-seqpacket": ("spin", "block", "epoll"),
    "pipe": ("spin", "block", "epoll"),
    "tcp": ("spin", "block", "epoll"),
    "posix-mq": ("block",),
}
CASES = [(system, wait) for system, waits in WAITS.items() for wait in waits]


class Pair:
    """A running pair."""

    def __init__(self, folder: Path, system: str, *options: str) -> None:
        self.samples = folder.with_name("samples")
        cores = ",".join(str(sorted(os.sched_getaffinity(0))[side]) for side in (0, -1))
        self.process = subprocess.Popen(
            [
                str(PROGRAM),
                system,
                f"cores={cores}",
                f"folder={folder}",
                f"samples={self.samples}",
                *options,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, work: str) -> dict[str, Any]:
        """Return the answer to a work, or the first line for ""."""
        assert self.process.stdin is not None and self.process.stdout is not None
        if work:
            self.process.stdin.write(f"{work}\n")
            self.process.stdin.flush()
        assert select.select([self.process.stdout], [], [], PATIENCE_S)[0], f"no answer to {work!r}"
        line = self.process.stdout.readline()
        assert line, f"{work!r}: {self.end()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def child(self) -> int:
        """Return the server's pid."""
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def end(self) -> tuple[int, str]:
        """Return status and complaints."""
        _, complaints = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, complaints

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pair-") as directory:
        made = Path(directory) / "folder"
        made.mkdir(mode=0o700)
        yield made


def left_behind(folder: Path) -> list[str]:
    """Return what there is of ours where something could stay; others may be at work there, too."""
    shared = [each for each in (Path("/dev/shm"), Path("/dev/mqueue")) if each.is_dir()]
    found = [str(each) for place in shared for each in place.iterdir() if "eastwest" in each.name]
    return found + [str(each) for each in folder.iterdir()]


def check_done(answer: dict[str, Any], work: str) -> None:
    assert set(answer) == {"count", "ns", "cpu_ns", "switches"}, answer
    assert all(isinstance(value, int) for value in answer.values())
    assert answer["count"] >= 3 and answer["ns"] > 0 and answer["cpu_ns"] > 0
    if work == "fan":
        assert answer["count"] % LINKS == 0


@pytest.mark.parametrize(("system", "wait"), CASES)
def test_every_work_is_done_or_refused(system: str, wait: str, folder: Path) -> None:
    with Pair(folder, system, f"wait={wait}", f"links={LINKS}") as pair:
        ready = pair.ask("")
        assert ready["ready"] == system and ready["version"] and ready["detail"]
        for size in SIZES:
            for work in ("trip", "flow", "fan"):
                answer = pair.ask(f"{work} {size} {SECONDS}")
                if size == SIZES[-1] and system in MEBIBYTE_CANNOT:
                    assert MEBIBYTE_CANNOT[system] in answer["cannot"]
                else:
                    check_done(answer, work)
        assert pair.end() == (0, "")
    assert left_behind(folder) == []


@pytest.mark.parametrize(
    ("system", "works"), [("line", {"trip", "paced"}), ("memcpy", {"flow"}), ("memcpy2", {"flow"})]
)
def test_a_limit_does_its_work_only(system: str, works: set[str], folder: Path) -> None:
    with Pair(folder, system) as pair:
        assert pair.ask("")["ready"] == system
        for work, rate in (("trip", ""), ("paced", " 10000"), ("fan", ""), ("flow", "")):
            answer = pair.ask(f"{work} 64 {SECONDS}{rate}")
            if work in works:
                check_done(answer, work)
            else:
                assert work in answer["cannot"]
        assert pair.end() == (0, "")


def test_samples_are_the_nanoseconds_of_each_trip(folder: Path) -> None:
    with Pair(folder, "unix-stream", "wait=spin") as pair:
        pair.ask("")
        done = pair.ask(f"trip 64 {SECONDS}")
        samples = struct.unpack(f"<{done['count']}I", pair.samples.read_bytes())
        assert 0.9 * done["ns"] < sum(samples) <= 1.01 * done["ns"]
        done = pair.ask("paced 64 0.01 1000")
        assert done["count"] == 10 and done["ns"] >= 9e6  # the last one begins after 9 ms
        assert len(pair.samples.read_bytes()) == 40


def test_sixteen_mebibytes_pass(folder: Path) -> None:
    with Pair(folder, "eastwest-shm", "wait=block") as pair:
        pair.ask("")
        check_done(pair.ask(f"flow {16 << 20} {SECONDS}"), "flow")


def test_a_server_may_be_bound_elsewhere(folder: Path) -> None:
    for system in ("tcp", "eastwest-tcp"):
        with Pair(folder, system, "wait=block", "bind=127.0.0.9") as pair:
            assert "ready" in pair.ask("")
        with Pair(folder, system, "wait=block", "bind=192.0.2.1") as pair:
            assert "assign requested address" in pair.ask("")["missing"]
            assert pair.end() == (0, "")


def test_a_fabric_that_nobody_asked_for_is_missing(folder: Path) -> None:
    with Pair(folder, "eastwest-dpdk") as pair:
        assert pair.ask("")["fix"] == "name fabric_network, fabric_device and fabric_addresses"


def test_both_ends_of_a_fabric(folder: Path) -> None:
    if not PLUGIN.exists():
        pytest.skip("needs DPDK")
    memif = f"memif:socket={folder}/memif,role="
    with Pair(
        folder,
        "eastwest-dpdk",
        "wait=block",
        "fabric_network=lab",
        f"fabric_device={memif}client|{memif}server",
        "fabric_addresses=10.79.0.1/24|10.79.0.2/24",
    ) as pair:
        ready = pair.ask("")
        assert ready.get("detail") == "block, path dpdk", ready
        check_done(pair.ask(f"trip 64 {SECONDS}"), "trip")
        assert pair.end() == (0, "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "usage: pair SYSTEM [NAME=VALUE...]"),
        (("telex",), "no system 'telex'; there are line memcpy"),
        (("tcp", "speed=1"), "tcp has no option 'speed'"),
        (("line", "bind=127.0.0.1"), "line has no option 'bind'"),
        (("line", "wait=long"), "wait='long': want spin, adaptive, block or epoll"),
        (("line", "cores=0"), "cores='0': want CLIENT,SERVER"),
        (("line", "links=0"), "links='0': want a number from 1 to"),
        (("tcp", "bind=here"), "bind='here': want an address"),
    ],
)
def test_wrong_arguments_end_it(arguments: tuple[str, ...], complaint: str) -> None:
    done = subprocess.run(
        [str(PROGRAM), *arguments], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"pair: {complaint}") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("jump 64 1", "no work 'jump 64 1'; there are trip, paced, fan, flow"),
        ("trip 64", "'trip 64': want trip BYTES SECONDS"),
        ("paced 64 1", "'paced 64 1': want paced BYTES SECONDS RATE"),
        ("trip 0 1", "BYTES='0': want a number from 1 to"),
        ("trip 64 soon", "'trip 64 soon': 'soon' is not above 0"),
    ],
)
def test_a_line_that_is_no_work_ends_it(line: str, complaint: str, folder: Path) -> None:
    with Pair(folder, "line") as pair:
        pair.ask("")
        assert pair.process.stdin is not None
        pair.process.stdin.write(f"{line}\n")
        status, complaints = pair.end()
        assert status == 2
        assert complaints.startswith(f"pair: {complaint}") and complaints.count("\n") == 1


def test_a_wait_that_a_system_has_not_is_missing(folder: Path) -> None:
    with Pair(folder, "pipe", "wait=adaptive") as pair:
        assert pair.ask("") == {"missing": "pipe does not wait by wait=adaptive", "fix": ""}
        assert pair.end() == (0, "")


# ------------------------------------------------------------------ one dies


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], PATIENCE_S)[0], f"{pid} lives on"
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("system", ["eastwest-shm", "tcp"])
def test_a_killed_client_leaves_no_server(system: str, folder: Path) -> None:
    with Pair(folder, system, "wait=block") as pair:
        pair.ask("")
        child = pair.child()
        pair.process.kill()
        wait_until_gone(child)
    assert left_behind(folder) == []


def test_a_killed_server_ends_the_client(folder: Path) -> None:
    with Pair(folder, "pipe", "wait=spin") as pair:
        pair.ask("")
        os.kill(pair.child(), signal.SIGKILL)
        assert pair.process.wait(PATIENCE_S) == 1
        assert pair.end() == (1, "pair: the server was killed\n")
