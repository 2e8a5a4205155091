"""When to try again what has failed: waits that double, each drawn at random.

Pure: the random number is an argument. Every wait is drawn from all of (0, ceiling] ("full
jitter"), so that thousands of clients that lose a server at the same moment come back spread over
the whole ceiling, not together; the first ceiling is FIRST_SECONDS already for that reason. A
success takes the ceiling back only when it has lasted: a server that accepts and falls over again
is not met by everybody at full speed.
"""

from dataclasses import dataclass, replace

FIRST_SECONDS = 0.5  # ceiling of the first wait
LAST_SECONDS = 10.0  # and of the last: a server that starts is not believed about absence for 15
LASTING_SECONDS = 10.0  # a success that long starts over


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt at one server.

    Attributes:
        failures: since the last success that lasted.
        since: when the last success came, seconds of the caller's clock; None while it fails.
    """

    first: float = FIRST_SECONDS
    last: float = LAST_SECONDS
    failures: int = 0
    since: float | None = None

    @property
    def ceiling(self) -> float:
        """The longest wait that the next failure can bring, seconds."""
        return min(self.last, self.first * 2.0 ** min(self.failures, 32))

    def failed(self, now: float, random: float) -> tuple["Backoff", float]:
        """Return what follows a failure, and the seconds to wait.

        Args:
            random: drawn evenly from [0, 1).
        """
        lasted = self.since is not None and now - self.since >= LASTING_SECONDS
        base = replace(self, failures=0) if lasted else self
        wait = base.ceiling * (1.0 - random)
        return replace(base, failures=base.failures + 1, since=None), wait

    def succeeded(self, now: float) -> "Backoff":
        """Return what follows a success, for example the first answer of a connection."""
        return self if self.since is not None else replace(self, since=now)
