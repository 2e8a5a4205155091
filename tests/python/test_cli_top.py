"""eastwest top, ls --channels and explain PID: what they say of other processes, and exit codes."""

import json
import os
import pty
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

import eastwest
from eastwest.cli._control import Looked, Place, View
from eastwest.cli._top import compare, short
from tests.python.command_line import (
    TOOL,
    environment,
    finish,
    next_line,
    run,
    run_json,
    sentence,
    serving,
    start,
)
from tests.python.control_sockets import says, stranger
from tests.python.threads import beside

pytestmark = pytest.mark.usefixtures("runtime_dir")


@contextmanager
def traffic() -> Iterator[None]:
    """A client in this process that sends and receives until the block ends."""
    with eastwest.Context() as context, context.connect("pricing") as channel:

        def ping() -> None:
            channel.send(b"x" * 100)
            channel.recv(timeout=10)

        channel.send(b"x")
        channel.recv(timeout=10)
        with beside(ping):
            yield


@contextmanager
def connected_to(service: str) -> Iterator[eastwest.Channel]:
    with eastwest.Context() as context, context.connect(service) as channel:
        yield channel


# ------------------------------------------------------------------ top


def test_top_once_shows_what_moves_at_both_ends() -> None:
    """catches: a rate of the wrong counter, or per interval instead of per second."""
    with serving("pricing") as server, traffic():
        found = run_json("top", "--once", "--interval", "0.3")
        table = run("top", "--once", "--interval", "0.1").stdout.splitlines()
    assert found["schema"] == "eastwest.top/1"
    assert found["problems"] == []
    rows = {each["pid"]: each for each in found["channels"]}
    assert set(rows) == {server.pid, os.getpid()}
    for row in rows.values():
        rates = row["rates"]
        assert rates["sent_per_second"] > 10
        ratio = rates["sent_bytes_per_second"] / rates["sent_per_second"]
        assert ratio == pytest.approx(100, rel=0.01)
        total = row["messages_sent"]
        assert 0 < rates["sent_per_second"] < total / 0.01
    assert table[0].startswith("2 processes, 2 channels")
    assert table[1].split()[:4] == ["PID", "CHANNEL", "SERVICE", "PATH"]
    assert sorted(int(line.split()[0]) for line in table[2:]) == sorted(rows)


def test_top_of_nothing_is_no_error() -> None:
    assert run("top", "--once", "--interval", "0.05").stdout.startswith("0 processes, 0 channels")


def test_top_without_a_terminal_prints_one_table_after_the_other() -> None:
    with serving("pricing"), traffic():
        process = start("top", "--interval", "0.05")
        heads = 0
        while heads < 3:
            line = next_line(process)
            assert "\x1b" not in line
            heads += line.startswith("PID")
        assert finish(process, signal.SIGINT)[0] == 130


def test_top_as_json_is_one_object_on_each_line() -> None:
    with serving("pricing"):
        process = start("top", "--interval", "0.05", "--json")
        lines = [json.loads(next_line(process)) for _ in range(3)]
        assert finish(process, signal.SIGTERM)[0] == 143
    assert all(next(iter(each)) == "schema" for each in lines)
    assert all(each["processes"] == 1 for each in lines)


def test_top_on_a_terminal_starts_at_its_top_each_time() -> None:
    """catches: CLEAR left out."""
    ours, theirs = pty.openpty()
    process = Popen([*TOOL, "top", "--interval", "0.05"], stdout=theirs, env=environment())
    os.close(theirs)
    said = b""
    while said.count(b"\x1b[H\x1b[2J") < 3:
        said += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    process.wait()
    os.close(ours)


def test_top_shows_a_sender_that_is_blocked() -> None:
    """catches: send_waiting left out of the row, or UNREAD of the wrong direction."""
    with (
        eastwest.Context() as context,
        context.listen("full") as listener,
        connected_to("full") as channel,
    ):
        accepted = listener.accept(timeout=10)
        while channel.try_send(bytes(30000)):
            pass
        sender = threading.Thread(target=channel.send, args=(bytes(60000),))
        sender.start()
        while not channel.stats().send_waiting:
            pass
        found = run_json("top", "--once", "--interval", "0.05")["channels"]
        table = run("ls", "--channels", "full").stdout
        while sender.is_alive():
            accepted.try_recv()
        sender.join()
        accepted.abort()
    (row,) = (each for each in found if each["opener"])
    assert row["send_waiting"] == 1
    assert row["send_unread_bytes"] > 100000
    assert "1 blocked in send" in table


