"""Registry servers and clients that are killed, started again and cut off from each other.

``Chaos`` knows who can reach whom, and from that what every client must come to see:

* published, and the owner and the reader reach one server both: confirmed by all such servers;
* withdrawn: dead for whoever reaches a server, and it stays so;
* a reader that reaches nobody loses nothing.

Network namespaces (root) have every server and every client in one of its own, joined by a bridge;
without, they all are on the loopback, and servers are killed and stopped only.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from eastwest_discovery import _keys
from tests.discovery.registries import DISCOVERY, Registry

ROOT = DISCOVERY.parent
SERVERS, CLIENTS = 3, 4
PORT = 7400  # in namespaces of our own


def ip(*lines: str, namespace: str = "") -> None:
    """Have iproute2 do it, all or an error."""
    command = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True)
    assert done.returncode == 0, f"{lines}: {done.stderr}"


class Plain:
    """All on the loopback; nobody is cut off."""

    can_cut = False

    def prefix(self, name: str) -> list[str]:
        return []

    def host(self, server: int) -> str:
        return "127.0.0.1"

    def cut_server(self, server: int, *, is_cut: bool) -> None:
        raise NotImplementedError

    cut_pair: Callable[..., None] = NotImplemented


class Spaces:
    """A namespace for each, joined by a bridge: 10.78.0.1.. servers, 10.78.0.101.. clients."""

    can_cut = True

    def __init__(self) -> None:
        self._base = f"ewd{os.getpid()}"
        self._hosts = {f"s{n}": f"10.78.0.{n + 1}" for n in range(SERVERS)}
        self._hosts |= {f"c{n}": f"10.78.0.{n + 101}" for n in range(CLIENTS)}

    def open(self) -> None:
        hub = f"{self._base}hub"
        ip(*(f"netns add {self._base}{each}" for each in ("hub", *self._hosts)))
        ip("link add br0 type bridge", "link set br0 up", namespace=hub)
        for name, address in self._hosts.items():
            there = f"{self._base}{name}"
            ip(
                f"link add {name} type veth peer name eth0 netns {there}",
                f"link set {name} master br0 up",
                namespace=hub,
            )
            ip(
                "link set lo up",
                f"addr add {address}/24 dev eth0",
                "link set eth0 up",
                namespace=there,
            )

    def close(self) -> None:
        for each in ("hub", *self._hosts):
            command = ["ip", "netns", "delete", f"{self._base}{each}"]
            subprocess.run(command, capture_output=True)

    def prefix(self, name: str) -> list[str]:
        return ["ip", "netns", "exec", f"{self._base}{name}"]

    def host(self, server: int) -> str:
        return self._hosts[f"s{server}"]

    def cut_server(self, server: int, *, is_cut: bool) -> None:
        """Pull its cable, or plug it in."""
        ip(f"link set s{server} {'down' if is_cut else 'up'}", namespace=f"{self._base}hub")

    def cut_pair(self, server: int, client: int, *, is_cut: bool) -> None:
        """Have nothing that a server sends come to one client: it hears no more."""
        what = "add" if is_cut else "delete"
        ip(
            f"route {what} blackhole {self._hosts[f'c{client}']}/32",
            namespace=f"{self._base}s{server}",
        )


@dataclass
class Child:
    """One client process, and what it has published."""

    process: subprocess.Popen[str]
    published: dict[str, int] = field(default_factory=dict)

    def send(self, do: str, **rest: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **rest}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"a client ended with {self.process.wait()}"
        found: dict[str, object] = json.loads(line)
        return found


@dataclass
class Step:
    """What was done, and how long it took until everybody saw it."""

    what: str
    seconds: float


class Chaos:
    """See the top of the file. One step at a time, each until all agree."""

    def __init__(
        self, net: Plain | Spaces, servers: list[Registry], children: list[Child], bound: float
    ) -> None:
        self.net = net
        self.servers = servers
        self.children = children
        self.bound = bound
        self.steps: list[Step] = []
        self.withdrawn: set[str] = set()
        self.cut_servers: set[int] = set()
        self.cut_pairs: set[tuple[int, int]] = set()
        self._version = 0

    # ------------------------------------------------------------------ what may be done

    def publish(self, client: int, instances: list[str]) -> None:
        """Publish a new version of each."""
        self._version += 1
        versions = dict.fromkeys(instances, self._version)
        self.children[client].published |= versions
        self.withdrawn -= versions.keys()
        self._tell(client, "publish", versions=versions)

    def withdraw(self, client: int, instances: list[str]) -> None:
        for each in instances:
            del self.children[client].published[each]
        self.withdrawn |= set(instances)
        self._tell(client, "withdraw", instances=instances)

    def kill(self, server: int) -> None:
        """Kill -9."""
        self.servers[server].kill()

    def restart(self, server: int) -> None:
        self.servers[server].start().wait()

    def cut_server(self, server: int, *, is_cut: bool = True) -> None:
        self.net.cut_server(server, is_cut=is_cut)
        (self.cut_servers.add if is_cut else self.cut_servers.discard)(server)

    def cut_pair(self, server: int, client: int, *, is_cut: bool = True) -> None:
        assert isinstance(self.net, Spaces)
        self.net.cut_pair(server, client, is_cut=is_cut)
        (self.cut_pairs.add if is_cut else self.cut_pairs.discard)((server, client))

    # ------------------------------------------------------------------ what must be so

    def reach(self, client: int) -> set[int]:
        """Return the servers that a client can talk to."""
        return {
            number
            for number, server in enumerate(self.servers)
            if server.process is not None
            and number not in self.cut_servers
            and (number, client) not in self.cut_pairs
        }

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Do something, then wait until every client sees what it must, and lost nothing else."""
        before = [self.reach(each) for each in range(len(self.children))]
        since = time.monotonic()
        yield
        for reader, child in enumerate(self.children):
            must, kept = self._expected(reader)
            child.send(
                "expect",
                must=must,
                never=sorted(self.withdrawn) if self.reach(reader) else [],
                kept=kept,
                since=since,
                seconds=self.bound,
            )
        found = [child.answer() for child in self.children]
        assert not any("failed" in each for each in found), f"{what}: {found}\n{self}"
        self.steps.append(Step(what, max(float(str(each["seconds"])) for each in found)))
        for reader, child in enumerate(self.children):
            child.send("events")
            gone = child.answer()["gone"]
            assert isinstance(gone, list)
            lost = set(gone) - self._may_go(reader, before)
            assert not lost, f"{what}: client {reader} lost {sorted(lost)[:5]}\n{self}"

    def _expected(self, reader: int) -> tuple[dict[str, tuple[int, list[str]]], list[str]]:
        must: dict[str, tuple[int, list[str]]] = {}
        kept: list[str] = []
        for owner, child in enumerate(self.children):
            common = sorted(self.reach(reader) & self.reach(owner))
            sources = [self.servers[each].address for each in common]
            if common:
                must |= {each: (version, sources) for each, version in child.published.items()}
            elif not self.reach(reader):
                kept += child.published
        return must, kept

    def _may_go(self, reader: int, before: list[set[int]]) -> set[str]:
        """Return what a client may have lost: withdrawn, or its owner was out of reach."""
        allowed = set(self.withdrawn)
        for owner, child in enumerate(self.children):
            was_apart = before[reader] and not before[reader] & before[owner]
            is_apart = self.reach(reader) and not self.reach(reader) & self.reach(owner)
            if was_apart or is_apart:
                allowed |= child.published.keys()
        return allowed

    def _tell(self, client: int, do: str, **rest: object) -> None:
        self.children[client].send(do, **rest)
        self.children[client].answer()

    def __str__(self) -> str:
        reach = [sorted(self.reach(each)) for each in range(len(self.children))]
        done = "; ".join(f"{each.what} {each.seconds:.2f} s" for each in self.steps)
        return f"clients reach servers {reach} after: {done}"

    # ------------------------------------------------------------------ at random

    def random_step(self, rng: random.Random, *, is_quick: bool) -> None:
        """Do one thing that can be done now.

        Args:
            is_quick: only what everybody sees within a second or two.
        """
        what, do = rng.choice(self._possible(rng, is_quick=is_quick))
        with self.step(what):
            do()

    def _possible(
        self, rng: random.Random, *, is_quick: bool
    ) -> list[tuple[str, Callable[[], None]]]:
        client, other = (rng.randrange(len(self.children)) for _ in range(2))
        own = sorted(self.children[client].published)
        some = rng.sample(own, min(10, len(own)))
        fewer = rng.sample(own, min(5, len(own)))
        all_well = not self.cut_servers and not self.cut_pairs
        there = [n for n, server in enumerate(self.servers) if server.process is not None]
        dead = [n for n in range(len(self.servers)) if n not in there]
        found: list[tuple[str, Callable[[], None]]] = [
            (f"publish {len(some)} of {client}", lambda: self.publish(client, some))
        ]
        back = sorted(each for each in self.withdrawn if each.startswith(f"c{client}-"))
        if back:
            found.append((f"publish {len(back)} again", lambda: self.publish(client, back)))
        elif all_well or not is_quick:
            found.append((f"withdraw {len(fewer)}", lambda: self.withdraw(client, fewer)))
        found += [(f"kill {n}", lambda n=n: self.kill(n)) for n in there]  # type: ignore[misc]
        found += [(f"restart {n}", lambda n=n: self.restart(n)) for n in dead] * 2
        if self.net.can_cut:
            cut = sorted(self.cut_servers)
            found += [(f"heal {n}", lambda n=n: self.cut_server(n, is_cut=False)) for n in cut] * 2
            found += [
                (f"heal {s}-{c}", lambda s=s, c=c: self.cut_pair(s, c, is_cut=False))  # type: ignore[misc]
                for s, c in sorted(self.cut_pairs)
            ]
            left = [n for n in there if n not in self.cut_servers]
            found += [(f"cut {n}", lambda n=n: self.cut_server(n)) for n in left[:1]]  # type: ignore[misc]
            if left and (left[-1], other) not in self.cut_pairs and len(self.cut_pairs) < 4:
                last = left[-1]
                found.append((f"cut {last}-{other}", lambda: self.cut_pair(last, other)))
        return found

    def mend(self) -> None:
        """Have everything run and everybody reach everybody."""
        with self.step("mend all"):
            for server, client in sorted(self.cut_pairs):
                self.cut_pair(server, client, is_cut=False)
            for server in sorted(self.cut_servers):
                self.cut_server(server, is_cut=False)
            for server in range(len(self.servers)):
                if self.servers[server].process is None:
                    self.restart(server)

    def save(self, path: Path) -> str:
        """Write the times down; return them for people."""
        if path.parent.is_dir():
            path.write_text(json.dumps([vars(each) for each in self.steps], indent=1) + "\n")
        slowest = sorted(self.steps, key=lambda each: -each.seconds)[:3]
        times = sorted(each.seconds for each in self.steps)
        return (
            f"{len(times)} steps, converged in {times[len(times) // 2]:.2f} s (median), slowest: "
            + ", ".join(f"{each.what} {each.seconds:.2f} s" for each in slowest)
        )


