"""Names, addresses and facts: what is allowed, and what strangers may say."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest import ConfigurationError
from eastwest._addresses import check_dialled, is_loopback, parse_endpoint, path_of, tcp_url
from eastwest._facts import FACTS_BYTES_MAX, Facts, compose, parse
from eastwest._names import (
    check_labels,
    check_namespace,
    check_protocol,
    check_service,
    near,
)
from eastwest_discovery.names import label_problem


@pytest.mark.parametrize(
    "name", ["pricing", "a", "eu.pricing-2", "0", "x" * 63, ".".join(["a" * 49] * 4)]
)
def test_good_service_name_is_returned(name: str) -> None:
    assert check_service(name) == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is empty"),
        ("Pricing", "try 'pricing'"),
        ("order_book", "try 'order-book'"),
        (".a", "a label is empty; try 'a'"),
        ("a..b", "a label is empty"),
        ("-a", "'-a' is not a DNS label"),
        ("a/../b", "not a DNS label"),
        ("x" * 64, "64 characters, limit 63"),
        (".".join(["a" * 50] * 4), "203 bytes, limit 200"),
        ("é" * 101, "202 bytes, limit 200"),
        ("a\n", "not a DNS label"),
        ("a\0b", "not a DNS label"),
        (7, "service name 7: want a str, got int"),
        ("\ud800", "not a DNS label"),
    ],
)
def test_bad_service_name_says_why(name: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        check_service(name)


@given(st.text())
def test_service_name_that_passes_is_made_of_dns_labels(name: str) -> None:
    try:
        check_service(name)
    except ConfigurationError:
        return
    assert re.fullmatch(r"[a-z0-9.-]{1,200}", name)


@given(st.text(min_size=1, max_size=60))
def test_suggested_name_is_a_good_one(name: str) -> None:
    try:
        check_service(name)
    except ConfigurationError as error:
        for better in re.findall(r"; try '([^']*)'", str(error)):
            assert check_service(better) == better


def test_namespace_is_one_label() -> None:
    assert check_namespace("default") == "default"
    with pytest.raises(ConfigurationError, match="want one label"):
        check_namespace("a.b")


def test_protocol_is_printable_and_short() -> None:
    assert check_protocol("orders/2") == "orders/2"
    assert check_protocol("") == ""
    with pytest.raises(ConfigurationError, match="64 characters, limit 63"):
        check_protocol("p" * 64)
    with pytest.raises(ConfigurationError, match="without spaces"):
        check_protocol("a b")


def test_labels_are_checked_one_by_one() -> None:
    assert check_labels({"color": "blue"}) == {"color": "blue"}
    with pytest.raises(ConfigurationError, match="33 labels, limit 32"):
        check_labels({f"k{n}": "" for n in range(33)})
    with pytest.raises(ConfigurationError, match="label 'color': value 1: want a str"):
        check_labels({"color": 1})  # type: ignore[dict-item]
    with pytest.raises(ConfigurationError, match="label 1: want a str, got int"):
        check_labels({1: "blue"})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("key", "value"), [("", "v"), ("k", "\x1b[31m"), ("k", "v" * 256), ("-", "")]
)
def test_label_that_would_disturb_a_terminal_or_a_table_is_refused(key: str, value: str) -> None:
    assert label_problem(key, value) is not None


def test_eastwest_needs_no_package_of_the_extra_discovery() -> None:
    without = (
        "import sys\n"
        "for name in ('zmq', 'google', 'google.protobuf', 'dns'): sys.modules[name] = None\n"
        "import eastwest\n"
        "eastwest._names.check_service('pricing')\n"
    )
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_near_name_is_found() -> None:
    assert near("pricng", ["orders", "pricing"]) == "pricing"
    assert near("xyz", ["orders", "pricing"]) is None


# ------------------------------------------------------------------ addresses


def test_endpoint_takes_both_families() -> None:
    assert str(parse_endpoint("10.0.0.1:80")[0]) == "10.0.0.1"
    assert parse_endpoint("[::1]:0")[1] == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10.0.0.1", "no port"),
        ("[10.0.0.1]:80", "write 10.0.0.1:80"),
        ("10.0.0.1:80x", "port '80x'"),
        ("10.0.0.1:-1", "port '-1'"),
        ("10.0.0.1:٣", "port '٣'"),
        ("host:80", "not an IP address"),
        (":80", "write 127.0.0.1"),
    ],
)
def test_bad_endpoint_says_why(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        parse_endpoint(text)


def test_url_is_normalised() -> None:
    assert tcp_url("[0:0::1]:080") == "tcp://[::1]:80"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("tcp://0.0.0.0:80", "means every address"),
        ("tcp://10.0.0.1:0", "1..65535"),
        ("udp://10.0.0.1:80", "unknown scheme"),
        ("shm:relative", "want shm:/DIRECTORY"),
        ("shm:/" + "x" * 5000, "at most 4096"),
    ],
)
def test_address_that_nobody_can_dial_is_refused(address: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        check_dialled(address)


def test_path_of_address() -> None:
    assert path_of("shm:/run/eastwest/x") == "shm"
    assert path_of("tcp://10.0.0.1:80") == "tcp"
    assert path_of("dpdk:x") is None


def test_loopback_is_recognised() -> None:
    assert is_loopback("127.0.0.1:80")
    assert not is_loopback("tcp://10.0.0.1:80")


# ------------------------------------------------------------------ facts


def test_facts_come_back_as_they_were() -> None:
    facts = Facts({"color": "blue"}, "eu-1", 3, "tcp://10.0.0.1:7411")
    assert parse(compose(facts)) == facts


def test_facts_at_their_defaults_take_two_bytes() -> None:
    assert compose(Facts()) == "{}"


def test_facts_too_long_are_refused_with_the_limit() -> None:
    with pytest.raises(ConfigurationError, match=f"limit {FACTS_BYTES_MAX}"):
        compose(Facts({f"k{n}": "v" * 200 for n in range(8)}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 1024,
        "{" * 1024,
        '{"labels": 1, "zone": 2, "weight": "x", "tcp": 3}',
        '{"labels": {"k": 1}, "zone": "UP", "weight": -1, "tcp": "tcp://0.0.0.0:1"}',
        '{"weight": true, "tcp": "shm:/etc/passwd"}',
        '{"weight": 1e999, "tcp": "tcp://host:1"}',
        '{"zone": "' + "z" * 2000 + '"}',
        '{"weight": 2' + " " * 1020 + "}",
    ],
)
def test_facts_out_of_order_are_dropped(text: str) -> None:
    assert parse(text) == Facts()


def test_good_facts_beside_bad_ones_are_kept() -> None:
    text = json.dumps({"labels": {"a": "1", "b": "\x1b"}, "weight": 7, "new": [1]})
    assert parse(text) == Facts({"a": "1"}, "", 7, "")


@given(st.text(max_size=1100))
def test_facts_from_strangers_never_raise(text: str) -> None:
    parse(text)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4)


@given(st.dictionaries(st.sampled_from(["labels", "zone", "weight", "tcp"]), JSON))
def test_facts_of_any_type_never_raise(fields: dict[str, object]) -> None:
    parse(json.dumps(fields))
