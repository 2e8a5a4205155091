"""gRPC through grpcio: calls with messages of plain bytes, over a Unix socket or TCP.

trip, paced    a unary call; the server's handler returns the request
fan            a unary call for each link at once, on one connection, as gRPC's guide has it
flow           one call that streams requests, answered after the last

gRPC's threads do the I/O on the core of their process: only wait=block.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from typing import Any, Final

from bench.compare.pair.ends import Setup, Side, package
from bench.compare.pair.loops import Run, Task, run_of

WHY: Final = "gRPC's threads would share their core with who spins"
SERVICE: Final = "bench.Pair"
PATIENCE_S: Final = 20
OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)


def address_of(setup: Setup, transport: str) -> str:
    """Return where the server is to listen."""
    return f"unix:{setup.folder}/grpc" if transport == "uds" else f"{setup.host}:0"


def told_address(setup: Setup, address: str, port: int) -> str:
    """Tell the client where the server listens, and return it."""
    if not setup.duo.is_peer:
        return setup.duo.tell("")
    setup.duo.tell(address if address.startswith("unix:") else f"{setup.host}:{port}")
    return address


class Grpc(Side):
    """A server with a thread for each link, or a channel to it."""

    def __init__(self, setup: Setup, transport: str) -> None:
        setup.require_wait("block", why=WHY)
        self._links = setup.links
        self._meet = setup.duo.meet
        self._grpc = package("grpc", "grpcio")
        self.version = f"grpcio {self._grpc.__version__}"
        self.detail = f"unary calls, flow: a stream; over {transport}; bytes without protobuf"
        address = address_of(setup, transport)
        self._pool: ThreadPoolExecutor | None = None
        if setup.duo.is_peer:
            self._pool = ThreadPoolExecutor(max_workers=max(2, setup.links))
            self._server = self._grpc.server(self._pool, options=OPTIONS)
            self._server.add_generic_rpc_handlers((handlers(self._grpc, _echo, _take),))
            port = self._server.add_insecure_port(address)
            self._server.start()
            told_address(setup, address, port)
            return
        self._channel = self._grpc.insecure_channel(told_address(setup, address, 0), OPTIONS)
        self._grpc.channel_ready_future(self._channel).result(timeout=PATIENCE_S)
        self._echo = self._channel.unary_unary(f"/{SERVICE}/Echo")
        self._take = self._channel.stream_unary(f"/{SERVICE}/Take")

    def run_of(self, task: Task) -> Run:
        """See ``Side``; a server's threads answer, and ``Duo.meet`` waits for the client."""
        if task.is_server:
            return lambda count: None
        if task.work == "flow":
            return lambda count: self._take(repeat(task.message, count))
        call = self._echo
        if task.work == "fan":
            calls: deque[Any] = deque()
            sends = [partial(_begin, calls, call.future)] * self._links
            return run_of(task, sends, [lambda: calls.popleft().result()] * self._links)
        return run_of(task, [_nothing], [lambda: call(task.message)])

    def close(self) -> None:
        """See ``Side``; the client goes first."""
        if self._pool is None:
            self._channel.close()
        self._meet()
        if self._pool is None:
            return
        self._server.stop(grace=None).wait()
        self._pool.shutdown()


def handlers(grpc: Any, echo: Callable[..., Any], take: Callable[..., Any]) -> Any:
    """Return the service."""
    methods = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Take": grpc.stream_unary_rpc_method_handler(take),
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def _nothing(_: bytes) -> None:
    """Leave it to the call that also waits for the answer."""


def _begin(calls: deque[Any], call: Callable[[bytes], Any], message: bytes) -> None:
    calls.append(call(message))


def _echo(message: bytes, _: object) -> bytes:
    return message


def _take(messages: Iterator[bytes], _: object) -> bytes:
    for _message in messages:
        pass
    return b""


SYSTEMS: dict[str, Callable[[Setup], Side]] = {
    "grpc-uds": lambda setup: Grpc(setup, "uds"),
    "grpc-tcp": lambda setup: Grpc(setup, "tcp"),
}
