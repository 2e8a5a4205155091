"""Files of keys and of permissions: made privately, read carefully, errors that say the fix."""

import os
from pathlib import Path

import pytest

from eastwest_discovery import _access, _keys
from eastwest_discovery._errors import BadFile

KEY = _keys.generate().public


def test_written_keys_are_read_and_only_we_may_read_them(tmp_path: Path) -> None:
    pair = _keys.generate()
    before = os.umask(0)
    try:
        _keys.write(tmp_path / "a.key", pair)
    finally:
        os.umask(before)
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600
    assert _keys.read(tmp_path / "a.key") == pair
    assert pair.secret not in repr(pair)


def test_a_public_key_is_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    # catches: "status --server-key -abc": an option without its value, once in 85
    pairs = iter([(b"-" + b"a" * 39, b"1" * 40), (b"b" * 40, b"2" * 40)])
    monkeypatch.setattr("zmq.curve_keypair", lambda: next(pairs))
    assert _keys.generate().public == "b" * 40


def test_keys_are_never_written_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    path.write_text("precious")
    with pytest.raises(BadFile, match=r"a\.key exists; remove it first"):
        _keys.write(path, _keys.generate())
    assert path.read_text() == "precious"
    with pytest.raises(BadFile, match="cannot be written: No such file"):
        _keys.write(tmp_path / "none" / "a.key", _keys.generate())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_keys_that_others_may_use_are_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.key"
    _keys.write(path, _keys.generate())
    path.chmod(mode)
    with pytest.raises(BadFile, match=rf"mode {mode:04o}: others may use it; chmod 600"):
        _keys.read(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "want public = "),
        ("public = 1\nsecret = 2\n", "want public = "),
        (f"public = '{KEY}'\nsecret = 'short'\n", "not 40 characters"),
        (f"public = '{KEY}'\nsecret = '{_keys.generate().secret}'\n", "not that of the secret"),
        ("public =", "is not TOML"),
        ("x = " + "[" * 100_000, "is not TOML"),
        ("x = '" + "a" * _keys.FILE_BYTES_MAX + "'", "more than 1048576 bytes"),
    ],
)
def test_bad_key_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "a.key"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(BadFile, match=rf"a\.key.*{problem}"):
        _keys.read(path)


def test_key_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No such file"):
        _keys.read(tmp_path / "none")
    with pytest.raises(BadFile, match="directory"):
        _keys.read(tmp_path)


def load(tmp_path: Path, text: str) -> _access.Access:
    path = tmp_path / "access.toml"
    path.write_text(text)
    return _access.load(path)


def test_permissions_are_read(tmp_path: Path) -> None:
    access = load(
        tmp_path,
        f"[[client]]\nname = 'a'\nkey = '{KEY}'\n"
        "publish = ['default/pricing']\nread = ['default/*', 'other/eu.*']\n",
    )
    grant = access.of(KEY)
    assert grant is not None
    assert grant.may_publish("default", "pricing")
    assert not grant.may_publish("default", "pricing2")
    assert not grant.may_publish("other", "pricing")
    assert grant.may_read("default", "anything") and grant.may_read("default", "")
    assert grant.may_read("other", "eu.x") and not grant.may_read("other", "eux")
    assert not grant.may_read("other", "") and not grant.may_read("third", "x")
    assert access.of(_keys.generate().public) is None


def test_nothing_is_allowed_by_default(tmp_path: Path) -> None:
    grant = load(tmp_path, f"[[client]]\nname = 'a'\nkey = '{KEY}'\n").of(KEY)
    assert grant is not None
    assert not grant.may_publish("default", "a") and not grant.may_read("default", "a")
    assert load(tmp_path, "").of(KEY) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[clients]]\n", "'clients' is not known"),
        ("client = 1\n", "times"),
        ("client = [1]\n", "want a table"),
        (f"[[client]]\nkey = '{KEY}'\n", "name None"),
        ("[[client]]\nname = 'a'\nkey = 'short'\n", "key 'short'"),
        (f"[[client]]\nname = 'a'\nkey = '{KEY}'\nwrite = []\n", "'write' is not known"),
        (f"[[client]]\nname = 'a'\nkey = '{KEY}'\nread = 'x'\n", "want a list"),
        (f"[[client]]\nname = 'a'\nkey = '{KEY}'\nread = ['x']\n", "read 'x'"),
        (f"[[client]]\nname = 'a'\nkey = '{KEY}'\nread = ['*/x']\n", r"namespace '\*'"),
        (f"[[client]]\nname = 'a'\nkey = '{KEY}'\nread = ['x/a*b']\n", "NAMESPACE/SERVICE"),
        (f"[[client]]\nname = 'a'\nkey = '{KEY}'\nread = ['x/']\n", "NAMESPACE/SERVICE"),
        (f"[[client]]\nname = 'a'\nkey = '{KEY}'\n" * 2, "client 2: key or name 'a' came before"),
    ],
)
def test_bad_permissions_are_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(BadFile, match=rf"access\.toml.*{problem}"):
        load(tmp_path, text)
