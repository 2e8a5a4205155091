"""The cost of transport/net in instructions stays within 10 % of what is stored."""

import shutil

import pytest

from bench.python import net_instructions

TOLERANCE = 0.1


@pytest.mark.parametrize("work", net_instructions.WORKS)
def test_instructions_stay_within_a_tenth(work: str) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("needs valgrind")
    compiler, numbers = net_instructions.stored()
    if net_instructions.compiler() != compiler:
        pytest.skip(f"needs {compiler}: the numbers are of its code")
    found = net_instructions.instructions(work)
    expected = numbers[work]
    assert abs(found - expected) <= TOLERANCE * expected, (
        f"{work}: {found:.0f} instructions, stored {expected:.0f}; if it is meant: "
        "python -m bench.python.net_instructions --write"
    )


def test_stored_numbers_are_of_the_works() -> None:
    assert list(net_instructions.stored()[1]) == list(net_instructions.WORKS)
