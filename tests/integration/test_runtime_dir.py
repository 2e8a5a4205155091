"""The runtime directory as people have it: missing, foreign, open to all, a link, far down."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

import eastwest
from eastwest import Config, ConfigurationError, Context
from tests.conformance.pairs import LONG, SOON

NOBODY = 60_003


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory of our own that other users may look into."""
    made = Path(mkdtemp(prefix="ew-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def at(folder: Path) -> Context:
    return Context(Config(runtime_dirs=(str(folder),), paths=("shm",)))


def talks_in(folder: Path) -> None:
    """Fail unless a server and a client meet in *folder*."""
    with at(folder) as there, at(folder) as here, there.listen("rundir") as listener:
        channel = here.connect("rundir", timeout=LONG)
        other = listener.accept(timeout=LONG)
        channel.send(b"met", timeout=SOON)
        assert other.recv(timeout=SOON) == b"met"


def refused(folder: Path) -> list[str]:
    """Return what listen and connect say to a directory that neither may use."""
    said = []
    with at(folder) as context:
        with pytest.raises(ConfigurationError) as raised:
            context.listen("rundir")
        said.append(str(raised.value))
        with pytest.raises(eastwest.EastwestError) as raised_too:
            context.connect("rundir", timeout=0.2)
        said.append(str(raised_too.value))
    return said


def own(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


# ------------------------------------------------------------------ good ones


def test_a_directory_of_our_own_is_good(base: Path) -> None:
    # else the tests below would pass for the wrong reason
    talks_in(own(base / "mine"))


@pytest.mark.parametrize("length", [107, 108, 200, 1000, 3000])
def test_a_directory_with_a_long_path_is_good(base: Path, length: int) -> None:
    # catches: sun_path, 108 bytes, filled with the whole path
    folder = base
    while len(str(folder)) < length - 100:
        folder = own(folder / ("d" * 99))
    left = length - len(str(folder)) - 1
    folder = own(folder / ("e" * max(1, left)))
    assert len(str(folder)) >= length
    talks_in(folder)


@pytest.mark.parametrize("name", ["with space", "ünïcödé", "semi;colon", "percent%s", "-dash"])
def test_a_directory_with_a_strange_name_is_good(base: Path, name: str) -> None:
    talks_in(own(base / name))


def test_a_listener_leaves_no_socket_behind(base: Path) -> None:
    folder = own(base / "mine")
    talks_in(folder)
    assert [each for each in folder.iterdir() if each.is_socket()] == []


def test_files_of_others_in_the_directory_do_no_harm(base: Path) -> None:
    # catches: a directory listing that is believed
    folder = own(base / "mine")
    prefix = "0" * 16
    for name in ("README", ".hidden", f"{prefix}-x.sock", f"{prefix}-{'0' * 32}-00000000.sock"):
        (folder / name).write_text("junk")
    (folder / "a-folder.sock").mkdir()
    os.mkfifo(folder / "a-fifo.sock")
    (folder / "a-link.sock").symlink_to("/etc/passwd")
    talks_in(folder)
    assert (folder / "README").read_text() == "junk"


def test_a_junk_file_under_the_name_of_a_listener_does_no_harm(base: Path) -> None:
    # catches: connect to what is no socket taken for the only instance
    folder = own(base / "mine")
    with at(folder) as there, there.listen("rundir") as listener:
        name = Path(listener.instance.addresses[0].removeprefix("shm:")).name
        prefix, _, rest = name.partition("-")
        (folder / f"{prefix}-{'f' * 32}-{rest.rpartition('-')[2]}").write_text("junk")
        os.mkfifo(folder / f"{prefix}-{'e' * 32}-{rest.rpartition('-')[2]}")
        with at(folder) as here:
            assert here.connect("rundir", timeout=LONG).peer.instance == listener.instance.id


def test_the_directory_may_vanish_while_a_channel_is_open(base: Path) -> None:
    folder = own(base / "mine")
    with at(folder) as there, at(folder) as here, there.listen("rundir") as listener:
        channel = here.connect("rundir", timeout=LONG)
        other = listener.accept(timeout=LONG)
        shutil.rmtree(folder)
        channel.send(b"still there", timeout=SOON)
        assert other.recv(timeout=SOON) == b"still there"
        with pytest.raises(eastwest.EastwestError):
            here.connect("rundir", timeout=0.2)


# ------------------------------------------------------------------ bad ones


def test_a_missing_directory_is_said_to_be_missing_and_not_made(base: Path) -> None:
    folder = base / "missing"
    for said in refused(folder):
        assert str(folder) in said
        assert "does not exist" in said
    assert not folder.exists(), "a configured directory must exist"


def test_a_file_is_no_directory(base: Path) -> None:
    (base / "file").write_text("")
    for said in refused(base / "file"):
        assert str(base / "file") in said


def test_a_symlink_is_refused(base: Path) -> None:
    # catches: stat instead of lstat (whoever owns the link could turn it)
    own(base / "mine")
    (base / "link").symlink_to(base / "mine")
    for said in refused(base / "link"):
        assert "link" in said.replace(str(base), "")


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702, 0o773])
def test_a_directory_that_everybody_may_write_is_refused(base: Path, mode: int) -> None:
    # catches: /tmp taken as it is: anybody could put a socket there under any name
    folder = own(base / "open")
    folder.chmod(mode)
    for said in refused(folder):
        assert str(folder) in said
        assert "write" in said or "writable" in said
    assert stat.S_IMODE(folder.stat().st_mode) == mode, "it is not ours to repair"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make directories of other users")
def test_a_directory_of_another_user_is_refused(base: Path) -> None:
    folder = own(base / "foreign")
    os.chown(folder, NOBODY, NOBODY)
    for said in refused(folder):
        assert str(folder) in said
        assert str(NOBODY) in said


def test_a_relative_directory_is_refused_or_made_absolute(base: Path) -> None:
    # catches: a server that moves away from where its socket is, after chdir
    with pytest.raises(ConfigurationError, match=r"relative|absolute"):
        at(Path("relative/path")).listen("rundir")


@pytest.mark.parametrize("value", ["/tmp", "/dev/shm", "/proc", "/sys", "/dev/null", "/"])
def test_a_system_directory_is_not_littered(value: str) -> None:
    # "/" and "/proc" are root's and may pass the check; no file of ours may stay there
    before = set(os.listdir(value)) if os.path.isdir(value) else set()
    with at(Path(value)) as context, contextlib.suppress(eastwest.EastwestError):
        context.listen("rundir").close()
    after = set(os.listdir(value)) if os.path.isdir(value) else set()
    ours = [each for each in after - before if not each.isdigit() and not each.startswith("ew-")]
    assert [each for each in ours if "sock" in each or "lock" in each] == []


# ------------------------------------------------------------------ the search path

TRY = """
import eastwest, sys
with eastwest.listen("rundir") as listener:
    print(listener.instance.addresses[0])
    print(eastwest.connect("rundir", timeout=5).path)
"""


def tried(uid: int | None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a server in a fresh process, with this environment and no other setting."""
    plain = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("EASTWEST_", "XDG_", "RUNTIME_"))
    }
    prefix = []
    if uid is not None:
        prefix = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return subprocess.run(
        [*prefix, sys.executable, "-c", TRY],
        env={**plain, **env},
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )


@pytest.fixture
def user(base: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run as an ordinary user."""
    if os.geteuid() != 0:
        return lambda **env: tried(None, **env)
    if tried(NOBODY, EASTWEST_RUNTIME_DIR="/nowhere").stderr.find("ConfigurationError") < 0:
        pytest.skip("needs an unprivileged user that may read this checkout and its Python")
    return lambda **env: tried(NOBODY, **env)


def test_without_any_setting_the_directory_of_the_session_is_used_and_made(
    base: Path, user: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    session = own(base / "session")
    if os.geteuid() == 0:
        os.chown(session, NOBODY, NOBODY)
    done = user(XDG_RUNTIME_DIR=str(session))
    assert done.returncode == 0, done.stderr
    address, path = done.stdout.split()
    assert path == "shm"
    folder = session / "eastwest"
    if address.startswith(f"shm:{folder}/"):  # /run/eastwest is before it, where there is one
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_with_nowhere_to_go_the_error_says_what_to_set(
    user: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    # catches: a guess in /tmp
    if os.path.isdir("/run/eastwest"):
        pytest.skip("needs a machine without /run/eastwest; needs an unprivileged user")
    before = set(os.listdir("/tmp"))
    done = user()
    assert done.returncode != 0
    assert "EASTWEST_RUNTIME_DIR" in done.stderr.splitlines()[-1]
    assert not [each for each in set(os.listdir("/tmp")) - before if "eastwest" in each]


def test_a_directory_that_is_set_is_the_only_one(
    base: Path, user: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    # catches: a fallback that hides a misspelt setting
    session = own(base / "session")
    if os.geteuid() == 0:
        os.chown(session, NOBODY, NOBODY)
    done = user(XDG_RUNTIME_DIR=str(session), EASTWEST_RUNTIME_DIR=str(base / "misspelt"))
    assert done.returncode != 0
    assert "misspelt" in done.stderr
    assert list(session.iterdir()) == []
