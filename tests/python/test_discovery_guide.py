"""docs/guide/discovery.md does what it says: its commands are typed, and print what it shows."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.discovery.dns_server import Server
from tests.discovery.etcd_cluster import needs_etcd
from tests.python.transcripts import Block, Hosts, blocks, pattern

GUIDE = (Path(__file__).resolve().parents[2] / "docs/guide/discovery.md").read_text()
HOSTS = [f"10.0.0.{each}" for each in (1, 2, 11, 12, 13, 21, 22, 23, 53)]
SERVE = "discovery serve "
POD = "10.0.0.13"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network namespace")


def section(title: str) -> list[Block]:
    """Return the blocks of a section."""
    parts = {each.partition("\n")[0]: each for each in re.split(r"^## ", GUIDE, flags=re.MULTILINE)}
    found = blocks(parts[title])
    assert found
    return found


def complete_soon(block: Block) -> Block:
    """Return the block with servers that do not take 15 s to be complete."""
    return replace(block, text=block.text.replace(SERVE, f"{SERVE}--settle 0.3 "))


@needs_root
def test_one_host(tmp_path: Path) -> None:
    with Hosts(tmp_path, HOSTS) as hosts:
        for each in section("One host"):
            hosts.run(each)


@needs_root
def test_registry_servers_with_keys_until_they_are_down_and_back(tmp_path: Path) -> None:
    with Hosts(tmp_path, HOSTS) as hosts:
        for each in section("A handful of hosts"):
            hosts.run(complete_soon(each))
        for each in (*section("When servers are down"), *section("Operating")):
            hosts.run(each)


@needs_root
@needs_etcd
def test_etcd(tmp_path: Path) -> None:
    with Hosts(tmp_path, HOSTS) as hosts:
        for each in section("A cluster that has etcd"):
            hosts.run(each)


@needs_root
def test_client_in_a_pod(tmp_path: Path) -> None:
    """With a DNS server that has the name, and one server as a pod of the manifest runs it."""
    resolvers = tmp_path / "resolv.conf"
    resolvers.write_text("nameserver 10.0.0.53\n")
    with Hosts(tmp_path, HOSTS) as hosts:
        with hosts.network.inside():
            dns = Server(("10.0.0.53", 53))
        dns.table["pricing.apps.svc.cluster.local.", "A"] = (5, [POD])
        try:
            serve = "EASTWEST_BIND=0.0.0.0:7411 EASTWEST_SECURITY=none eastwest serve pricing"
            hosts.shell("server").type(f"{serve} > server.log 2>&1 &")
            hosts.shell("server").type("until grep -q serving server.log; do sleep 0.1; done")
            hosts.shell("pod", resolvers)
            for each in section("Kubernetes"):
                hosts.run(each)
        finally:
            dns.close()


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    (text,) = fenced("ini")
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.read_string(text)
    assert set(parser) == {"DEFAULT", "Unit", "Service", "Install"}
    if shutil.which("systemd-analyze") is None:
        return
    program = Path(sys.executable).parent / "eastwest"
    unit = tmp_path / "eastwest-discovery.service"
    unit.write_text(text.replace("/opt/eastwest/bin/eastwest", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60
    )
    own = [line for line in done.stderr.splitlines() if unit.name in line]
    assert own == [], done.stderr


def test_options_of_the_unit_are_those_of_the_command() -> None:
    (command,) = re.findall(r"^ExecStart=\S+/eastwest (.*)$", GUIDE, re.MULTILINE)
    asked = [sys.executable, "-m", "eastwest.cli", "discovery", "serve", "--help"]
    shown = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"--\w+", command))
    assert options and options <= set(re.findall(r"--\w+", shown))


# ------------------------------------------------------------------ the manifest

Lines = list[tuple[int, str]]


def value(lines: Lines, indent: int) -> Any:
    """Read YAML as the manifest has it: mappings, lists, and scalars on one line."""
    if lines[0][1].startswith("- "):
        items = []
        while lines and lines[0][0] == indent:
            assert lines[0][1].startswith("- "), lines[0]
            lines[0] = indent + 2, lines[0][1][2:]
            items.append(value(lines, indent + 2))
        return items
    found: dict[str, Any] = {}
    while lines and lines[0][0] == indent:
        key, colon, rest = lines.pop(0)[1].partition(":")
        assert colon and key.isidentifier() and key not in found, key
        assert rest or (lines and lines[0][0] > indent - 1), f"{key} has no value"
        found[key] = scalar(rest.strip()) if rest else value(lines, lines[0][0])
    return found


def scalar(text: str) -> Any:
    return json.loads(text) if text[0] in '["{' or text.isdigit() else text


def documents() -> list[Any]:
    (text,) = fenced("yaml")
    found = []
    for part in text.split("---\n"):
        lines = [(len(each) - len(each.lstrip()), each.strip()) for each in part.splitlines()]
        found.append(value(lines, 0))
        assert lines == [], "an indent that fits nowhere"
    return found


def test_manifest_is_a_headless_service_of_the_pods_that_listen_where_clients_look() -> None:
    service, deployment = documents()
    pods = deployment["spec"]["template"]
    assert (service["kind"], deployment["kind"]) == ("Service", "Deployment")
    assert service["spec"]["clusterIP"] == "None"
    labels = pods["metadata"]["labels"]
    assert service["spec"]["selector"] == labels == deployment["spec"]["selector"]["matchLabels"]
    (port,) = set(re.findall(r"dns:\{service\}\S+:(\d+)", GUIDE))
    (container,) = pods["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert environment["EASTWEST_BIND"] == f"0.0.0.0:{port}"
    assert [each["containerPort"] for each in container["ports"]] == [int(port)]
    assert [each["port"] for each in service["spec"]["ports"]] == [int(port)]
    (mount,), (volume,) = container["volumeMounts"], pods["spec"]["volumes"]
    assert mount["name"] == volume["name"]


# ------------------------------------------------------------------ the typing itself


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("records 0", "records 7"),
        ("records   1\n", "records  1 \n"),
        ("id 78a3e120 at 10.0.0.1:7400", "id b1e67773 at 10.0.0.1:7400"),
        ("1 sent\n...\nend", "1 sent\na\nb\nend"),
        ("1 sent\n...", "1 sent"),
    ],
)
def test_transcript_may_differ_in_numbers(shown: str, printed: str) -> None:
    assert re.fullmatch(pattern(shown), f"{printed.rstrip()}\n")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("stale", "-"),
        ("records 0", "records"),
        ("one\ntwo", "one"),
        ("one", "one\ntwo"),
        ("all 2 servers", "1 of 2 servers"),
    ],
)
def test_transcript_may_not_differ_in_words(shown: str, printed: str) -> None:
    assert not re.fullmatch(pattern(shown), f"{printed}\n")
