"""The third part of the demo: kill -9 a peer, see it, and count what it leaves behind."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._channel import Channel
from .._config import Config
from .._context import Context
from .._errors import EastwestError, PeerLost
from . import _residue
from ._children import Host, Server, ping
from ._measure import size, span

LOST_SECONDS_MAX = 1.0  # generous: usually about a millisecond; a machine may be busy
LISTEN_SECONDS_MAX = 1.0
ANSWER_SECONDS = 5.0

Claim = Callable[[str, bool, str], None]


@dataclass(frozen=True, slots=True)
class Killed:
    """Who is killed, and what there was before it came.

    Attributes:
        far: the other host, if there is one: it must find the next server again.
    """

    service: str
    near: Host
    server: Server
    before: _residue.Inventory
    far: Host | None


class Waiter(threading.Thread):
    """Waits for a message that never comes, and notes when and how that ended."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(name="eastwest-demo", daemon=True)
        self.channel = channel
        self.ended_at = 0.0
        self.error: EastwestError | None = None

    def is_asleep(self) -> bool:
        """Whether it waits by now."""
        return self.channel.stats().recv_waiting > 0

    def run(self) -> None:
        """Wait for the end."""
        try:
            self.channel.recv(timeout=ANSWER_SECONDS)
        except EastwestError as error:
            self.ended_at = time.monotonic()
            self.error = error.with_traceback(None)  # which would keep the channel alive


def kill_and_count(killed: Killed, claim: Claim) -> dict[str, Any]:
    """Kill the server under a channel of ours; return what was seen, and make the claims."""
    config = Config(runtime_dirs=(killed.near.runtime_dir,), paths=("shm",), wait="block")
    with Context(config) as context:
        facts = _kill(context, killed, claim)
        facts |= _listen_again(context, killed, claim)
    if killed.far is not None:
        facts |= _listen_on_the_port(killed, killed.far, claim)
    left = _residue.sockets(killed.near.runtime_dir)
    claim("no socket is left when the servers are gone", not left, _listed(left))
    return {**facts, "sockets_left": left}


def _kill(context: Context, killed: Killed, claim: Claim) -> dict[str, Any]:
    channel = context.connect(killed.service, timeout=ANSWER_SECONDS)
    channel.send(b"are you there?")
    channel.recv(timeout=ANSWER_SECONDS)
    pid = killed.server.process.pid
    mapped = _residue.mapped(pid)
    at_death = _residue.inventory()
    waiter = Waiter(channel)
    waiter.start()
    _residue.settled(waiter.is_asleep)
    began = time.monotonic()
    killed.server.kill()
    waiter.join(ANSWER_SECONDS)
    seconds = waiter.ended_at - began if waiter.error else None
    is_seen = isinstance(waiter.error, PeerLost) and (seconds or 0.0) < LOST_SECONDS_MAX
    after = f"after {span(seconds)}: " if seconds is not None else ""
    error = type(waiter.error).__name__ if waiter.error else None
    claim("its peer is told", is_seen, f"{error} {after}{waiter.error or 'recv still waits'}")
    killed.server.process.wait()
    channel.abort()
    del channel, waiter.channel  # the memory goes with the last reference
    return {
        "pid": pid,
        "error": error,
        "error_text": str(waiter.error or ""),
        "lost_seconds": seconds,
        "shared_bytes_before": mapped.bytes,
        "huge_pages_before": mapped.huge_pages,
        **_count(killed, at_death, mapped.huge_pages, claim),
    }


def _count(killed: Killed, at_death: _residue.Inventory, huge: int, claim: Claim) -> dict[str, Any]:
    """Count what is left; our own end of the channel is gone too."""
    files = _residue.new_shm_files(killed.before)
    claim("nothing is left in /dev/shm", not files, _listed(files))
    missing = _residue.huge_pages_missing(killed.before, at_death, huge)
    detail = f"the channel took {huge}, {missing} are missing"
    claim("all huge pages are back", missing == 0, detail)
    _residue.settled(lambda: _residue.mapped(os.getpid()).bytes == 0)
    mapped = _residue.mapped(os.getpid()).bytes
    claim("its peer holds none of its memory", mapped == 0, f"{size(mapped)} mapped")
    return {"shm_files_left": files, "huge_pages_left": missing, "shared_bytes_left": mapped}


def _listen_again(context: Context, killed: Killed, claim: Claim) -> dict[str, Any]:
    """Publish the same name in the same directory, beside the dead one's socket."""
    stale = _residue.sockets(killed.near.runtime_dir)
    began = time.monotonic()
    listener = context.listen(killed.service)
    seconds = time.monotonic() - began
    with listener:
        now = _residue.sockets(killed.near.runtime_dir)
        channel = context.connect(killed.service, timeout=ANSWER_SECONDS)
        channel.abort()
    is_good = seconds < LISTEN_SECONDS_MAX and len(now) == 1
    detail = f"after {span(seconds)}; stale sockets before: {len(stale)}, after: {len(now) - 1}"
    claim("the name is served again at once", is_good, detail)
    return {"stale_sockets": len(stale), "listen_again_seconds": seconds}


def _listen_on_the_port(killed: Killed, far: Host, claim: Claim) -> dict[str, Any]:
    """Bind the port that the dead server had, and be reached there from the other host."""
    url = next(each for each in killed.server.facts["addresses"] if each.startswith("tcp:"))
    bind = ["--bind", url.removeprefix("tcp://"), "--security", "none"]
    with Server(killed.near, killed.service, *bind):
        said = ping(far, killed.service, 64, 1, ANSWER_SECONDS)
    is_good = said["received"] == 1 and said["path"] == "tcp"
    claim("so is its TCP port", is_good, f"{url}, reached over {said['path']}")
    return {"port_again": url}


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "nothing"
