"""The command line tool: what each command says, as text and as JSON, and every exit code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import eastwest
from eastwest.cli._measure import size, span, summarise
from tests.python.command_line import (
    TOOL,
    environment,
    run,
    run_json,
    sentence,
    serving,
)

pytestmark = pytest.mark.usefixtures("runtime_dir")
COMMANDS = ["demo", "serve", "ping", "ls", "explain", "top", "doctor", "config"]


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


# ------------------------------------------------------------------ ls and explain


def test_ls_shows_every_instance_with_its_process() -> None:
    with (
        serving("eu.pricing", "--protocol", "p/1") as one,
        serving("eu.pricing") as two,
        serving("us.orders"),
    ):
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
    assert "EASTWEST_BIND" in next(e["fix"] for e in found["rejected"] if e["path"] == "tcp")


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
    assert (named[0]["from"], named[0]["state"]) == (
        "EASTWEST_CONFIG",
        "missing, which is an error",
    )
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
