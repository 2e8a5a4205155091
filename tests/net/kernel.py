"""Our stack and the kernel's, joined by a TUN or TAP device in a network namespace of their own.

The kernel is 10.9.0.1 and fd09::1, ours is 10.9.0.2 and fd09::2. The kernel's side is plain sockets
of this process; ours is tests/net/tun_peer.c, which takes commands and tells events.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/dev/tests/net_tun_peer"
PROGRAM_VARIABLE = "EW_TUN_PEER"  # another build of it
SOON = 20.0  # seconds: what must happen; a hang is a failure
DEVICE = "t0"
KERNEL = {4: "10.9.0.1", 6: "fd09::1"}
OURS = {4: "10.9.0.2", 6: "fd09::2"}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
CLONE_NEWNET = 0x40000000
Event = dict[str, Any]

libc = ctypes.CDLL(None, use_errno=True)


def at(family: int, host: str, port: int) -> str:
    """Return an address as tun_peer writes it."""
    return f"{host}:{port}" if family == 4 else f"[{host}]:{port}"


def checked(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


class Host:
    """A network namespace without a name: it ends with its last socket, device and process."""

    def __init__(self) -> None:
        with open("/proc/thread-self/ns/net") as before:
            checked(libc.unshare(CLONE_NEWNET), "unshare")
            try:
                self._fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            finally:
                checked(libc.setns(before.fileno(), CLONE_NEWNET), "setns")
        self.ip("link set lo up")
        for name in ("all", "default"):  # its own link-local addresses: usable at once
            self.sysctl(f"ipv6/conf/{name}/accept_dad", "0")

    def close(self) -> None:
        os.close(self._fd)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets, files in /proc/sys/net and processes of this thread belong to the namespace."""
        with open("/proc/thread-self/ns/net") as before:
            checked(libc.setns(self._fd, CLONE_NEWNET), "setns")
            try:
                yield
            finally:
                checked(libc.setns(before.fileno(), CLONE_NEWNET), "setns")

    @property
    def path(self) -> str:
        """Return what names it, while it lives, to ip(8)."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def run(self, *command: str, stdin: str | None = None) -> str:
        with self.inside():
            done = subprocess.run(
                command, capture_output=True, text=True, input=stdin, timeout=SOON
            )
        assert done.returncode == 0, f"{command} {stdin}: {done.stderr}"
        return done.stdout

    def start(self, program: str) -> subprocess.Popen[str]:
        """Start a Python program."""
        command = [sys.executable, "-c", program]
        with self.inside():
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def ip(self, *lines: str) -> None:
        self.run("ip", "-batch", "-", stdin="\n".join(lines) + "\n")

    def sysctl(self, name: str, value: str) -> None:
        with self.inside():
            Path("/proc/sys/net", name).write_text(value)

    def open_socket(
        self, family: int, kind: int = socket.SOCK_STREAM, protocol: int = 0
    ) -> socket.socket:
        with self.inside():
            made = socket.socket(FAMILIES[family], kind, protocol)
        made.settimeout(SOON)
        return made

    def connect(self, family: int, port: int, source: int = 0) -> socket.socket:
        """Connect to our stack."""
        made = self.open_socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((KERNEL[family], source))
        try:
            made.connect((OURS[family], port))
        except OSError:
            made.close()
            raise
        return made

    def listen(self, family: int, port: int, backlog: int = 1024) -> socket.socket:
        made = self.open_socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((KERNEL[family], port))
        made.listen(backlog)
        return made

    def add_device(self, mtu: int = 1500, tap: bool = False) -> None:
        """Make the device. It has to be set up after our stack has it: else the kernel activates
        its queue up to a second later, and what is sent before is lost."""
        self.ip(
            f"tuntap add dev {DEVICE} mode {'tap' if tap else 'tun'}",
            f"link set {DEVICE} addrgenmode {'eui64' if tap else 'none'}",
            f"link set {DEVICE} mtu {mtu}",
            f"addr add {KERNEL[4]}/24 dev {DEVICE}",
            *([f"addr add {KERNEL[6]}/64 dev {DEVICE} nodad"] if mtu >= 1280 else []),
        )


class Peer:
    """Our stack: a running tun_peer on the device of a host."""

    def __init__(
        self,
        host: Host,
        *options: str,
        mtu: int = 1500,
        tap: bool = False,
        descriptor: int | None = None,
    ) -> None:
        ours = [f"-a{OURS[4]}/24", *([f"-a{OURS[6]}/64"] if mtu >= 1280 else [])]
        command = [os.environ.get(PROGRAM_VARIABLE, str(PROGRAM)), f"-m{mtu}"]
        if descriptor is None:
            command += ["-k", "-e" if tap else "-t", DEVICE, *ours]
        else:
            command += ["-f", str(descriptor)]
        command += options  # routes need addresses
        self._start(host, command, [] if descriptor is None else [descriptor])

    def _start(
        self,
        host: Host,
        command: list[str],
        descriptors: list[int],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._lines: list[Event] = []
        self._news = threading.Condition()
        self._is_over = False
        with host.inside():
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=descriptors,
                env=env,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait("ready")
        except AssertionError:
            self.kill()
            raise

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def _end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.wait(SOON)
        self._reader.join(SOON)
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()

    def quit(self) -> Event:
        """End it; no invariant was broken and no buffer was lost. Return the counters."""
        if self._process.returncode is not None:
            return {}
        said = self.ask("quit", "bye")
        self._end()
        assert self._process.returncode == 0
        assert said["check"] == ""
        return said

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def ask(self, command: str, event: str = "done", error: str = "") -> Event:
        """Return the answer to a command, which has this error."""
        self.tell(command)
        said = self.wait(event)
        assert said.get("error", "") == error or event != "done", f"{command}: {said}"
        return said

    def info(self, stream: int) -> Event:
        return self.ask(f"info {stream}", "info")

    def counters(self) -> dict[str, int]:
        found: dict[str, int] = self.ask("counters", "counters")["counters"]
        return found

    def until_counted(self, name: str, more: int) -> dict[str, int]:
        """Ask until a counter has grown by so much."""
        end = time.monotonic() + SOON
        least = self.counters()[name] + more
        while (found := self.counters())[name] < least:
            assert time.monotonic() < end, f"{name}: {found[name]}, want {least}"
        return found

    def listen(self, family: int, port: int, *what: object) -> int:
        words = " ".join(map(str, what))
        return int(self.ask(f"listen {at(family, OURS[family], port)} {words}")["id"])

    def connect(self, family: int, port: int, *what: object) -> int:
        words = " ".join(map(str, what))
        return int(self.ask(f"connect {at(family, KERNEL[family], port)} {words}")["id"])

    def wait(self, event: str, stream: int | None = None, timeout: float = SOON) -> Event:
        """Return the next such event, of this stream if one is given; others stay."""
        end = time.monotonic() + timeout
        with self._news:
            while True:
                for index, each in enumerate(self._lines):
                    if each["event"] == event and stream in (None, each.get("id")):
                        return self._lines.pop(index)
                left = end - time.monotonic()
                if self._is_over or not self._news.wait(max(left, 0)):
                    raise AssertionError(f"no {event} of {stream}: {self._lines}")

    def end(self, stream: int, error: str = "") -> Event:
        """Wait for the end of a stream, which is of this kind."""
        found = self.wait("end", stream)
        assert found["error"] == error, found
        return found

    def until(self, stream: int, wanted: Callable[[Event], bool]) -> Event:
        """Ask until what is said about a stream is as wanted."""
        end = time.monotonic() + SOON
        while True:
            found = self.info(stream)
            if wanted(found):
                return found
            assert time.monotonic() < end, found

    def _read(self) -> None:
        """Read all that it says, or it would wait for us (in a thread of its own)."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            with self._news:
                self._lines.append(said)
                self._news.notify_all()
        with self._news:
            self._is_over = True
            self._news.notify_all()


