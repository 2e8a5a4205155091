"""Our stack and programs that others wrote: curl, wrk, ping, nginx, redis, iperf3."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.dpdk import fixtures
from tests.dpdk.stack import EXAMPLES, KINDS, PLUGIN, Wire, end_process, needs_stack, wire
from tests.net.kernel import KERNEL, OURS, SOON, Host

PAGE = "Hello from a TCP/IP stack of our own.\n"
stack = fixtures.stack
VETH = ["af_packet", "af_xdp"]


@pytest.fixture(params=VETH)
def line(request: pytest.FixtureRequest) -> Iterator[Wire]:
    with wire(request.param) as made:
        yield made


@contextmanager
def service(host: Host, family: int, port: int, *command: str) -> Iterator[None]:
    """Run a server of the kernel's side until it listens, and end it."""
    with host.inside():
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    end = time.monotonic() + SOON
    try:
        while KERNEL[family] not in host.run("ss", "-Hltn", f"sport = :{port}"):
            assert process.poll() is None, f"{command}: exit code {process.returncode}"
            assert time.monotonic() < end, f"{command}: not on port {port}"
            time.sleep(0.01)  # for a program that has no way to say so
        yield
    finally:
        process.terminate()
        try:
            process.wait(SOON)
        finally:
            end_process(process)


# ------------------------------------------------------------------ clients of ours


def test_curl(line: Wire) -> None:
    needs_stack("curl")
    line.run_example("http", 80)
    url = f"http://{OURS[4]}/"
    assert line.host.run("curl", "-sS", "--max-time", "10", url) == PAGE
    twice = line.host.run("curl", "-sSv", "--max-time", "10", url, url, "--stderr", "-")
    assert twice.count(PAGE.strip()) == 2
    assert "Re-using existing connection" in twice
    status = ("-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10")
    assert line.host.run("curl", "-sS", *status, f"{url}missing") == "404"
    assert line.host.run("curl", "-sS", *status, "-d", "x=1", url) == "405"
    assert line.host.run("curl", "-sS", *status, "-H", f"X: {'x' * 9000}", url) == "431"


