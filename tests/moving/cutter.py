"""A TCP proxy that cuts what it carries: with a reset, anywhere, as often as a test wants.

Cutter      forwards connections to an address; ``cut`` resets all, ``refuse`` takes no new ones;
            ``heard`` is how each connection began, from the client's side and from the server's
"""

import select
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

LOOK_SECONDS = 0.05
HEARD_BYTES = 4096
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Cutter:
    """Between a client and a server.

    Args:
        target: "tcp://ADDR:PORT" of the server.
        limits: bytes, from the client's side and from the server's together, after which the
            n-th connection is cut; those behind the last one live until ``cut``.
    """

    def __init__(self, target: str, limits: list[int] | None = None) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        self._limits = list(limits or ())
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._door.getsockname()[1]}"
        self._lock = threading.Lock()
        self._open: set[tuple[socket.socket, socket.socket]] = set()
        self._stop = False
        self._refuses = False
        self.connections = 0
        self.heard: list[tuple[bytearray, bytearray]] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> int:
        """Reset every connection; return how many there were."""
        with self._lock:
            pairs, self._open = self._open, set()
        for pair in pairs:
            _reset(pair)
        return len(pairs)

    def refuse(self, refuses: bool = True) -> None:
        """From now on reset new connections at once, or take them again."""
        self._refuses = refuses

    def redirect(self, target: tuple[str, int]) -> None:
        """From now on new connections go elsewhere."""
        self._target = target

    def _accept(self) -> None:
        while not self._stop:
            if not select.select([self._door], [], [], LOOK_SECONDS)[0]:
                continue
            client, _ = self._door.accept()
            if self._refuses:
                _reset((client, client))
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                _reset((client, client))
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            self.connections += 1
            heard = (bytearray(), bytearray())
            self.heard.append(heard)
            with self._lock:
                self._open.add(pair)
            limit = self._limits.pop(0) if self._limits else None
            work = (pair, limit, heard)
            threading.Thread(target=self._forward, args=work, daemon=True).start()

    def _forward(
        self,
        pair: tuple[socket.socket, socket.socket],
        limit: int | None,
        heard: tuple[bytearray, bytearray],
    ) -> None:
        try:
            while limit is None or limit > 0:
                ready, _, _ = select.select(pair, [], [], LOOK_SECONDS)
                if pair not in self._open:
                    return
                for end in ready:
                    data = end.recv(65536 if limit is None else min(limit, 65536))
                    if not data:
                        return
                    said = heard[end is pair[1]]
                    said += data[: HEARD_BYTES - len(said)]
                    pair[end is pair[0]].sendall(data)
                    limit = None if limit is None else limit - len(data)
                    if limit == 0:
                        break
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(pair)
            _reset(pair)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._stop = True
        self._thread.join()
        self.cut()
        self._door.close()


def _reset(pair: tuple[socket.socket, socket.socket]) -> None:
    for end in pair:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)  # wakes a select on it
        end.close()