# ------------------------------------------------------------------ the kernel's side


def drain(sock: socket.socket) -> tuple[int, int]:
    """Read to the end; return length and CRC-32."""
    length = crc = 0
    while piece := sock.recv(1 << 18):
        length += len(piece)
        crc = zlib.crc32(piece, crc)
    return length, crc


def exact(sock: socket.socket, size: int) -> bytes:
    """Read so many bytes."""
    got = bytearray()
    while len(got) < size:
        piece = sock.recv(size - len(got))
        assert piece, "the stream ended early"
        got += piece
    return bytes(got)


def echo_each(socks: list[socket.socket], data: bytes) -> None:
    """Send to all, hear the same from all, and end them."""
    for sock in socks:
        sock.sendall(data)
    for sock in socks:
        assert exact(sock, len(data)) == data
        sock.shutdown(socket.SHUT_WR)
    for sock in socks:
        assert sock.recv(1) == b""


class Doing(threading.Thread):
    """A thread whose exception comes out of join()."""

    def __init__(self, what: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._what = what
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._what()
        except BaseException as error:  # noqa: BLE001 - it is raised in join()
            self._error = error

    def join(self, timeout: float | None = SOON) -> None:
        super().join(timeout)
        assert not self.is_alive(), "a thread hangs"
        if self._error is not None:
            raise self._error


def send_all(sock: socket.socket, data: bytes) -> Doing:
    """Send and shut down, beside what the caller does."""

    def work() -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    return Doing(work)


def reset_on_close(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Pair:
    """A host, and our stack beside its kernel."""

    def __init__(self, stack: ExitStack) -> None:
        self.host = Host()
        stack.callback(self.host.close)
        self._stack = stack
        self._peers: list[Peer] = []

    @property
    def peer(self) -> Peer:
        """The stack that was started last."""
        return self._peers[-1]

    def start(self, *options: str, mtu: int = 1500, tap: bool = False) -> Peer:
        """Make the device and start our stack on it."""
        self.host.add_device(mtu, tap)
        return self.attach(*options, mtu=mtu, tap=tap)

    def attach(self, *options: str, mtu: int = 1500, tap: bool = False) -> Peer:
        """Start our stack, once more, on the device that there is."""
        self._peers.append(Peer(self.host, *options, mtu=mtu, tap=tap))
        self._stack.callback(self.peer.kill)
        self.host.ip(f"link set {DEVICE} up")
        return self.peer

    def end(self) -> None:
        """No invariant was broken."""
        for peer in self._peers:
            peer.quit()

    def to_kernel(self, family: int, size: int, port: int = 80) -> Event:
        """Send to a kernel listener; what arrived is what was sent."""
        with self.host.listen(family, port) as door:
            stream = self.peer.connect(family, port, "source", size)
            with door.accept()[0] as sock:
                length, crc = drain(sock)
                sock.shutdown(socket.SHUT_WR)
                end = self.peer.end(stream)
        assert (length, crc) == (size, end["sent_crc"])
        return end

    def from_kernel(self, family: int, data: bytes, port: int = 80) -> Event:
        """Let the kernel send to a listener of ours."""
        self.peer.listen(family, port, "sink")
        with self.host.connect(family, port) as sock:
            sender = send_all(sock, data)
            assert drain(sock) == (0, 0)
            sender.join()
        end = self.peer.end(self.peer.wait("accepted")["id"])
        assert (end["received"], end["received_crc"]) == (len(data), zlib.crc32(data))
        return end

    def echo(self, family: int, data: bytes, port: int = 7) -> Event:
        """Both directions at once."""
        self.peer.listen(family, port, "echo")
        with self.host.connect(family, port) as sock:
            sender = send_all(sock, data)
            assert drain(sock) == (len(data), zlib.crc32(data))
            sender.join()
        return self.peer.end(self.peer.wait("accepted")["id"])


@contextmanager
def kernel_and_ours() -> Iterator[Pair]:
    """A pair that ends well, or shows what the kernel thinks of its connections."""
    with ExitStack() as stack:
        pair = Pair(stack)
        try:
            yield pair
            pair.end()
        except AssertionError:
            log_sockets(pair.host)
            raise


def needs_device() -> None:
    """Skip where a namespace with a TUN device cannot be had."""
    program = Path(os.environ.get(PROGRAM_VARIABLE, PROGRAM))
    if not program.exists():
        pytest.skip(f"needs {PROGRAM.relative_to(ROOT)}: ./dev build")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and network namespaces")
    try:
        host = Host()
    except OSError:
        pytest.skip("needs root and network namespaces")
    try:
        host.add_device()
    except AssertionError:
        pytest.skip("needs TUN devices in network namespaces")
    finally:
        host.close()


def log_sockets(host: Host) -> None:
    """Show what the kernel knows about its connections: of use when a test failed."""
    if shutil.which("ss") is not None:
        print(host.run("ss", "-tin"), file=sys.stderr)
