"""Two processes with a port each, as long as a test file lasts, and their channels at hand here.

A device belongs to one process and takes long to open, so both ends live elsewhere; what a test
does with an end is done there, by a thread for each thread of the test. An end waits here while it
waits there, and raises what it raised there.

Cable   the two texts that name the ends of one device, and where the processes are
Far     two such processes; ``pair`` connects them once more
"""

import inspect
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Self

import pytest

from tests.conformance.pairs import LONG, Pair, Settings, context, forget
from tests.conformance.processes import ROOT, Child, Line
from tests.integration.hosts import FABRIC_END, fabric_pair, needs_namespaces, two_hosts

REAL_PLUGIN = ROOT / "bindings/dpdk/eastwest_dpdk/eastwest_dpdk_plugin.so"
PORT = 7411  # of a stack of our own, on a network of its own
NOT_FROM_AFAR = {
    "test_a_hundred_thousand_messages_arrive_in_order_and_once",  # as many calls: takes minutes
    "test_every_contiguous_buffer_is_sent_with_its_bytes",  # buffers are copied on their way there
    "test_recv_into_a_read_only_buffer_is_refused_and_keeps_the_message",
}
LISTENS_AT = f"dpdk://lab/10.77.0.1:{PORT}"


@dataclass(frozen=True)
class Cable:
    """How two processes meet: the device of who listens and of who dials, and their namespaces."""

    kind: str
    serving: str
    dialling: str
    spaces: tuple[str, str] | None = None
    more: Settings = field(default_factory=dict)

    def port(self, number: int) -> Settings:
        """Return the settings of the end 1, which listens, or 2."""
        return {
            "paths": ["dpdk"],
            "security": "none",
            "fabric_network": "lab",
            "fabric_device": self.serving if number == 1 else self.dialling,
            "fabric_addresses": [f"10.77.0.{number}/24"],
            "fabric_port": PORT,
            "fabric_plugin": str(REAL_PLUGIN),
            "grace": 0.0,  # death is seen at once
            **self.more,
        }

    def command(self, number: int) -> list[str]:
        return ["ip", "netns", "exec", self.spaces[number - 1]] if self.spaces else []


def needs_plugin() -> None:
    """Skip where the plug-in was not built."""
    if not REAL_PLUGIN.exists():
        pytest.skip("needs DPDK: no plug-in was built")


# ------------------------------------------------------------------ there


class Host:
    """What one of the processes does, besides what is done with its channels."""

    def __init__(self) -> None:
        self._context: Any = None
        self._listener: Any = None

    def open(self, settings: Settings) -> None:
        self._context = context(settings)

    def listen(self) -> None:
        self._listener = self._context.listen("contract")

    def connect(self) -> Any:
        return self._context.connect("contract", timeout=LONG)

    def accept(self) -> Any:
        return self._listener.accept(timeout=LONG)

    def close_context(self) -> None:
        self._context.close()

    def forget(self) -> None:
        if self._context is not None:
            forget(self._context)
        self._context = self._listener = None

    def state(self) -> str:
        return str(self._context.fabric().state)


class There:
    """The objects of one of the processes, by number; 0 is its Host."""

    def __init__(self) -> None:
        self.objects: list[Any] = [Host()]

    def answer(self, number: int, name: str, args: list[Any], named: dict[str, Any]) -> Any:
        target = self.objects[number]
        if name == "drop":
            self.objects[number] = None
            return None
        if name == "recv_into":
            return target.recv_into(args[0], **named), args[0]
        found = getattr(target, name)
        result = found(*args, **named) if callable(found) else found
        if number == 0 and name in ("connect", "accept"):
            self.objects.append(result)
            return len(self.objects) - 1, result.path
        return result

    def serve(self, line: Connection) -> None:
        with suppress(EOFError, OSError):
            while True:
                try:
                    line.send((True, self.answer(*line.recv())))
                except (EOFError, OSError, BrokenPipeError) as error:
                    if not _is_ours(error):
                        raise
                    line.send((False, error))
                except Exception as error:  # noqa: BLE001 it is raised again where it was asked for
                    line.send((False, error))


def _is_ours(error: BaseException) -> bool:
    return type(error).__module__.startswith("eastwest")


def be_far(test: Line, path: str) -> None:
    """Answer on the socket *path* for ever."""
    there = There()
    with Listener(path, "AF_UNIX", backlog=64) as door:
        test.tell(os.getpid())
        while True:
            line = door.accept()
            threading.Thread(target=there.serve, args=[line], daemon=True).start()


# ------------------------------------------------------------------ here


class Remote:
    """An object of the other process."""

    def __init__(self, path: str, number: int = 0) -> None:
        self._path, self._number = path, number
        self._mine = threading.local()

    def ask(self, name: str, *args: Any, **named: Any) -> Any:
        """Do it there, in the thread that belongs to this one."""
        if (line := getattr(self._mine, "line", None)) is None:
            line = self._mine.line = Client(self._path, "AF_UNIX")
        line.send((self._number, name, args, named))
        good, value = line.recv()
        if not good:
            raise value
        return value


_METHODS = ("send", "send_parts", "send_many", "try_send", "recv", "recv_many", "try_recv", "flush",
            "send_eof", "close", "abort", "stats", "explain")  # fmt: skip