def looked(now_ns: int, *rows: dict[str, Any]) -> View:
    place = Place("/run/x", "7-0.sock", 7)
    return View([Looked(place, 7, 0, "0", now_ns, {}, (), rows)])


def test_rates_are_of_the_process_own_clock() -> None:
    """catches: a new channel's total as a rate; a negative rate; a busy row that shows zeros."""
    row = {"number": 1, "messages_sent": 100, "bytes_sent": 5}
    later = {"number": 1, "messages_sent": 400, "bytes_sent": 5}
    new = {"number": 2, "messages_sent": 99}
    first, second = compare(looked(10**9, row), looked(3 * 10**9, new, later))
    assert first.rates["sent_per_second"] == 150
    assert first.rates["sent_bytes_per_second"] == 0
    assert second.rates["sent_per_second"] == 0
    (back,) = compare(looked(10**9, later), looked(2 * 10**9, row))
    assert back.rates["sent_per_second"] == 0
    (still,) = compare(looked(10**9, row), looked(10**9, later))
    assert still.rates["sent_per_second"] == 0
    (busy,) = compare(looked(10**9, later), looked(2 * 10**9, {"number": 1, "busy": True}))
    assert busy.row["messages_sent"] == 400
    assert busy.cells()[-1] == "being closed"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (7.25, "7.25"), (12.34, "12.3"), (999.4, "999"), (999.6, "1.00k"), (2e9, "2G")],
)
def test_short_numbers(value: float, shown: str) -> None:
    assert short(value) == shown


# ------------------------------------------------------------------ ls --channels


def test_ls_channels_lists_both_ends_and_takes_a_pattern() -> None:
    with (
        serving("eu.pricing") as server,
        connected_to("eu.pricing") as channel,
        serving("orders"),
    ):
        channel.send(b"abc")
        channel.recv(timeout=10)
        found = run_json("ls", "--channels", "eu.*")
        table = run("ls", "--channels").stdout.splitlines()
        missed = run("ls", "--channels", "eu.pricin")
        none = run("ls", "--channels", "orders")
    assert found["schema"] == "eastwest.ls.channels/1"
    rows = {each["pid"]: each for each in found["channels"]}
    assert set(rows) == {server.pid, os.getpid()}
    assert len({each["id"] for each in rows.values()}) == 1
    assert [rows[os.getpid()][each] for each in ("messages_sent", "bytes_sent")] == [1, 3]
    assert table[0].split()[:4] == ["PID", "CHANNEL", "SERVICE", "PATH"]
    assert len(table) == 3
    assert missed.returncode == none.returncode == 3
    assert "did you mean 'eu.pricing'?" in sentence(missed)


def test_ls_channels_of_nothing_is_no_error() -> None:
    done = run("ls", "--channels")
    assert (done.returncode, done.stdout) == (0, "no process here has a channel that it shows\n")


# ------------------------------------------------------------------ explain PID


def test_explain_of_a_process_names_listeners_and_channels() -> None:
    with serving("pricing") as server, connected_to("pricing"):
        done = run("explain", str(server.pid))
        found = run_json("explain", str(server.pid))
    assert done.returncode == 0
    assert done.stdout.startswith(f"process {server.pid} (")
    assert "listens pricing: 1 of 1024 channels" in done.stdout
    assert found["schema"] == "eastwest.explain.process/1"
    assert [each["service"] for each in found["listeners"]] == ["pricing"]
    assert [each["peer_pid"] for each in found["channels"]] == [os.getpid()]


