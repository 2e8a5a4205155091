"""Structured logging under the logger ``eastwest``: one event a line, ``event key=value ...``.

listen        INFO     a service is published: service, instance, addresses
publish_fail  WARNING  a registry refused a change of what listens here: source, instance, detail
unlisten      INFO     it is withdrawn: service, instance, and the listener's counters
connect       INFO     a channel was opened here: service, channel, path, peer, uid, seconds
connect_fail  WARNING  none could be had: service, error, seconds, detail
ejected       WARNING  connects to an instance went badly, others are tried before it for a while:
                       service, instance, seconds, failures, detail
ejected_back  INFO     it answered again: service, instance
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

from eastwest_discovery.events import Events, line

from ._values import PathChange

_events = Events("eastwest")
log, event, info, warning = _events.logger, _events.event, _events.info, _events.warning
ID_DIGITS = 8  # of a channel's id: enough for 'eastwest explain PID/CHANNEL'


def failed(name: str, **fields: Any) -> None:
    """Log the error that is being handled, with its traceback.

    A program that has not set up logging sees it on standard error, as that of a thread.
    """
    _events.failed(name, **fields)
    if log.isEnabledFor(logging.ERROR) and not _is_set_up():
        print(f"eastwest: {line(name, fields)}", file=sys.stderr)
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
