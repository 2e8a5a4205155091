"""``python -m bench.discovery.server [--bare] ARGUMENT...``: the command ``serve``, and a peer.

--bare: a thread has a bare ROUTER of pyzmq in the same process, whose endpoint is printed first.
It does what it must for the same messages to go the same way, and nothing else. The first byte of
a request says what, the next eight are a number:

E   answer with so many bytes
W   wait for F
F   answer to all who wait with the body of this request
N   answer with how many wait
"""

import struct
import sys
import threading

import zmq

from eastwest_discovery._command import main as command

from .programs import main_of_child

HEAD = struct.Struct("!cQ")


def serve(router: "zmq.Socket[bytes]") -> None:
    """Answer for ever."""
    waiting: list[tuple[bytes, bytes]] = []
    while True:
        route, number, body = router.recv_multipart()
        what, value = HEAD.unpack_from(body)
        if what == b"W":
            waiting.append((route, number))
            continue
        if what == b"F":
            fanned, waiting = waiting, []
            for to, of in fanned:
                router.send_multipart([to, of, body])
        shown = struct.pack("!Q", len(waiting)) if what == b"N" else bytes(value)
        router.send_multipart([route, number, shown if what != b"F" else b""])


def main() -> int:
    """Run the server until the signal that ends ``serve``."""
    main_of_child()
    arguments = sys.argv[1:]
    if "--bare" in arguments:
        arguments.remove("--bare")
        router: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
        router.linger = 0
        port = router.bind_to_random_port("tcp://127.0.0.1")
        print(f"tcp://127.0.0.1:{port}", flush=True)
        threading.Thread(target=serve, args=(router,), daemon=True).start()
    return command(["serve", "--json", *arguments])


if __name__ == "__main__":
    sys.exit(main())
