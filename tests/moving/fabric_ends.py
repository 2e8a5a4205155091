"""Two processes of fabric_peers.py on a cable of any kind, and a channel over dpdk between them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.conformance.far import LISTENS_AT, Cable, cable
from tests.conformance.pairs import LONG
from tests.conformance.processes import Child
from tests.moving.fabric_peers import dial, serve

SMALL = {"EASTWEST_DPDK_PAGES": "small"}


def ask(child: Child, name: str, *arguments: object, timeout: float = LONG) -> Any:
    """Return what a method of the child's Peer returns."""
    child.tell([name, *arguments])
    (answer,) = child.hears(timeout)
    return answer


def exchange(children: list[Child]) -> bool:
    """Say whether the first one gives back what the second one asks."""
    children[0].tell(["echo"])
    good = ask(children[1], "ask", 300_000)
    children[0].hears()
    return bool(good)


class Ends:
    """The two processes of a cable and their channel over dpdk: the first one accepted."""

    def __init__(self, made: Cable, folder: Path, stack: ExitStack) -> None:
        self.cable, self.folder, self.stack = made, folder, stack
        self.children = [self.start(1), self.start(2)]
        self.meet()

    def start(self, number: int) -> Child:
        command, settings = self.cable.command(number), self.cable.port(number)
        if number == 1:
            child = Child(serve, settings, command=command, env=SMALL)
            self.stack.enter_context(child).hears()  # it listens: the other one needs its socket
        else:
            child = Child(
                dial, settings, str(self.folder), [LISTENS_AT], command=command, env=SMALL
            )
            self.stack.enter_context(child)
        return child

    def meet(self) -> None:
        assert [each.hears() for each in reversed(self.children)] == [["dpdk"]] * 2


@contextmanager
def ends_on(kind: str) -> Iterator[Ends]:
    with (
        TemporaryDirectory(prefix="ew-") as name,
        cable(kind, Path(name), grace=LONG) as made,
        ExitStack() as stack,
    ):
        yield Ends(made, Path(name), stack)
