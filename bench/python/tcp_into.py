"""What does recv_into over TCP add to a raw TCP socket? Long messages one way, on loopback.

into    Channel.send, and recv_into of a buffer that is used again; default wait policy
object  the same with recv: a new bytes object for each message
block   as into, wait policy block
raw     socket.sendall, and socket.recv_into with MSG_WAITALL of the same buffer

Value of a round: bytes a second, from the first send until the peer has the last.
block-cpu, raw-cpu: seconds of CPU for each GiB in the receiving process; they say what is copied
even on a busy machine.
"""

import socket
import time
from collections.abc import Callable

import eastwest

from .duo import Duo
from .roundtrip import Wait

SIZES = (64 << 10, 1 << 20, 16 << 20)
BUDGET_BYTES = 256 << 20
WAITS: tuple[Wait, ...] = ("adaptive", "block")


class Flows:
    """Both ends of every case; each method moves *count* messages of *size* bytes."""

    def __init__(self, channels: dict[Wait, eastwest.Channel], sock: socket.socket) -> None:
        self.channel = channels["adaptive"]
        self.sock = sock
        self.buffer = bytearray(max(SIZES))
        self.message = memoryview(bytes(range(256)) * (max(SIZES) // 256))

    def send(self, size: int, count: int) -> None:
        """One call for each message."""
        send, message = self.channel.send, self.message[:size]
        for _ in range(count):
            send(message)

    def recv_into(self, size: int, count: int) -> None:
        """Counterpart of send."""
        recv_into, buffer = self.channel.recv_into, self.buffer
        for _ in range(count):
            if recv_into(buffer) != size:
                raise EOFError("a message of another size")

    def recv(self, size: int, count: int) -> None:
        """Counterpart of send, with a new object each time."""
        recv = self.channel.recv
        for _ in range(count):
            if len(recv()) != size:
                raise EOFError("a message of another size")

    def raw_send(self, size: int, count: int) -> None:
        """The kernel cuts it."""
        sendall, message = self.sock.sendall, self.message[:size]
        for _ in range(count):
            sendall(message)

    def raw_recv(self, size: int, count: int) -> None:
        """Counterpart of raw_send."""
        view = memoryview(self.buffer)[:size]
        for _ in range(count):
            if self.sock.recv_into(view, size, socket.MSG_WAITALL) != size:
                raise EOFError("the other process is gone")


def raw_pair(duo: Duo) -> socket.socket:
    """Return this side's end of a TCP connection over loopback."""
    if duo.is_peer:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            duo.tell(str(listener.getsockname()[1]))
            sock, _ = listener.accept()
    else:
        sock = socket.create_connection(("127.0.0.1", int(duo.tell(""))))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def measure(duo: Duo, name: str, size: int, run: Callable[[int, int], None]) -> None:
    """Run one case for one round."""
    count = BUDGET_BYTES // size
    duo.meet()
    start, cpu = time.perf_counter(), time.process_time()
    run(size, count)
    theirs = float(duo.tell(str(time.process_time() - cpu)))
    duo.case(f"{name}/{size}").values.append(count * size / (time.perf_counter() - start))
    if name in ("block", "raw"):
        duo.case(f"{name}-cpu/{size}").values.append(theirs * (1 << 30) / (count * size))


def channel_of(duo: Duo, context: eastwest.Context, wait: Wait) -> eastwest.Channel:
    """Return this side's end of a channel over TCP; the peer listens."""
    if duo.is_peer:
        listener = context.listen(f"bench-{wait}")
        duo.meet()
        channel = listener.accept(timeout=10)
    else:
        duo.meet()
        channel = context.connect(f"bench-{wait}", timeout=10)
        channel.switch("tcp", timeout=10)
    duo.meet()
    return channel


def main() -> None:
    """Run all sizes and cases, interleaved."""
    with Duo(rounds=9, rounds_quick=3) as duo:
        channels: dict[Wait, eastwest.Channel] = {}
        for wait in WAITS:
            config = eastwest.Config(
                runtime_dirs=(duo.directory,), bind="127.0.0.1:0", paths=("shm", "tcp"), wait=wait
            )
            channels[wait] = channel_of(duo, eastwest.Context(config), wait)
        duo.pin()
        flows = Flows(channels, raw_pair(duo))
        peer = duo.is_peer
        for _ in range(duo.rounds):
            for size in SIZES:
                flows.channel = channels["adaptive"]
                measure(duo, "into", size, flows.recv_into if peer else flows.send)
                measure(duo, "object", size, flows.recv if peer else flows.send)
                measure(duo, "raw", size, flows.raw_recv if peer else flows.raw_send)
                flows.channel = channels["block"]
                measure(duo, "block", size, flows.recv_into if peer else flows.send)
        duo.meet()
        for channel in channels.values():
            channel.abort()
    duo.print("python-tcp-into", "bytes/s")


if __name__ == "__main__":
    main()
