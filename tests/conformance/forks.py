"""Work in a forked child of the test's process."""

import os
import signal
import traceback
from collections.abc import Callable

import eastwest
from tests.conformance.pairs import LONG


def in_fork(work: Callable[[], object]) -> None:
    """Run *work* in a forked child, which then ends at once; fail if it raised or hung."""
    told, tells = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(int(LONG))
            work()
            os.write(tells, b"good")
        except BaseException:  # noqa: BLE001 nothing of pytest may run in the child
            os.write(tells, traceback.format_exc().encode())
        os._exit(0)
    os.close(tells)
    with open(told, "rb") as said:
        _, status = os.waitpid(pid, 0)
        text = said.read().decode()
    assert (status, text) == (0, "good"), f"status {status}: {text}"


def refuses(work: Callable[[], object]) -> None:
    try:
        work()
    except eastwest.ForkedError as error:
        assert isinstance(error, RuntimeError)
        return
    raise AssertionError("no ForkedError")
