"""docs/rfc-coverage.md names functions and tests that exist, in rows of the allowed forms.

Run as a program it mends what a machine can: claims that moved to another file, and the counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "transport" / "net"
DOCUMENT = ROOT / "docs" / "rfc-coverage.md"
HEAD = "| where | rule | kept | by | test |"
WHERE = re.compile(r"(?:[A-Za-z0-9.,() -]+)(?: [†‡])?")
KEPT = re.compile(r"done|absent|deviates D\d+")
FUNCTION = re.compile(r"`([a-z0-9_]+\.[ch]):([a-z0-9_]+)`")
CLAIM = re.compile(r"`(test_[a-z0-9_]+): ([A-Za-z0-9_]+)`")
SCRIPT = re.compile(r"`([a-z0-9_]+/[a-z0-9_]+\.pkt)`")
TITLE = re.compile(r"## (RFC .*)")
KINDS = ("done", "deviates", "absent")


class Row(NamedTuple):
    number: int
    table: str
    where: str
    rule: str
    kept: str
    by: str
    test: str


def rows(text: str) -> Iterator[Row]:
    table, is_inside = "", False
    for number, line in enumerate(text.splitlines(), 1):
        if title := TITLE.fullmatch(line):
            table = title.group(1)
        if not line.startswith("|"):
            is_inside = False
        elif is_inside and not line.startswith("| ---"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            yield Row(number, table, *cells, *[""] * (5 - len(cells)))
        elif line == HEAD:
            is_inside = True


@cache
def defined(name: str) -> frozenset[str]:
    """Return the functions that a file of transport/net defines."""
    path = CODE / name
    if not path.exists():
        return frozenset()
    pattern = r"^[a-z][^;{}=()]*?\b([a-z0-9_]+)\([^;{}]*\)\s*\{"
    return frozenset(re.findall(pattern, path.read_text(), re.MULTILINE))


@cache
def programs() -> dict[str, frozenset[str]]:
    """Return the claims of each test program that knows transport/net."""
    paths = [path for folder in ("c", "sim") for path in (ROOT / "tests" / folder).glob("test_*.c")]
    return {
        path.stem: frozenset(re.findall(r"\bRUN\(\s*(\w+)", path.read_text())) for path in paths
    }


def home_of(claim: str) -> str:
    """Return the program that has the claim, '' if none or several do."""
    homes = [program for program, claims in programs().items() if claim in claims]
    return homes[0] if len(homes) == 1 else ""


def split(cell: str) -> list[str]:
    return cell.split(", ")


def wrong_by(row: Row) -> Iterator[str]:
    if row.kept == "absent":
        if not re.fullmatch(r"absent because .+", row.by):
            yield f"says 'absent' without 'absent because': {row.by}"
        return
    for item in split(row.by):
        found = FUNCTION.fullmatch(item)
        if found is None:
            yield f"is no `file:function`: {item}"
        elif found.group(2) not in defined(found.group(1)):
            yield f"does not define it: {item}"


def wrong_test(row: Row) -> Iterator[str]:
    if row.test == "no test":
        if row.kept == "done":
            yield "is done, but no test would notice if it were not"
        return
    for item in split(row.test):
        if claim := CLAIM.fullmatch(item):
            if claim.group(2) not in programs().get(claim.group(1), ()):
                yield f"has no such claim: {item}; it is in {home_of(claim.group(2)) or 'no file'}"
        elif script := SCRIPT.fullmatch(item):
            if not (ROOT / "tests" / "pkt" / script.group(1)).exists():
                yield f"there is no script {item}"
        else:
            yield f"is neither a claim nor a script: {item}"


def wrong(row: Row) -> Iterator[str]:
    if not row.table or not row.rule or not WHERE.fullmatch(row.where):
        yield "has no table, no rule or no place"
    if not KEPT.fullmatch(row.kept):
        yield f"is kept how? {row.kept}"
        return
    yield from wrong_by(row)
    yield from wrong_test(row)


def counted(all_rows: list[Row]) -> list[str]:
    """Return the table of counts as the document has to have it."""
    of: dict[str, Counter[str]] = {}
    for row in all_rows:
        of.setdefault(row.table, Counter())[row.kept.split()[0]] += 1
    total = sum(of.values(), Counter[str]())
    lines = ["| standard | done | deviates | absent |", "| --- | --- | --- | --- |"]
    for table, count in [*of.items(), ("all", total)]:
        lines.append(f"| {table} | " + " | ".join(str(count[kind]) for kind in KINDS) + " |")
    return lines


def mended(text: str) -> str:
    def move(found: re.Match[str]) -> str:
        return f"`{home_of(found.group(2)) or found.group(1)}: {found.group(2)}`"

    text = CLAIM.sub(move, text)
    table = "\n".join(counted(list(rows(text))))
    return re.sub(
        r"\| standard \|.*?\n\n", lambda _: table + "\n\n", text, count=1, flags=re.DOTALL
    )


TEXT = DOCUMENT.read_text()
ROWS = list(rows(TEXT))


def test_every_row_names_what_exists() -> None:
    """catches: a renamed function or test, a script that is gone, a row in a form of its own."""
    complaints = [f"line {row.number}: {row.rule}: {it}" for row in ROWS for it in wrong(row)]
    assert ROWS and not complaints, "\n".join(complaints)


def test_the_counts_are_those_of_the_tables() -> None:
    """catches: a row that was added, or changed sides, without the summary."""
    expected = "\n".join(counted(ROWS))
    assert expected in TEXT, f"the table of counts should be\n{expected}"


def test_every_deviation_has_its_reason_and_every_reason_a_row() -> None:
    """catches: a deviation that nobody explains, an explanation of what is now kept."""
    used = {row.kept.split()[1] for row in ROWS if row.kept.startswith("deviates")}
    explained = re.findall(r"^\d+\. \*\*(D\d+) ", TEXT, re.MULTILINE)
    assert len(explained) == len(set(explained))
    assert used == set(explained), f"without a partner: {sorted(used ^ set(explained))}"
    assert [f"D{number}" for number in range(1, len(explained) + 1)] == explained


@pytest.mark.parametrize(
    "row",
    [
        Row(1, "RFC 1", "3.1", "a rule", "done", "`tcp_ack.c:no_such_thing`", "no test"),
        Row(1, "RFC 1", "3.1", "a rule", "done", "`tcp_ack.c:take_window`", "no test"),
        Row(1, "RFC 1", "3.1", "a rule", "mostly", "`tcp_ack.c:take_window`", "`ack/delayed.pkt`"),
        Row(1, "RFC 1", "3.1", "a rule", "absent", "we forgot", "no test"),
        Row(1, "RFC 1", "3.1", "a rule", "done", "`tcp_ack.c:take_window`", "`ack/gone.pkt`"),
        Row(1, "RFC 1", "3.1", "a rule", "done", "`tcp_ack.c:take_window`", "`test_net_seq: no`"),
        Row(1, "RFC 1", "3.1", "", "absent", "absent because it is not", "no test"),
    ],
)
def test_a_wrong_row_is_seen(row: Row) -> None:
    """catches: a check that lets everything pass."""
    assert list(wrong(row))


if __name__ == "__main__":
    DOCUMENT.write_text(mended(TEXT))
