"""Settings of discovery: lists of URLs, keys, the cache, and what is imported when."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest import Config, ConfigurationError, Context
from eastwest._config_registry import split
from eastwest._registries import cache_folder, keys_of
from tests.python.command_line import environment

KEY, OTHER, THIRD = "a" * 40, "b" * 40, "c" * 40
LIGHT = "import sys; heavy = {'zmq', 'google.protobuf', 'dns'} & sys.modules.keys()"


@pytest.mark.parametrize(
    ("line", "urls"),
    [
        ("", ()),
        (" local: , static:/etc/e.toml ,", ("local:", "static:/etc/e.toml")),
        ("zmq://a:1,b:2", ("zmq://a:1,b:2",)),
        ("zmq://a:1, b:2, local:", ("zmq://a:1,b:2", "local:")),
        ("zmq://a:1,b:2,zmq://c:3,d:4", ("zmq://a:1,b:2", "zmq://c:3,d:4")),
        ("etcd://a,b/x?user=u,dns:{service}.y:1", ("etcd://a,b/x?user=u", "dns:{service}.y:1")),
        ("dns:{service}.y:1,etcd://a,b", ("dns:{service}.y:1", "etcd://a,b")),
        ("zmq://dns:1,local:2,static:3", ("zmq://dns:1,local:2,static:3",)),
        ("local:,statc:/x", ("local:", "statc:/x")),
    ],
)
def test_commas_between_servers_are_told_from_those_between_urls(
    line: str, urls: tuple[str, ...]
) -> None:
    assert split(line) == urls


_hosts = st.from_regex(r"[a-z][a-z0-9]{0,6}:[1-9][0-9]{0,3}", fullmatch=True)
_urls = st.one_of(
    st.just("local:"),
    st.from_regex(r"static:/[a-z]{1,8}", fullmatch=True),
    st.from_regex(r"dns:\{service\}\.[a-z]{1,5}:[1-9]", fullmatch=True),
    st.lists(_hosts, min_size=1, max_size=4, unique=True).map(lambda h: f"zmq://{','.join(h)}"),
    st.lists(_hosts, min_size=1, max_size=4).map(lambda h: f"etcd://{','.join(h)}/p"),
)


@given(st.lists(_urls, max_size=6))
def test_what_is_joined_by_commas_is_split_into_the_same(urls: list[str]) -> None:
    assert split(",".join(urls)) == tuple(urls)


def test_variable_is_split_and_every_kind_is_taken() -> None:
    line = "local:,zmq://a:1,b:2,etcd://h1,h2/p,dns:{service}.x:1"
    config = Config.load(environ={"EASTWEST_REGISTRY": line, "HOME": "/nonexistent"})
    assert config.registry == ("local:", "zmq://a:1,b:2", "etcd://h1,h2/p", "dns:{service}.x:1")


def test_file_with_a_password_is_not_read_before_it_is_needed(tmp_path: Path) -> None:
    config = Config(registry=(f"etcd://h/p?user=me&password-file={tmp_path}/none",))
    with pytest.raises(ConfigurationError, match=r"registry etcd://.*No such file"):
        Context(config).services()


# ------------------------------------------------------------------ keys


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"registry_key": "/k"}, r"^registry_key: .*needs registry_server_keys"),
        ({"registry_server_keys": (KEY,)}, r"^registry_server_keys: .*needs registry_key"),
        (
            {
                "registry": ("zmq://a:1,b:1", "zmq://c:1"),
                "registry_key": "/k",
                "registry_server_keys": (KEY, OTHER),
            },
            "2 keys for the 3 servers",
        ),
    ],
)
def test_half_of_the_keys_is_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Config(**settings)  # type: ignore[arg-type]


def test_keys_belong_to_the_servers_in_their_order() -> None:
    first, second = "zmq://a:1,b:1", "zmq://c:1"
    config = Config(
        registry=("local:", first, "etcd://h", second),
        registry_key="/k",
        registry_server_keys=(KEY, OTHER, THIRD),
    )
    assert keys_of(config, first) == (KEY, OTHER)
    assert keys_of(config, second) == (THIRD,)
    one = Config(registry=(first, second), registry_key="/k", registry_server_keys=(KEY,))
    assert keys_of(one, first) == keys_of(one, second) == (KEY,)


def test_key_file_that_others_may_read_is_refused_when_it_is_used(tmp_path: Path) -> None:
    from eastwest_discovery import _keys

    pair = _keys.generate()
    _keys.write(tmp_path / "key", pair)
    (tmp_path / "key").chmod(0o644)
    config = Config(
        registry=("zmq://127.0.0.1:1",),
        registry_key=str(tmp_path / "key"),
        registry_server_keys=(pair.public,),
    )
    with pytest.raises(ConfigurationError, match=r"registry zmq://127.0.0.1:1: .*key"):
        Context(config).services()


# ------------------------------------------------------------------ the cache


def test_cache_is_where_the_user_keeps_such_things(tmp_path: Path) -> None:
    home, xdg = {"HOME": str(tmp_path)}, {"HOME": "/x", "XDG_CACHE_HOME": str(tmp_path)}
    assert cache_folder(Config(), home)[0] == f"{tmp_path}/.cache/eastwest"
    assert cache_folder(Config(), xdg)[0] == f"{tmp_path}/eastwest"
    named = Config(registry_cache=str(tmp_path / "mine"))
    assert cache_folder(named, xdg)[0] == f"{tmp_path}/mine"


def test_without_a_folder_nothing_is_kept_and_it_says_why(tmp_path: Path) -> None:
    assert cache_folder(Config(registry_cache="none"), {"HOME": "/x"})[0] is None
    folder, why = cache_folder(Config(), {})
    assert folder is None and "EASTWEST_REGISTRY_CACHE" in why
    open_for_all = tmp_path / "eastwest"
    open_for_all.mkdir()
    open_for_all.chmod(0o777)
    folder, why = cache_folder(Config(), {"XDG_CACHE_HOME": str(tmp_path)})
    assert folder is None and str(open_for_all) in why
    settings = Config(registry=("zmq://127.0.0.1:1",), registry_cache="none", paths=("tcp",))
    with Context(settings) as context:
        (state,) = context.registries("pricing")
        assert "not kept for a restart: registry_cache = 'none'" in str(state)


# ------------------------------------------------------------------ what is imported


def isolated(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )


def test_package_is_imported_only_for_its_urls() -> None:
    code = f"""{LIGHT}
