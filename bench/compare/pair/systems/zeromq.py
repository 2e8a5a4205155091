"""ZeroMQ through pyzmq: a PAIR socket for each link, over ipc or tcp.

Messages above pyzmq's COPY_THRESHOLD are sent and received without a copy in Python. ZeroMQ sets
TCP_NODELAY itself. Its I/O thread works on the core of its process, so who polled would take the
time from the thread that he waits for: only wait=block.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bench.compare.pair.ends import Cannot, Ends, Setup, Side, package
from bench.compare.pair.loops import Recv, Send

WHY: Final = "ZeroMQ's I/O thread would share its core with who spins"
QUEUED_BYTES_MAX: Final = 64 << 20  # what the high water mark of 1000 messages may come to
MARK: Final = 1000  # ZeroMQ's default
MARK_LEAST: Final = 4


class Sockets:
    """The sockets of one side; ``make`` is the class of their context."""

    def __init__(self, setup: Setup, zmq: Any, make: Callable[[], Any], transport: str) -> None:
        self._setup, self._zmq, self._transport = setup, zmq, transport
        self._context = make()
        self._context.set(zmq.MAX_SOCKETS, 2 * setup.links + 16)
        self.mark = 0
        self._opened = 0  # times
        self.all: list[Any] = []
        self.open(1)

    def open(self, size: int) -> None:
        """Have sockets for messages of this size; a high water mark holds from the begin only."""
        mark = max(MARK_LEAST, min(MARK, QUEUED_BYTES_MAX // size))
        if mark == self.mark:
            return
        self._setup.duo.meet()
        self._drop()
        self.mark = mark
        self._opened += 1
        self.all = [self._context.socket(self._zmq.PAIR) for _ in range(self._setup.links)]
        for each in self.all:
            each.linger = 0
            each.set_hwm(mark)
        if self._setup.duo.is_peer:
            self._setup.duo.tell(" ".join(map(self._bound, self.all, range(self._setup.links))))
            return
        for end, each in zip(self._setup.duo.tell("").split(), self.all, strict=True):
            each.connect(end)

    def _bound(self, sock: Any, link: int) -> str:
        if self._transport == "ipc":
            sock.bind(f"ipc://{self._setup.folder}/zmq-{self._opened}-{link}")
        else:
            sock.bind(f"tcp://{self._setup.host}:*")
        return str(sock.last_endpoint.decode())

    def options(self, size: int) -> dict[str, bool]:
        """Return how messages of this size are sent and received."""
        return {"copy": False} if size > self._zmq.COPY_THRESHOLD else {}

    def close(self) -> None:
        """Close all."""
        self._drop()
        self._context.term()

    def _drop(self) -> None:
        for each in self.all:
            each.close()
        self.all = []


class Zmq(Ends):
    """Sockets that block."""

    def __init__(self, setup: Setup, transport: str) -> None:
        setup.require_wait("block", why=WHY)
        zmq = package("zmq", "pyzmq")
        self._sockets = Sockets(setup, zmq, zmq.Context, transport)
        self.version = f"pyzmq {zmq.pyzmq_version()}, libzmq {zmq.zmq_version()}"
        self.detail = f"PAIR over {transport}, large messages without a copy"

    def prepare(self, size: int) -> None:
        """See ``Side``."""
        super().prepare(size)
        self._sockets.open(size)

    def hold(self, in_flight: int) -> None:
        """See ``Side``."""
        if in_flight > (room := 2 * self._sockets.mark):
            raise Cannot(f"{in_flight} answers; two queues hold {room}")

    def send_of(self, link: int) -> Send:
        """See ``Ends``."""
        return partial(self._sockets.all[link].send, **self._sockets.options(self.size))

    def recv_of(self, link: int) -> Recv:
        """See ``Ends``."""
        return partial(self._sockets.all[link].recv, **self._sockets.options(self.size))

    def close(self) -> None:
        """See ``Side``."""
        self._sockets.close()


SYSTEMS: dict[str, Callable[[Setup], Side]] = {
    "zmq-ipc": lambda setup: Zmq(setup, "ipc"),
    "zmq-tcp": lambda setup: Zmq(setup, "tcp"),
}
