"""Two processes that measure the same things side by side: duo.h, for Python.

Duo        the two processes; both run the same schedule, round by round
Series     one number for each round, and samples for percentiles
document   everything as one object, in the form of duo.h

Nobody is left behind: the peer dies with its parent, and both die of SIGALRM after LIFE_S.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from typing import Any, Self

LIFE_S = 300
PR_SET_PDEATHSIG = 1  # prctl(2)
QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def die_with_parent(parent: int) -> None:
    """End this process when *parent* ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@dataclass
class Series:
    """What one case measured."""

    values: list[float] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)

    def to_dict(self, name: str) -> dict[str, Any]:
        """Return the form that the report reads."""
        made: dict[str, Any] = {"case": name, "values": self.values}
        if self.samples:
            ordered = sorted(self.samples)
            for label, share in QUANTILES.items():
                made[label] = ordered[int((len(ordered) - 1) * share)]
            made["samples"] = len(ordered)
        return made


class Duo:
    """This process and its peer.

    Attributes:
        is_peer: this is the second process.
        rounds: how many rounds to run.
        directory: a runtime directory for both, removed at the end.
    """

    def __init__(self, rounds: int, rounds_quick: int, *, life_s: int = LIFE_S) -> None:
        self.rounds = rounds_quick if "--quick" in sys.argv[1:] else rounds
        self.directory = tempfile.mkdtemp(prefix="eastwest-bench-")
        self.series: dict[str, Series] = {}
        mine, theirs = socket.socketpair()
        parent = os.getpid()
        self._peer = os.fork()
        self.is_peer = self._peer == 0
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(life_s)
        if self.is_peer:
            die_with_parent(parent)
            mine, theirs = theirs, mine
        theirs.close()
        self.wire = mine

    def pin(self) -> None:
        """Take a CPU for each side: the first and the second that this process may use.

        An adaptive wait does not spin with one CPU: open such a context before.
        """
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpus[min(int(self.is_peer), len(cpus) - 1)]})

    def meet(self) -> None:
        """Wait until the other process comes here too."""
        self.tell("")

    def tell(self, text: str) -> str:
        """Exchange a short text with the other process."""
        self.wire.sendall(f"{text}\n".encode())
        heard = b""
        while not heard.endswith(b"\n"):
            piece = self.wire.recv(1)
            if not piece:
                sys.exit("bench: the other process is gone")
            heard += piece
        return heard[:-1].decode()

    def case(self, name: str) -> Series:
        """Return the series of that name, made at its first use."""
        return self.series.setdefault(name, Series())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.is_peer:
            sys.stdout.flush()
            sys.stderr.flush()
            if error[1] is not None:
                sys.excepthook(type(error[1]), error[1], error[2])  # type: ignore[arg-type]
            os._exit(error[1] is not None)
        if error[1] is not None:
            os.kill(self._peer, signal.SIGKILL)
        _, status = os.waitpid(self._peer, 0)
        shutil.rmtree(self.directory, ignore_errors=True)
        if error[1] is None and status != 0:
            sys.exit(f"bench: the peer ended with status {status}")

    def print(self, name: str, unit: str) -> None:
        """Write the document to stdout."""
        print(json.dumps(document(name, unit, self.rounds, self.series)))


def document(name: str, unit: str, rounds: int, series: dict[str, Series]) -> dict[str, Any]:
    """Return what a benchmark writes."""
    return {
        "schema": "eastwest-bench-1",
        "name": name,
        "unit": unit,
        "rounds": rounds,
        "cases": [each.to_dict(case) for case, each in series.items()],
    }
