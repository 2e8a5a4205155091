"""The fabric of a context, as typed Python."""

import os
from typing import Any

from ._config import Config
from ._core import ffi, lib
from ._fabric import STATES, Fabric, given, installed

NS = 1_000_000_000
ANSWER_BYTES_MAX = 1 << 20


def put(config: Config, options: Any) -> list[Any]:
    """Fill in the options of a context; what has to live as long as they are read."""
    text = given(config)
    if text is None:
        return []
    keep = [ffi.new("char[]", text.encode())]
    options.fabric = keep[0]
    path = config.fabric_plugin or installed()
    if path is not None:
        keep.append(ffi.new("char[]", os.fsencode(path)))
        options.fabric_plugin = keep[1]
    return keep


def of(info: Any) -> Fabric:
    """Return what an ``ew_fabric_info`` says."""

    def text(chars: Any) -> str:
        found: str = ffi.string(chars).decode(errors="replace")
        return found

    return Fabric(
        state=STATES[info.state],
        network=text(info.network),
        device=text(info.device),
        plugin_version=text(info.plugin_version),
        reason=text(info.reason),
        poll_seconds=info.poll_interval_ns / NS,
        losses=info.losses,
    )


def ask(context: Any, question: str) -> int | str:
    """Return the answer to a tool's question, or a code below 0."""
    room = 1 << 14
    while True:
        answer = ffi.new("char[]", room)
        got: int = lib.ew_context_ask_fabric(context, question.encode(), answer, room)
        if got >= 0:
            said: bytes = ffi.unpack(answer, got)
            return said.decode(errors="replace")
        room *= 8
        if got != -105 or room > ANSWER_BYTES_MAX:  # ENOBUFS
            return got
