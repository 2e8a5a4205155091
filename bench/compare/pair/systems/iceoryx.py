"""iceoryx2: a publish-subscribe service each way for each link, of slices of bytes.

A message is copied into a loaned sample, and its bytes are copied out of the received one, as the
send and recv of the others do. Nothing is lost: no safe overflow, and a publisher that finds the
buffer full tries until it is delivered. wait=spin polls the subscriber; wait=block waits for an
event service, which the sender notifies after each message, as iceoryx2's event examples do.

Files and shared memory have a root and a prefix of their own.
"""

import ctypes
import os
from collections.abc import Callable
from typing import Any, Final

from bench.compare.pair import segments
from bench.compare.pair.ends import Ends, Setup, Side, package, version_of
from bench.compare.pair.loops import Recv, Send

BUFFERED_BYTES: Final = 8 << 20  # a subscriber's buffer has as many messages, but
DEPTH_LEAST, DEPTH_MOST = 4, 1024
WAYS: Final = ("ask", "answer")


class Ice(Ends):
    """Ports of one side; they are made for the size of a work."""

    def __init__(self, setup: Setup) -> None:
        setup.require_wait("spin", "block", why="a subscriber is polled, a listener sleeps")
        self._ice = package("iceoryx2", "iceoryx2")
        self._setup = setup
        self._is_notified = setup.wait == "block"
        self._ports: list[Any] = []
        self._services: list[Any] = []
        self._node = self._make_node()
        self.size = 0
        self.version = f"iceoryx2 {version_of('iceoryx2')}"
        self.detail = "Slice[c_uint8], copied in and out, RetryUntilDelivered; " + (
            "an event notified for each message" if self._is_notified else "polled"
        )

    def _make_node(self) -> Any:
        ice, duo = self._ice, self._setup.duo
        ice.set_log_level(ice.LogLevel.Error)
        mine = f"ewb{os.getpid()}_"  # short: sockets have it in their paths
        theirs = duo.tell(mine)
        self._prefix = mine if duo.is_peer else theirs
        config = ice.config.default()
        config.global_cfg.prefix = ice.FileName.new(self._prefix)
        config.global_cfg.root_path = ice.Path.new(f"{self._setup.folder}/ice")
        builder = ice.NodeBuilder.new().config(config)
        builder = builder.signal_handling_mode(ice.SignalHandlingMode.Disabled)
        return builder.create(ice.ServiceType.Ipc)

    def prepare(self, size: int) -> None:
        """See ``Side``."""
        if size == self.size:
            return
        self._setup.duo.meet()
        self._drop()
        self._setup.duo.meet()  # nobody has the services of the size before
        super().prepare(size)
        depth = max(DEPTH_LEAST, min(DEPTH_MOST, BUFFERED_BYTES // size))
        mine, theirs = WAYS[self._setup.duo.is_peer], WAYS[not self._setup.duo.is_peer]
        links = range(self._setup.links)
        self._senders = [self._sender(f"{mine}-{link}", depth) for link in links]
        self._receivers = [self._receiver(f"{theirs}-{link}", depth) for link in links]
        self._setup.duo.meet()

    def _service(self, name: str, depth: int) -> Any:
        builder = self._node.service_builder(self._ice.ServiceName.new(name))
        builder = builder.publish_subscribe(self._ice.Slice[ctypes.c_uint8])
        builder = builder.enable_safe_overflow(False).subscriber_max_buffer_size(depth)
        self._services.append(builder.max_publishers(1).max_subscribers(1).open_or_create())
        return self._services[-1]

    def _event(self, name: str) -> Any:
        builder = self._node.service_builder(self._ice.ServiceName.new(f"event-{name}"))
        self._services.append(builder.event().open_or_create())
        return self._services[-1]

    def _sender(self, name: str, depth: int) -> tuple[Any, Any]:
        builder = self._service(name, depth).publisher_builder()
        builder = builder.initial_max_slice_len(self.size)
        strategy = self._ice.BackpressureStrategy.RetryUntilDelivered
        publisher = builder.backpressure_strategy(strategy).create()
        notifier = self._event(name).notifier_builder().create() if self._is_notified else None
        self._ports += [publisher, notifier]
        return publisher, notifier

    def _receiver(self, name: str, depth: int) -> tuple[Any, Any]:
        subscriber = self._service(name, depth).subscriber_builder().create()
        listener = self._event(name).listener_builder().create() if self._is_notified else None
        self._ports += [subscriber, listener]
        return subscriber, listener

    def send_of(self, link: int) -> Send:
        """See ``Ends``."""
        publisher, notifier = self._senders[link]
        loan, move, size = publisher.loan_slice_uninit, ctypes.memmove, self.size

        def send(message: bytes) -> None:
            sample = loan(size)
            move(sample.payload_ptr, message, size)
            sample.assume_init().send()

        def send_and_notify(message: bytes) -> None:
            send(message)
            notifier.notify()

        return send_and_notify if self._is_notified else send

    def recv_of(self, link: int) -> Recv:
        """See ``Ends``."""
        subscriber, listener = self._receivers[link]
        receive, copied = subscriber.receive, ctypes.string_at

        def recv() -> bytes:
            while (sample := receive()) is None:
                if listener is not None:
                    listener.blocking_wait()
            payload = sample.payload()
            message = copied(payload.as_ptr(), payload.len())
            sample.delete()
            return message

        return recv

    def close(self) -> None:
        """See ``Side``; one segment of a prefix lives on, so that it is removed here."""
        self._drop()
        self._node = None
        self._setup.duo.meet()
        segments.remove(segments.named(self._prefix))

    def _drop(self) -> None:
        self._senders = self._receivers = []
        for each in self._ports:
            if each is not None:
                each.delete()
        self._ports.clear()
        self._services.clear()


SYSTEMS: dict[str, Callable[[Setup], Side]] = {"iceoryx2": Ice}
