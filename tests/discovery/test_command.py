"""``python -m eastwest_discovery``: what it prints, its exit codes, what it says of mistakes."""

import json
import logging
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from eastwest_discovery import _keys, _log, _metrics
from eastwest_discovery._command import main
from eastwest_discovery._errors import BadAddress
from tests.discovery.test_server import ONE, SERVER_KEYS, process, running


@pytest.fixture(autouse=True)
def same_logging() -> Iterator[None]:
    """Have logging as before."""
    handlers, level = list(_log.log.handlers), _log.log.level
    yield
    _log.log.handlers[:] = handlers
    _log.log.setLevel(level)


def test_keygen_writes_a_key_and_shows_what_to_allow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.key"
    assert main(["keygen", str(path)]) == 0
    out = capsys.readouterr().out
    assert f'key = "{_keys.read(path).public}"' in out and 'name = "one"' in out
    assert _keys.read(path).secret not in out
    assert main(["keygen", str(path)]) == 1
    assert "exists; remove it first" in capsys.readouterr().err
    assert main(["keygen", "--json", str(tmp_path / "two.key")]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["public"] == _keys.read(shown["file"]).public


def test_status_shows_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with running() as (_, endpoint):
        where = endpoint.removeprefix("tcp://")
        assert main(["status", where]) == 0
        assert "\nrecords " in capsys.readouterr().out
        assert main(["status", "--json", f"zmq://{where}"]) == 0
        shown = json.loads(capsys.readouterr().out)
    assert shown["server"] == where and shown["records"] == 0


def test_status_of_nobody_is_unreachable(capsys: pytest.CaptureFixture[str]) -> None:
    with running() as (_, endpoint):
        pass
    where = endpoint.removeprefix("tcp://")
    assert main(["status", where, "--timeout", "0.2"]) == 4
    assert f"{endpoint}: no answer within 0.2 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["serve", "--listen", "0.0.0.0:0"], 2, "without keys only loopback"),
        (["serve", "--listen", "x"], 2, "want tcp://ADDRESS:PORT"),
        (["serve", "--key", "/none"], 1, "file /none cannot be read"),
        (["serve", "--access", "/none"], 1, "file /none cannot be read"),
        (["serve", "--limit", "records"], 2, "--limit 'records': want NAME=NUMBER"),
        (["serve", "--limit", "records=0"], 2, "a number above 0"),
        (["serve", "--settle", "-1"], 2, "--settle -1"),
        (["serve", "--settle", "nan"], 2, "--settle nan"),
        (["serve", "--listen", "127.0.0.1:0", "--metrics", "x"], 2, "metrics at 'x'"),
        (["status", "127.0.0.1:1", "--server-key", "k"], 2, "both --key and --server-key"),
        (["status", "nohost"], 4, "want tcp://HOST:PORT"),
    ],
)
def test_mistake_is_named(
    arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    err = capsys.readouterr().err
    assert err.startswith(f"eastwest_discovery {arguments[0]}: ")
    assert text in err


@pytest.mark.parametrize("arguments", [[], ["serve"], ["status"], ["keygen"]])
def test_help_names_the_exit_codes(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "eastwest_discovery", *arguments, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "exit codes: 0 yes" in done.stdout


def test_usage_is_two() -> None:
    with pytest.raises(SystemExit) as raised:
        main(["serve", "--no-such"])
    assert raised.value.code == 2


def test_server_with_keys_metrics_and_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _keys.write(tmp_path / "server.key", SERVER_KEYS)
    _keys.write(tmp_path / "one.key", ONE)
    access = tmp_path / "access.toml"
    access.write_text(f"[[client]]\nname = 'one'\nkey = '{ONE.public}'\n")
    keys = ("--key", str(tmp_path / "server.key"), "--access", str(access))
    with process("--listen", "0.0.0.0:0", "--metrics", "127.0.0.1:0", *keys) as (server, endpoint):
        where = f"127.0.0.1:{endpoint.rpartition(':')[2]}"
        ours = ["--key", str(tmp_path / "one.key"), "--server-key", SERVER_KEYS.public]
        assert main(["status", where, *ours]) == 0
        assert "refused_keys_total" in capsys.readouterr().out
        assert main(["status", where, "--timeout", "0.2"]) == 4
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        with urllib.request.urlopen(url, timeout=5) as answer:
            text = answer.read().decode()
        assert "# TYPE eastwest_discovery_records gauge\neastwest_discovery_records 0\n" in text
        assert "# TYPE eastwest_discovery_polls_total counter\n" in text
        with pytest.raises(urllib.error.HTTPError, match="404") as raised:
            urllib.request.urlopen(url + "x", timeout=5)
        raised.value.close()


def test_events_are_one_json_object_a_line() -> None:
    command = [sys.executable, "-m", "eastwest_discovery", "serve", "--json"]
    command += ["--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as server:
        assert server.stdout is not None
        shown = json.loads(server.stdout.readline())
        server.terminate()
        _, errors = server.communicate()
    events = [json.loads(line) for line in errors.splitlines()]
    assert [each["event"] for each in events] == ["serve", "end"]
    assert events[0]["endpoints"] == shown["listening"]


def test_log_line_is_one_line_whatever_it_says(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "eastwest_discovery")
    _log.warning("refuse", client='a "b"\n', seconds=0.25, empty="")
    assert caplog.messages == ['refuse client="a \\"b\\"\\n" seconds=0.25 empty=""']


def test_metrics_at_a_taken_port_are_a_bad_address() -> None:
    with _metrics.serving("127.0.0.1:0", dict) as url:
        where = url.removeprefix("http://").removesuffix("/metrics")
        with (
            pytest.raises(BadAddress, match="Address already in use"),
            _metrics.serving(where, dict),
        ):
            pass
