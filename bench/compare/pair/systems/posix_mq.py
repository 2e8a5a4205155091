"""POSIX message queues: two of 10 messages for each link, through the package posix_ipc.

The system's settings for everybody hold, also for root: msg_max messages in a queue, and
msgsize_max bytes in a message. The queues are made for the size of a work, as all of a user's may
hold RLIMIT_MSGQUEUE bytes together. wait=spin asks without blocking until the message is there.
"""

import os
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.compare.pair.ends import Cannot, Ends, Setup, Side, package
from bench.compare.pair.loops import Recv, Send

SETTINGS = Path("/proc/sys/fs/mqueue")
DEEPEST = 10  # messages: the default of the kernel


class Queues(Ends):
    """Both queues of each link."""

    def __init__(self, setup: Setup) -> None:
        setup.require_wait("spin", "block", why="a queue sleeps in the kernel, or is polled")
        self._posix: Any = package("posix_ipc", "posix_ipc")
        self._setup = setup
        self._bytes_max = _setting("msgsize_max")
        self._depth = min(DEEPEST, _setting("msg_max"))
        self._name = setup.duo.tell(f"/eastwest-bench-{os.getpid()}")
        if setup.duo.is_peer:
            self._name = f"/eastwest-bench-{os.getpid()}"
        self._queues: list[tuple[Any, Any]] = []  # to the server, to the client
        self.size = 0
        self.version = f"Linux {os.uname().release}, posix_ipc {self._posix.VERSION}"
        self.detail = (
            f"{setup.wait}, {self._depth} messages in a queue, at most {self._bytes_max} B each"
        )

    def prepare(self, size: int) -> None:
        """See ``Side``."""
        if size > self._bytes_max:
            raise Cannot(f"a message of {size} B; fs.mqueue.msgsize_max is {self._bytes_max}")
        if size == self.size:
            return
        self._drop()
        trouble = ""
        if self._setup.duo.is_peer:
            trouble = self._open(size, self._posix.O_CREX)
        trouble = self._setup.duo.tell(trouble) or trouble
        if not trouble and not self._setup.duo.is_peer:
            trouble = self._open(size, 0)
        trouble = self._setup.duo.tell(trouble) or trouble
        for queue in self._all():
            with suppress(self._posix.ExistentialError):
                queue.unlink()
        if trouble:
            self._drop()
            raise Cannot(trouble)
        super().prepare(size)

    def send_of(self, link: int) -> Send:
        """See ``Ends``."""
        send = self._queues[link][self._setup.duo.is_peer].send
        if self._setup.wait == "block":
            return send  # type: ignore[no-any-return]
        return lambda message: _spin(self._posix.BusyError, send, message, 0)

    def recv_of(self, link: int) -> Recv:
        """See ``Ends``."""
        receive = self._queues[link][not self._setup.duo.is_peer].receive
        if self._setup.wait == "block":
            return receive  # type: ignore[no-any-return]
        return lambda: _spin(self._posix.BusyError, receive, 0)

    def close(self) -> None:
        """See ``Side``."""
        self._drop()

    def _open(self, size: int, flags: int) -> str:
        """Open all queues; return what went wrong."""
        make = self._posix.MessageQueue
        try:
            for link in range(self._setup.links):
                names = [f"{self._name}-{link}-{way}" for way in ("ask", "answer")]
                options = {"max_messages": self._depth, "max_message_size": size} if flags else {}
                self._queues.append((make(names[0], flags, **options), None))
                self._queues[-1] = (self._queues[-1][0], make(names[1], flags, **options))
        except (OSError, self._posix.Error) as error:
            most = resource.getrlimit(resource.RLIMIT_MSGQUEUE)[0]
            count = 2 * self._setup.links
            return f"{count} queues of {self._depth} x {size} B, RLIMIT_MSGQUEUE {most} B: {error}"
        return ""

    def _all(self) -> list[Any]:
        return [queue for both in self._queues for queue in both if queue is not None]

    def _drop(self) -> None:
        for queue in self._all():
            queue.close()
        self._queues.clear()
        self.size = 0


def _spin(busy: type[Exception], call: Callable[..., object], *arguments: object) -> object:
    while True:
        try:
            return call(*arguments)
        except busy:
            continue


def _setting(name: str) -> int:
    return int((SETTINGS / name).read_text())


SYSTEMS: dict[str, Callable[[Setup], Side]] = {"posix-mq": Queues}
