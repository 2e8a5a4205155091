"""A file for each system; only that of the system that is measured is loaded.

Each has ``SYSTEMS``: what opens this side of each of its kinds of links; some have ``INHERITED``:
what a system makes, for so many links, before the two processes part.
"""

import importlib
from collections.abc import Callable
from typing import Any, Final

from bench.compare.pair.ends import Setup, Side

MODULES: Final = {
    "eastwest": ("eastwest-shm", "eastwest-tcp", "eastwest-dpdk"),
    "eastwest_aio": ("eastwest-shm-aio", "eastwest-tcp-aio"),
    "sockets": ("unix-stream", "unix-seqpacket", "tcp"),
    "streams_aio": ("unix-stream-aio",),
    "pipe": ("pipe",),
    "posix_mq": ("posix-mq",),
    "multiprocess": ("mp-pipe", "mp-queue"),
    "zeromq": ("zmq-ipc", "zmq-tcp"),
    "zeromq_aio": ("zmq-ipc-aio",),
    "nng": ("nng-ipc", "nng-tcp"),
    "iceoryx": ("iceoryx2",),
    "zenoh_": ("zenoh-tcp", "zenoh-ipc", "zenoh-shm"),
    "ecal_": ("ecal",),
    "grpc_": ("grpc-uds", "grpc-tcp"),
    "grpc_aio": ("grpc-uds-aio",),
}
NAMES: Final = tuple(name for names in MODULES.values() for name in names)


def opener_of(name: str) -> Callable[[Setup], Side]:
    """Return what opens a side of a system."""
    opener: Callable[[Setup], Side] = _module_of(name).SYSTEMS[name]
    return opener


def inherited_of(name: str, links: int) -> object:
    """Return what a system makes before the fork; None: nothing."""
    makers: dict[str, Callable[[int], object]] = getattr(_module_of(name), "INHERITED", {})
    return makers[name](links) if name in makers else None


def _module_of(name: str) -> Any:
    found = next(module for module, names in MODULES.items() if name in names)
    return importlib.import_module(f"{__name__}.{found}")
