"""Cursors of those who poll in this process."""

from hypothesis import given
from hypothesis import strategies as st

from eastwest_discovery._journal import GONE_MAX, Journal
from eastwest_discovery._record import Key, Record
from eastwest_discovery._union import Entry, View

BOOT = b"12345678"


def record(instance: str, version: int = 1) -> Record:
    return Record(service="s", instance=instance, version=version)


def view(records: dict[Key, Record]) -> View:
    return View(tuple(Entry(each, ("a",)) for each in records.values()), True, 1)


steps = st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=30)


@given(steps, st.lists(st.integers(0, 29), max_size=3))
def test_whoever_polls_now_and_then_knows_what_there_is(
    script: list[tuple[str, bool]], polls: list[int]
) -> None:
    journal = Journal(BOOT)
    real: dict[Key, Record] = {}
    known: dict[Key, Record] = {}
    cursor = b""

    def poll() -> None:
        nonlocal cursor
        update = journal.since(cursor, view(real))
        if update.snapshot:
            known.clear()
        for each in update.records:
            known[each.key] = each
        for key in update.gone:
            known.pop(key, None)
        cursor = update.cursor

    for version, (instance, is_put) in enumerate(script):
        new = record(instance, version)
        if is_put:
            real[new.key] = new
        else:
            real.pop(new.key, None)
        journal.note({new.key: new if is_put else None}, is_complete=True)
        if version in polls:
            poll()
            assert known == real
    poll()
    assert known == real


def test_nothing_new_is_no_news() -> None:
    journal = Journal(BOOT)
    before = journal.cursor
    assert not journal.note({}, is_complete=False)
    assert journal.cursor == before
    assert journal.note({}, is_complete=True)
    assert journal.cursor != before


def test_cursor_that_is_not_ours_begins_anew() -> None:
    journal, there = Journal(BOOT), view({record("a").key: record("a")})
    ahead = BOOT + (99).to_bytes(8, "big")
    for cursor in (b"", b"x", Journal(b"87654321").cursor, ahead, BOOT + bytes(8)):
        update = journal.since(cursor, there)
        assert update.snapshot and len(update.records) == 1


def test_far_behind_begins_anew_and_memory_ends() -> None:
    journal = Journal(BOOT)
    first = journal.cursor
    for index in range(3 * GONE_MAX):
        key = record(f"i{index}").key
        journal.note({key: record(f"i{index}")}, is_complete=True)
        journal.note({key: None}, is_complete=True)
        if index == 3 * GONE_MAX - 2:
            last = journal.cursor
    assert journal.since(first, View()).snapshot
    update = journal.since(last, View())
    assert not update.snapshot and len(update.gone) == 1
    assert len(journal._changes) <= GONE_MAX


def test_what_goes_again_and_again_is_one_that_is_gone() -> None:
    # catches: it was counted each time, and others were forgotten for it
    journal = Journal(b"j")
    start = journal.cursor
    gone = record("a").key
    for _ in range(2 * GONE_MAX):
        journal.note({gone: None}, is_complete=True)
    update = journal.since(start, view({}))
    assert not update.snapshot and update.gone == (gone,)
