"""noticed.toml, what notices each weakening; and docs/reference/memory-order.md made from it.

A row:  "PLACE -> WEAKER" = "tsan PROGRAM"      a thread sanitizer report, or a claim that fails
                          = "run PROGRAM"       a claim of the program fails, without sanitizers
                          = "model FILE MUTANT" the mistake as a mutant of tests/model/FILE.pml
                          = "argued WHY"        nothing can: why not, and why it is harmless here
"""

import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.weaken.places import Place, all_places

ROWS = Path(__file__).with_name("noticed.toml")
TABLE = Path("docs/reference/memory-order.md")
HEAD = """\
# Memory order

Every atomic access of `shm/` and `transport/` that is stronger than relaxed, and every fence, with
what notices when it is made weaker. Made by `python -m tests.weaken`, which weakens each one in a
copy and runs what stands in the last column ([ADR 13](../adr/0013-weakening.md)). `./dev test` does
the quick ones, `./dev check-deep` all; both fail when a place has no row.

* **tsan**: the thread sanitizer reports a race in this test program, or one of its claims fails.
* **run**: a claim of this test program fails, on this machine, built as the product is.
* **model**: a mutant of this Promela model makes the same mistake and is found by Spin. Fences, and
  what `seq_cst` adds to release and acquire, are invisible to the thread sanitizer.
* **argued**: nothing can notice; why, and why the order stands there all the same.

"""

Key = tuple[Place, str]  # and what it is weakened to
Rows = Mapping[str, str]


def key(place: Place, weaker: str) -> str:
    return f"{place.name} -> {weaker}"


def all_keys() -> dict[str, Key]:
    return {key(place, to): (place, to) for place in all_places() for to in place.weaker}


def read_rows() -> dict[str, str]:
    return {str(name): str(how) for name, how in tomllib.loads(ROWS.read_text()).items()}


def write_rows(rows: Rows) -> None:
    """Write the rows of places that exist, in the order of the source."""
    lines = [
        "# PLACE -> WEAKER = what notices; see table.py. Made by python -m tests.weaken --search."
    ]
    for name, (place, _) in all_keys().items():
        if name in rows:
            if not lines[-1].startswith(f'"{place.path} '):
                lines.append("")
            lines.append(f'"{name}" = "{rows[name]}"')
    ROWS.write_text("\n".join(lines) + "\n")


def out_of_step(rows: Rows) -> list[str]:
    """What is wrong between the source and the rows."""
    keys = all_keys()
    missing = [f"no row: {name}" for name in keys if name not in rows]
    return missing + [f"no such place: {name}" for name in rows if name not in keys]


def render(rows: Rows) -> str:
    kinds: Counter[str] = Counter()
    lines = [
        "| place | label | operation | order | weakened to | noticed by |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (place, weaker) in all_keys().items():
        how = rows.get(name, "nothing yet")
        kind, _, rest = how.partition(" ")
        kinds[kind] += 1
        operation = "fence" if place.operation == "thread_fence" else place.operation
        lines.append(
            f"| `{place.path}` `{place.function}` | {place.label} | {operation} | {place.order} | "
            f"{'removed' if weaker == 'none' else weaker} | **{kind}** {shown(kind, rest)} |"
        )
    total = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return f"{HEAD}{sum(kinds.values())} weakenings: {total}.\n\n" + "\n".join(lines) + "\n"


def shown(kind: str, rest: str) -> str:
    if kind == "model":
        model, mutant = rest.split()
        return f"`{model}.pml` `{mutant}`"
    return f"`{rest}`" if kind in ("tsan", "run") else rest
