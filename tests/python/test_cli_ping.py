"""eastwest serve and ping: channels, latencies, exit codes, signals."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

import eastwest
from tests.python.command_line import (
    finish,
    next_line,
    run,
    run_json,
    sentence,
    serving,
    start,
)

pytestmark = pytest.mark.usefixtures("runtime_dir")


# ------------------------------------------------------------------ ping


def test_ping_over_shm_says_path_and_times() -> None:
    with serving("pricing"):
        done = run("ping", "pricing", "-n", "3", "-i", "0")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0].startswith("pricing: shm, 64 B, shm:")
    assert [line[:7] for line in lines[1:4]] == ["1: shm ", "2: shm ", "3: shm "]
    assert lines[4].startswith("3 sent, 3 received, 0 lost; round trip min ")


def test_ping_as_json_has_every_reply_and_the_reason() -> None:
    with serving("pricing"):
        found = run_json("ping", "pricing", "-n", "4", "-i", "0", "-s", "100000")
    assert found["schema"] == "eastwest.ping/1"
    assert (found["path"], found["bytes"], found["received"], found["lost"]) == (
        "shm",
        100000,
        4,
        0,
    )
    assert [each["number"] for each in found["replies"]] == [1, 2, 3, 4]
    trip = found["round_trip"]
    assert 0 < trip["min_seconds"] <= trip["p50_seconds"] <= trip["p99_seconds"]
    assert found["explanation"]["chosen"]["path"] == "shm"


@pytest.mark.parametrize("wait", ["block", "adaptive", "spin"])
@pytest.mark.parametrize("message_bytes", ["0", "1"])
def test_ping_with_every_wait_policy_and_the_smallest_messages(
    wait: str, message_bytes: str
) -> None:
    with serving("pricing"):
        found = run_json(
            "ping", "pricing", "-n", "2", "-i", "0", "--wait", wait, "-s", message_bytes
        )
    assert (found["wait"], found["received"]) == (wait, 2)


def test_ping_finds_a_remote_server_by_a_file(tmp_path: Path, runtime_dir: Path) -> None:
    (tmp_path / "far").mkdir(mode=0o700)
    process = start("serve", "pricing", "--bind", "127.0.0.1:0", "--json")
    try:
        tcp = next(a for a in json.loads(next_line(process))["addresses"] if a[:4] == "tcp:")
        file = tmp_path / "services.toml"
        file.write_text(f'[[service]]\nname = "pricing"\naddresses = ["{tcp}"]\n')
        far = ["--runtime-dir", str(tmp_path / "far"), "--registry", f"static:{file}"]
        pinged = run_json("ping", "pricing", "-n", "2", "-i", "0", *far)
        explained = run_json("explain", "pricing", *far)
        listed = run_json("ls", *far)["instances"]
    finally:
        finish(process, signal.SIGTERM)
    assert (pinged["path"], pinged["received"]) == ("tcp", 2)
    assert explained["chosen"]["address"] == tcp
    assert next(each["fix"] for each in explained["rejected"] if each["path"] == "shm")
    assert [(each["local"], each["answered"]) for each in listed] == [(False, True)]


def test_lost_replies_are_exit_code_1() -> None:
    with serving("pricing", "--mode", "sink"):
        done = run("ping", "pricing", "-n", "2", "-i", "0", "--timeout", "0.2")
    assert done.returncode == 1
    assert done.stdout.endswith("2 sent, 0 received, 2 lost\n")


def test_a_server_that_is_no_echo_is_noticed() -> None:
    with serving("pricing", "--mode", "source", "--bytes", "8"):
        done = run("ping", "pricing", "-n", "1")
    assert done.returncode == 1
    assert "is that an echo server?" in done.stdout


def test_unknown_service_is_exit_code_3_with_the_one_that_was_meant() -> None:
    with serving("pricing"):
        done = run("ping", "pricin", "--timeout", "0.1")
    assert done.returncode == 3
    said = sentence(done)
    assert "'pricin'" in said
    assert "did you mean 'pricing'?" in said


def test_refused_is_exit_code_4() -> None:
    with serving("pricing", "--protocol", "orders/2"):
        done = run("ping", "pricing", "--protocol", "orders/1")
        good = run("ping", "pricing", "--protocol", "orders/2", "-n", "1")
    assert done.returncode == 4
    assert "orders/1" in sentence(done)
    assert good.returncode == 0


def test_nobody_at_the_address_is_exit_code_4(tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    file.write_text('[[service]]\nname = "gone"\naddresses = ["tcp://127.0.0.1:1"]\n')
    for command in (["ping", "--timeout", "0.2"], ["explain"]):
        done = run(*command, "gone", "--registry", f"static:{file}")
        assert done.returncode == 4
        assert "refused" in sentence(done)


def test_stopped_server_is_exit_code_5() -> None:
    with serving("pricing") as server:
        server.send_signal(signal.SIGSTOP)
        done = run("ping", "pricing", "--timeout", "0.2")
        explained = run("explain", "pricing")
    assert done.returncode == 5
    assert sentence(done)
    assert explained.returncode == 5


def test_where_chooses_by_label() -> None:
    with serving("pricing", "--label", "color=blue", "--label", "size=l"):
        assert run("ping", "pricing", "-n", "1", "--where", "color=blue").returncode == 0
        done = run("ping", "pricing", "--where", "color=red", "--timeout", "0.1")
    assert done.returncode == 3
    assert "color" in sentence(done)


def test_ctrl_c_ends_ping_with_its_summary_and_exit_code_130() -> None:
    """Caught: the ping that Ctrl-C interrupted was counted as lost."""
    with serving("pricing"):
        client = start("ping", "pricing", "-n", "1000000", "-i", "0")
        assert next_line(client).startswith("pricing: shm")
        assert next_line(client).startswith("1: shm")
        code, output, errors = finish(client, signal.SIGINT)
    assert (code, errors) == (130, "")
    assert " received, 0 lost; round trip " in output.splitlines()[-1]


def test_ping_whose_server_dies_is_exit_code_1() -> None:
    with serving("pricing") as server:
        client = start("ping", "pricing", "-n", "1000000", "-i", "0.001")
        next_line(client)
        server.kill()
        output, errors = client.communicate()
    assert client.returncode == 1
    assert "died or vanished" in errors
    assert "1 lost" in output.splitlines()[-1]


# ------------------------------------------------------------------ serve


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_cleanly_with_a_summary(number: int, runtime_dir: Path) -> None:
    server = start("serve", "pricing")
    assert next_line(server).startswith("serving pricing (echo) at shm:")
    assert run("ping", "pricing", "-n", "3", "-i", "0").returncode == 0
    code, output, errors = finish(server, number)
    assert (code, errors) == (0, "")
    channel, summary = output.splitlines()
    assert re.fullmatch(r"channel 1: shm, peer pid \d+ \(uid \d+\)", channel)
    assert summary.startswith("1 channels in ")
    assert "received 3 messages (192 B), sent 3 (192 B); 0 peers lost" in summary
    assert not [each for each in os.listdir(runtime_dir) if each.endswith(".sock")]


def test_serve_as_json_is_one_object_on_each_line() -> None:
    server = start("serve", "pricing", "--json")
    said = [next_line(server)]
    run("ping", "pricing", "-n", "1")
    said += finish(server, signal.SIGTERM)[1].splitlines()
    found = [json.loads(line) for line in said]
    assert all(next(iter(each)) == "schema" for each in found)
    assert [each["event"] for each in found] == ["listening", "channel", "summary"]
    assert found[0]["pid"] == server.pid
    assert found[2]["messages_received"] == 1


def test_serve_stops_while_a_channel_is_open() -> None:
    for mode in ("echo", "sink", "source"):
        server = start("serve", mode, "--mode", mode)
        next_line(server)
        with eastwest.Context() as context:
            channel = context.connect(mode)
            code, _, errors = finish(server, signal.SIGTERM)
            channel.abort()
        assert (code, errors) == (0, ""), mode


def test_serve_counts_a_peer_that_was_lost() -> None:
    server = start("serve", "pricing")
    next_line(server)
    with eastwest.Context() as context:
        context.connect("pricing").abort()
        assert server.stdout is not None
        server.stdout.readline()  # the channel was accepted
        with context.connect("pricing") as channel:
            channel.send(b"x")
            channel.recv(timeout=5)
    assert "1 peers lost" in finish(server, signal.SIGTERM)[1]


def test_serve_stops_with_its_standard_input() -> None:
    server = start("serve", "pricing", "--stop-with-stdin")
    next_line(server)
    output, errors = server.communicate()  # closes it
    assert (server.returncode, errors) == (0, "")
    assert output.startswith("0 channels in ")


def test_source_keeps_to_its_rate() -> None:
    """41 messages at 200 in a second take 0.2 s; without the rate it is a millisecond."""
    with (
        serving("feed", "--mode", "source", "--bytes", "10", "--rate", "200"),
        eastwest.Context() as context,
        context.connect("feed") as channel,
    ):
        began = time.monotonic()
        assert [len(channel.recv(timeout=5)) for _ in range(41)] == [10] * 41
        assert time.monotonic() - began > 0.15
