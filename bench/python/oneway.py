"""How many messages go one way in a second between two Python processes?

send        Channel.send for each, a for loop at the other end; spin
many        Channel.send_many and recv_many, 64 at a time
unix        a blocking Unix stream socket: sendall for each, recv_into of a whole message
into        Channel.send, and recv_into of a buffer that is used again; large messages only
copies      one process copies each message from one buffer to a second and on to a third
copy        one process copies each message from one buffer to a second
zmq         pyzmq, PUSH and PULL over ipc, one send and one recv for each

Value of a round: messages a second, from the first send until the peer has the last. All buffers
were written before: a message of fresh zeros is one page that the kernel lends, and its copy is
a page fault for each 4 KiB.
"""

import socket
import time
from collections.abc import Callable
from typing import Any

import zmq

import eastwest

from .duo import Duo
from .roundtrip import channel_of

SIZES = (8, 64, 1024, 4096, 32 * 1024, 64 * 1024, 1 << 20, 16 << 20)
LARGE = (1 << 20, 4 << 20, 16 << 20, 64 << 20)
BATCH = 64
BUDGET_BYTES = 64 << 20
COUNT_MAX = 50_000


class Flows:
    """Both ends of every case; each method moves *count* messages of *size* bytes."""

    def __init__(self, channel: eastwest.Channel, sock: socket.socket, pipe: Any) -> None:
        self.channel = channel
        self.sock = sock
        self.pipe = pipe
        self.messages = {size: b"x" * size for size in {*SIZES, *LARGE}}
        self.buffer = bytearray(max(LARGE))
        self.second = bytearray(max(LARGE))

    def send(self, size: int, count: int) -> None:
        """One call for each message."""
        message = self.messages[size]
        send = self.channel.send
        for _ in range(count):
            send(message)

    def recv(self, size: int, count: int) -> None:
        """Counterpart of send."""
        recv = self.channel.recv
        for _ in range(count):
            recv()

    def send_many(self, size: int, count: int) -> None:
        """Batches."""
        batch = (self.messages[size],) * BATCH
        sent = 0
        while sent < count:
            sent += self.channel.send_many(batch[: count - sent])

    def recv_many(self, size: int, count: int) -> None:
        """Counterpart of send_many."""
        taken = 0
        while taken < count:
            taken += len(self.channel.recv_many(BATCH))

    def unix_send(self, size: int, count: int) -> None:
        """One system call for each message."""
        message = self.messages[size]
        for _ in range(count):
            self.sock.sendall(message)

    def unix_recv(self, size: int, count: int) -> None:
        """Counterpart of unix_send."""
        view = memoryview(self.buffer)[:size]
        for _ in range(count):
            if self.sock.recv_into(view, size, socket.MSG_WAITALL) != size:
                raise EOFError("the other process is gone")

    def recv_into(self, size: int, count: int) -> None:
        """Counterpart of send, without a new object for each message."""
        recv_into, buffer = self.channel.recv_into, self.buffer
        for _ in range(count):
            recv_into(buffer)

    def copy_twice(self, size: int, count: int) -> None:
        """What any way through shared memory has to do at least, by one core."""
        message = self.messages[size]
        first, second = memoryview(self.buffer)[:size], memoryview(self.second)[:size]
        for _ in range(count):
            first[:] = message
            second[:] = first

    def copy_once(self, size: int, count: int) -> None:
        """What each core has to do at least."""
        message = self.messages[size]
        first = memoryview(self.buffer)[:size]
        for _ in range(count):
            first[:] = message

    def nothing(self, size: int, count: int) -> None:
        """Let the other process work alone."""

    def zmq_send(self, size: int, count: int) -> None:
        """One call for each message; zmq's own thread writes it."""
        message = self.messages[size]
        send = self.pipe.send
        for _ in range(count):
            send(message)

    def zmq_recv(self, size: int, count: int) -> None:
        """Counterpart of zmq_send."""
        recv = self.pipe.recv
        for _ in range(count):
            recv()


def zmq_pipe(duo: Duo) -> Any:
    """Return this side's end of a PUSH and PULL pair."""
    pipe = zmq.Context().socket(zmq.PULL if duo.is_peer else zmq.PUSH)
    address = f"ipc://{duo.directory}/zmq"
    if duo.is_peer:
        pipe.bind(address)
        duo.meet()
    else:
        duo.meet()
        pipe.connect(address)
    return pipe


def measure(duo: Duo, name: str, size: int, run: Callable[[int, int], None]) -> None:
    """Run one case for one round."""
    count = max(2, min(BUDGET_BYTES // size, COUNT_MAX))
    duo.meet()
    start = time.perf_counter()
    run(size, count)
    duo.meet()
    duo.case(f"{name}/{size}").values.append(count / (time.perf_counter() - start))


def main() -> None:
    """Run all sizes and cases, interleaved."""
    socks = socket.socketpair()
    with Duo(rounds=7, rounds_quick=3) as duo:
        duo.pin()
        context, channel = channel_of(duo, "spin")
        pipe = zmq_pipe(duo)
        flows = Flows(channel, socks[int(duo.is_peer)], pipe)
        for _ in range(duo.rounds):
            for size in SIZES:
                peer = duo.is_peer
                measure(duo, "send", size, flows.recv if peer else flows.send)
                measure(duo, "many", size, flows.recv_many if peer else flows.send_many)
                measure(duo, "unix", size, flows.unix_recv if peer else flows.unix_send)
                measure(duo, "zmq", size, flows.zmq_recv if peer else flows.zmq_send)
            for size in LARGE:
                measure(duo, "into", size, flows.recv_into if peer else flows.send)
                measure(duo, "copies", size, flows.nothing if peer else flows.copy_twice)
                measure(duo, "copy", size, flows.nothing if peer else flows.copy_once)
        duo.meet()
        channel.abort()
        pipe.context.destroy(linger=0)
        context.close()
    duo.print("python-oneway", "messages/s")


if __name__ == "__main__":
    main()
