"""eastwest for asyncio: the same names, to be awaited. Under uvloop, too.

async with eastwest.aio.listen("pricing") as listener:      # serve
    await listener.serve(handle)

async with eastwest.aio.connect("pricing") as channel:      # use
    await channel.send(b"hello")
    reply = await channel.recv(timeout=1.0)
"""

# A map of the package, from the outside in:
#
#   _default.py    connect, listen, explain with the default context
#   _context.py    Context: what may take time runs in a thread
#   _listener.py   Listener: accept, serve
#   _channel.py    Channel: tries first, spins a little, then waits in line
#
#   _line.py       tasks in line for one thing; the first one looks
#   _turn.py       fairness: how long tasks may go on without the loop
#   _watch.py      the descriptor in the loop
#   _thread.py     what has to wait in C without a descriptor
#
# All messages go through the synchronous Channel; there is no second path.

from ._channel import Channel as Channel
from ._context import Context as Context
from ._default import connect as connect
from ._default import default_context as default_context
from ._default import explain as explain
from ._default import listen as listen
from ._listener import Listener as Listener
