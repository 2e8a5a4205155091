"""kill -9 at every labelled place, on either side, over each path; what the other side has then.

Every label in the sources is a case by itself: a new EWI_CRASH_POINT is killed at without a line
here, and fails until the conversation of party.c gets there. Where a label cannot be reached, on
one side or over one path, NOT_THERE says so; wrong entries fail as well.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.pairs import SOON, wait_until
from tests.crash.conftest import free_huge_pages
from tests.crash.party import (
    AGAIN,
    END,
    LOST,
    PROGRAM,
    ROUNDS,
    TIMEOUT,
    UNREACHABLE,
    Party,
    labels,
)

SIDES = ("opener", "acceptor")
PATHS = ("shm", "tcp")
NOT_THERE = {  # label, or the beginning of several: where it is not reached, and why
    "hello.": {("acceptor", "shm"), ("acceptor", "tcp")},  # only the opener says hello
    "accept.": {("opener", "shm"), ("opener", "tcp")},
    "region.": {("opener", "tcp"), ("acceptor", "tcp")},  # a stream's memory is private
    "bell.": {("opener", "tcp"), ("acceptor", "tcp")},
    "end.after_ended": {("opener", "tcp"), ("acceptor", "tcp")},  # the shared word
    "stream.": {("opener", "shm"), ("acceptor", "shm")},
}
OFTEN = ("bell.", "recv.", "ring.", "send.", "stream.")  # passed again and again: later ones too
LATER = 5
NOTHING_OUT = ("ring.commit.before_header", "send.before_commit")  # at the first message
ONE_OUT = ("ring.commit.after_header", "send.after_commit")


def is_there(label: str, side: str, path: str) -> bool:
    return not any(
        label.startswith(begin) and (side, path) in where for begin, where in NOT_THERE.items()
    )


def cases() -> list[tuple[str, int, str, str]]:
    return [
        (label, visit, side, path)
        for label in labels()
        for path in PATHS
        for side in SIDES
        for visit in ((1, LATER) if label.startswith(OFTEN) else (1,))
        if visit == 1 or is_there(label, side, path)
    ]


@pytest.fixture(scope="module", autouse=True)
def program() -> Iterator[None]:
    if not PROGRAM.exists():
        pytest.skip("needs ./dev build crash")
    pages, shm = free_huge_pages(), set(os.listdir("/dev/shm"))
    yield
    wait_until(lambda: free_huge_pages() >= pages, "the huge pages are back", SOON)
    assert set(os.listdir("/dev/shm")) <= shm


def sockets(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_socket()]


def check_end(victim: Party, label: str, visit: int, path: str, got: int, code: int) -> None:
    """The survivor has what was committed, in order (it checks that itself), and the reason."""
    begun, done, closing = victim.progress()
    assert done <= got <= begun, "committed messages are there, others are not"
    if path == "shm" and visit == 1 and label in NOTHING_OUT:
        assert got == 0
    if path == "shm" and visit == 1 and label in ONE_OUT:
        assert got == 1
    if closing:
        assert got == ROUNDS
        assert code == END or (code == LOST and path == "tcp")
    elif begun == done == got == 0:  # while it was being opened
        assert code in (LOST, UNREACHABLE, AGAIN, TIMEOUT)
    else:
        assert code == LOST


def check_whole(survivor: Party, fresh: Party) -> None:
    """One more conversation, with a process that lives, and nothing is left of either."""
    assert fresh.over() == (ROUNDS, 0)
    assert survivor.over() == (ROUNDS, END)
    for each in (survivor, fresh):
        assert each.left() == ["0", "0", "0"], f"descriptors, mappings, bytes of the {each.role}"


@pytest.mark.parametrize(
    ("label", "visit", "side", "path"),
    [pytest.param(*case, id="-".join(map(str, case))) for case in cases()],
)
def test_kill_at(label: str, visit: int, side: str, path: str, folder: Path) -> None:
    # catches: a committed record that is dropped with the link; taken published before the copy; a
    # mapping, descriptor or socket of a dead peer that is kept; a listener that stops serving
    at = f"{label}#{visit}"
    if side == "acceptor":
        with Party("acceptor", path, folder, armed=at, last=True) as victim:
            address = victim.address()
            with Party("opener", path, folder, address=address, last=False) as survivor:
                if not (died := victim.dies()):
                    pass
                elif survives(victim, survivor, label, visit, path):
                    stale = len(sockets(folder))
                    assert stale <= 1
                    with Party("acceptor", path, folder, last=True) as fresh:
                        survivor.tell(f"again {fresh.address()}")
                        check_whole(survivor, fresh)
    else:
        with Party("acceptor", path, folder, last=False) as survivor:
            address = survivor.address()
            with Party("opener", path, folder, address=address, armed=at, last=True) as victim:
                if (died := victim.dies()) and survives(victim, survivor, label, visit, path):
                    survivor.tell("again")
                    with Party("opener", path, folder, address=address, last=True) as fresh:
                        check_whole(survivor, fresh)
    if is_there(label, side, path):
        assert died, (
            f"no scenario reaches {label} at the {side} over {path}: let tests/crash/party.c get "
            f"there, or say in NOT_THERE why it cannot"
        )
        assert sockets(folder) == []
    else:
        assert not died, f"{label} is reached at the {side} over {path}: take it out of NOT_THERE"


def survives(victim: Party, survivor: Party, label: str, visit: int, path: str) -> bool:
    survivor.tell("nobody")
    got, code = survivor.over()
    check_end(victim, label, visit, path, got, code)
    return True


def test_every_label_is_reached_somewhere() -> None:
    # catches: a label that NOT_THERE hides on both sides and both paths
    for label in labels():
        assert any(is_there(label, side, path) for side in SIDES for path in PATHS), label


def test_there_are_labels_in_each_part() -> None:
    # catches: a pattern that finds no labels, and a matrix of nothing
    parts = {label.split(".")[0] for label in labels()}
    assert {"accept", "bell", "close", "end", "hello", "recv", "region", "ring", "send"} <= parts
