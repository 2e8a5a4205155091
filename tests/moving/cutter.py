"""A TCP proxy that cuts what it carries: with a reset, anywhere, as often as a test wants.

Cutter      forwards connections to an address; ``cut`` resets all, ``refuse`` takes no new ones,
            ``mute`` keeps what the server says; it may be as far away as the end of the world.
            ``heard`` is how each connection began, from the client's side and from the server's;
            of one that is far away, nothing
"""

import select
import socket
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Self

LOOK_SECONDS = 0.05
HEARD_BYTES = 4096
LINE_BYTES = 64 << 20  # on their way in one direction, at most
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Cutter:
    """Between a client and a server.

    Args:
        target: "tcp://ADDR:PORT" of the server.
        limits: bytes, from the client's side and from the server's together, after which the
            n-th connection is cut; those behind the last one live until ``cut``.
        delay: seconds that everything takes in each direction.
        rate: bytes per second in each direction, 0: all that goes. With a delay only.
    """

    def __init__(
        self,
        target: str,
        limits: list[int] | None = None,
        *,
        delay: float = 0.0,
        rate: float = 0.0,
    ) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        self._limits = list(limits or ())
        self._delay, self._rate = delay, rate
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._door.getsockname()[1]}"
        self._lock = threading.Lock()
        self._open: set[tuple[socket.socket, socket.socket]] = set()
        self._stop = False
        self._refuses = False
        self._mutes = False
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

    def mute(self, mutes: bool = True) -> None:
        """From now on keep what the server says, or pass it on again."""
        self._mutes = mutes

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
            forward = partial(self._forward, limit=limit, heard=heard)
            work = self._delayed if self._delay else forward
            threading.Thread(target=work, args=(pair,), daemon=True).start()

    def _forward(
        self,
        pair: tuple[socket.socket, socket.socket],
        limit: int | None,
        heard: tuple[bytearray, bytearray],
    ) -> None:
        try:
            while limit is None or limit > 0:
                listens = pair[:1] if self._mutes else pair
                ready, _, _ = select.select(listens, [], [], LOOK_SECONDS)
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

    def _delayed(self, pair: tuple[socket.socket, socket.socket]) -> None:
        lines = (
            _Line(pair[0], pair[1], self._delay, self._rate),
            _Line(pair[1], pair[0], self._delay, self._rate),
        )
        try:
            while not all(line.ended and not line.waiting for line in lines):
                open_ends = [line.source for line in lines if line.takes]
                first = min(line.due for line in lines)
                pause = min(max(first - time.monotonic(), 0.0), LOOK_SECONDS)
                ready, _, _ = select.select(open_ends, [], [], pause)
                if pair not in self._open:
                    return
                for line in lines:
                    if line.source in ready:
                        line.take()
                    line.give()
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(pair)
            _reset(pair)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop = True
        self._thread.join()
        self.cut()
        self._door.close()


class _Line:
    """One direction of a connection: what went in comes out later."""

    def __init__(self, source: socket.socket, sink: socket.socket, delay: float, rate: float):
        self.source, self.sink = source, sink
        self.delay, self.rate = delay, rate
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.bytes = 0
        self.ended = False
        self.free_at = 0.0  # the line carries the next byte

    @property
    def takes(self) -> bool:
        return not self.ended and self.bytes < LINE_BYTES

    @property
    def due(self) -> float:
        return self.waiting[0][0] if self.waiting else float("inf")

    def take(self) -> None:
        data = self.source.recv(65536)
        now = time.monotonic()
        self.free_at = max(now, self.free_at) + (len(data) / self.rate if self.rate else 0.0)
        self.waiting.append((self.free_at + self.delay, data))
        self.bytes += len(data)
        self.ended = not data

    def give(self) -> None:
        while self.waiting and self.due <= time.monotonic():
            _, data = self.waiting.popleft()
            self.bytes -= len(data)
            if data:
                self.sink.sendall(data)
            else:
                self.sink.shutdown(socket.SHUT_WR)


def _reset(pair: tuple[socket.socket, socket.socket]) -> None:
    for end in pair:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)  # wakes a select on it
        end.close()
