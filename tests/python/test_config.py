"""Settings: precedence, origins, limits, and what is said about those that are wrong."""

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest import Config, ConfigurationError, Context
from eastwest._config import _CHECKS
from eastwest._config_file import VARIABLES, line_of


def load(environ: Mapping[str, str] | None = None, file: Path | None = None, **more: Any) -> Config:
    nowhere = {"HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent"}
    return Config.load(file, environ={**nowhere, **(environ or {})}, **more)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_every_field_is_checked() -> None:
    assert {each.name for each in fields(Config)} == {*_CHECKS, "loaded"}


def test_defaults_pass_their_own_checks() -> None:
    config = Config()
    assert {name: check(getattr(config, name)) for name, check in _CHECKS.items()} == {
        name: getattr(config, name) for name in _CHECKS
    }


def test_empty_environment_gives_the_defaults() -> None:
    assert load() == Config()
    assert set(load().origins().values()) == {"default"}


# ------------------------------------------------------------------ precedence and origins


def test_file_wins_over_default(file: Path) -> None:
    file.write_text('# comment\n\nwait = "block"\n')
    config = load(file=file)
    assert config.wait == "block"
    assert config.origins()["wait"] == f"{file}:3"


def test_environment_wins_over_file(file: Path) -> None:
    file.write_text('wait = "block"\n')
    config = load({"EASTWEST_WAIT": "spin"}, file)
    assert (config.wait, config.origins()["wait"]) == ("spin", "EASTWEST_WAIT")


def test_argument_wins_over_environment() -> None:
    config = load({"EASTWEST_WAIT": "spin"}, wait="block")
    assert (config.wait, config.origins()["wait"]) == ("block", "argument")


def test_replaced_value_is_an_argument() -> None:
    config = replace(load({"EASTWEST_BIND": "127.0.0.1:1"}), bind="127.0.0.1:2")
    assert config.origins()["bind"] == "argument"


def test_value_that_was_normalised_keeps_its_origin() -> None:
    config = load({"EASTWEST_BIND": "[0:0::1]:80"})
    assert (config.bind, config.origins()["bind"]) == ("[::1]:80", "EASTWEST_BIND")


def test_file_named_by_the_environment_is_read(file: Path) -> None:
    file.write_text("grace = 3\n")
    assert load({"EASTWEST_CONFIG": str(file)}).grace == 3.0


def test_file_of_the_user_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "eastwest"
    folder.mkdir()
    (folder / "config.toml").write_text('namespace = "test"\n')
    assert load({"XDG_CONFIG_HOME": str(tmp_path)}).namespace == "test"


@pytest.mark.parametrize("variable", sorted(VARIABLES))
def test_empty_variable_is_as_good_as_none(variable: str) -> None:
    assert load({variable: ""}) == Config()


def test_registry_variable_is_a_list() -> None:
    config = load({"EASTWEST_REGISTRY": "local:, static:/etc/services.toml"})
    assert config.registry == ("local:", "static:/etc/services.toml")


def test_runtime_dir_variable_is_one_directory(tmp_path: Path) -> None:
    assert load({"EASTWEST_RUNTIME_DIR": str(tmp_path)}).runtime_dirs == (str(tmp_path),)


# ------------------------------------------------------------------ mistakes


def test_unknown_key_names_the_line_and_a_near_one(file: Path) -> None:
    file.write_text('wait = "block"\noutbox_byte = 1\n')
    with pytest.raises(ConfigurationError, match=rf"{file}:2: .*did you mean 'outbox_bytes'"):
        load(file=file)


def test_unknown_variable_names_a_near_one() -> None:
    with pytest.raises(ConfigurationError, match=r"EASTWEST_BLND.*did you mean 'EASTWEST_BIND'"):
        load({"EASTWEST_BLND": "127.0.0.1:80"})


def test_unknown_argument_names_a_near_one() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'security'"):
        load(securty="none")


def test_table_in_the_file_is_an_unknown_key(file: Path) -> None:
    file.write_text("[limits]\noutbox_bytes = 1\n")
    with pytest.raises(ConfigurationError, match=f"{file}:1: unknown key 'limits'"):
        load(file=file)


def test_bad_value_names_its_origin(file: Path) -> None:
    file.write_text("\noutbox_bytes = 5\n")
    with pytest.raises(ConfigurationError, match=rf"outbox_bytes \({file}:2\): 5 .*16384"):
        load(file=file)


def test_cap_of_a_stream_comes_from_the_environment_and_is_compared() -> None:
    config = load({"EASTWEST_STREAM_BYTES_MAX": "1048576"}, inbox_bytes=1 << 20)
    assert config.stream_bytes_max == 1 << 20
    assert config.origins()["stream_bytes_max"] == "EASTWEST_STREAM_BYTES_MAX"
    with pytest.raises(
        ConfigurationError, match=r"stream_bytes_max \(E.*MAX\): .*1048577 means no"
    ):
        load({"EASTWEST_STREAM_BYTES_MAX": "1048576"}, inbox_bytes=(1 << 20) + 1)
    with pytest.raises(ConfigurationError, match="'4M' is not a whole number"):
        load({"EASTWEST_STREAM_BYTES_MAX": "4M"})
    with Context(Config(outbox_bytes=8 << 20, paths=("shm",))):
        pass  # the default is no obstacle to a larger beginning


