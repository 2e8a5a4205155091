"""Tasks that wait for the same thing stand in line; the first one looks, the others sleep.

Nothing is handed over: whoever is woken takes what it waited for itself, in the step in which it
returns. So a cancelled task has taken nothing, and whoever leaves the line wakes the next.
"""

import asyncio
import math
from collections.abc import Callable
from typing import TypeVar

from .._errors import Timeout
from ._turn import lap

T = TypeVar("T")
Loop = asyncio.AbstractEventLoop


def check_timeout(timeout: float | None) -> None:
    """Raise ValueError unless it is None or a number of seconds, as the synchronous calls do."""
    if timeout is not None and (math.isnan(timeout) or timeout < 0):
        raise ValueError(f"timeout of {timeout!r} seconds: must be 0 or more")


class Ticket:
    """A place in the line."""

    __slots__ = ("_future", "expired")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self.expired = False

    async def wait(self, loop: Loop, seconds: float | None) -> None:
        """Sleep until ``wake``, or for so long."""
        self._future = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, self.wake)
        try:
            await self._future
        finally:
            self._future = None
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Let the task look again."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def expire(self) -> None:
        """Say that the time is up."""
        self.expired = True
        self.wake()


class Line:
    """Waiting tasks, in the order in which they came.

    Args:
        arm: asks for a wake-up; True: do not wait, try again.
        look_seconds: how often the first one looks again without a wake-up; None: never.
    """

    __slots__ = ("_arm", "_look_seconds", "_tickets")

    def __init__(self, arm: Callable[[], bool], look_seconds: float | None = None) -> None:
        self._arm = arm
        self._look_seconds = look_seconds
        self._tickets: list[Ticket] = []  # a deque takes 760 bytes while it is empty

    def __len__(self) -> int:
        return len(self._tickets)

    def wake(self) -> None:
        """Let the first one look again."""
        if self._tickets:
            self._tickets[0].wake()

    def wake_all(self) -> None:
        """Let everybody look again: it is over."""
        for ticket in self._tickets:
            ticket.wake()

    async def wait(
        self,
        attempt: Callable[[], T | None],
        loop: Loop,
        timeout: float | None,
        lacked: str,
        *,
        tried: bool = False,
    ) -> T:
        """Return the first result of *attempt* that is not None.

        Args:
            attempt: called by the first one in line only; takes the result or changes nothing.
            timeout: seconds; None waits forever.
            lacked: what the error says was not there.
            tried: just now, in vain: ask for the wake-up first, if nobody else is in line.

        Raises:
            Timeout: the time is up.
        """
        ticket = Ticket()
        first = not self._tickets
        self._tickets.append(ticket)
        timer = None if timeout is None else loop.call_later(timeout, ticket.expire)
        try:
            if tried and first and not self._arm():
                await ticket.wait(loop, self._look_seconds)
            while True:
                if self._tickets[0] is ticket:
                    result = attempt()
                    if result is not None:
                        return result
                    if not ticket.expired and self._arm():
                        await lap()
                        continue
                if ticket.expired:
                    raise Timeout(f"{lacked} within {timeout} s")
                is_first = self._tickets[0] is ticket
                await ticket.wait(loop, self._look_seconds if is_first else None)
        finally:
            if timer is not None:
                timer.cancel()
            self._tickets.remove(ticket)
            self.wake()
