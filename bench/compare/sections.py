"""The sections of a run: each a question, and what answers it."""

from collections.abc import Callable
from dataclasses import dataclass

from . import calls, ovs, plan, remote, scale, sweep
from .harness import Case, Progress, Section, measure
from .machine import room_for_queues

Run = Callable[[plan.Budget, bool, Progress], Section]


@dataclass(frozen=True, slots=True)
class Question:
    """A section.

    Attributes:
        name: in the results.
        text: what it asks, for ``--help`` and the page.
        run: measures it: the budget, whether it is a quick run, where to tell how far it is.
    """

    name: str
    text: str
    run: Run


def of_pairs(cases: Callable[[plan.Budget], list[Case]]) -> Run:
    """Return what runs a section that consists of pairs."""
    return lambda budget, _, progress: measure(cases(budget), budget.rounds, progress)


def many(budget: plan.Budget, _: bool, progress: Progress) -> Section:
    """A hundred channels; the queues of all systems that use some are there at the same time."""
    with room_for_queues(4 * 2 * plan.MANY):
        return measure(plan.many(budget), budget.rounds, progress)


QUESTIONS = (
    Question("limits", "what the machine allows at all", of_pairs(plan.limits)),
    Question("local", "two processes of one host", of_pairs(plan.local)),
    Question("async", "the same in asyncio", of_pairs(plan.in_event_loops)),
    Question("calls", "what one call costs, both ends in one process", calls.run),
    Question("many", "a hundred channels at once", many),
    Question("remote", "between two hosts, or over two devices", remote.run),
    Question("ovs", "what a switch between two ends costs", ovs.run),
    Question("sweep", "every size on every path", sweep.run),
    Question("scale", "what grows with what", scale.run),
)
