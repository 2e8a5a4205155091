"""static:FILE: what a registry file may say, and what is said about mistakes in it."""

import os
import re
from pathlib import Path

import pytest

from eastwest import ConfigurationError, Instance
from eastwest._providers import Static
from eastwest._providers._static import parse

ONE = """
[[service]]
name = "pricing"
addresses = ["tcp://10.0.0.1:7411"]
"""
FULL = """
[[service]]
name = "pricing"
addresses = ["tcp://10.0.0.1:7411", "tcp://[fd00::1]:7411"]
instance = "0123456789abcdef0123456789abcdef"
labels = { color = "blue" }
zone = "eu-1"
weight = 2
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "services.toml"


def test_entry_needs_name_and_addresses_only() -> None:
    want = Instance("pricing", "", {}, "", 1, ("tcp://10.0.0.1:7411",), False, "static:f")
    assert parse(ONE, "f") == (want,)


def test_every_key_is_read() -> None:
    (found,) = parse(FULL, "f")
    assert (found.id, found.labels, found.zone, found.weight) == (
        "0123456789abcdef0123456789abcdef",
        {"color": "blue"},
        "eu-1",
        2,
    )


def test_empty_file_is_an_empty_registry() -> None:
    assert parse("", "f") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("service = 1", "two brackets"),
        ("[service]\nname = 'a'", "two brackets"),
        ("[[servce]]", "did you mean 'service'"),
        ("[[service]]\nname = 'a'", "f:1: [[service]] number 1: addresses is missing"),
        ("[[service]]\naddresses = ['tcp://1.2.3.4:5']", "name is missing"),
        (ONE + "port = 1", "unknown key 'port'"),
        (ONE + "labels = 1", "want a table"),
        (ONE + "zone = 1", "want a string"),
        (ONE + "weight = -1", "0..65535"),
        (ONE + "instance = 'xyz'", "32 hex digits"),
        (ONE + ONE.replace("pricing", "Pricing"), "f:6: [[service]] number 2"),
        (ONE.replace("10.0.0.1", "host"), "'host' is not an IP address"),
        (ONE.replace("tcp:", "udp:"), "unknown scheme"),
        (ONE.replace('["tcp://10.0.0.1:7411"]', '"tcp://10.0.0.1:7411"'), "a list of 1..16"),
        (ONE.replace('["tcp://10.0.0.1:7411"]', "[]"), "a list of 1..16"),
        ("[[service]\n", "not valid TOML"),
    ],
)
def test_mistake_says_where_and_what(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        parse(text, "f")


def test_look_up_returns_the_entries_of_that_name(file: Path) -> None:
    file.write_text(ONE + ONE.replace("pricing", "orders") + FULL)
    found = Static(str(file)).look_up("pricing", timeout=1.0)
    assert [each.id for each in found.instances] == ["", "0123456789abcdef0123456789abcdef"]


def test_known_names_are_sorted_and_once(file: Path) -> None:
    file.write_text(ONE + ONE.replace("pricing", "orders") + FULL)
    assert Static(str(file)).known(timeout=1.0) == ("orders", "pricing")


def test_file_is_read_again_when_it_changes(file: Path) -> None:
    file.write_text(ONE)
    static = Static(str(file))
    assert static.look_up("orders", timeout=1.0).instances == ()
    file.write_text(ONE.replace("pricing", "orders"))
    os.utime(file, ns=(1, 1))
    assert len(static.look_up("orders", timeout=1.0).instances) == 1


def test_file_that_did_not_change_is_not_read_again(file: Path) -> None:
    file.write_text(ONE)
    static = Static(str(file))
    static.look_up("pricing", timeout=1.0)
    before = file.stat()
    file.write_text("?" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(static.look_up("pricing", timeout=1.0).instances) == 1


def test_mistake_in_a_changed_file_is_said_until_it_is_corrected(file: Path) -> None:
    file.write_text(ONE)
    static = Static(str(file))
    static.look_up("pricing", timeout=1.0)
    file.write_text("[[service]]\n")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="name is missing"):
            static.look_up("pricing", timeout=1.0)
    file.write_text(ONE)
    assert len(static.look_up("pricing", timeout=1.0).instances) == 1


def test_missing_file_is_an_error_that_names_it(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"static:{file}: No such file"):
        Static(str(file)).look_up("pricing", timeout=1.0)
