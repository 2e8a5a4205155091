"""What the other process does in tests of signals; see children.py. Imports no pytest."""

import os
import random
import signal
import socket
import tempfile
import threading
import time
from contextlib import suppress
from typing import Any

import eastwest
from tests.conformance.children import dial, dialling, pair
from tests.conformance.pairs import (
    LONG,
    big,
    context,
    dialling_settings,
    fill,
    is_asleep,
    numbered,
)
from tests.conformance.processes import Line


class Waits:
    """One kind of wait: ``wait`` waits, ``is_whole`` says whether nothing has changed."""

    def __init__(self, serving: dict[str, Any], folder: str, more: dict[str, Any]) -> None:
        self.serving = {**serving, **more}
        self.folder = folder
        self.a, self.b = pair(serving, folder, **more)

    def wait(self) -> None:
        raise NotImplementedError

    def is_whole(self) -> bool:
        """By default: the channel works, in both directions."""
        self.b.send(b"for a", timeout=LONG)
        return self.a.recv(timeout=LONG) == b"for a"


class Recv(Waits):
    def wait(self) -> None:
        self.a.recv(timeout=LONG)


class RecvInto(Waits):
    def wait(self) -> None:
        self.a.recv_into(bytearray(10), timeout=LONG)


class RecvMany(Waits):
    def wait(self) -> None:
        self.a.recv_many(timeout=LONG)


class RecvForEver(Waits):
    def wait(self) -> None:
        self.a.recv()


class Iterate(Waits):
    def wait(self) -> None:
        for _ in self.a:
            pass


