"""Curves whose numbers come from programs of their own: benchmarks that answer one question.

Each prints a document of the form of duo.h; a case of it becomes a value of a series. Rounds are
interleaved and each begins on an idle machine, but none is dropped: what the kernel does for these
programs cannot be told from what it does for others. A series says how many began on a busy one.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench import aims

from .harness import Progress, Section
from .machine import wait_for_idle
from .results import Missing, Series

Document = aims.Document
Finish = Callable[[Sequence[str]], Document | str]
ROUND = "{round}"  # in a command: its number, from 1


@dataclass(frozen=True, slots=True)
class Program:
    """A command and what its cases are.

    Attributes:
        what: it measures, for people.
        series: without values, by the name of the case.
        rounds_max: more would tell nothing, or take too long.
    """

    what: str
    command: tuple[str, ...]
    series: Mapping[str, Series]
    rounds_max: int = 100


def values_of(document: Document, names: Sequence[str]) -> dict[str, float]:
    """Return the one value of each case of these names.

    Raises:
        ValueError: the document has no such case, or not one value of it.
    """
    found: dict[str, list[float]] = {each["case"]: each["values"] for each in document["cases"]}
    for name in names:
        if len(found.get(name, [])) != 1:
            raise ValueError(f"case {name!r}: want one value, there are {found.get(name, [])}")
    return {name: found[name][0] for name in names}


def finish(command: Sequence[str]) -> Document | str:
    """Run a program to its end; its document, or why there is none."""
    try:
        return aims.finish(command)
    except (OSError, ValueError) as error:
        return str(error)


def measure_programs(
    programs: Sequence[Program],
    rounds: int,
    progress: Progress,
    seed: int = 1,
    finish: Finish = finish,
) -> Section:
    """Run all of them in so many rounds; one that fails is missing from then on."""
    section = Section(rounds=rounds)
    found = {
        (program.what, name): replace(series, values=[])
        for program in programs
        for name, series in program.series.items()
    }
    left, rng, late = list(programs), random.Random(seed), 0
    for number in range(1, rounds + 1):
        late += not wait_for_idle()
        order = [each for each in left if number <= each.rounds_max]
        rng.shuffle(order)
        for program in order:
            progress(f"{program.what}, round {number} of {min(rounds, program.rounds_max)}")
            command = [each.replace(ROUND, str(number)) for each in program.command]
            document = finish(command)
            try:
                if isinstance(document, str):
                    raise ValueError(document)
                for name, value in values_of(document, list(program.series)).items():
                    found[program.what, name].values.append(value)
            except ValueError as error:
                section.missing.append(Missing(program.what, str(error)))
                left.remove(program)
    section.series = [each for each in found.values() if each.values]
    if late:
        said = f"{late} of {rounds} rounds began on a busy machine"
        for each in section.series:
            each.note = "; ".join(text for text in (each.note, said) if text)
    return section
