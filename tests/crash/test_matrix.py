"""kill -9 at every labelled place, on either side, over each path; what the other side has then.

Every label in the sources is a case by itself: a new EWI_CRASH_POINT is killed at without a line
here, and fails until the conversation of party.c gets there. Where a label cannot be reached, on
one side or over one path, NOT_THERE says so; wrong entries fail as well. Path "move" goes from
shared memory to TCP and back, twice, in the middle of the conversation; path "cut" loses its TCP
connection there, and resumes. Of these only what they pass in a way of their own is killed at.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
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
    "hello.": {("acceptor", "shm"), ("acceptor", "tcp"), ("acceptor", "move")},  # only the opener
    "accept.": {("opener", "shm"), ("opener", "tcp")},
    "region.": {("opener", "tcp"), ("acceptor", "tcp")},  # a stream's memory is private
    "bell.": {("opener", "tcp"), ("acceptor", "tcp")},
    "end.after_ended": {("opener", "tcp"), ("acceptor", "tcp")},  # the shared word
    "stream.": {("opener", "shm"), ("acceptor", "shm")},
    "move.": {(side, path) for side in SIDES for path in PATHS},
    "resume.": {
        *((side, path) for side in SIDES for path in PATHS),
        ("opener", "move"),
        ("opener", "cut"),
    },
}
OFTEN = ("bell.", "recv.", "ring.", "send.", "stream.")  # passed again and again: later ones too
LATER = 5
TRIES = 3  # a peer that is quick lets an end pass a place less often: nobody waits, nobody sleeps
MUCH_LATER = (2, 3, 4, 7, 8, 9, 13, 16, 20)  # ./dev check-deep
MOVING = {  # label, or the beginning: the visits of path "move"
    "hello.": (2, 3),  # to TCP, and back; the first one opens the channel
    "move.": (1, 2),
    "region.": (2,),  # back to shared memory
    "resume.": (1, 2),
    "stream.": (1, LATER),
}
# ... and of path "cut". Its hellos are said by a thread each: only the connect's is a first visit.
CUT = {"move.after_adopt": (1,), "resume.": (1,)}
NOTHING_OUT = ("ring.commit.before_header", "send.before_commit")  # at the first message
ONE_OUT = ("ring.commit.after_header", "send.after_commit")


def is_there(label: str, side: str, path: str) -> bool:
    return not any(
        label.startswith(begin) and (side, path) in where for begin, where in NOT_THERE.items()
    )


def cases() -> list[tuple[str, int, str, str]]:
    moving = [
        (label, visit, side, path)
        for path, table in (("move", MOVING), ("cut", CUT))
        for label in labels()
        for begin, visits in table.items()
        if label.startswith(begin)
        for side in SIDES
        for visit in visits
        if visit == visits[0] or is_there(label, side, path)
    ]
    return moving + [
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
        pytest.skip("needs ./dev build dev")
    pages, shm = free_huge_pages(), set(os.listdir("/dev/shm"))
    yield
    wait_until(lambda: free_huge_pages() >= pages, "the huge pages are back", SOON)
    assert set(os.listdir("/dev/shm")) <= shm


def sockets(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_socket()]


def check_end(victim: Party, label: str, visit: int, path: str, got: int, code: int) -> None:
    """The survivor has what was committed, in order (it checks that itself), and the reason."""
    begun, done, closing = victim.progress()
    in_the_dark = path == "cut"  # it sent one more, and its link was lost before it: gone with it
    assert done - in_the_dark <= got <= begun, "committed messages are there, others are not"
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


@pytest.mark.deep
@pytest.mark.parametrize("visit", MUCH_LATER)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("label", [each for each in labels() if each.startswith(OFTEN)])
def test_kill_much_later(label: str, visit: int, side: str, path: str, folder: Path) -> None:
    if is_there(label, side, path):
        kill_at(label, visit, side, path, folder)


@pytest.mark.parametrize(
    ("label", "visit", "side", "path"),
    [pytest.param(*case, id="-".join(map(str, case))) for case in cases()],
)
def test_kill_at(label: str, visit: int, side: str, path: str, folder: Path) -> None:
    # catches: a committed record that is dropped with the link; taken published before the copy; a
    # mapping, descriptor or socket of a dead peer that is kept; a listener that stops serving
    died = any(
        kill_at(label, visit, side, path, folder)
        for _ in range(TRIES if visit > 1 and is_there(label, side, path) else 1)
    )
    if is_there(label, side, path):
        assert died, (
            f"no scenario reaches {label} at the {side} over {path}: let tests/crash/party.c get "
            f"there, or say in NOT_THERE why it cannot"
        )
        assert sockets(folder) == []
    else:
        assert not died, f"{label} is reached at the {side} over {path}: take it out of NOT_THERE"


def kill_at(label: str, visit: int, side: str, path: str, folder: Path) -> bool:
    """Say whether one side killed itself there; if so, the other one was looked at."""
    at = f"{label}#{visit}"
    with ExitStack() as stack:

        def party(role: str, *, address: str = "-", armed: str = "", last: bool) -> Party:
            made = Party(role, path, folder, address=address, armed=armed, last=last)
            return stack.enter_context(made)

        is_victim = side == "acceptor"
        acceptor = party("acceptor", armed=at if is_victim else "", last=is_victim)
        address = acceptor.address()
        opener = party("opener", address=address, armed="" if is_victim else at, last=not is_victim)
        victim, survivor = (acceptor, opener) if is_victim else (opener, acceptor)
        if not victim.dies():
            return False
        survivor.tell("nobody")
        got, code = survivor.over()
        check_end(victim, label, visit, path, got, code)
        if is_victim:
            assert len(sockets(folder)) <= 1, "at most the stale one"
            fresh = party("acceptor", last=True)
            survivor.tell(f"again {fresh.address()}")
        else:
            survivor.tell("again")
            fresh = party("opener", address=address, last=True)
        check_whole(survivor, fresh)
        return True


def test_every_label_is_reached_somewhere() -> None:
    # catches: a label that NOT_THERE hides on both sides and both paths
    for label in labels():
        where = [case[2:] for case in cases() if case[0] == label]
        assert any(is_there(label, side, path) for side, path in where), label


def test_there_are_labels_in_each_part() -> None:
    # catches: a pattern that finds no labels, and a matrix of nothing
    parts = {label.split(".")[0] for label in labels()}
    assert {"accept", "bell", "close", "end", "hello", "move", "recv", "region"} <= parts
    assert {"resume", "ring", "send", "stream"} <= parts
