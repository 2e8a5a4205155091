"""One message from Python, with both ends in one thread: what bench/instructions.py counts.

Run by it, as a file, with ``--count WORK N``; the work is "try_send and try_recv BYTES". It says
that it has started, waits for a line, and does the work N times between two calls of ``getppid``.
"""

import os
import sys
import tempfile

import eastwest

WARM = 200


def main() -> None:
    """Do the work."""
    size, count = int(sys.argv[2].split()[-1]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as directory:
        context = eastwest.Context(eastwest.Config(runtime_dirs=(directory,), wait="block"))
        with context, context.listen("count") as listener:
            near = context.connect("count", timeout=60)
            far = listener.accept(timeout=60)
            pass_messages(near, far, bytes(size), WARM)
            print("started", flush=True)
            sys.stdin.readline()
            os.getppid()
            pass_messages(near, far, bytes(size), count)
            os.getppid()
            near.abort()
            far.abort()


def pass_messages(
    near: eastwest.Channel, far: eastwest.Channel, message: bytes, count: int
) -> None:
    """Send and receive one after the other."""
    send, recv = near.try_send, far.try_recv
    for _ in range(count):
        send(message)
        recv()


if __name__ == "__main__":
    main()
