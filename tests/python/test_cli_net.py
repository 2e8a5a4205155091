"""eastwest net: what it shows of a process with a TCP/IP of its own, and what it makes it do."""

import json
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import eastwest
from eastwest.cli._control import LookError, Place
from eastwest.cli._exits import Exit
from eastwest.cli._net_ask import Answer, NetError, Stack, choose
from eastwest.cli._net_show import addr_cells, conn_lines, neigh_cells, rates, route_cells
from tests.python.command_line import finish, next_line, run, run_json, sentence, serving, start
from tests.python.control_sockets import says, stranger

HOST = Path(__file__).parents[2] / "build/dev/tests/shell/shell_net_host"
DPDK = Path(__file__).parents[2] / "bindings/dpdk/eastwest_dpdk/eastwest_dpdk_plugin.so"
PCAP_NS = 0xA1B23C4D
HEAD = b'{"control":1,"reply":"net","version":"0","pid":7,"now_ns":5}\n'


class Host:
    """A process with two stacks and a connection from 10.0.0.1 to 10.0.0.2."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [HOST, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def send(self) -> None:
        """Send a kilobyte over the connection."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._line() == "sent"

    def close(self) -> None:
        """End it, and see that it ended well."""
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0


@contextmanager
def hosting(directory: Path) -> Iterator[Host]:
    host = Host(directory)
    try:
        yield host
    finally:
        host.close()


@pytest.fixture
def host(runtime_dir: Path) -> Iterator[Host]:
    with hosting(runtime_dir) as found:
        yield found


# ------------------------------------------------------------------ looks


def test_conn_shows_a_connection_as_ss_does(host: Host) -> None:
    """catches: rows of another question; a schema without its process"""
    host.send()
    done = run("net", "conn")
    assert done.returncode == 0, done.stderr
    assert "ESTABLISHED" in done.stdout
    assert "-> 10.0.0.2:7000" in done.stdout
    for word in ("cubic", "cwnd:", "rtt:", "rto:", "mss:1448", "in_flight:", "send_window:"):
        assert word in done.stdout
    found = run_json("net", "conn")
    (row,) = found["connections"]
    assert (found["pid"], found["half_open"], found["time_wait"]) == (host.pid, 0, 0)
    assert (row["state"], row["bytes_sent"]) == ("ESTABLISHED", 1024)
    assert "listeners" in run_json("net", "conn", "--listen")


def test_tables_are_shown(host: Host) -> None:
    assert "10.0.0.1/24" in run("net", "addr").stdout
    assert "good" in run("net", "addr").stdout
    assert "10.0.0.0/24" in run("net", "route").stdout
    assert "10.0.0.2" in run("net", "neigh").stdout
    port = run("net", "port")
    assert port.returncode == 0
    assert " up " in port.stdout
    assert "connections" in run("net", "limits").stdout
    (address,) = run_json("net", "addr")["addresses"]
    assert (address["address"], address["prefix"], address["state"]) == ("10.0.0.1", 24, "good")
    assert run_json("net", "neigh")["neighbours"][0]["mac"]
    assert {row["name"] for row in run_json("net", "limits")["limits"]} >= {"packets", "time_wait"}


def test_stats_leaves_zeros_out_and_says_what_the_others_mean(host: Host) -> None:
    done = run("net", "stats")
    assert "packets given to the stack" in done.stdout
    shown = {row["name"]: row["value"] for row in run_json("net", "stats")["counters"]}
    assert shown["rx_packets"] > 0
    assert 0 not in shown.values()
    everything = {row["name"] for row in run_json("net", "stats", "--all")["counters"]}
    assert "drop_tcp_checksum" in everything - shown.keys()