class FarChannel(Remote):
    """A channel of the other process; it is used as one of this one."""

    def __getattr__(self, name: str) -> Any:
        if name in _METHODS:
            return lambda *args, **named: self.ask(name, *map(_plain, args), **named)
        if name.startswith("_"):
            raise AttributeError(name)
        return self.ask(name)

    def recv_into(self, buffer: Any, **named: Any) -> int:
        with memoryview(buffer) as view:
            count, got = self.ask("recv_into", bytearray(view.tobytes()), **named)
            view.cast("B")[:] = got
        return int(count)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return bytes(self.ask("__next__"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *how: Any) -> None:
        self.ask("__exit__", how[0], how[1], None)

    def __repr__(self) -> str:
        return str(self.ask("__repr__"))


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, bytearray) else value


class FarContext(Remote):
    """The context of the other process; once closed, the next pair makes another one."""

    closed = False

    def close(self) -> None:
        self.closed = True
        self.ask("close_context")


class Far:
    """The two processes of a cable: the first one listens."""

    def __init__(self, cable: Cable, folder: Path) -> None:
        self.cable, self._folder = cable, folder
        file = folder / "services.toml"
        file.write_text(f'[[service]]\nname = "contract"\naddresses = ["{LISTENS_AT}"]\n')
        self._registry = f"static:{file}"
        self._settings: tuple[Settings, Settings] | None = None
        self._contexts: list[FarContext] = []
        self._ends: list[FarChannel] = []
        self.children = [self._start(number) for number in (1, 2)]

    def _start(self, number: int) -> Child:
        path = str(self._folder / f"{number}.far")
        command = self.cable.command(number)
        env = {"EASTWEST_DPDK_PAGES": "small"}
        child = Child(be_far, path, command=command, env=env)
        child.hears()
        return child

    def open(self, a: Settings, b: Settings) -> None:
        """Have both contexts with these settings; a device that is open stays so if it can."""
        if self._settings == (a, b) and not any(each.closed for each in self._contexts):
            return
        self.close_contexts()
        self._contexts = [FarContext(str(self._folder / f"{number}.far")) for number in (1, 2)]
        there, here = self._contexts
        there.ask("open", self.cable.port(1) | b)
        there.ask("listen")
        here.ask("open", self.cable.port(2) | a | {"registry": [self._registry]})
        self._settings = (a, b)

    def close_contexts(self) -> None:
        for each in reversed(self._contexts):
            each.ask("forget")
        self._contexts, self._settings = [], None

    def pair(self, a: Settings | None = None, b: Settings | None = None) -> Pair:
        """Connect once more. *a*, *b*: more settings of who dials and of who listens."""
        self.open(a or {}, b or {})
        there, here = self._contexts
        accepting: list[Any] = []
        thread = threading.Thread(target=lambda: accepting.append(there.ask("accept")))
        thread.start()
        opened = here.ask("connect")
        thread.join(LONG)
        ends = [
            FarChannel(context._path, number)
            for context, number in ((here, opened[0]), (there, accepting[0][0]))
        ]
        assert opened[1] == accepting[0][1] == "dpdk"
        self._ends += ends
        return Pair(ends[0], ends[1], (here, there))  # type: ignore[arg-type]

    def end_test(self) -> None:
        """Abort what the test has left."""
        for each in self._ends:
            each.ask("abort")
            each.ask("drop")
        self._ends.clear()

    def end(self) -> None:
        for child in self.children:
            child.__exit__(None, None, None)


# ------------------------------------------------------------------ cables and tests


@contextmanager
def cable(kind: str, folder: Path, **more: Any) -> Iterator[Cable]:
    """Make a cable of a kind. *more*: settings of both ends."""
    needs_plugin()
    if kind == "virtio_user":
        path = f"path={folder}/v.sock"
        yield Cable(kind, f"vhost:{path}", f"virtio_user:{path}", more=more)
    elif kind == "memif":
        socket = f"memif:socket={folder}/m.sock"
        yield Cable(kind, f"{socket},role=server", f"{socket},role=client", more=more)
    else:
        needs_namespaces()
        with two_hosts() as spaces:
            fabric_pair(spaces)
            device = f"{kind}:iface={FABRIC_END}"
            yield Cable(kind, device, device, spaces, more)


@contextmanager
def far_over(kind: str) -> Iterator[Far]:
    """Two processes on a cable of a kind."""
    with TemporaryDirectory(prefix="ew-") as name, cable(kind, Path(name)) as made:
        far = Far(made, Path(name))
        try:
            yield far
        finally:
            far.end()


def far_over_each(*kinds: Any) -> Any:
    """Return the fixture ``far`` of a test file: two processes for each kind, all along."""

    @pytest.fixture(scope="module", params=kinds)
    def far(request: pytest.FixtureRequest) -> Iterator[Far]:
        with far_over(request.param) as made:
            yield made

    return far


@pytest.fixture
def make_pair(far: Far) -> Iterator[Callable[..., Pair]]:
    yield far.pair
    far.end_test()


def of_two_ends(
    *modules: ModuleType, without: Sequence[str] = ()
) -> dict[str, Callable[..., None]]:
    """Return the tests that touch nothing but the ends of a pair: these may be elsewhere.

    Args:
        without: fixtures; who uses them is left out.
    """
    out = {"way", *without}
    return {
        name: test
        for module in modules
        for name, test in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("test_")
        and name not in NOT_FROM_AFAR
        and not out & set(inspect.signature(test).parameters)
    }