class Send(Waits):
    """Into a full ring; nothing of it may arrive."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.count = fill(self.a)

    def wait(self) -> None:
        self.a.send(b"never seen" * 100, timeout=LONG)

    def is_whole(self) -> bool:
        got = [self.b.recv(timeout=LONG) for _ in range(self.count)]
        self.a.send(b"next", timeout=LONG)
        got.append(self.b.recv(timeout=LONG))
        return got == [*(numbered(each, 1000) for each in range(self.count)), b"next"]


class SendParts(Send):
    def wait(self) -> None:
        self.a.send_parts([b"never seen"] * 100, timeout=LONG)


class SendMany(Send):
    def wait(self) -> None:
        self.a.send_many([b"never seen" * 100] * 3, timeout=LONG)


class SendLong(Waits):
    """Longer than the ring: half of it is on its way when the signal comes."""

    def wait(self) -> None:
        self.a.send(big(16 << 20), timeout=LONG)

    def is_whole(self) -> bool:
        receiver = threading.Thread(target=lambda: kept_messages.append(self.b.recv(timeout=LONG)))
        receiver.start()
        self.a.send(b"next", timeout=LONG)
        receiver.join(LONG)
        return kept_messages == [b"next"]


class SendLongParts(SendLong):
    def wait(self) -> None:
        self.a.send_parts([big(1 << 20)] * 16, timeout=LONG)


kept_messages: list[bytes] = []


class RecvLong(Waits):
    """The front of a long message was received when the signal comes; its sender is stopped."""

    def __init__(self, serving: dict[str, Any], folder: str, more: dict[str, Any]) -> None:
        self.listener = context({**serving, **more}).listen("contract")
        settings = dialling(serving, folder, self.listener)
        self.peer = os.fork()
        if self.peer == 0:
            signal.alarm(int(LONG))
            with dial(settings) as channel:
                channel.send(big(6 << 20), timeout=LONG)
            os._exit(0)
        self.a = self.listener.accept(timeout=LONG)
        while not self.a.stats().unread_bytes or not is_asleep(self.peer):
            time.sleep(0.001)
        os.kill(self.peer, signal.SIGSTOP)

    def wait(self) -> None:
        self.a.recv(timeout=LONG)

    def is_whole(self) -> bool:
        os.kill(self.peer, signal.SIGCONT)
        whole = self.a.recv(timeout=LONG) == big(6 << 20)
        os.waitpid(self.peer, 0)
        return whole


class Flush(Waits):
    def wait(self) -> None:
        self.a.send(b"unread", timeout=LONG)
        self.a.flush(timeout=LONG)

    def is_whole(self) -> bool:
        return self.b.recv(timeout=LONG) == b"unread" and super().is_whole()


class Close(Waits):
    """A peer process that is stopped holds nothing more once everything is full."""

    def __init__(self, serving: dict[str, Any], folder: str, more: dict[str, Any]) -> None:
        self.serving = serving
        self.listener = context({**serving, **more}).listen("contract")
        settings = dialling(serving, folder, self.listener)
        self.peer = os.fork()
        if self.peer == 0:
            signal.alarm(int(LONG))
            self.kept = dial(settings)
            while True:
                signal.pause()
        self.a = self.listener.accept(timeout=LONG)
        os.kill(self.peer, signal.SIGSTOP)
        fill(self.a)

    def wait(self) -> None:
        self.a.close(linger=LONG)
        raise KeyboardInterrupt  # over shared memory the peer holds it already: nothing to wait for

    def is_whole(self) -> bool:
        os.kill(self.peer, signal.SIGKILL)
        os.waitpid(self.peer, 0)
        self.a.abort()
        return True


class Accept(Waits):
    def __init__(self, serving: dict[str, Any], folder: str, more: dict[str, Any]) -> None:
        self.serving, self.folder = serving, folder
        self.listener = context(serving).listen("contract")

    def wait(self) -> None:
        self.listener.accept(timeout=LONG)

    def is_whole(self) -> bool:
        here = context(dialling(self.serving, self.folder, self.listener))
        channel = here.connect("contract", timeout=LONG)
        return self.listener.accept(timeout=LONG).path == channel.path


class AcceptForEver(Accept):
    def wait(self) -> None:
        self.listener.accept()


class Serve(Accept):
    def wait(self) -> None:
        self.listener.serve(lambda channel: None)


class ConnectUnknown(Waits):
    """Waits for the name to appear."""

    def __init__(self, serving: dict[str, Any], folder: str, more: dict[str, Any]) -> None:
        self.serving, self.folder = serving, folder
        self.here = context({key: serving[key] for key in serving if key != "bind"})

    def wait(self) -> None:
        self.here.connect("nobody-serves-this", timeout=LONG)

    def is_whole(self) -> bool:
        return self.here.stats().channels == 0


class ConnectSilent(Waits):
    """Waits for the welcome of a server that says nothing."""

    def __init__(self, serving: dict[str, Any], folder: str, more: dict[str, Any]) -> None:
        self.silent = socket.create_server(("127.0.0.1", 0))
        file = f"{tempfile.mkdtemp(prefix='ew-', dir=folder)}/registry.toml"
        with open(file, "w") as stream:
            scheme = "dpdk://rack/" if "fabric_network" in serving else "tcp://"
            at = f"{scheme}127.0.0.1:{self.silent.getsockname()[1]}"
            stream.write(f'[[service]]\nname = "contract"\naddresses = ["{at}"]\n')
        remote = serving if "shm" not in serving["paths"] else {"paths": ["tcp"], "grace": 0.0}
        self.here = context(dialling_settings(remote, f"static:{file}"))

    def wait(self) -> None:
        self.here.connect("contract", timeout=LONG)

    def is_whole(self) -> bool:
        return self.here.stats().channels == 0


WAITS = {
    "recv": Recv,
    "recv_into": RecvInto,
    "recv_many": RecvMany,
    "recv_for_ever": RecvForEver,
    "recv_long": RecvLong,
    "iterate": Iterate,
    "send": Send,
    "send_parts": SendParts,
    "send_many": SendMany,
    "send_long": SendLong,
    "send_long_parts": SendLongParts,
    "flush": Flush,
    "close": Close,
    "accept": Accept,
    "accept_for_ever": AcceptForEver,
    "serve": Serve,
    "connect_unknown": ConnectUnknown,
    "connect_silent": ConnectSilent,
}


class CtrlC:
    """SIGINT to this process, from a thread, as soon as the main thread has settled in a wait."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        self.number = number
        self.sent_at = 0.0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        main = threading.main_thread().native_id or 0
        deadline = time.monotonic() + 0.5  # a wait that spins never sleeps
        while not is_asleep(main, 50) and time.monotonic() < deadline:
            time.sleep(0.001)
        self.sent_at = time.monotonic()
        os.kill(os.getpid(), self.number)  # to the process, as a terminal does


def interrupt(
    test: Line, serving: dict[str, Any], folder: str, wait: str, more: dict[str, Any]
) -> None:
    """Tell how long after SIGINT the wait ended, with what, and whether nothing changed."""
    _interrupted(test, WAITS[wait](serving, folder, more))


def interrupt_behind(test: Line, serving: dict[str, Any], folder: str, wait: str) -> None:
    """The same, with another thread in the same wait before us."""
    waits = WAITS[wait](serving, folder, {})

    def also() -> None:
        try:
            waits.wait()
        except eastwest.EastwestError:
            return

    other = threading.Thread(target=also, daemon=True)
    other.start()
    while not is_asleep(other.native_id or 0):
        time.sleep(0.001)
    waits.is_whole = lambda: other.is_alive()  # type: ignore[method-assign]
    _interrupted(test, waits)


