"""Structured logging under the logger ``eastwest``: one event a line, ``event key=value ...``.

listen        INFO     a service is published: service, instance, addresses
unlisten      INFO     it is withdrawn: service, instance, and the listener's counters
connect       INFO     a channel was opened here: service, channel, path, peer, uid, seconds
connect_fail  WARNING  none could be had: service, error, seconds, detail
accept        INFO     a channel was opened by a peer: service, channel, path, peer, uid
refuse        WARNING  a listener refused connections since it was last looked at; DEBUG: it
                       dropped some that never said a good hello: service, refused, dropped
channel_end   INFO     closed here or by the peer; WARNING: lost or broken: service, channel,
                       path, reason, messages and bytes each way
peer_lost     WARNING  a handler of ``serve`` ended with PeerLost: service, detail
handler_failed  ERROR  a handler of ``serve`` raised: service, handler, and the traceback
thread_failed ERROR    no thread for a handler could be started: service, error
link_lost     WARNING  the link was lost, another one is looked for: service, channel, path
path_change   INFO     the link was replaced: service, channel, from, to, reason, seconds
path_stays    DEBUG    another path was seen and not had: service, detail; WARNING: by our fault
draining      INFO     a listener asks its peers to go elsewhere: service, channels
peer_draining INFO     the listener at the other end asks us to: service, channel
control       DEBUG    where tools look in; WARNING: why they cannot

The package adds a ``NullHandler`` and sets no level: nothing is written unless the program asks
for it (``logging.basicConfig(level="INFO")``), but for ``handler_failed``, which then goes to
standard error: an error that nobody sees helps nobody. A record carries the fields as
``record.eastwest``, a dict with ``event`` in it, for handlers that write JSON. Imports no native
module.
"""

import logging
import sys
import traceback
from typing import Any

from ._values import PathChange

log = logging.getLogger("eastwest")
log.addHandler(logging.NullHandler())
ID_DIGITS = 8  # of a channel's id: enough for 'eastwest explain PID/CHANNEL'


def event(level: int, name: str, **fields: Any) -> None:
    """Log one event; costs one comparison when nobody listens."""
    if log.isEnabledFor(level):
        extra = {"eastwest": {"event": name, **fields}}
        log.log(level, "%s", _line(name, fields), extra=extra, stacklevel=3)


def info(name: str, **fields: Any) -> None:
    """Log one event at level INFO."""
    event(logging.INFO, name, **fields)


def warning(name: str, **fields: Any) -> None:
    """Log one event at level WARNING."""
    event(logging.WARNING, name, **fields)


def failed(name: str, **fields: Any) -> None:
    """Log the error that is being handled, with its traceback.

    A program that has not set up logging sees it on standard error, as that of a thread.
    """
    line = _line(name, fields)
    log.error("%s", line, extra={"eastwest": {"event": name, **fields}}, exc_info=True)
    if log.isEnabledFor(logging.ERROR) and not _is_set_up():
        print(f"eastwest: {line}", file=sys.stderr)
        traceback.print_exc()


def path_change(service: str, channel: str, change: PathChange) -> None:
    """Log that a channel changed its path.

    Args:
        channel: its id, 32 hex digits.
    """
    fields = {"from": change.before, "to": change.after, "reason": change.reason}
    number = channel[:ID_DIGITS]
    info("path_change", service=service, channel=number, **fields, seconds=change.seconds)


def _is_set_up() -> bool:
    """Say whether a record of ours comes to a handler of the program."""
    here: logging.Logger | None = log
    while here is not None:
        if any(not isinstance(each, logging.NullHandler) for each in here.handlers):
            return True
        here = here.parent if here.propagate else None
    return False


def _line(name: str, fields: dict[str, Any]) -> str:
    return " ".join([name, *(f"{key}={_shown(value)}" for key, value in fields.items())])


def _shown(value: Any) -> str:
    """Return a value on one line, in quotes if it would not be one word."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    plain = text.isprintable() and not set(text) & set(' "=\\')
    if text and plain:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in escaped) + '"'
