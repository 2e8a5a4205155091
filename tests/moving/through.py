"""A channel over TCP with a Cutter between its ends, and numbered messages through it.

through               the two ends and the Cutter
send_all, receive_all so many messages of sizes that the count decides; each is checked
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eastwest import Channel, Config, Context
from tests.conformance.pairs import LONG, numbered
from tests.moving.cutter import Cutter

SIZES = (8, 64, 1000, 40_000)


@contextmanager
def through(
    limits: list[int] | None = None, *, delay: float = 0.0, **settings: Any
) -> Iterator[tuple[Channel, Channel, Cutter]]:
    """Two ends with a Cutter between them: the opener's, the acceptor's.

    Args:
        limits, delay: of the Cutter.
        settings: of both contexts.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="ew-"))
        here = {"paths": ("tcp",), "grace": LONG, "security": "none"} | settings
        there = stack.enter_context(Context(Config(bind="127.0.0.1:0", **here)))
        listener = stack.enter_context(there.listen("cut"))
        (address,) = listener.instance.addresses
        cutter = stack.enter_context(Cutter(address, limits, delay=delay))
        file = Path(folder) / "registry.toml"
        file.write_text(f'[[service]]\nname = "cut"\naddresses = ["{cutter.address}"]\n')
        dialler = stack.enter_context(Context(Config(registry=(f"static:{file}",), **here)))
        opened = dialler.connect("cut", timeout=LONG)
        stack.callback(opened.abort)
        accepted = listener.accept(timeout=LONG)
        stack.callback(accepted.abort)
        yield opened, accepted, cutter


def send_all(channel: Channel, count: int, sizes: Sequence[int] = SIZES) -> None:
    """Send numbered messages."""
    chance = random.Random(count)
    for number in range(count):
        channel.send(numbered(number, chance.choice(sizes)), timeout=LONG)


def receive_all(channel: Channel, count: int, sizes: Sequence[int] = SIZES) -> None:
    """Receive what ``send_all`` sends, in order, each once."""
    chance = random.Random(count)
    for number in range(count):
        wanted = numbered(number, chance.choice(sizes))
        assert channel.recv(timeout=LONG) == wanted, f"message {number}"
