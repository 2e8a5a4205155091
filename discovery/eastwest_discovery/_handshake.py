"""Why there is no connection to a registry server, and what would help: texts for a client.

ZeroMQ tells the client little, on purpose: a server whose key is another one, or that wants keys
where we have none, just ends the connection. Our own side of it says what it can be.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import zmq

NOT_KNOWN = zmq.EVENT_HANDSHAKE_FAILED_AUTH
NO_HANDSHAKE = (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
_LOST: Mapping[int, str] = {
    zmq.EVENT_CLOSED: "cannot connect (refused, or nobody there)",
    zmq.EVENT_DISCONNECTED: "the connection was lost",
}
EVENTS = sum(_LOST) | sum(NO_HANDSHAKE) | NOT_KNOWN


@dataclass(frozen=True, slots=True)
class Ends:
    """The public keys of a connection; "" without."""

    own: str = ""
    server: str = ""

    def problem(self, event: int) -> str:
        """Return what one of EVENTS means."""
        if event == NOT_KNOWN:
            return (
                f"the server does not know our key {self.own}; add it to its file of "
                "permissions (--access), and send it SIGHUP"
            )
        if event not in NO_HANDSHAKE:
            return _LOST[event]
        if self.own:
            return (
                f"no handshake: the server has another key than {self.server}, or none; "
                "compare it with 'public' in the server's key file (--key)"
            )
        return (
            "no handshake: the server wants keys and we have none, or it is no registry; "
            "make some with 'keygen', and tell the server the public one"
        )
