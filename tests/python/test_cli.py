"""The command line tool: what each command says, as text and as JSON, and every exit code."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import eastwest
from eastwest.cli._measure import size, span, summarise
from tests.python.command_line import (
    SECONDS_MAX,
    TOOL,
    environment,
    finish,
    first_line,
    run,
    run_json,
    serving,
    start,
)

pytestmark = pytest.mark.usefixtures("runtime_dir")
COMMANDS = ["demo", "serve", "ping", "ls", "explain", "doctor", "config"]


def sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line on standard error, which is never a traceback."""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("eastwest"), lines[0]
    return lines[0]


# ------------------------------------------------------------------ the tool as a whole


def test_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"eastwest {eastwest.__version__}\n"


def test_help_names_every_command() -> None:
    said = run("--help").stdout
    assert all(re.search(rf"^ +{name} ", said, re.MULTILINE) for name in COMMANDS)
    assert "exit codes" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_examples(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"examples:\n  eastwest {command}" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["ls", "--no-such-option"],
        ["ping"],
        ["ping", "x", "-n", "0"],
        ["ping", "x", "-i", "nan"],
        ["serve", "x", "--label", "color"],
        ["serve", "x", "--mode", "eco"],
        ["serve", "Bad_Name"],
        ["serve", "x", "--bind", "0.0.0.0:0"],
        ["config", "--config", "/nonexistent/config.toml"],
        ["ls", "--runtime-dir", "/nonexistent/run"],
        ["ls", "--registry", "ftp://x"],
        ["ls", "--namespace", "Bad"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_sentence_and_exit_code_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert sentence(done)
    assert done.stdout == ""


def test_misspelt_command_and_choice_get_a_suggestion() -> None:
    assert "did you mean 'ping'?" in sentence(run("pin"))
    assert "did you mean 'echo'?" in sentence(run("serve", "x", "--mode", "eco"))


def test_global_options_may_stand_before_or_after_the_command() -> None:
    for arguments in (["--namespace", "n", "config"], ["config", "--namespace", "n"]):
        found = run_json(*arguments)
        assert found["settings"]["namespace"] == {"value": "n", "origin": "argument"}


def test_installed_script_is_the_same_tool() -> None:
    script = Path(sys.executable).with_name("eastwest")
    done = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert done.stdout == run("--version").stdout


def test_our_bug_is_a_traceback_and_exit_code_70() -> None:
    code = (
        "import eastwest.cli._config as c, eastwest.cli.__main__ as m\n"
        "def run(args, out): raise RuntimeError('boom')\n"
        "c.run = run\n"
        "raise SystemExit(m.main(['config']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("eastwest: this is a bug")


def test_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    for arguments in (["config"], ["config", "--json"], ["--help"], ["ls"], ["doctor"]):
        done = subprocess.run(
            [*TOOL, *arguments], stdout=write, stderr=subprocess.PIPE, env=environment()
        )
        assert (done.returncode, done.stderr) == (0, b""), arguments
    os.close(write)


def test_closed_standard_output_is_no_error() -> None:
    command = f"exec {' '.join(TOOL)} doctor >&- 2>&-"
    done = subprocess.run(["sh", "-c", command], env=environment())
    assert done.returncode == 0


def test_full_disk_is_one_sentence_and_exit_code_1() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*TOOL, "config"], stdout=full, stderr=subprocess.PIPE, text=True, env=environment()
        )
    assert done.returncode == 1
    assert done.stderr == "eastwest config: cannot write standard output: No space left on device\n"


# ------------------------------------------------------------------ serve and ping


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
    assert (found["path"], found["bytes"], found["received"], found["lost"]) == ("shm", 100000, 4, 0)
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
        tcp = next(a for a in json.loads(first_line(process))["addresses"] if a[:4] == "tcp:")
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
    assert [each["fix"] for each in explained["rejected"] if each["path"] == "shm"][0]
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_cleanly_with_a_summary(number: int, runtime_dir: Path) -> None:
    server = start("serve", "pricing")
    assert first_line(server).startswith("serving pricing (echo) at shm:")
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
    said = [first_line(server)]
    run("ping", "pricing", "-n", "1")
    said += finish(server, signal.SIGTERM)[1].splitlines()
    found = [json.loads(line) for line in said]
    assert all(next(iter(each)) == "schema" for each in found)
    assert [each["event"] for each in found] == ["listening", "channel", "summary"]
    assert found[0]["pid"] == found[0]["pid"] == server.pid
    assert found[2]["messages_received"] == 1


def test_serve_stops_while_a_channel_is_open() -> None:
    for mode in ("echo", "sink", "source"):
        server = start("serve", mode, "--mode", mode)
        first_line(server)
        with eastwest.Context() as context:
            channel = context.connect(mode)
            code, _, errors = finish(server, signal.SIGTERM)
            channel.abort()
        assert (code, errors) == (0, ""), mode


def test_serve_counts_a_peer_that_was_lost() -> None:
    server = start("serve", "pricing")
    first_line(server)
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
    first_line(server)
    output, errors = server.communicate(timeout=SECONDS_MAX)  # closes it
    assert (server.returncode, errors) == (0, "")
    assert output.startswith("0 channels in ")


def test_source_keeps_to_its_rate() -> None:
    with serving("feed", "--mode", "source", "--bytes", "10", "--rate", "200"):
        with eastwest.Context() as context, context.connect("feed") as channel:
            assert [len(channel.recv(timeout=5)) for _ in range(20)] == [10] * 20
            assert channel.stats().messages_received < 100


def test_ctrl_c_ends_ping_with_its_summary_and_exit_code_130() -> None:
    with serving("pricing"):
        client = start("ping", "pricing", "-n", "1000000", "-i", "0.01")
        first_line(client)
        code, output, errors = finish(client, signal.SIGINT)
    assert (code, errors) == (130, "")
    assert " lost; round trip " in output.splitlines()[-1] or "0 sent" in output


def test_ping_whose_server_dies_is_exit_code_1() -> None:
    with serving("pricing") as server:
        client = start("ping", "pricing", "-n", "1000000", "-i", "0.001")
        first_line(client)
        server.kill()
        output, errors = client.communicate(timeout=SECONDS_MAX)
    assert client.returncode == 1
    assert "died or vanished" in errors
    assert "1 lost" in output.splitlines()[-1]


# ------------------------------------------------------------------ ls and explain


def test_ls_shows_every_instance_with_its_process() -> None:
    with serving("eu.pricing", "--protocol", "p/1") as one, serving("eu.pricing") as two:
        with serving("us.orders"):
            found = run_json("ls", "eu.*")
            table = run("ls").stdout.splitlines()
    assert found["schema"] == "eastwest.ls/1"
    rows = {each["pid"]: each for each in found["instances"]}
    assert set(rows) == {one.pid, two.pid}
    assert rows[one.pid]["protocol"] == "p/1"
    assert rows[two.pid]["channels"] == 0
    assert all(each["local"] and each["answered"] for each in rows.values())
    assert table[0].split()[:3] == ["SERVICE", "INSTANCE", "WHERE"]
    assert sorted(line.split()[0] for line in table[1:]) == ["eu.pricing"] * 2 + ["us.orders"]


def test_ls_of_nothing_is_no_error_but_a_pattern_without_match_is_exit_code_3() -> None:
    done = run("ls")
    assert (done.returncode, done.stdout) == (0, "no service is known here\n")
    with serving("pricing"):
        done = run("ls", "pricin")
    assert done.returncode == 3
    assert "did you mean 'pricing'?" in sentence(done)


def test_explain_says_chosen_and_rejected_paths_with_fixes() -> None:
    with serving("pricing"):
        done = run("explain", "pricing")
        found = run_json("explain", "pricing")
    assert done.returncode == 0
    assert done.stdout.startswith("pricing: shm\n")
    assert found["schema"] == "eastwest.explain/1"
    assert found["chosen"]["path"] == "shm"
    assert {each["path"] for each in found["rejected"]} == {"dpdk", "tcp"}
    assert "EASTWEST_BIND" in [e["fix"] for e in found["rejected"] if e["path"] == "tcp"][0]


def test_explain_of_an_unknown_service_is_exit_code_3_with_the_one_that_was_meant() -> None:
    with serving("pricing"):
        done = run("explain", "prising")
    assert done.returncode == 3
    assert "did you mean 'pricing'?" in sentence(done)
    assert done.stdout.startswith("prising: no path\n")


# ------------------------------------------------------------------ config and doctor


def test_config_says_where_every_value_came_from(tmp_path: Path, runtime_dir: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('zone = "eu-1"\nwait = "block"\n')
    found = run_json("config", "--config", str(file), EASTWEST_WAIT="spin")
    assert found["schema"] == "eastwest.config/1"
    settings = found["settings"]
    assert settings["zone"] == {"value": "eu-1", "origin": f"{file}:1"}
    assert settings["wait"] == {"value": "spin", "origin": "EASTWEST_WAIT"}
    assert settings["runtime_dirs"]["value"] == [str(runtime_dir)]
    assert settings["namespace"]["origin"] == "default"
    text = run("config", "--config", str(file)).stdout
    assert re.search(rf"^zone +eu-1 +{re.escape(str(file))}:1$", text, re.MULTILINE)


def test_config_paths_says_which_file_is_read(tmp_path: Path) -> None:
    home = tmp_path / "eastwest"
    home.mkdir()
    (home / "config.toml").write_text("")
    usual = run_json("config", "--paths", XDG_CONFIG_HOME=str(tmp_path))["files"]
    assert usual[0] == {
        "file": str(home / "config.toml"),
        "from": "search path",
        "state": "read",
    }
    named = run_json("config", "--paths", EASTWEST_CONFIG="/nonexistent.toml")["files"]
    assert (named[0]["from"], named[0]["state"]) == ("EASTWEST_CONFIG", "missing, which is an error")
    assert named[1]["state"].startswith("not looked at")


def test_misspelt_variable_is_named_with_a_suggestion() -> None:
    done = run("config", EASTWEST_WIAT="spin")
    assert done.returncode == 2
    assert "did you mean 'EASTWEST_WAIT'?" in sentence(done)


def test_doctor_finds_this_machine_good_enough() -> None:
    found = run_json("doctor")
    assert found["schema"] == "eastwest.doctor/1"
    states = {each["name"]: each["state"] for each in found["findings"]}
    assert found["ok"] is True, found
    assert set(states.values()) <= {"ok", "note"}
    for name in ("kernel", "seals", "huge pages", "cpus", "descriptors", "a channel to ourselves"):
        assert name in states
    done = run("doctor")
    assert done.returncode == 0
    assert re.match(r"ok +kernel +\d", done.stdout)


def test_doctor_finds_a_bad_runtime_directory(runtime_dir: Path) -> None:
    runtime_dir.chmod(0o777)
    done = run("doctor")
    found = run_json("doctor")
    runtime_dir.chmod(0o700)
    assert done.returncode == 1
    assert found["ok"] is False
    bad = [each for each in found["findings"] if each["state"] == "problem"]
    assert [each["name"] for each in bad] == [f"runtime directory {runtime_dir}"]
    assert bad[0]["fix"]


def test_doctor_finds_bad_settings_and_goes_on() -> None:
    found = run_json("doctor", EASTWEST_WAIT="sometimes")
    bad = [each for each in found["findings"] if each["state"] == "problem"]
    assert [each["name"] for each in bad] == ["settings"]
    assert "sometimes" in bad[0]["detail"]


def test_doctor_leaves_nothing_in_the_runtime_directory(runtime_dir: Path) -> None:
    run("doctor")
    assert os.listdir(runtime_dir) == []


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.234e-6, "1.23 us"),
        (12.34e-6, "12.3 us"),
        (999.4e-6, "999 us"),
        (999.6e-6, "1.00 ms"),
        (0.0456, "45.6 ms"),
        (7.891, "7.89 s"),
    ],
)
def test_span_has_three_digits(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_size_is_exact() -> None:
    sizes = (0, 64, 1000, 1024, 1 << 20, (1 << 20) + 1)
    assert [size(n) for n in sizes] == ["0 B", "64 B", "1000 B", "1 KiB", "1 MiB", "1048577 B"]


def test_summary_is_made_of_values_that_were_seen() -> None:
    times = summarise([float(n) for n in range(100, 0, -1)])
    assert times is not None
    assert (times.count, times.min, times.p50, times.p99, times.max) == (100, 1, 50, 99, 100)
    assert summarise([]) is None
