"""What goes on in other threads while a test does something."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(step: Callable[[], object], *, every: float = 0.0, threads: int = 1) -> Iterator[None]:
    """Call *step* again and again until the block ends.

    Args:
        every: seconds to wait before each call.
        threads: how many do so.
    """
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(every):
            step()

    made = [threading.Thread(target=go_on) for _ in range(threads)]
    for each in made:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in made:
            each.join()
