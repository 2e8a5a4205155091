"""Zenoh: two peers that know each other's address, a key each way for each link.

zenoh-tcp, zenoh-ipc    over a TCP or a Unix stream socket, shared memory off
zenoh-shm               as zenoh-ipc, with Zenoh's transparent shared memory (its default, with a
                        larger pool): messages of 3072 B and more go through it

Publishers are reliable and block when a queue is full, subscribers have Zenoh's own channel, which
blocks too: nothing is lost. Zenoh's threads work on the core of their process: only wait=block.
"""

import json
import threading
from collections.abc import Callable
from typing import Any, Final

from bench.compare.pair import segments
from bench.compare.pair.ends import Ends, Setup, Side, package, version_of
from bench.compare.pair.loops import Recv, Send

WHY: Final = "Zenoh's threads would share their core with who spins"
PATIENCE_S: Final = 20
POOL_BYTES: Final = 128 << 20
WAYS: Final = ("ask", "answer")


class Zenoh(Ends):
    """A session with publishers and subscribers."""

    def __init__(self, setup: Setup, transport: str, *, is_shared: bool) -> None:
        setup.require_wait("block", why=WHY)
        zenoh = package("zenoh", "eclipse-zenoh")
        zenoh.init_log_from_env_or("error")
        self._setup = setup
        self._zenoh = zenoh
        self._session = self._open(transport, is_shared=is_shared)
        mine, theirs = WAYS[setup.duo.is_peer], WAYS[not setup.duo.is_peer]
        links = range(setup.links)
        self._subscribers = [
            self._session.declare_subscriber(f"bench/{theirs}/{link}") for link in links
        ]
        self._publishers = [self._publisher(f"bench/{mine}/{link}") for link in links]
        self.version = f"eclipse-zenoh {version_of('eclipse-zenoh')}"
        self.detail = f"peers over {transport}, shared memory {'on' if is_shared else 'off'}"

    def _open(self, transport: str, *, is_shared: bool) -> Any:
        """Return the session of this side, when the other one can be reached."""
        duo = self._setup.duo
        end = f"unixsock-stream/{self._setup.folder}/zenoh"
        if transport == "tcp":
            end = f"tcp/{self._setup.host}:0"
        if duo.is_peer:
            session = self._zenoh.open(self._config("listen", end, is_shared=is_shared))
            duo.tell(_address_of(session) if transport == "tcp" else end)
            return session
        return self._zenoh.open(self._config("connect", duo.tell(""), is_shared=is_shared))

    def _config(self, side: str, end: str, *, is_shared: bool) -> Any:
        settings: dict[str, object] = {
            "mode": "peer",
            "scouting/multicast/enabled": False,
            "scouting/gossip/enabled": False,
            "adminspace/enabled": True,  # it knows the port
            "listen/endpoints": [],
            "transport/shared_memory/enabled": is_shared,
            f"{side}/endpoints": [end],
        }
        if is_shared:
            settings["transport/shared_memory/mode"] = "init"
            settings["transport/shared_memory/transport_optimization/pool_size"] = POOL_BYTES
        config = self._zenoh.Config()
        for name, value in settings.items():
            config.insert_json5(name, json.dumps(value))
        return config

    def _publisher(self, key: str) -> Any:
        """Return one that the other side listens to."""
        publisher = self._session.declare_publisher(
            key,
            congestion_control=self._zenoh.CongestionControl.BLOCK,
            reliability=self._zenoh.Reliability.RELIABLE,
        )
        found = threading.Event()
        listener = publisher.declare_matching_listener(lambda _: found.set())
        if not publisher.matching_status and not found.wait(PATIENCE_S):
            raise TimeoutError(f"nobody listens to {key}")
        listener.undeclare()
        return publisher

    def send_of(self, link: int) -> Send:
        """See ``Ends``."""
        return self._publishers[link].put  # type: ignore[no-any-return]

    def recv_of(self, link: int) -> Recv:
        """See ``Ends``."""
        recv = self._subscribers[link].recv
        return lambda: recv().payload.to_bytes()

    def close(self) -> None:
        """See ``Side``; segments outlive Zenoh's session."""
        own = segments.mapped(".zenoh")
        self._publishers.clear()
        self._subscribers.clear()
        self._session.close()
        self._setup.duo.meet()
        segments.remove(own)


def _address_of(session: Any) -> str:
    """Return where a session listens."""
    for reply in session.get(f"@/{session.info.zid()}/peer"):
        return str(json.loads(reply.ok.payload.to_string())["locators"][0])
    raise RuntimeError("the admin space of zenoh does not answer")


SYSTEMS: dict[str, Callable[[Setup], Side]] = {
    "zenoh-tcp": lambda setup: Zenoh(setup, "tcp", is_shared=False),
    "zenoh-ipc": lambda setup: Zenoh(setup, "ipc", is_shared=False),
    "zenoh-shm": lambda setup: Zenoh(setup, "ipc", is_shared=True),
}
