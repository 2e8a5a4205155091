"""One channel API for local (shared memory) and remote (TCP) peers.

with eastwest.listen("pricing") as listener:      # serve
    listener.serve(handle)

with eastwest.connect("pricing") as channel:      # use
    channel.send(b"hello")
    reply = channel.recv(timeout=1.0)
"""

# A map of the package, from the outside in:
#
#   _default.py         the default context; connect, listen, explain
#   _context.py         Context: ties configuration, discovery and the C library together
#   _exit.py            closes open contexts at the end of the interpreter
#   _listener.py        Listener: accept, serve; _handler.py: what an error in a handler ends
#   _channel.py         Channel: control side of _message.Port (send, recv ... in C)
#   _closing.py         what ``with`` does with all three
#
#   _connect.py         policy: wait for the name, plan, dial, say why not
#   _dial.py            tries candidates, keeps a verdict for each
#   _select.py          which instance, which path, in which order
#   _health.py          who is behind the others for a while; _tries.py: what a dial says about it
#   _keeper.py          moves channels to a better path when one appears; _better.py: is there one?
#   _find.py            asks every provider; _publish.py tells them what listens here
#   _providers/         local (runtime directories), static (a TOML file), remote (dns, zmq, etcd:
#                       by the package eastwest_discovery); _registries.py opens them
#   _rundir.py          which runtime directories
#   _parallel.py        several at once, in threads
#   _explain.py         explanations of a channel and of a listener
#   _fabric.py          the port on a fabric network: settings, state, verdicts
#
#   _config.py          Config; _config_file.py reads, _config_checks.py, _config_fabric.py and
#                       _config_registry.py judge
#   _names.py  _addresses.py  _facts.py     what is written and said: checked here
#   _values.py  _native_values.py           frozen values
#   _log.py  _note.py   what is logged, and what a channel keeps for tools that look in
#   _errors.py          the tree of exceptions, and codes -> exceptions
#
#   _native.py  _native_options.py  _native_fabric.py  _native_rundir.py    cffi (_core): only here
#   _core, _message     the C library: control by cffi, messages by an extension
#
# Only _native, _channel, _listener, _context and _default need the C library.

from ._channel import Channel as Channel
from ._config import Config as Config
from ._context import Context as Context
from ._default import connect as connect
from ._default import default_context as default_context
from ._default import explain as explain
from ._default import listen as listen
from ._errors import ChannelEnded as ChannelEnded
from ._errors import ClosedHere as ClosedHere
from ._errors import ConfigurationError as ConfigurationError
from ._errors import ConnectError as ConnectError
from ._errors import EastwestError as EastwestError
from ._errors import EndOfChannel as EndOfChannel
from ._errors import ForkedError as ForkedError
from ._errors import InternalError as InternalError
from ._errors import Interrupted as Interrupted
from ._errors import MessageTooLong as MessageTooLong
from ._errors import OutOfMemory as OutOfMemory
from ._errors import PeerLost as PeerLost
from ._errors import Refused as Refused
from ._errors import ServiceNotFound as ServiceNotFound
from ._errors import SystemCallError as SystemCallError
from ._errors import Timeout as Timeout
from ._errors import Unreachable as Unreachable
from ._listener import Listener as Listener
from ._native import version as _version
from ._values import ChannelStats as ChannelStats
from ._values import ContextStats as ContextStats
from ._values import Explanation as Explanation
from ._values import Instance as Instance
from ._values import ListenerStats as ListenerStats
from ._values import Peer as Peer
from ._values import Verdict as Verdict

__version__: str = _version()