def test_missing_file_that_was_named_is_an_error(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"EASTWEST_CONFIG.*No such file"):
        load({"EASTWEST_CONFIG": str(file)})


def test_bad_toml_names_the_line(file: Path) -> None:
    file.write_text("wait = block\n")
    with pytest.raises(ConfigurationError, match=r"not valid TOML.*line 1"):
        load(file=file)


def test_binary_file_is_an_error(file: Path) -> None:
    file.write_bytes(b'wait = "\xff"')
    with pytest.raises(ConfigurationError, match="not UTF-8 at byte 8"):
        load(file=file)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("wait", "spn", "did you mean 'spin'"),
        ("pages", "big", "auto, huge, small"),
        ("outbox_bytes", 16383, "16384..1073741824"),
        ("outbox_bytes", True, "not a whole number"),
        ("stream_bytes_max", 65535, "65536..1073741824"),
        ("stream_bytes_max", 256 * 1024 - 1, "less than outbox_bytes = 262144"),
        ("message_bytes_max", 0, "1..1099511627776"),
        ("grace", -1.0, "0.0..86400.0 s"),
        ("grace", float("nan"), "out of range"),
        ("hello", "1", "not a number of seconds"),
        ("namespace", "", "a label is empty"),
        ("namespace", "a.b", "want one label"),
        ("zone", "Eu", "zone 'Eu'"),
        ("runtime_dirs", "/run/x", "not a list"),
        ("runtime_dirs", ("run",), "not an absolute path"),
        ("paths", (), "no path is left"),
        ("paths", ("udp",), "'udp' is not one of"),
        ("allow", (), "nobody could connect"),
        ("allow", ("user:me",), "uid:self, uid:N"),
        ("allow", ("uid:",), "uid:self, uid:N"),
        ("allow", ("uid:4294967295",), "above 4294967294"),
        ("registry", ("zmq://h",), "'h' is not HOST:PORT"),
        ("registry", ("zmq://a:1,a:1",), "'a:1' is there twice"),
        ("registry", ("etcd://me@h",), "want etcd://h1:2379"),
        ("registry", ("etcd://h?user=me",), "needs password-file"),
        ("registry", ("dns:pricing.example.org:1",), "want {service} in the name"),
        ("registry", ("local:", "local:"), "given twice"),
        ("registry", ("k8s:x",), "unknown registry 'k8s:x'"),
        ("registry_key", "", "discovery keygen"),
        ("registry_server_keys", ("short",), "'short' is no public key"),
        ("registry_cache", "here", "'here' is not an absolute path"),
        ("registry", ("statc:/x",), "did you mean"),
        ("registry", ("static:",), "name of a file"),
        ("bind", "127.0.0.1", "no port"),
        ("bind", "127.0.0.1:65536", "0..65535"),
        ("bind", "localhost:80", "write 127.0.0.1"),
        ("bind", "::1:80", r"write \[::1\]:80"),
        ("security", "tls", "not in this version"),
    ],
)
def test_value_out_of_bounds_says_what_would_do(name: str, value: object, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}.*{says}"):
        Config(**{name: value})  # type: ignore[arg-type]


@given(st.dictionaries(st.sampled_from(sorted(_CHECKS)), st.none() | st.text() | st.integers()))
def test_any_value_is_taken_or_a_configuration_error(values: dict[str, Any]) -> None:
    try:
        config = Config(**values)
    except ConfigurationError:
        return
    assert set(config.origins().values()) <= {"default", "argument"}


# ------------------------------------------------------------------ exposure, access


@pytest.mark.parametrize("bind", ["0.0.0.0:80", "10.0.0.1:0", "[::]:80"])
def test_bind_beyond_loopback_needs_security_none(bind: str) -> None:
    with pytest.raises(ConfigurationError, match="EASTWEST_SECURITY=none"):
        Config(bind=bind)
    assert Config(bind=bind, security="none").bind == bind


@pytest.mark.parametrize("bind", ["127.0.0.1:80", "127.9.9.9:0", "[::1]:80"])
def test_bind_on_loopback_needs_nothing(bind: str) -> None:
    assert Config(bind=bind).bind == bind


def test_allow_becomes_numbers() -> None:
    access = Config(allow=("uid:self", "uid:7", "gid:8", "uid:root")).access()
    assert (access.uids, access.gids, access.anyone) == ((os.geteuid(), 7, 0), (8,), False)


def test_allow_any_is_said_apart() -> None:
    assert Config(allow=("any",)).access().anyone


def test_unknown_user_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="allow: 'uid:nobody-has-this': no such name"):
        Config(allow=("uid:nobody-has-this",)).access()


# ------------------------------------------------------------------ lines


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("a = 1\nb = 2\n", "b", 2),
        ("ab = 1\nb = 2\n", "b", 2),
        ('\n"b" = 2\n', "b", 2),
        ("\n\n[[b]]\n", "b", 3),
        ("# b = 1\nb.c = 2\n", "b", 2),
    ],
)
def test_line_of_key(text: str, key: str, line: int) -> None:
    assert line_of(text, key) == line