def test_explain_of_a_channel_repeats_the_verdicts_of_its_connect() -> None:
    """catches: the note not parsed; counters of another channel."""
    with serving("pricing") as server, connected_to("pricing") as channel:
        channel.send(b"abc")
        channel.recv(timeout=10)
        (row,) = run_json("explain", str(os.getpid()))["channels"]
        mine = run_json("explain", f"{os.getpid()}/{row['id'][:3]}")
        theirs = run_json("explain", f"{server.pid}/{row['id'].upper()}")
        shown = run("explain", f"{os.getpid()}/{row['id']}").stdout
        why = channel.explain().to_dict()
    assert mine["schema"] == "eastwest.explain.channel/1"
    (end,) = mine["ends"]
    for part in ("service", "chosen", "rejected", "facts"):
        assert end[part] == why[part], part
    assert end["stats"]["messages_sent"] == 1
    assert theirs["ends"][0]["chosen"]["check"] == "accepted"
    assert shown.startswith("pricing: shm\n")
    assert "sent 1 messages (3 B)" in shown


def test_explain_of_a_channel_that_is_over_is_exit_code_1() -> None:
    with serving("pricing") as server, eastwest.Context() as context:
        channel = context.connect("pricing")
        server.kill()
        with pytest.raises(eastwest.PeerLost):
            channel.recv(timeout=10)
        (row,) = run_json("explain", str(os.getpid()))["channels"]
        done = run("explain", f"{os.getpid()}/{row['id']}")
        channel.abort()
    assert done.returncode == 1
    assert "died or vanished" in done.stdout


def test_explain_of_what_is_not_there_is_exit_code_3_with_what_is() -> None:
    with serving("pricing") as server, connected_to("pricing"):
        (row,) = run_json("explain", str(server.pid))["channels"]
        near = str(server.pid)[:-1] + ("0" if str(server.pid)[-1] != "0" else "1")
        wrong = "0" if row["id"][0] != "0" else "1"
        process, channel = run("explain", near), run("explain", f"{server.pid}/{wrong}")
    assert process.returncode == channel.returncode == 3
    assert str(server.pid) in sentence(process)
    assert row["id"][:8] in sentence(channel)


def test_explain_of_a_prefix_of_several_is_exit_code_2() -> None:
    row = {"id": "ab" * 16, "number": 2, "service": "s"}
    other = {**row, "id": "ac" * 16, "number": 1}
    head = {"control": 1, "version": "0", "now_ns": 1}
    lines = [json.dumps(each) for each in (head, row, other, {"next": 0})]
    with stranger(Path(os.environ["EASTWEST_RUNTIME_DIR"]), says("\n".join(lines).encode())):
        done = run("explain", f"{os.getpid()}/a")
    assert done.returncode == 2
    assert "abababab, acacacac" in sentence(done)


@pytest.mark.parametrize("target", ["7/", "7/xyz", "pricing/1", "12345678901", "7/" + "a" * 33])
def test_explain_of_what_cannot_be_a_process_is_wrong_use(target: str) -> None:
    done = run("explain", target)
    expected = 3 if target == "12345678901" else 2  # eleven digits: a service
    assert done.returncode == expected
    assert sentence(done)


def test_service_of_digits_is_explained_when_asked() -> None:
    with serving("2024"):
        assert run("explain", "2024").returncode == 3
        assert run("explain", "2024", "--service").stdout.startswith("2024: shm\n")


def test_refusal_is_exit_code_4_and_silence_5() -> None:
    """catches: code_of that does not tell them apart."""
    refusing = says(b'{"error":"access","detail":"your uid is not on the list"}\n')
    with stranger(Path(os.environ["EASTWEST_RUNTIME_DIR"]), refusing, pid=7):
        done = run("explain", "7")
        listed = run("ls", "--channels")
    assert (done.returncode, listed.returncode) == (4, 4)
    assert "not on the list" in done.stderr
    with serving("pricing") as server:
        server.send_signal(signal.SIGSTOP)
        looks = start("top", "--once", "--interval", "0.05")  # beside the other one: both wait
        done = run("explain", str(server.pid))
        looks.communicate()
    assert (done.returncode, looks.wait()) == (5, 5)
    assert "is it stopped?" in sentence(done)
