"""What the hot paths take, in instructions, stays within 10 % of what is stored."""

import shutil

import pytest

from bench import instructions

TOLERANCE = 0.1


@pytest.mark.parametrize("name", instructions.PROGRAMS_OF)
def test_instructions_stay_within_a_tenth(name: str) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("needs valgrind")
    built, numbers = instructions.stored(name)
    if instructions.built(name) != built:
        pytest.skip(f"needs {built}: the numbers are of its code")
    found = instructions.instructions(name)
    wrong = [
        f"{name}: {work}: {found[work]:.0f} instructions, stored {expected:.0f}"
        for work, expected in numbers.items()
        if abs(found[work] - expected) > TOLERANCE * expected
    ]
    assert not wrong, "\n".join([*wrong, "if it is meant: python -m bench.instructions --write"])


@pytest.mark.parametrize("name", instructions.PROGRAMS_OF)
def test_stored_numbers_are_of_the_works(name: str) -> None:
    assert list(instructions.stored(name)[1]) == list(instructions.PROGRAMS_OF[name].works)
