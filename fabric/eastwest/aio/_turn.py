"""Fairness: how long tasks may use channels before the rest of the loop has its turn.

A call that need not wait does not go through the loop. A task that only makes such calls would
keep timers and other tasks from running for ever, so after ``CALLS_MAX`` calls, or twice
``SLICE_NS``, one of them goes through the loop once (design, section 7: 64 messages or 200 us).
"""

import asyncio
import types
import weakref
from collections.abc import Generator
from time import perf_counter_ns as clock

CALLS_MAX = 64
SLICE_NS = 100_000
QUIET_LAP_NS = 30_000  # an empty lap takes 4..10 us (measured); a longer one had others in it


@types.coroutine
def lap() -> Generator[None, None, None]:
    """Let everything else that is ready run once."""
    yield


class Turn:
    """The share of one loop, of all its channels together.

    Attributes:
        left: calls that may still be made.
        until: on the clock, when the time is up.
        quiet: the last lap found nobody else who had work to do.
    """

    __slots__ = ("_asked", "_loop", "left", "quiet", "until")

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._asked = False
        self.left = CALLS_MAX
        self.until = -1
        self.quiet = True

    def renew(self) -> None:
        """Begin anew: the loop has run."""
        self._asked = False
        self.left = CALLS_MAX
        self.until = clock() + SLICE_NS

    async def pause(self) -> None:
        """Go through the loop, the share being used up.

        When only time has passed, perhaps the loop has run meanwhile: it is asked first, and the
        calls of another slice need not wait.
        """
        if self.left > 0 and not self._asked and self._loop is not None:
            self._asked = True
            self._loop.call_soon(self.renew)
            self.until = clock() + SLICE_NS
        else:
            await self.lap()

    async def lap(self) -> bool:
        """Go through the loop once; return whether nobody else had work to do."""
        began = clock()
        await lap()
        self.renew()
        self.quiet = self.until - SLICE_NS - began < QUIET_LAP_NS
        return self.quiet


_turns: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turn]" = weakref.WeakKeyDictionary()


def turn_of(loop: asyncio.AbstractEventLoop) -> Turn:
    """Return the share of a loop; the same for all its channels."""
    turn = _turns.get(loop)
    if turn is None:
        turn = _turns[loop] = Turn(loop)
    return turn
