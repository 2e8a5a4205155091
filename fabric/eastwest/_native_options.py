"""The settings of a context as the C library takes them; strings and times on the way there."""

from typing import Any

from . import _native_fabric
from ._config import Config
from ._core import ffi, lib

WAIT = {"adaptive": lib.EW_WAIT_ADAPTIVE, "block": lib.EW_WAIT_BLOCK, "spin": lib.EW_WAIT_SPIN}
_PAGES = {"auto": lib.EW_PAGES_AUTO, "huge": lib.EW_PAGES_HUGE, "small": lib.EW_PAGES_SMALL}
NS = 1_000_000_000
FOREVER_SECONDS = 1e8  # three years; what is longer must not overflow a sum of nanoseconds


def ns(seconds: float | None) -> int:
    """Return nanoseconds; None, and what is as good as that: -1, no limit."""
    return -1 if seconds is None or seconds >= FOREVER_SECONDS else max(0, round(seconds * NS))


def chars(text: str | None) -> Any:
    """Return a C string, NULL for None."""
    return ffi.NULL if text is None else ffi.new("char[]", text.encode())


def context_options(config: Config) -> tuple[Any, list[Any]]:
    """Return the options, and what has to live as long as they are read."""
    access = config.access()
    options = ffi.new("ew_context_options *")
    keep = [
        chars(config.namespace),
        ffi.new("uint32_t[]", access.uids or (0,)),
        ffi.new("uint32_t[]", access.gids or (0,)),
    ]
    options.namespace_name, options.allow_uids, options.allow_gids = keep
    options.allow_uids_count = len(access.uids)
    options.allow_gids_count = len(access.gids)
    options.allow_any = access.anyone
    options.outbox_bytes = config.outbox_bytes
    options.inbox_bytes = config.inbox_bytes
    options.stream_bytes_max = config.stream_bytes_max or 0
    options.message_bytes_max = config.message_bytes_max
    options.memory_bytes_max = config.memory_bytes_max
    options.peer_bytes_max = config.peer_bytes_max or 0
    options.huge_bytes_max = config.huge_bytes_max
    options.pages = _PAGES[config.pages]
    options.wait = WAIT[config.wait]
    options.hello_ns = ns(config.hello)
    options.grace_ns = ns(config.grace) or -1
    options.shm_stays = config.paths == ("shm",)
    return options, keep + _native_fabric.put(config, options)
