"""Clients and registry servers without sockets, threads and clocks: bytes between pure parts."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from eastwest_discovery import _wire as wire
from eastwest_discovery._agent import Agent, Watch
from eastwest_discovery._link import Watched
from eastwest_discovery._record import Record
from eastwest_discovery._registry import Registry

WATCHED: Watched = ("default", "pricing")
STEP = 0.25  # seconds


@dataclass
class Wire:
    """What is between a client and a server; a server that cannot be reached loses everything."""

    is_cut: bool = False
    is_open: bool = False
    to_client: list[list[bytes]] = field(default_factory=list)


class World:
    """Servers, clients and one clock."""

    def __init__(self, servers: int, clients: int = 1, *, settle: float = 0.0) -> None:
        self.now = 1000.0
        self.sources = tuple(f"s{number}:1" for number in range(servers))
        self.settle = settle
        self._boots = 0
        self.registries = {source: self._registry() for source in self.sources}
        self.agents = [Agent(self.sources, random.Random(n)) for n in range(clients)]
        self.wires = {(n, s): Wire() for n in range(clients) for s in self.sources}

    def _registry(self) -> Registry:
        self._boots += 1
        return Registry(self._boots.to_bytes(8, "big"), self.now, settle_seconds=self.settle)

    def restart(self, source: str) -> None:
        """Kill a server and start it again, with nothing known."""
        self.registries[source] = self._registry()
        for (client, where), each in self.wires.items():
            if where == source and each.is_open:
                self._close(client, source, "the connection was lost")

    def cut(self, source: str, *, is_cut: bool = True) -> None:
        """Let nothing through to a server, or again."""
        for (_, where), each in self.wires.items():
            each.is_cut = is_cut if where == source else each.is_cut

    def watch(self, client: int = 0) -> Watch:
        """Return what a client knows of the service, which is asked for from now on."""
        watch = self.agents[client].watch(WATCHED, self.now)
        if not watch.is_loaded:
            self.agents[client].remember(WATCHED, (), self.now)
        return watch

    def seen(self, client: int = 0) -> dict[str, int]:
        """Return versions by instance, of what is not stale."""
        entries = self.watch(client).view.entries
        return {e.record.instance: e.record.version for e in entries if not e.is_stale}

    def publish(self, record: Record, client: int = 0) -> None:
        self.agents[client].publish(record, self.now)

    def settle_down(self, rounds: int = 20) -> None:
        """Let everything that is due now come and go."""
        for _ in range(rounds):
            self._exchange()
            self.now += 0.05  # the pause between two polls

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self._exchange()
            self.now += STEP
        self.settle_down()

    # ------------------------------------------------------------------ inside

    def _exchange(self) -> None:
        for registry in self.registries.values():
            registry.tick(self.now)
        for (client, source), each in self.wires.items():
            self._one(client, source, each)
        for source, registry in self.registries.items():
            for route, number, body in registry.letters():
                self._deliver(int(route), source, [number, body])
        for agent in self.agents:
            agent.turn(self.now)

    def _one(self, client: int, source: str, each: Wire) -> None:
        agent = self.agents[client]
        link = agent.links[source]
        if link.is_open and (problem := link.overdue(self.now)):
            self._close(client, source, problem)
        if link.wants_socket(self.now):
            link.opened()
            each.is_open = True
        for number, request, cursor in agent.due(source, self.now):
            frames = wire.request(number, request, cursor)
            if not each.is_cut:
                self._serve(client, source, frames)
        arrived, each.to_client = each.to_client, []
        for frames in arrived:
            if link.is_open:
                agent.replied(source, wire.answer(frames), self.now)
        each.is_open = link.is_open

    def _serve(self, client: int, source: str, frames: list[bytes]) -> None:
        route = str(client).encode()
        body = self.registries[source].request(None, route, *frames)
        if body is not None:
            self._deliver(client, source, [frames[0], body])

    def _deliver(self, client: int, source: str, frames: list[bytes]) -> None:
        each = self.wires[client, source]
        if each.is_open and not each.is_cut:
            each.to_client.append(frames)

    def _close(self, client: int, source: str, problem: str) -> None:
        each = self.wires[client, source]
        each.is_open, each.to_client = False, []
        self.agents[client].failed(source, problem, self.now)


def due(world: World, source: str) -> Iterator[tuple[int, bytes]]:
    """Return numbers and cursors of the polls that client 0 sends now; nobody answers them."""
    agent = world.agents[0]
    if agent.links[source].wants_socket(world.now):
        agent.links[source].opened()
    for number, _, cursor in agent.due(source, world.now):
        yield number, cursor
