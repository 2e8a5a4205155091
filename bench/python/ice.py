"""iceoryx2's Python package as a peer of the round trip: two services of 64-byte samples, polled.

pair()    (send, recv, close) of this side, or None where iceoryx2 is not installed

A sample is copied in and its bytes are copied out, as eastwest's send and recv do.
"""

import ctypes
import importlib
import os
from collections.abc import Callable
from typing import Any

from .duo import Duo

BYTES = 64
Ends = tuple[Callable[[bytes], object], Callable[[], bytes], Callable[[], None]]


def pair(duo: Duo) -> Ends | None:
    """Return what sends a message, what waits for one, and what ends it; both sides call this."""
    try:
        ice: Any = importlib.import_module("iceoryx2")
    except ImportError:
        return None
    ice.set_log_level(ice.LogLevel.Error)
    payload = ctypes.c_uint8 * BYTES
    node = ice.NodeBuilder.new().create(ice.ServiceType.Ipc)
    names = [f"eastwest-bench/{duo.tell(str(os.getpid()))}", f"eastwest-bench/{os.getpid()}"]
    services = [
        node.service_builder(ice.ServiceName.new(name)).publish_subscribe(payload).open_or_create()
        for name in names
    ]
    publisher = services[0].publisher_builder().create()
    subscriber = services[1].subscriber_builder().create()
    duo.meet()
    receive = subscriber.receive
    made = payload.from_buffer_copy

    def send(message: bytes) -> None:
        publisher.send_copy(made(message))

    def recv() -> bytes:
        while (sample := receive()) is None:
            pass
        message = bytes(sample.payload().contents)
        sample.delete()
        return message

    def close() -> None:
        for each in (publisher, subscriber):
            each.delete()
        services.clear()

    recv.node = node  # type: ignore[attr-defined] # it lives as long as its ends
    return send, recv, close