def _interrupted(test: Line, waits: Waits) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ctrl_c = CtrlC()
    ctrl_c.thread.start()
    error, ended_at = "", 0.0
    try:
        waits.wait()
    except BaseException as raised:  # noqa: BLE001 it is told
        ended_at = time.monotonic()
        error = type(raised).__name__
    try:
        ctrl_c.thread.join(LONG)
        time.sleep(0.01)
    except KeyboardInterrupt:
        pass  # the wait did not have to wait, and the signal came late
    test.tell(ended_at - ctrl_c.sent_at, error, waits.is_whole())


def interrupts_of_a_long_send(test: Line, serving: dict[str, Any], folder: str) -> None:
    """Tell the longest time from SIGINT to the end of a long send, and whether all were whole.

    The signal comes while the main thread works and has signals blocked: another thread gets it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    waits = SendLong(serving, folder, {})
    message, rng = big(16 << 20), random.Random(1)
    took, whole = 0.0, True
    for _ in range(20):
        begun, sent_at = threading.Event(), [0.0]
        pause = rng.uniform(0, 0.004)

        def signal_later(begun: Any = begun, sent_at: Any = sent_at, pause: float = pause) -> None:
            begun.wait()
            time.sleep(pause)
            sent_at[0] = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)

        other = threading.Thread(target=signal_later)
        other.start()
        try:
            begun.set()
            waits.a.send(message, timeout=LONG)
        except KeyboardInterrupt:
            took = max(took, time.monotonic() - sent_at[0])
        other.join()
        kept_messages.clear()
        whole = waits.is_whole() and whole
    test.tell(took, whole)


def handled_signal(test: Line, serving: dict[str, Any], folder: str, wait: str) -> None:
    """Tell how a wait of 0.5 s ends when a signal is handled in the middle."""
    handled: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: handled.append(number))
    waits = WAITS[wait](serving, folder, {})
    sender = CtrlC(signal.SIGUSR1)
    sender.thread.start()
    began, error = time.monotonic(), ""
    try:
        if wait == "recv":
            waits.a.recv(timeout=0.5)
        else:
            waits.a.send(big(16 << 20) if wait == "send_long" else bytes(1000), timeout=0.5)
    except eastwest.EastwestError as raised:
        error = type(raised).__name__
    took = time.monotonic() - began
    sender.thread.join()
    test.tell(error, handled == [signal.SIGUSR1] and 0.5 <= took < 1.5)


INTERRUPTS = 60


def interrupts_under_load(test: Line, serving: dict[str, Any], folder: str) -> None:
    """Two senders and two receivers; the main thread is one of each, in turn, under SIGINT.

    Python may raise KeyboardInterrupt after a call has done its work and before its result is
    kept. So of each interrupted call one message may be known to one side only; no more.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    a, b = pair(serving, folder)
    sent, got, broken = list[int](), list[int](), list[int]()
    stop = threading.Event()

    def send(number: int) -> None:
        a.send(numbered(number, size(number)), timeout=LONG)
        sent.append(number)

    def receive(timeout: float) -> None:
        message = b.recv(timeout=timeout)
        number = int.from_bytes(message[:8], "little")
        (got if message == numbered(number, size(number)) else broken).append(number)

    def send_others() -> None:
        number = 1
        while not stop.is_set():
            send(number)
            number += 2

    def receive_others() -> None:
        try:
            while True:
                receive(LONG)
        except eastwest.EndOfChannel:
            return

    def disturb() -> None:
        for number in range(INTERRUPTS):
            armed.wait()
            armed.clear()
            time.sleep(number % 7 / 1000)
            os.kill(os.getpid(), signal.SIGINT)

    armed = threading.Event()  # one signal for each time that the main thread is ready for one
    others = [threading.Thread(target=each) for each in (send_others, receive_others, disturb)]
    for each in others:
        each.start()
    interrupts, number = 0, 0
    while interrupts < INTERRUPTS:
        try:
            armed.set()
            while True:
                number += 2
                send(number)
                with suppress(eastwest.Timeout):
                    receive(0.001)
        except KeyboardInterrupt:
            interrupts += 1
    stop.set()
    others[0].join()
    a.close(linger=LONG)
    others[1].join()
    both = set(sent) & set(got)
    twice = len(got) - len(set(got))
    test.tell(interrupts, len(broken), twice, len(sent) - len(both), len(got) - len(both))


def size(number: int) -> int:
    """The length of a numbered message; some are longer than a ring."""
    return 8 + (number * 7919) % (400_000 if number % 50 == 0 else 3000)
