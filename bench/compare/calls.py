"""Section "calls": what one call costs in Python, both ends in one process; pytest-benchmark.

Nobody is waited for and no other core takes part, so it is what the library itself takes: its
binding, its bookkeeping and the copy. bench/python/calls.py has the cases.
"""

import sys
from importlib.util import find_spec

from bench.python.calls import SIZES

from . import plan
from .harness import Progress, Section
from .programs import Program, measure_programs
from .results import Missing, Series

SECTION, WORK = "calls", "call"
ROUNDS = 3
OURS = "eastwest-shm"
PEERS = {  # system -> the module that it needs, and its package; "": Python's own
    "unix-stream": ("socket", ""),
    "unix-seqpacket": ("socket", ""),
    "pipe": ("os", ""),
    "mp-pipe": ("multiprocessing", ""),
    "zmq-inproc": ("zmq", "pyzmq"),
    "iceoryx2": ("iceoryx2", "iceoryx2"),
}
OWN = {  # calls of ours that the others have no like of: case -> (work, bytes, note)
    "send_and_recv_into": ("send and recv_into", 64, ""),
    "send_parts_and_recv": ("send_parts and recv", 64, "two parts"),
    "send_with_timeout_and_recv": ("send and recv with a timeout", 64, ""),
    "send_many_and_recv_many": ("send_many and recv_many", 64, "64 messages"),
    "try_recv_of_nothing": ("try_recv of nothing", 0, ""),
    "try_send_into_a_full_ring": ("try_send into a full ring", 64, ""),
}


def cases() -> dict[str, Series]:
    """Return a series without values for each case that can be measured here."""
    found = {f"send_and_recv[{size}]": series_of(OURS, WORK, size) for size in SIZES}
    for system, (module, _) in PEERS.items():
        if find_spec(module) is not None:
            found |= {
                f"send_and_recv[{system}-{size}]": series_of(system, WORK, size) for size in SIZES
            }
    return found | {case: series_of(OURS, *each) for case, each in OWN.items()}


def series_of(system: str, work: str, size: int, note: str = "") -> Series:
    """Return one that has no values yet."""
    return Series(SECTION, system, "python", "", work, size, note=note)


def run(budget: plan.Budget, is_quick: bool, progress: Progress) -> Section:
    """Measure all systems that are there, in one process in each round."""
    command = (sys.executable, "-m", "bench.python.calls", *(["--quick"] if is_quick else []))
    program = Program("calls", command, cases())
    section = measure_programs([program], 1 if is_quick else min(ROUNDS, budget.rounds), progress)
    section.missing += [
        Missing(f"{system}, calls", f"no module {module}", f"pip install {package}")
        for system, (module, package) in PEERS.items()
        if find_spec(module) is None
    ]
    return section
