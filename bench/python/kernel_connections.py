"""What does a connection of the kernel's TCP cost while nobody uses it?

    python -m bench.python.kernel_connections COUNT

Two processes hold both ends of so many connections over the loopback; looked at once, as later
rounds would find the kernel's caches filled.

slab            bytes of the kernel's memory for one end: socket, inode, directory entry, file
connects        connections in a second, one after the other

The kernel's memory is that of /proc/meminfo, so what others open and close meanwhile counts too:
a thousand connections are a few megabytes only. Their table of descriptors is not among it.
"""

import argparse
import socket
import struct
import time
from pathlib import Path

from .duo import Duo
from .scale import FDS_OF_A_PROCESS, raise_limit

PORTS_OF_ADDRESS = 20_000  # less than the kernel gives out for an address of a client
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no end waits in TIME-WAIT when this is over
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h


def slab_bytes() -> int:
    """Return what the kernel has for its own objects."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(each.split()[1]) << 10 for each in lines if each.startswith("Slab:"))


def accepted(duo: Duo, count: int) -> list[socket.socket]:
    """Be the server."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as door:
        duo.tell(str(door.getsockname()[1]))
        return [door.accept()[0] for _ in range(count)]


def connected(duo: Duo, count: int) -> list[socket.socket]:
    """Be the client, from as many addresses as it takes."""
    port = int(duo.tell(""))
    made = []
    for number in range(count):
        made.append(sock := socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f"127.0.1.{1 + number // PORTS_OF_ADDRESS}", 0))
        sock.connect(("127.0.0.1", port))
    return made


def main() -> None:
    """Open them, and look."""
    parser = argparse.ArgumentParser(prog="bench.python.kernel_connections", description=__doc__)
    parser.add_argument("count", type=int)
    count = parser.parse_args().count
    raise_limit(count + FDS_OF_A_PROCESS)
    with Duo(rounds=1, rounds_quick=1) as duo:
        before, began = slab_bytes(), time.perf_counter()
        ends = accepted(duo, count) if duo.is_peer else connected(duo, count)
        seconds = time.perf_counter() - began
        duo.meet()
        duo.case("slab").values.append((slab_bytes() - before) / count / 2)
        duo.case("connects").values.append(count / seconds)
        duo.meet()
        if not duo.is_peer:
            for each in ends:
                each.close()  # with a reset
        duo.meet()
        if not duo.is_peer:
            duo.print("kernel-connections", "as each case says")


if __name__ == "__main__":
    main()
