"""Which member of a cluster to ask next. Pure: time and randomness are arguments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ._backoff import Backoff

Endpoint: TypeAlias = tuple[str, int]

FIRST_SECONDS = 0.25  # the longest first wait after a failure
LAST_SECONDS = 10.0  # and the longest of all

_FRESH = Backoff(FIRST_SECONDS, LAST_SECONDS)


@dataclass(slots=True)
class _State:
    backoff: Backoff = _FRESH
    until: float = 0.0  # not before this time, unless nobody else is left
    problem: str = ""


class Endpoints:
    """The members, and when each of them failed.

    The one that answered last stays the first choice: a watch and the calls around it stay
    together. The others come in a random order, so that clients of a dead member spread out; those
    that failed lately come last, the one whose wait ends first before the others.
    """

    def __init__(self, endpoints: Sequence[Endpoint], random: Callable[[], float]) -> None:
        self._states = {each: _State() for each in endpoints}
        self._random = random
        self._good: Endpoint | None = None

    def order(self, now: float) -> list[Endpoint]:
        """Return all members, the best first."""

        def rank(endpoint: Endpoint) -> tuple[float, bool, float]:
            wait = max(0.0, self._states[endpoint].until - now)
            return wait, endpoint != self._good, self._random()

        return sorted(self._states, key=rank)

    def worked(self, endpoint: Endpoint) -> None:
        """It answered."""
        self._states[endpoint] = _State()
        self._good = endpoint

    def failed(self, endpoint: Endpoint, now: float, problem: str) -> None:
        """It did not, for a reason that may pass."""
        state = self._states[endpoint]
        state.backoff, wait = state.backoff.failed(now, self._random())
        state.until = now + wait
        state.problem = problem
        if self._good == endpoint:
            self._good = None

    def problems(self) -> dict[Endpoint, str]:
        """Return what went wrong with each member that does not work."""
        return {each: state.problem for each, state in self._states.items() if state.problem}
