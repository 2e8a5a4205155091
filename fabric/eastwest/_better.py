"""A better path for a channel than the one it is on, found at little cost. No native module.

shm    a socket of the instance is in the runtime directories: a listing
dpdk   for a channel on tcp, while our port on the fabric works: where the instance is there was
       looked up, and is kept for KEPT_SECONDS
"""

import time
from collections.abc import Callable, Sequence

from ._addresses import path_of
from ._fabric import Fabric
from ._values import Path

KEPT_SECONDS = 15.0
INSTANCES_MAX = 1024


class Better:
    """Looks for one context; by the thread that keeps its channels.

    Args:
        local: (service, instance) -> its address on this host.
        ways: (service, instance) -> every address of it that may be dialled, best path first.
    """

    def __init__(
        self,
        local: Callable[[str, str], str | None],
        ways: Callable[[str, str], Sequence[str]],
        fabric: Callable[[], Fabric],
        paths: Sequence[Path],
    ) -> None:
        self._local = local if "shm" in paths else None
        self._ways = ways
        self._fabric = fabric if {"dpdk", "tcp"} <= set(paths) else None
        self._kept: dict[tuple[str, str], tuple[float, str | None]] = {}

    @property
    def may_be(self) -> bool:
        """Whether there can be one for any channel."""
        return self._local is not None or self._fabric is not None

    def __call__(self, service: str, instance: str, path: Path | None) -> str | None:
        """Return the address, None: stay."""
        if self._local is not None and (address := self._local(service, instance)) is not None:
            return address
        if path == "tcp" and self._fabric is not None and self._fabric().state == "up":
            return self._on_fabric(service, instance)
        return None

    def _on_fabric(self, service: str, instance: str) -> str | None:
        now = time.monotonic()
        until, address = self._kept.get((service, instance), (now, None))
        if until <= now:
            found = self._ways(service, instance)
            address = next((each for each in found if path_of(each) == "dpdk"), None)
            if len(self._kept) >= INSTANCES_MAX:
                self._kept.clear()
            self._kept[service, instance] = (now + KEPT_SECONDS, address)
        return address
