"""nng through pynng: a Pair0 socket for each link, over ipc or tcp.

nng's threads do the I/O on the core of their process: only wait=block. It sets TCP_NODELAY itself.
"""

from collections.abc import Callable
from typing import Any, Final

from bench.compare.pair.ends import Ends, Setup, Side, package
from bench.compare.pair.loops import Recv, Send

WHY: Final = "nng's threads would share their core with who spins"
UNLIMITED: Final = 0
MESSAGES: Final = 128  # that a socket keeps each way; by default none, and every send waits
PATIENCE_MS: Final = 20_000


class Nng(Ends):
    """Sockets of one transport."""

    def __init__(self, setup: Setup, transport: str) -> None:
        setup.require_wait("block", why=WHY)
        pynng = package("pynng", "pynng")
        self._sockets = [self._socket(pynng) for _ in range(setup.links)]
        if setup.duo.is_peer:
            ends = []
            for link, each in enumerate(self._sockets):
                is_ipc = transport == "ipc"
                each.listen(
                    f"ipc://{setup.folder}/nng-{link}" if is_ipc else f"tcp://{setup.host}:0"
                )
                address = each.listeners[0].local_address
                ends.append(f"ipc://{setup.folder}/nng-{link}" if is_ipc else f"tcp://{address}")
            setup.duo.tell(" ".join(ends))
        else:
            for end, each in zip(setup.duo.tell("").split(), self._sockets, strict=True):
                each.dial(end, block=True)
        self.version = f"pynng {pynng.__version__}, nng {_nng_version()}"
        self.detail = f"Pair0 over {transport}"

    @staticmethod
    def _socket(pynng: Any) -> Any:
        buffers = {"send_buffer_size": MESSAGES, "recv_buffer_size": MESSAGES}
        return pynng.Pair0(recv_max_size=UNLIMITED, **buffers)

    def send_of(self, link: int) -> Send:
        """See ``Ends``."""
        return self._sockets[link].send  # type: ignore[no-any-return]

    def recv_of(self, link: int) -> Recv:
        """See ``Ends``."""
        return self._sockets[link].recv  # type: ignore[no-any-return]

    def close(self) -> None:
        """See ``Side``."""
        for each in self._sockets:
            each.close()


def _nng_version() -> str:
    inner = package("pynng._nng", "pynng")
    return str(inner.ffi.string(inner.lib.nng_version()).decode())


SYSTEMS: dict[str, Callable[[Setup], Side]] = {
    "nng-ipc": lambda setup: Nng(setup, "ipc"),
    "nng-tcp": lambda setup: Nng(setup, "tcp"),
}