def test_watch_tells_rates_and_ends(host: Host) -> None:
    """catches: rates since the start of the process; an endless --times"""
    done = run("net", "stats", "--watch", "0.2", "--times", "2", "--json")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    (before,) = (row for row in first["counters"] if row["name"] == "drives")
    (after,) = (row for row in second["counters"] if row["name"] == "drives")
    assert before["per_second"] == 0
    seconds = (second["now_ns"] - first["now_ns"]) / 1e9
    assert after["per_second"] == pytest.approx((after["value"] - before["value"]) / seconds)
    assert after["per_second"] > 0
    done_once = run("net", "stats", "--times", "2")
    assert done_once.returncode == 2
    assert "--times is for --watch" in sentence(done_once)
    assert "EACH s" in run("net", "stats", "--watch", "0.05", "--times", "2").stdout


def test_watch_of_connections_ends_at_ctrl_c(host: Host) -> None:
    process = start("net", "conn", "--watch", "0.05")
    assert "connections" in next_line(process)
    code, _, errors = finish(process, signal.SIGINT)
    assert (code, errors) == (130, "")


# ------------------------------------------------------------------ ping


def test_ping_prints_round_trips(host: Host) -> None:
    done = run("net", "ping", "10.0.0.2", "--count", "3", "--interval", "0.05")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["1", "2", "3"]
    assert "3 sent, 3 answered, 0 lost; round trip min " in lines[3]
    found = run_json("net", "ping", "10.0.0.2", "--count", "1", "--bytes", "1000")
    (reply,) = found["replies"]
    assert reply["hop_limit"] == 64
    assert 0 < reply["seconds"] < 1


def test_ping_of_nobody_says_which_part_is_silent(host: Host) -> None:
    done = run("net", "ping", "10.0.0.9", "--count", "1", "--timeout", "0.1")
    assert done.returncode == 5
    assert "1 sent, 0 answered, 1 lost" in done.stdout
    assert "nobody on the link says that 10.0.0.9 is there" in sentence(done)


def test_ping_without_a_carrier_says_so(runtime_dir: Path) -> None:
    """catches: the neighbour blamed, who was there before the cable was cut"""
    port = b'"name":"memif0","carrier":false,'
    with stranger(runtime_dir, says(HEAD + b"{" + port + b'"ping":1,"state":"gone"}\n')):
        done = run("net", "ping", "10.0.0.2", "--count", "1")
    assert done.returncode == 5
    assert "memif0 has no carrier" in sentence(done)


def test_ping_without_a_way_is_unreachable(host: Host) -> None:
    done = run("net", "ping", "192.0.2.1")
    assert done.returncode == 4
    assert "no route" in sentence(done)
    assert "address of our own" in sentence(run("net", "ping", "10.0.0.1"))
    assert run("net", "ping", "example.com").returncode == 2


# ------------------------------------------------------------------ capture


def frames_of(path: Path) -> list[bytes]:
    data = path.read_bytes()
    assert struct.unpack_from("=I", data)[0] == PCAP_NS
    found, at = [], 24
    while at < len(data):
        _, _, kept, length = struct.unpack_from("=IIII", data, at)
        assert kept == length
        found.append(data[at + 16 : at + 16 + kept])
        at += 16 + kept
    assert at == len(data)
    return found


def test_capture_until_ctrl_c(host: Host, tmp_path: Path) -> None:
    """catches: a capture that goes on when the tool is gone; packets of one direction only"""
    path = tmp_path / "packets.pcap"
    process = start("net", "capture", str(path))
    assert str(path) in next_line(process)
    assert run("net", "ping", "10.0.0.2", "--count", "2", "--interval", "0.05").returncode == 0
    code, output, errors = finish(process, signal.SIGINT)
    assert (code, errors) == (0, "")
    assert "packets" in output
    kinds = [frame[34] for frame in frames_of(path) if frame[23] == 1]
    assert kinds.count(8) == 2
    assert kinds.count(0) == 2
    size = path.stat().st_size
    host.send()
    assert run("net", "ping", "10.0.0.2", "--count", "1").returncode == 0
    assert path.stat().st_size == size


