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
follow_end    WARNING  a thread of a client ended too early: source, detail
publish_waits WARNING  no server could be reached, it is sent when one is: record, detail
record_ignored WARNING what a server told is no record, or not asked for: detail, server, record
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

Nothing is written unless the program asks for it; see ``events.py``.
"""

from .events import Events, later

_events = Events("eastwest_discovery")
log, info, warning, error = _events.logger, _events.info, _events.warning, _events.error
__all__ = ["error", "info", "later", "log", "warning"]
