"""Our stack and programs that others wrote: curl, wrk, ping, nginx, redis."""

from __future__ import annotations

import os
import random
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        while True:
            assert process.poll() is None, f"{command}: exit code {process.returncode}"
            assert time.monotonic() < end, f"{command}: not on port {port}"
            with host.open_socket(family) as sock:
                if sock.connect_ex((KERNEL[family], port)) == 0:
                    break
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


@pytest.mark.parametrize("kind", KINDS)
def test_ping(kind: str) -> None:
    """Sizes that fit, and one that comes in fragments."""
    needs_stack("ping")
    with wire(kind) as line:
        line.start()
        for family in (4, 6):
            for size in (0, 56, 1400, 4000):
                said = line.host.run(
                    "ping", f"-{family}", "-nq", "-c5", "-i0.002", "-W5", f"-s{size}", OURS[family]
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
