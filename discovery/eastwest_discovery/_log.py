"""Structured logging under ``eastwest_discovery``: one event a line, ``event key=value ...``.

serve         INFO     a server has started: endpoints, boot, keys
end           INFO     it ends: uptime_seconds, records
reload        INFO     the permissions were read again: clients
reload_fail   ERROR    they were not, the old ones hold: detail
settled       INFO     one ttl after the start: answers are complete now: records
stall         WARNING  the server stood still, leases are longer by that: seconds
refuse        WARNING  a request was refused: client, problem, detail; each once in 10 seconds
knock         WARNING  a connection with an unknown key was refused: address, key; likewise
garbage       WARNING  messages that are no requests were dropped, in the last 10 seconds: messages
lost          WARNING  answers found no way to slow or dead clients, likewise: full, gone
registry_lost WARNING  a server of a client does not answer: server, detail
registry_answers INFO  it answers (again): server
registry_refused WARNING it refused what we asked: server, detail
publish_waits WARNING  no server could be reached, it is sent when one is: record, detail
record_ignored WARNING what a server told is no record: detail
cache_ignored WARNING  the file of a client's cache is not used: file, detail
cache_not_saved WARNING it could not be written, once until it can: file, detail
cache_saved_again INFO file
etcd_skip     WARNING  a value in etcd that is no record, once for each key: key, detail, source
etcd_lost     WARNING  a lease was lost, its record is put again: key, ttl
publish_superseded WARNING  a newer record than ours is known: record, version, held, detail
etcd_put_fail WARNING  a record could not be put or kept alive, once until it works: key, detail
dns_no_publish WARNING once: who publishes in DNS is the cluster, not this process: key, source
dns_fail      WARNING  a name could not be asked, once until it works again: dns_name, detail
dns_many      WARNING  a name has more places than are taken: dns_name, taken

No level is set and a ``NullHandler`` is added; a record carries the fields as
``record.eastwest``, a dict with ``event`` in it, for handlers that write JSON.
"""

import logging

log = logging.getLogger("eastwest_discovery")
log.addHandler(logging.NullHandler())


def event(level: int, name: str, **fields: object) -> None:
    """Log one event."""
    if log.isEnabledFor(level):
        line = " ".join([name, *(f"{key}={_shown(value)}" for key, value in fields.items())])
        log.log(level, "%s", line, extra={"eastwest": {"event": name, **fields}}, stacklevel=3)


def info(name: str, **fields: object) -> None:
    """Log one event at level INFO."""
    event(logging.INFO, name, **fields)


def warning(name: str, **fields: object) -> None:
    """Log one event at level WARNING."""
    event(logging.WARNING, name, **fields)


def error(name: str, **fields: object) -> None:
    """Log one event at level ERROR."""
    event(logging.ERROR, name, **fields)


def _shown(value: object) -> str:
    """Return a value on one line, in quotes if it would not be one word."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if text and text.isprintable() and not set(text) & set(' "=\\'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in escaped) + '"'