@contextmanager
def chaos(
    net: Plain | Spaces, folder: Path, *, instances: int, ttl: int, settle: float, bound: float
) -> Iterator[Chaos]:
    """Start servers and clients, each of these with its share of *instances* published."""
    keys = _keys.generate(), _keys.generate()
    _keys.write(folder / "server.key", keys[0])
    (folder / "access.toml").write_text(
        f"[[client]]\nname = 'all'\nkey = '{keys[1].public}'\n"
        "publish = ['default/*']\nread = ['default/*']\n"
    )
    arguments = ["--key", str(folder / "server.key"), "--access", str(folder / "access.toml")]
    with ExitStack() as stack:
        if isinstance(net, Spaces):
            stack.callback(net.close)
            net.open()
        port = PORT if isinstance(net, Spaces) else 0
        servers = [
            Registry(arguments, settle, port, host=net.host(n), prefix=net.prefix(f"s{n}"))
            for n in range(SERVERS)
        ]
        for each in servers:
            stack.callback(each.kill)
            each.start()
        for each in servers:
            each.wait()
        url = "zmq://" + ",".join(each.address for each in servers)
        about = [str(ttl), keys[1].public, keys[1].secret, keys[0].public]
        children = []
        for number in range(CLIENTS):
            command = [*net.prefix(f"c{number}"), sys.executable, "-m"]
            command += ["tests.discovery.chaos_client", url, *about]
            process = stack.enter_context(_running(command))
            children.append(Child(process))
        state = Chaos(net, servers, children, bound)
        with state.step(f"publish {instances}"):
            for number in range(CLIENTS):
                share = range(number, instances, CLIENTS)
                state.publish(number, [f"c{number}-{each}" for each in share])
        yield state


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    path = os.pathsep.join([str(ROOT), str(DISCOVERY), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        try:
            yield process
        finally:
            process.kill()