@pytest.mark.parametrize("port", ["abc", "0", "70000", "-1", ""])
def test_an_example_says_what_a_port_is(port: str) -> None:
    # catches: 70000 taken for 4464, and words for any port
    needs_stack()
    settings = "device=ring:name=e\naddress=10.77.0.1/24"
    command = [str(EXAMPLES / "ew_example_echo"), str(PLUGIN), port, settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"port {port}: want 1..65535" in done.stderr


def test_wrk(line: Wire) -> None:
    needs_stack("wrk")
    line.run_example("http", 80)
    said = line.host.run("wrk", "-t1", "-c50", "-d1", f"http://{OURS[4]}/")
    found = re.search(r"(\d+) requests in", said)
    assert found is not None, said
    assert int(found[1]) > 100
    assert "Socket errors" not in said
    assert "Non-2xx" not in said


def test_redis_cli(line: Wire) -> None:
    needs_stack("redis-cli")
    peer = line.start()
    for family in (4, 6):
        listener = peer.listen(family, 6379, "talk")
        with line.host.inside():
            client = subprocess.Popen(
                ["redis-cli", "-h", OURS[family], "ECHO", "east and west"],
                stdout=subprocess.PIPE,
                text=True,
            )
        try:
            stream = int(peer.wait("accepted")["id"])
            asked = b"*2\r\n$4\r\nECHO\r\n$13\r\neast and west\r\n"
            assert peer.heard(stream, len(asked)) == asked
            peer.say(stream, b"$13\r\neast and west\r\n")
            assert client.communicate(timeout=SOON)[0] == "east and west\n"
        finally:
            end_process(client)
        peer.until(stream, lambda said: bool(said["peer_ended"]))
        for each in (stream, listener):
            peer.ask(f"finish {each}")
            peer.end(each)


@pytest.mark.parametrize("kind", KINDS)
def test_ping(kind: str) -> None:
    """Sizes that fit, and one that comes in fragments. The last may take as long as -i says."""
    needs_stack("ping")
    with wire(kind) as line:
        line.start()
        for family in (4, 6):
            for size in (0, 56, 1400, 4000):
                said = line.host.run(
                    "ping", f"-{family}", "-nq", "-c5", "-l5", "-i5", f"-s{size}", OURS[family]
                )
                assert "5 packets transmitted, 5 received" in said, said


# ------------------------------------------------------------------ servers for ours


NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {four}:8080;
    listen [{six}]:8080;
    root {folder}/pages;
  }}
}}
"""


def test_nginx(line: Wire, tmp_path: Path, rng: random.Random) -> None:
    needs_stack("nginx")
    tmp_path.chmod(0o755)
    (tmp_path / "pages").mkdir()
    page = rng.randbytes(300_000)
    (tmp_path / "pages/page").write_bytes(page)
    config = tmp_path / "nginx.conf"
    text = NGINX.format(folder=tmp_path, four=KERNEL[4], six=KERNEL[6])
    config.write_text(f"user root;\n{text}" if os.geteuid() == 0 else text)
    peer = line.start()
    with service(line.host, 6, 8080, "nginx", "-c", str(config), "-e", "stderr"):
        for family in (4, 6):
            stream = peer.connect(family, 8080, "talk")
            peer.wait("connected", stream)
            peer.say(stream, b"GET /page HTTP/1.1\r\nHost: ours\r\n\r\n")
            answer = b""
            while len(answer.partition(b"\r\n\r\n")[2]) < len(page):
                answer += peer.heard(stream, 1)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert body == page
            peer.say(stream, b"GET /none HTTP/1.0\r\n\r\n")  # and it ends
            assert peer.heard(stream, 12)[:12] == b"HTTP/1.1 404"
            peer.until(stream, lambda said: bool(said["peer_ended"]))
            peer.ask(f"shutdown {stream}")
            peer.end(stream)


def test_redis(line: Wire, tmp_path: Path, rng: random.Random) -> None:
    needs_stack("redis-server")
    command = ["redis-server", "--port", "6379", "--bind", KERNEL[4], KERNEL[6], "--save", ""]
    command += ["--dir", str(tmp_path), "--protected-mode", "no", "--daemonize", "no"]
    value = rng.randbytes(100_000)
    peer = line.start()
    with service(line.host, 4, 6379, *command):
        for family in (4, 6):
            stream = peer.connect(family, 6379, "talk")
            peer.wait("connected", stream)
            peer.say(stream, b"PING\r\n")
            assert peer.heard(stream, 7) == b"+PONG\r\n"
            peer.say(stream, b"SET word east\r\nAPPEND word west\r\nGET word\r\n")
            wanted = b"+OK\r\n:8\r\n$8\r\neastwest\r\n"
            assert peer.heard(stream, len(wanted)) == wanted
            peer.say(stream, b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n" % len(value))
            for at in range(0, len(value), 4000):
                peer.say(stream, value[at : at + 4000])
            peer.say(stream, b"\r\nGET big\r\n")
            wanted = b"+OK\r\n$%d\r\n%s\r\n" % (len(value), value)
            assert peer.heard(stream, len(wanted)) == wanted
            peer.say(stream, b"QUIT\r\n")
            assert peer.heard(stream, 5) == b"+OK\r\n"
            peer.until(stream, lambda said: bool(said["peer_ended"]))
            peer.ask(f"shutdown {stream}")
            peer.end(stream)


# ------------------------------------------------------------------ iperf3, in its own words


IPERF_BYTES = 400_000
PIECE = 4000


class Iperf:
    """A client of iperf3's protocol on our stack: a connection for control, one for data.

    A state is a byte, a report is JSON behind its length; the cookie says what belongs together.
    """

    PARAM_EXCHANGE, CREATE_STREAMS, TEST_START, TEST_RUNNING = 9, 10, 1, 2
    TEST_END, EXCHANGE_RESULTS, DISPLAY_RESULTS, DONE = 4, 13, 14, 16
    COOKIE = b"eastwest" * 4 + b"east\0"

    def __init__(self, line: Wire, family: int, port: int) -> None:
        self._peer, self._family, self._port = line.peer, family, port
        self._heard = b""
        self.control = self._open()

    def _open(self) -> int:
        stream = self._peer.connect(self._family, self._port, "talk")
        self._peer.wait("connected", stream)
        self._peer.say(stream, self.COOKIE)
        return stream

    def _take(self, size: int) -> bytes:
        while len(self._heard) < size:
            self._heard += self._peer.heard(self.control, 1)
        taken, self._heard = self._heard[:size], self._heard[size:]
        return taken

    def expect(self, state: int) -> None:
        assert self._take(1)[0] == state

    def state(self, state: int) -> None:
        self._peer.say(self.control, bytes([state]))

    def report(self, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self._peer.say(self.control, len(text).to_bytes(4, "big") + text)

    def reported(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._take(int.from_bytes(self._take(4), "big")))
        return found

    def begin(self, reverse: bool) -> int:
        """Agree on a test; return the connection of its data."""
        self.expect(self.PARAM_EXCHANGE)
        self.report({"tcp": True, "omit": 0, "time": 0, "num": IPERF_BYTES, "parallel": 1,
                     "len": 65536, "pacing_timer": 1000, "client_version": "3.12",
                     **({"reverse": True} if reverse else {})})  # fmt: skip
        self.expect(self.CREATE_STREAMS)
        data = self._open()
        self.expect(self.TEST_START)
        self.expect(self.TEST_RUNNING)
        return data

    def end(self, moved: int) -> int:
        """Say that so much was moved; return what the server counted."""
        self.state(self.TEST_END)
        self.expect(self.EXCHANGE_RESULTS)
        self.report({"cpu_util_total": 0, "cpu_util_user": 0, "cpu_util_system": 0,
                     "sender_has_retransmits": 0, "streams": [{"id": 1, "bytes": moved,
                     "retransmits": 0, "jitter": 0, "errors": 0, "packets": 0, "start_time": 0,
                     "end_time": 1}]})  # fmt: skip
        counted = int(self.reported()["streams"][0]["bytes"])
        self.expect(self.DISPLAY_RESULTS)
        self.state(self.DONE)
        return counted


def until_read(line: Wire, port: int) -> None:
    """Wait until the kernel's program has read all that we have sent: at a test's end it stops."""
    end = time.monotonic() + SOON
    while any(row["unsent"] + row["in_flight"] for row in line.peer.rows("conn")) or re.search(
        r"^\S+ +[1-9]", line.host.run("ss", "-Htn", f"sport = :{port}"), re.MULTILINE
    ):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("reverse", [False, True], ids=["to_it", "from_it"])
def test_iperf3(line: Wire, reverse: bool, rng: random.Random) -> None:
    needs_stack("iperf3")
    line.start()
    with service(line.host, 4, 5201, "iperf3", "-s", "-p", "5201", "-B", KERNEL[4]):
        client = Iperf(line, 4, 5201)
        data = client.begin(reverse)
        if reverse:
            got = len(line.peer.heard(data, IPERF_BYTES))
            assert client.end(got) >= IPERF_BYTES
        else:
            content = rng.randbytes(IPERF_BYTES)
            for at in range(0, IPERF_BYTES, PIECE):
                line.peer.say(data, content[at : at + PIECE])
            until_read(line, 5201)
            assert client.end(IPERF_BYTES) == IPERF_BYTES
        for stream in (data, client.control):
            line.peer.ask(f"abort {stream}")
            line.peer.end(stream)
