"""tests/weaken: which places it finds, what it makes of them, and what it says of missing rows."""

from pathlib import Path

import pytest

from tests.weaken import table
from tests.weaken.notice import is_noticed
from tests.weaken.places import Place, numbered, places_of

SOURCE = """\
int take(struct thing *thing)
{
    if (atomic_load_explicit(&thing->a, memory_order_acquire)) /* A1, pairs with A2 */
        return 1; /* memory_order_release in a comment */
    atomic_thread_fence(memory_order_seq_cst); /* F1 */
    atomic_store(&thing->b, (1 + 2)); /* B1 */
    return atomic_fetch_add_explicit(&thing->c, 1,
                                     memory_order_acq_rel) + /* C1 */
           (int)atomic_load_explicit(&thing->d, memory_order_relaxed);
}

static void give(struct thing *thing)
{
    atomic_store(&thing->b, 0); /* B1 */
    atomic_store(&thing->b, 1); /* B1 */
}
"""


def found() -> list[Place]:
    return list(numbered(places_of("x/y.c", SOURCE)))


def test_places_are_what_is_ordered() -> None:
    # catches: a comment or a relaxed access taken for a place; a call without an order overlooked
    assert [place.name for place in found()] == [
        "x/y.c take A1 load acquire",
        "x/y.c take F1 thread_fence seq_cst",
        "x/y.c take B1 store seq_cst",
        "x/y.c take C1 fetch_add acq_rel",
        "x/y.c give B1 store seq_cst",
        "x/y.c give B1 store seq_cst #2",
    ]


@pytest.mark.parametrize(
    ("at", "order", "line"),
    [
        (0, "relaxed", "if (atomic_load_explicit(&thing->a, memory_order_relaxed)) /* A1"),
        (1, "none", "    (void)0; /* F1 */"),
        (2, "release", "atomic_store_explicit(&thing->b, (1 + 2), memory_order_release); /* B1"),
        (3, "acquire", "memory_order_acquire) + /* C1 */"),
    ],
)
def test_one_place_is_weakened_and_nothing_else(at: int, order: str, line: str) -> None:
    text = found()[at].weakened(SOURCE, order)
    assert line in text
    changed = [
        new for new, old in zip(text.split("\n"), SOURCE.split("\n"), strict=True) if new != old
    ]
    assert len(changed) == 1


def test_a_half_of_acq_rel_is_lost_at_a_time() -> None:
    assert [place.weaker for place in found()[:4]] == [
        ("relaxed",),
        ("none",),
        ("release", "relaxed"),
        ("acquire", "release"),
    ]


def test_a_place_without_a_row_and_a_row_without_a_place_are_told() -> None:
    # catches: a new atomic that nobody weakens
    name, *_ = table.all_keys()
    rows = table.read_rows()
    del rows[name]
    rows["shm/gone.c f X1 load acquire -> relaxed"] = "tsan c_test_order_shm"
    assert table.out_of_step(rows) == [
        f"no row: {name}",
        "no such place: shm/gone.c f X1 load acquire -> relaxed",
    ]


def test_a_mutant_that_a_model_does_not_have_notices_nothing() -> None:
    # catches: a row that names a mutant which nobody verifies
    assert is_noticed("any", "model bell NO_FENCE_KICKER")
    assert not is_noticed("any", "model bell NO_SUCH_MUTANT")
    assert not is_noticed("any", "argued no")


def test_the_source_has_a_row_for_every_place() -> None:
    assert table.out_of_step(table.read_rows()) == []
    assert Path("docs/reference/memory-order.md").read_text() == table.render(table.read_rows())
