"""What the documents say is what the code does: README code runs, the status table is the list."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_readme_server_and_client_run_as_printed(tmp_path: Path) -> None:
    """catches: a renamed method, a changed default, a signature that differs from the README."""
    server_code, client_code = code_blocks("python")
    tmp_path.chmod(0o700)
    environment = {**os.environ, "EASTWEST_RUNTIME_DIR": str(tmp_path)}
    server = subprocess.Popen([sys.executable, "-c", server_code], env=environment)
    try:
        client = subprocess.run(
            [sys.executable, "-c", client_code + "    print(reply)\n"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        server.kill()
        server.wait()
    assert client.returncode == 0, client.stderr
    assert client.stdout.startswith("shm pricing: shm")
    assert client.stdout.endswith("b'ok hello'\n")


def status_rows() -> list[tuple[str, str]]:
    table = README.split("## Status")[1].split("## Caveats")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    return rows[2:]


def parts() -> list[dict[str, str]]:
    listed: list[dict[str, str]] = tomllib.loads((ROOT / "docs/status.toml").read_text())["part"]
    return listed


def test_readme_status_table_is_the_list() -> None:
    assert status_rows() == [(part["name"], part["state"]) for part in parts()]


@pytest.mark.parametrize("part", parts(), ids=lambda part: part["name"])
def test_what_works_names_a_test_that_exists(part: dict[str, str]) -> None:
    if part["state"].startswith("works"):
        assert (ROOT / part["test"]).is_file()
    else:
        assert part["state"] == "planned"
        assert "test" not in part


def markdown_links() -> list[tuple[str, str]]:
    found = []
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            if "://" not in target:
                found.append((str(path.relative_to(ROOT)), target))
    return found


@pytest.mark.parametrize(("path", "target"), markdown_links())
def test_links_between_documents_lead_somewhere(path: str, target: str) -> None:
    assert ((ROOT / path).parent / target).exists()


def test_configuration_guide_names_every_environment_variable() -> None:
    guide = (ROOT / "docs/guide/configuration.md").read_text()
    source = "".join(path.read_text() for path in (ROOT / "fabric/eastwest").glob("_config*.py"))
    known = set(re.findall(r'"(EASTWEST_[A-Z_]+)"', source))
    assert known, "the configuration names its variables"
    assert known - {"EASTWEST_CONFIG"} <= set(re.findall(r"`(EASTWEST_[A-Z_]+)`", guide))
