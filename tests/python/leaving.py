"""A program that ends with something open: ``python -m tests.python.leaving PATH WORD...``

WORD: what threads wait in (recv iterate send accept serve), what was closed before (opened accepted
listener context), and "early" and "late": handlers at exit that send, registered before the import
and after it. Each handler says how its send ended.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable

PATH, WORDS = sys.argv[1], set(sys.argv[2:])
said: list[Callable[[], None]] = []


def last_words(name: str) -> None:
    """Send at exit; our standard output may be closed by then."""
    try:
        said[0]()
    except Exception as error:  # noqa: BLE001 whatever it is, the test reads it
        os.write(1, f"{name}: {type(error).__name__}\n".encode())
    else:
        os.write(1, f"{name}: sent\n".encode())


if "early" in WORDS:
    atexit.register(last_words, "early")

import eastwest  # noqa: E402
from tests.conformance.pairs import is_asleep, wait_until  # noqa: E402

if "late" in WORDS:
    atexit.register(last_words, "late")


def waits(work: Callable[[], object]) -> None:
    """Run it in a daemon thread, until that waits in the kernel."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    wait_until(lambda: is_asleep(thread.native_id or 0), "it waits")


def send_until_full(channel: eastwest.Channel) -> None:
    while True:
        channel.send(bytes(1000))


listener = eastwest.listen("leaving")
opened = eastwest.connect("leaving")
accepted = listener.accept()
if PATH == "tcp":
    opened.switch("tcp", timeout=30)
said.append(lambda: opened.send(b"at exit"))
works: dict[str, Callable[[], object]] = {
    "recv": accepted.recv,
    "iterate": lambda: list(accepted),
    "send": lambda: send_until_full(accepted),
    "accept": listener.accept,
    "serve": lambda: listener.serve(list),
}
for word, work in works.items():
    if word in WORDS:
        waits(work)
if "opened" in WORDS:
    opened.close()
if "accepted" in WORDS:
    accepted.close()
if "listener" in WORDS:
    listener.close()
if "context" in WORDS:
    eastwest.default_context().close()
print("end", flush=True)
