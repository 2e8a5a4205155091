"""eCAL: a topic each way for each link, in shared memory; registration in shared memory, too.

trip, paced, fan    the server's callback publishes the answer; the client's hands it to its thread
flow                a publisher that waits for the subscriber's acknowledgment (eCAL's setting for
                    no loss: without it a message may overwrite the one before)

Receiving is by callbacks in eCAL's threads, on the core of their process: only wait=block.
"""

import os
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bench.compare.pair import segments
from bench.compare.pair.ends import Cannot, Ends, Setup, Side, package, version_of
from bench.compare.pair.loops import Recv, Run, Send, Task

WHY: Final = "eCAL receives in its own threads, which would share their core with who spins"
PATIENCE_S: Final = 20.0
TRIES: Final = 20
TRY_S: Final = 0.2
ACKNOWLEDGE_MS: Final = 10_000
FLOW: Final = "flow"
Arrived = queue.SimpleQueue[bytes]


class Ecal(Ends):
    """Topics of one side."""

    def __init__(self, setup: Setup) -> None:
        setup.require_wait("block", why=WHY)
        self._ecal = package("ecal.nanobind_core", "eclipse-ecal")
        self._setup = setup
        self._is_server = setup.duo.is_peer
        theirs = setup.duo.tell(str(os.getpid()))
        self._domain = f"ewbench_{os.getpid() if self._is_server else theirs}"
        self._config = self._configured()
        self._ecal.initialize(self._config, "eastwest-bench")
        self._is_echoing = False
        self._events = threading.Semaphore(0)
        ways = ("answer", "ask") if self._is_server else ("ask", "answer")
        links = range(setup.links)
        self._publishers = [self._publisher(f"{ways[0]}-{link}") for link in links]
        self._arrived: list[Arrived] = [queue.SimpleQueue() for _ in links]
        self._subscribers = [self._subscriber(f"{ways[1]}-{link}", link) for link in links]
        self._open_flow()
        for _ in range(2 * setup.links + 1):
            if not self._events.acquire(timeout=PATIENCE_S):
                raise TimeoutError("eCAL does not connect publishers and subscribers")
        self.version = f"eclipse-ecal {version_of('eclipse-ecal')}"
        self.detail = "shared memory, 1 buffer, callbacks; flow: acknowledged by the subscriber"

    def _configured(self) -> Any:
        """Return settings that keep everything on this host, and this pair apart."""
        config = self._ecal.Configuration()
        config.registration.local.transport_type = self._ecal.LocalTransportType.SHM
        config.registration.local.shm.domain = self._domain
        config.transport_layer.udp.network.ttl = 0
        config.logging.provider.console.enable = False
        config.logging.provider.udp.enable = False
        config.publisher.layer.udp.enable = False
        config.publisher.layer.tcp.enable = False
        config.subscriber.layer.udp.enable = False
        return config

    def _publisher(self, topic: str) -> Any:
        return self._ecal.Publisher(
            topic, self._ecal.DataTypeInformation(), self._config.publisher, self._seen
        )

    def _subscriber(self, topic: str, link: int) -> Any:
        made = self._ecal.Subscriber(
            topic, self._ecal.DataTypeInformation(), self._config.subscriber, self._seen
        )
        made.set_receive_callback(partial(self._take, link))
        return made

    def _open_flow(self) -> None:
        """Open the client's acknowledged publisher; it is the first link's, for ``flow``."""
        if self._is_server:
            self._subscribers.append(self._subscriber(FLOW, 0))
            return
        self._config.publisher.layer.shm.acknowledge_timeout_ms = ACKNOWLEDGE_MS
        self._publishers.append(self._publisher(FLOW))

    def _seen(self, *event: Any) -> None:
        if event[-1].event_type.name == "CONNECTED":
            self._events.release()

    def _take(self, link: int, *received: Any) -> None:
        if self._is_echoing:
            self._publishers[link].send(received[-1].buffer)
        else:
            self._arrived[link].put(received[-1].buffer)

    def prepare(self, size: int) -> None:
        """See ``Side``; the first message of a size makes a new segment, and may be lost."""
        super().prepare(size)
        self._is_echoing = False
        self._setup.duo.meet()
        links = list(range(self._setup.links))
        message = bytes(size)
        self._prime(links, message, is_sender=not self._is_server)
        self._prime(links, message, is_sender=self._is_server)
        self._prime([-1], message, is_sender=not self._is_server)
        for each in self._arrived:  # what was late
            while not each.empty():
                each.get()

    def _prime(self, links: list[int], message: bytes, *, is_sender: bool) -> None:
        """Send on these links until one has arrived on each."""
        tell = self._setup.duo.tell
        for _ in range(TRIES):
            for link in links if is_sender else ():
                self._publishers[link].send(message)
            missing = [] if is_sender else self._missing(links)
            heard = tell(" ".join(map(str, missing)))
            links = [int(each) for each in heard.split()] if is_sender else missing
            if not links:
                return
        raise Cannot(f"messages of {len(message)} B do not arrive in {TRIES} tries")

    def _missing(self, links: list[int]) -> list[int]:
        """Return on which of these links no message arrives for a while."""
        missing = []
        for link in links:
            try:
                self._arrived[max(0, link)].get(timeout=TRY_S)
            except queue.Empty:
                missing.append(link)
        return missing

    def run_of(self, task: Task) -> Run:
        """See ``Side``; a server's callbacks answer, and ``Duo.meet`` waits for the client."""
        if not self._is_server and task.work == FLOW:
            send = self._publishers[-1].send

            def flow(count: int) -> None:
                for _ in range(count):
                    send(task.message)

            return flow
        self._is_echoing = self._is_server and task.work != FLOW
        return (lambda count: None) if self._is_echoing else super().run_of(task)

    def send_of(self, link: int) -> Send:
        """See ``Ends``."""
        return self._publishers[link].send  # type: ignore[no-any-return]

    def recv_of(self, link: int) -> Recv:
        """See ``Ends``."""
        return partial(self._arrived[link].get, timeout=PATIENCE_S)

    def close(self) -> None:
        """See ``Side``; the segment of a domain, and at times others, are left by eCAL."""
        own = segments.mapped("ecal_")
        for each in self._subscribers:
            each.remove_receive_callback()
        self._subscribers.clear()
        self._publishers.clear()
        self._ecal.finalize()
        self._setup.duo.meet()
        segments.remove(own | segments.named(self._domain))


SYSTEMS: dict[str, Callable[[Setup], Side]] = {"ecal": Ecal}
