"""Polls that wait for a change, by what they wait for and by when they give up.

Pure: no sockets, threads, clock. One thread. Adding, waking and timing out cost what they
concern, however many others wait.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar

from ._errors import LimitReached
from ._leases import Limits, Position, Scope

K = TypeVar("K", bound=Hashable)

GRAIN_SECONDS = 0.25  # polls are answered so much later than they asked for, at most


@dataclass(slots=True, eq=False)
class Poll:
    """One poll that waits."""

    client: Hashable  # whose limit counts
    route: bytes  # of the connection
    number: bytes  # of the request
    scope: Scope
    position: Position
    deadline: float  # seconds, of the clock of the server


class Waiting:
    """All polls that wait."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_scope: dict[Scope, dict[Poll, None]] = {}
        self._by_time: dict[int, dict[Poll, None]] = {}  # in units of GRAIN_SECONDS
        self._of_client: dict[Hashable, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, poll: Poll) -> None:
        """Have *poll* wait.

        Raises:
            LimitReached: too many wait, of this client or at all.
        """
        own = self._of_client.get(poll.client, 0)
        for have, limit, what in (
            (own, self._limits.polls_per_client, "waiting polls of one client"),
            (self._count, self._limits.polls, "waiting polls"),
        ):
            if have >= limit:
                raise LimitReached(
                    f"{have + 1} {what} would be above the limit of this server, {limit}; "
                    "watch fewer services, or the whole namespace"
                )
        self._of_client[poll.client] = own + 1
        self._count += 1
        self._by_scope.setdefault(poll.scope, {})[poll] = None
        self._by_time.setdefault(_slot(poll), {})[poll] = None

    def take_of(self, scope: Scope) -> list[Poll]:
        """Return the polls that wait for *scope*; they no longer wait."""
        return self._take(self._by_scope.get(scope, {}))

    def take_due(self, now: float) -> list[Poll]:
        """Return the polls whose time is over; they no longer wait."""
        due = [slot for slot in self._by_time if slot * GRAIN_SECONDS <= now]
        return [poll for slot in due for poll in self._take(self._by_time[slot])]

    def take_all(self) -> list[Poll]:
        """Return all polls; none waits any longer."""
        return [poll for scope in list(self._by_scope) for poll in self.take_of(scope)]

    def _take(self, several: dict[Poll, None]) -> list[Poll]:
        taken = list(several)
        for poll in taken:
            self._count -= 1
            left = self._of_client.pop(poll.client) - 1
            if left:
                self._of_client[poll.client] = left
            _drop(self._by_scope, poll.scope, poll)
            _drop(self._by_time, _slot(poll), poll)
        return taken


def _slot(poll: Poll) -> int:
    return int(poll.deadline // GRAIN_SECONDS) + 1


def _drop(index: dict[K, dict[Poll, None]], key: K, poll: Poll) -> None:
    of_key = index[key]
    del of_key[poll]
    if not of_key:
        del index[key]
