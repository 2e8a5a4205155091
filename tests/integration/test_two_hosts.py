"""One server program, reached from its own host over shm and from another host over tcp."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.hosts import (
    ask,
    environment,
    folder_in,
    needs_namespaces,
    run,
    serving,
    two_hosts,
)

SIZES = [0, 1, 64, 300_000]
ALONE = [  # nothing shared but the file system; the program dies with its wrapper
    "unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--mount-proc",
]  # fmt: skip


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[str, str]]:
    needs_namespaces()
    with two_hosts() as names:
        yield names


def registry(folder: Path, address: str) -> str:
    file = folder / "services.toml"
    file.write_text(f'[[service]]\nname = "pricing"\naddresses = ["tcp://{address}"]\n')
    return f"static:{file}"


def inside(name: str) -> list[str]:
    return ["ip", "netns", "exec", name]


@pytest.mark.parametrize("address", ["10.77.0.1:7411", "[fd77::1]:7411"])
def test_the_same_server_is_shm_from_its_host_and_tcp_from_another(
    hosts: tuple[str, str], tmp_path: Path, address: str
) -> None:
    # catches: locality guessed from an address; a client that never tries the next path
    one, two = folder_in(tmp_path, "one"), folder_in(tmp_path, "two")
    served = environment(one, EASTWEST_BIND=address, EASTWEST_SECURITY="none")
    with serving(inside(hosts[0]), served):
        here = ask(inside(hosts[0]), environment(one))
        known = environment(two, EASTWEST_REGISTRY=registry(two, address))
        there = ask(inside(hosts[1]), known)
        both = ask(inside(hosts[0]), environment(one, EASTWEST_REGISTRY=registry(one, address)))
    assert here[:2] == ("shm", SIZES)
    assert there[:2] == ("tcp", SIZES)
    assert both[:2] == ("shm", SIZES), "an instance known twice is nearer as a neighbour"
    assert any(each["path"] == "shm" for each in there[2]), "why not shm is said"


def test_a_port_beyond_loopback_needs_security_written_down(
    hosts: tuple[str, str], tmp_path: Path
) -> None:
    env = environment(tmp_path, EASTWEST_BIND="10.77.0.1:0")
    with pytest.raises(AssertionError), serving(inside(hosts[0]), env):
        pass


# ------------------------------------------------------------------ containers, users


def test_containers_that_share_only_the_runtime_directory_use_shm(tmp_path: Path) -> None:
    # catches: a pid, a path below /proc or /dev/shm that only one of the two can see
    needs_namespaces()
    shared = folder_in(tmp_path, "shared")
    with serving(ALONE, environment(shared)):
        path, said, _ = ask(ALONE, environment(shared))
    assert (path, said) == ("shm", SIZES)


def test_the_death_of_a_peer_in_another_container_is_noticed(tmp_path: Path) -> None:
    needs_namespaces()
    shared = folder_in(tmp_path, "shared")
    dies = (
        "import eastwest, os, signal\n"
        "channel = eastwest.connect('pricing', timeout=20)\n"
        "channel.send(b'last'); channel.recv(timeout=20)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    waits = (
        "import eastwest\n"
        "with eastwest.listen('pricing') as listener:\n"
        "    print('ready', flush=True)\n"
        "    channel = listener.accept(timeout=20)\n"
        "    channel.send(channel.recv(timeout=20))\n"
        "    try:\n"
        "        channel.recv(timeout=20)\n"
        "    except eastwest.PeerLost:\n"
        "        print('lost', flush=True)\n"
    )
    env = environment(shared)
    python = [sys.executable, "-c"]
    server = subprocess.Popen([*ALONE, *python, waits], env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        child = ["sh", "-c", '"$0" -c "$1"; true', sys.executable, dies]  # pid 1 cannot be killed
        subprocess.run([*ALONE, *child], env=env, timeout=60)
        assert server.stdout.readline() == "lost\n"
    finally:
        server.kill()
        server.communicate()


def as_user(uid: int) -> list[str]:
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


def needs_other_users(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become other users")
    can = subprocess.run(
        [*as_user(60_001), sys.executable, "-c", "import eastwest"],
        capture_output=True,
        text=True,
        cwd="/",
    )
    if can.returncode != 0:
        pytest.skip("needs an unprivileged user that may read this checkout and its Python")


def open_folder(tmp_path: Path, uid: int) -> Path:
    folder = Path("/tmp") / f"ew-users-{os.getpid()}-{uid}"
    folder.mkdir()
    os.chown(folder, 0, uid)  # root's, whom everybody trusts; the server's group may write
    os.chmod(folder, 0o775)
    return folder


def test_an_ordinary_user_needs_nothing_special(tmp_path: Path) -> None:
    needs_other_users(tmp_path)
    folder = open_folder(tmp_path, 60_001)
    try:
        with serving(as_user(60_001), environment(folder)):
            assert ask(as_user(60_001), environment(folder))[:2] == ("shm", SIZES)
    finally:
        run("rm", "-rf", str(folder))


@pytest.mark.parametrize(
    ("client", "allow", "welcome"),
    [(60_002, "uid:self", False), (60_002, "uid:60002", True), (65_534, "any", False)],
)
def test_who_may_connect_is_on_the_list(
    tmp_path: Path, client: int, allow: str, welcome: bool
) -> None:
    # catches: access by file mode alone; the overflow uid taken for somebody
    needs_other_users(tmp_path)
    folder = open_folder(tmp_path, 60_001)
    config = folder / "config.toml"
    lists = ['"uid:self"', f'"{allow}"', '"uid:60001"']
    config.write_text(f"allow = [{', '.join(dict.fromkeys(lists))}]\n")
    os.chmod(config, 0o644)
    env = environment(folder, EASTWEST_CONFIG=str(config))
    try:
        with serving(as_user(60_001), env):
            if welcome:
                assert ask(as_user(client), env)[:2] == ("shm", SIZES)
            else:
                with pytest.raises(AssertionError, match=r"access|uid"):
                    ask(as_user(client), env)
    finally:
        run("rm", "-rf", str(folder))