def test_capture_ends_at_its_limits(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "timed.pcap"
    found = run_json("net", "capture", str(path), "--seconds", "1")
    assert found["capture"] == "stopped"
    assert path.stat().st_mode & 0o777 == 0o600
    path = tmp_path / "full.pcap"
    process = start("net", "capture", str(path), "--bytes", "2048")
    next_line(process)
    for _ in range(4):
        host.send()
    output, _ = process.communicate()
    assert process.returncode == 0
    assert "its limit of 2048 bytes is reached" in output
    assert path.stat().st_size <= 2048


def test_capture_does_not_write_over_a_file(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("mine")
    done = run("net", "capture", str(path))
    assert done.returncode == 1
    assert "exists" in sentence(done)
    assert path.read_text() == "mine"
    done = run("net", "capture", str(tmp_path / "none/file"))
    assert "as the process sees it" in sentence(done)


# ------------------------------------------------------------------ which process


def test_no_process_is_found(runtime_dir: Path) -> None:
    done = run("net", "conn")
    assert done.returncode == 3
    assert "no process here has a TCP/IP of its own" in sentence(done)
    done = run("net", "conn", "--pid", "4194304")
    assert done.returncode == 3
    assert "shows no control socket" in sentence(done)


def test_a_process_without_a_stack_says_so(runtime_dir: Path) -> None:
    with eastwest.Context() as context, context.listen("pricing"):
        done = run("net", "conn", "--pid", str(os.getpid()))
    assert done.returncode == 3
    assert "has no TCP/IP of its own" in sentence(done)


def test_two_processes_are_listed(host: Host, runtime_dir: Path) -> None:
    with hosting(runtime_dir) as other:
        done = run("net", "conn")
        assert done.returncode == 2
        assert f"--pid {host.pid}" in sentence(done)
        assert f"--pid {other.pid}" in sentence(done)
        assert run_json("net", "conn", "--pid", str(other.pid))["pid"] == other.pid
        assert run("net", "conn", "--pid", str(host.pid), "--device", "nothing").returncode == 3


def test_a_stranger_cannot_do_harm(runtime_dir: Path) -> None:
    """catches: pages for ever; escape codes that reach the terminal; a type that is not expected"""
    rows = b'{"name":"\\u001b9","state":"\\u001b[2J","local":7,"srtt_ns":"x"}\n{"next":1}\n'
    with stranger(runtime_dir, says(HEAD + rows)):  # to each question, and on each page
        done = run("net", "conn")
    assert "\x1b" not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    huge = b'{"state":"ESTABLISHED","srtt_ns":' + b"9" * 400 + b',"next":0}\n'
    with stranger(runtime_dir, says(HEAD + b'{"age_ns":' + b"9" * 400 + b"}\n" + huge)):
        assert run("net", "conn").returncode == 0
    with stranger(runtime_dir, says(b"junk")):
        done = run("net", "conn")
        assert done.returncode == 4
        assert "does not answer as Eastwest does" in sentence(done)
    with stranger(runtime_dir, says(HEAD)):
        assert run("net", "ping", "10.0.0.2").returncode == 4


@pytest.mark.skipif(not DPDK.exists(), reason="needs DPDK")
def test_a_process_with_a_device_of_dpdk(
    runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: plug-in, context, control socket. catches: another stack of the context"""
    fabric = {
        "EASTWEST_SECURITY": "none",
        "EASTWEST_DPDK_PAGES": "small",
        "EASTWEST_FABRIC_NETWORK": "lab",
        "EASTWEST_FABRIC_DEVICE": "ring:name=lab",
        "EASTWEST_FABRIC_ADDRESSES": "10.77.0.1/24",
        "EASTWEST_FABRIC_PLUGIN": str(DPDK),
    }
    for name, value in fabric.items():
        monkeypatch.setenv(name, value)
    with serving("pricing", "--mode", "echo") as process:
        found = run_json("net", "port", "--pid", str(process.pid))
        assert found["ports"][0]["driver"] == "net_ring"
        (address,) = run_json("net", "addr")["addresses"]
        assert address["address"] == "10.77.0.1"
        (listener,) = run_json("net", "conn", "--listen")["listeners"]
        assert listener["local"].startswith("10.77.0.1:")
        told = run("explain", str(process.pid)).stdout
        assert f" dpdk://lab/{listener['local']}" in told  # its port was any
        assert "polled every 1 ms" in told


# ------------------------------------------------------------------ judged


def answer(pid: int, device: str | None = None, kind: Any = "none") -> Answer:
    place = Place("/run", f"{pid}.sock", pid)
    if device is None:
        return Answer(place, None, LookError(kind, f"process {pid}: {kind}"))
    return Answer(place, Stack(place, pid, device), None)


@pytest.mark.parametrize(
    ("answers", "pid", "device", "code"),
    [
        ([], None, None, Exit.NOT_FOUND),
        ([answer(1)], None, None, Exit.NOT_FOUND),
        ([answer(1, kind="gone")], 1, None, Exit.NOT_FOUND),
        ([answer(1, kind="refused")], None, None, Exit.UNREACHABLE),
        ([answer(1, kind="silent")], 1, None, Exit.TIMEOUT),
        ([answer(1, kind="silent"), answer(2)], None, None, Exit.NOT_FOUND),
        ([answer(1, "a"), answer(1, "b")], 1, None, Exit.USAGE),
        ([answer(1, "a"), answer(2, "b")], 3, None, Exit.NOT_FOUND),
        ([answer(1, "a")], None, "b", Exit.NOT_FOUND),
    ],
)
def test_no_stack_is_chosen(
    answers: list[Answer], pid: int | None, device: str | None, code: Exit
) -> None:
    with pytest.raises(NetError) as caught:
        choose(answers, pid, device)
    assert caught.value.code == code


def test_a_process_is_called_as_the_kernel_calls_it_here() -> None:
    """catches: --pid as it is listed, and nobody found (it is another pid namespace's)"""
    there = Answer(Place("/run", "1.sock", 1), Stack(Place("/run", "1.sock", 1), 4711, "a"), None)
    assert choose([there], 4711, None).pid == 4711
    with pytest.raises(NetError):
        choose([there], 1, None)


def test_the_one_stack_is_chosen() -> None:
    answers = [answer(1, "a"), answer(2, "a"), answer(2, "b"), answer(3)]
    assert choose(answers, 1, None).pid == 1
    assert choose(answers, None, "b").pid == 2
    assert choose([answer(7, "a"), answer(8, kind="silent")], None, None).pid == 7


def test_what_is_not_in_order_is_said() -> None:
    twice = {"address": "10.0.0.1", "prefix": 24, "state": "duplicate", "other_mac": "02:00"}
    assert "02:00 has it" in addr_cells(twice)[-1]
    assert "looked for" in addr_cells({"state": "tentative"})[-1]
    assert "nobody answers" in neigh_cells({"state": "failed"})[-1]
    assert route_cells({"to": "0.0.0.0", "prefix": 0, "via": "10.0.0.9"})[0] == "default"
    row = {"state": "ESTABLISHED", "soft_error": "No route to host", "recovery": "loss"}
    lines = conn_lines({**row, "segments_resent": 3, "backoff": 2})
    assert "No route to host" in lines[0]
    assert "loss" in lines[0]
    assert "backoff:2" in lines[1]
    assert "retrans:3" in lines[2]
    assert "minrtt:- " in lines[1]
    for least, shown in ((1, "<0.001ms"), (1500, "0.002ms"), ((1 << 64) - 1, "-")):
        assert f"minrtt:{shown} " in conn_lines({**row, "min_rtt_ns": least})[1]
    assert rates({"value": 7}, {"value": 9}, 1.0) == 0
    assert rates({"value": 9}, {"value": 7}, 0.5) == 4
    assert rates({"value": 9}, None, 1.0) == 0
