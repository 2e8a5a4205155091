"""The C library's runtime directories as typed Python: what ``_native`` is for the rest."""

import os

from ._core import ffi, lib
from ._native import check, text_of


def sweep_control(directory: str) -> int:
    """Remove the control sockets of dead processes from a runtime directory; return how many.

    Raises:
        EastwestError: it is not there, or not safe to use.
    """
    return check(lib.ew_rundir_sweep_control(os.fsencode(directory)))


def rundir_problem(directory: str, create: bool) -> str | None:
    """Return what is wrong with a runtime directory, or None; may make a missing last part."""
    if lib.ew_rundir_check(os.fsencode(directory), create) < 0:
        return text_of(lib.ew_error_text())
    return None


def rundir_prefix(namespace: str, service: str) -> str:
    """Return how the names of a service's sockets begin."""
    out = ffi.new("char[24]")
    check(lib.ew_rundir_prefix(namespace.encode(), service.encode(), out))
    return text_of(out)


def is_socket_name(name: str) -> bool:
    """Whether a file in a runtime directory belongs to a listener of this boot."""
    found: int = lib.ew_rundir_is_socket_name(os.fsencode(name))
    return found > 0