import eastwest, eastwest.cli.__main__
eastwest.cli.__main__.make_parser()
with eastwest.Context(eastwest.Config(paths=("tcp",))) as context: context.services()
loaded = {{each for each in sys.modules if each.startswith("eastwest_discovery")}}
light = {{"eastwest_discovery" + each for each in ("", ".names", ".events", "._errors")}}
assert loaded <= light, loaded
eastwest.Config(registry=("zmq://a:1", "etcd://b", "dns:{{service}}.x:1"))
{LIGHT.partition("; ")[2]}
assert not heavy, heavy"""
    done = isolated(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("lacking", ["zmq", "google.protobuf", "dns"])
def test_what_is_not_installed_is_named_with_the_extra_that_brings_it(lacking: str) -> None:
    url = "dns:{service}.x:1" if lacking == "dns" else "zmq://127.0.0.1:1"
    code = f"""import sys; sys.modules[{lacking!r}] = None
import eastwest
config = eastwest.Config(registry=({url!r},))
try: eastwest.Context(config).services()
except eastwest.ConfigurationError as error: print(error)"""
    said = isolated(code).stdout
    assert said.startswith(f"registry {url}: ") and lacking.partition(".")[0] in said
    assert said.endswith("is not installed; pip install 'eastwest[discovery]'\n")
