"""A pair that stands still while others are measured.

Most pairs sleep between two works, but who drives a device that cannot wake a sleeper looks at it a
thousand times a second. The processes of such a pair are stopped.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .pairs import Done, Pair, children
from .specs import PairSpec


class StillPair(Pair):
    """A pair whose processes are stopped, but for its works."""

    _pids: tuple[int, ...] = ()  # of stopped processes
    _depth = 0  # of ``running``

    def __init__(self, spec: PairSpec) -> None:
        """As ``Pair``."""
        with self.running():
            super().__init__(spec)

    def do(self, work: str, size: int, seconds: float, *more: float) -> Done | None:
        """See ``Pair``."""
        with self.running():
            return super().do(work, size, seconds, *more)

    def close(self) -> None:
        """See ``Pair``."""
        with self.running():
            super().close()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it go on for a while; may be nested."""
        if self._depth == 0:
            self.resume()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self.pause()

    def pause(self) -> None:
        """Stop it."""
        process = getattr(self, "_process", None)
        if process is None or process.poll() is not None:
            return
        self._pids = (process.pid, *children(process.pid))
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)
        self._pids = ()

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
