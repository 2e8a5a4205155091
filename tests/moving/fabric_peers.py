"""The processes of tests with a port of DPDK: each has one context and one channel under load.

The test tells the name of a method of ``Peer`` with its arguments, and hears what that returns.
"""

import time
from pathlib import Path
from typing import Any

import eastwest
from eastwest import Channel, Context
from tests.conformance.pairs import LONG, context
from tests.conformance.processes import Line
from tests.moving.peers import Ends

SERVICE = "moving"


class Peer:
    """A channel, loaded or not, and what the test may ask of it."""

    def __init__(self, owner: Context, channel: Channel) -> None:
        self.owner, self.channel = owner, channel
        self.ends: Ends | None = None

    def load(self) -> None:
        """Send and receive numbered messages as fast as they go."""
        self.ends = Ends(self.channel)

    def look(self) -> dict[str, Any]:
        stats = self.channel.stats()
        counts = {}
        if self.ends is not None:
            counts = {key: getattr(self.ends, key) for key in ("sent", "received", "wrong")}
            counts["errors"] = list(self.ends.errors)
        changes = [(each.before, each.after, each.lost) for each in stats.changes]
        return {
            "path": self.channel.path,
            "state": self.owner.fabric().state,
            "changes": changes,
            **counts,
        }

    def end(self) -> dict[str, Any]:
        """Send the end, wait for the other one's; return the counts."""
        assert self.ends is not None
        return self.ends.end(stop=True)

    def echo(self) -> None:
        """Give one message back."""
        self.channel.send(self.channel.recv(timeout=LONG), timeout=LONG)

    def ask(self, size: int) -> bool:
        """Say whether a message of *size* bytes comes back as it was."""
        self.send_one(size)
        return self.receive_one(size)

    def send_one(self, size: int) -> None:
        self.channel.send(_message(size), timeout=LONG)

    def receive_one(self, size: int) -> bool:
        return self.channel.recv(timeout=LONG) == _message(size)

    def hear(self) -> str:
        """Return how a wait for a message ends."""
        try:
            return self.channel.recv(timeout=LONG).decode()
        except eastwest.EastwestError as error:
            return type(error).__name__

    def compute(self, seconds: float) -> int:
        """Work in this thread, and call nothing of ours."""
        rounds, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            rounds += 1
        return rounds

    def idle_share(self, seconds: float, enough: float, windows: int) -> float:
        """Do nothing for so long, again until the share of a processor is below *enough*.

        Returns the least share of all threads: what is done all the time is done in each window,
        and what another machine's load adds to one is not ours.
        """
        least = 1.0
        for _ in range(windows):
            began, used = time.monotonic(), time.process_time()
            time.sleep(seconds)
            least = min(least, (time.process_time() - used) / (time.monotonic() - began))
            if least < enough:
                break
        return least


def _message(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def _obey(test: Line, peer: Peer) -> None:
    while True:
        name, *arguments = test.hears()
        test.tell(getattr(peer, name)(*arguments))


def serve(test: Line, settings: dict[str, Any]) -> None:
    """Listen, tell the addresses; accept one channel, tell its path; obey."""
    with context(settings) as owner, owner.listen(SERVICE) as listener:
        test.tell(listener.instance.addresses)
        channel = listener.accept(timeout=LONG)
        test.tell(channel.path)
        _obey(test, Peer(owner, channel))


def dial(test: Line, settings: dict[str, Any], folder: str, addresses: list[str]) -> None:
    """Connect to these addresses, tell the path; obey."""
    file = Path(folder) / "services.toml"
    file.write_text(f'[[service]]\nname = "{SERVICE}"\naddresses = {addresses}\n')
    with context(settings, registry=[f"static:{file}"]) as owner:
        channel = owner.connect(SERVICE, timeout=LONG)
        test.tell(channel.path)
        _obey(test, Peer(owner, channel))
