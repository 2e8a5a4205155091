"""The command line with registries: ls and its --watch, explain, doctor, discovery."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from eastwest import Instance
from eastwest.cli._watch import by_key, changes
from eastwest_discovery import _keys
from tests.discovery.registries import Registry, registries, start_all, unused_port, url
from tests.python.command_line import finish, next_line, run, run_json, sentence, serving, start


@pytest.fixture(scope="module")
def one() -> Iterator[tuple[Registry, ...]]:
    with registries(1, settle=0.0) as several:
        yield several


@pytest.fixture
def registry(
    one: tuple[Registry, ...], runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Registry:
    """A server that runs, named by the environment; nothing is kept on disk."""
    start_all(one)
    monkeypatch.setenv("EASTWEST_REGISTRY", url(one))
    monkeypatch.setenv("EASTWEST_REGISTRY_CACHE", "none")
    return one[0]


@pytest.fixture
def elsewhere(tmp_path: Path) -> str:
    """Another runtime directory: what runs there is on another host, as far as we can see."""
    tmp_path.chmod(0o700)
    return str(tmp_path)


def far(elsewhere: str, *arguments: str) -> tuple[str, ...]:
    return (*arguments, "--bind", "127.0.0.1:0", "--runtime-dir", elsewhere)


# ------------------------------------------------------------------ ls


def test_ls_shows_where_it_is_known_from(registry: Registry, elsewhere: str) -> None:
    with serving(*far(elsewhere, "pricing")) as server:
        want = f"registry zmq://{registry.address}: published at 1 of 1 servers\n"
        assert next_line(server) == want
        lines = run("ls").stdout.splitlines()
        head, row = lines[0].split(), lines[1].split()
        shown = dict(zip(head, row, strict=True))
        assert (shown["SOURCE"], shown["AGE"], shown["STALE"]) == ("zmq", "-", "-")
        (seen,) = run_json("ls")["instances"]
        assert seen["source"] == f"zmq://{registry.address}" and seen["version"] > 0
        near = run("ls", "--runtime-dir", elsewhere).stdout.splitlines()
        assert "local,zmq" in near[1] and len(near) == 2
        (state,) = run_json("ls", "pricing")["registries"]
        assert state["complete"] and state["instances"] == 1


def test_ls_while_a_registry_is_silent_says_that_there_may_be_more(
    registry: Registry, elsewhere: str
) -> None:
    registry.kill()
    done = run("ls", "pricing")
    assert done.returncode == 4 and "there may be more" in sentence(done)
    with serving("orders"):
        said = run("ls").stdout
        assert "orders" in said and f"there may be more: zmq://{registry.address}" in said
    done = run("explain", "pricing")
    assert done.returncode == 4 and "nobody could be asked" in sentence(done)
    assert "no answer" in done.stdout and "not kept for a restart" in done.stdout


def test_watch_tells_what_appears_and_goes_until_ctrl_c(registry: Registry, elsewhere: str) -> None:
    with serving("here"):
        watching, as_json = start("ls", "--watch"), start("ls", "--watch", "--json", "pri*")
        try:
            assert next_line(watching).startswith("= here ")
            server = start("serve", *far(elsewhere, "pricing"))
            next_line(server)
            assert next_line(watching).startswith("+ pricing ")
            first = json.loads(next_line(as_json))
            assert (first["change"], first["service"]) == ("appeared", "pricing")
            assert next(iter(first)) == "schema" and first["source"].startswith("zmq://")
            assert finish(server, signal.SIGINT)[0] in (0, 130)
            assert next_line(watching).startswith("- pricing ")
            assert json.loads(next_line(as_json))["change"] == "gone"
        finally:
            ends = [finish(each, signal.SIGINT)[0] for each in (watching, as_json)]
    assert ends == [130, 130]


def test_watch_tells_when_a_registry_ceases_to_answer(registry: Registry) -> None:
    watching, as_json = start("ls", "--watch"), start("ls", "--watch", "--json", "pricing")
    try:
        registry.kill()
        assert next_line(watching).startswith(f"! zmq://{registry.address}: no answer")
        told = json.loads(next_line(as_json))
        assert (told["change"], told["answered"]) == ("registry", False)
        registry.start().wait()
        assert "answer" not in next_line(watching).partition(": ")[2].partition(",")[0]
    finally:
        for each in (watching, as_json):
            finish(each, signal.SIGINT)


def instance(**more: object) -> Instance:
    base: dict[str, object] = {
        "service": "pricing",
        "id": "a" * 32,
        "labels": {},
        "zone": "",
        "weight": 1,
        "addresses": ("tcp://10.0.0.1:1",),
        "stale": False,
        "source": "zmq://h:1",
    }
    return Instance(**{**base, **more})  # type: ignore[arg-type]


def test_change_names_what_is_different() -> None:
    before = by_key([instance()])
    (change,) = changes(before, by_key([instance(weight=0, stale=True, age=3.0)]))
    assert str(change) == "~ pricing aaaaaaaa weight 1 -> 0, stale no -> yes"
    assert change.to_dict()["change"] == "changed"


def test_age_and_version_are_no_change() -> None:
    assert not list(changes(by_key([instance()]), by_key([instance(age=9.0, version=7)])))


def test_instance_without_an_id_is_known_by_its_addresses() -> None:
    some = [instance(id=""), instance(id="", addresses=("tcp://10.0.0.2:1",))]
    found = list(changes({}, by_key(some), first=True))
    assert [str(each)[:11] for each in found] == ["= pricing ?"] * 2


# ------------------------------------------------------------------ doctor


def findings(*arguments: str) -> dict[str, dict[str, str]]:
    said = run("doctor", "--json", *arguments).stdout
    return {each["name"]: each for each in json.loads(said)["findings"]}


def test_doctor_asks_each_registry(registry: Registry, tmp_path: Path) -> None:
    with unused_port() as nobody:
        good, dead = f"zmq://{registry.address}", f"zmq://127.0.0.1:{nobody}"
        half, file = f"{good},127.0.0.1:{nobody}", f"static:{tmp_path}/none.toml"
        found = findings("--registry", f"{good},{dead},{half},{file}")
    states = [found[f"registry {each}"]["state"] for each in (good, dead, half, file)]
    assert states == ["ok", "problem", "note", "problem"]
    assert "cannot connect" in found[f"registry {dead}"]["detail"]
    assert "1 of 2 answer" in found[f"registry {half}"]["detail"]
    assert found["registry cache"]["state"] == "note"


def test_doctor_says_nothing_of_registries_that_are_not_there(runtime_dir: Path) -> None:
    assert not [each for each in findings() if each.startswith("registry")]


# ------------------------------------------------------------------ eastwest discovery


@pytest.mark.parametrize("order", [("--json", "discovery", "status"), ("discovery", "status")])
def test_status_asks_a_server(registry: Registry, order: tuple[str, ...]) -> None:
    more = () if order[0] == "--json" else ("--json",)
    done = run(*order, registry.address, *more)
    assert json.loads(done.stdout)["server"] == registry.address
    assert "records" in run("discovery", "status", registry.address).stdout


def test_server_runs_until_sigterm(runtime_dir: Path) -> None:
    server = start("discovery", "serve", "--listen", "127.0.0.1:0")
    where = next_line(server).removeprefix("listening at tcp://").strip()
    assert run("discovery", "status", where).returncode == 0
    assert finish(server, signal.SIGTERM)[0] == 0


def test_keygen_makes_a_key(tmp_path: Path) -> None:
    path = tmp_path / "one.key"
    done = run("discovery", "keygen", str(path))
    assert done.returncode == 0
    assert _keys.read(path).public in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("sttus", "h:1"), 2),
        (("status",), 2),
        (("serve", "--listen", "nonsense"), 2),
        (("status", "127.0.0.1:1", "--timeout", "0.1"), 4),
        (("keygen", "/nonexistent/key"), 1),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_mistake_is_one_sentence_and_an_exit_code(arguments: tuple[str, ...], code: int) -> None:
    done = run("discovery", *arguments)
    assert done.returncode == code
    assert sentence(done).startswith("eastwest discovery")
