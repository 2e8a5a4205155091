"""The two programs of the tests between hosts: both send numbered messages as fast as they may.

``python -m tests.moving.peers serve SERVICE``          accepts one channel
``python -m tests.moving.peers move SERVICE SWITCHES SEED``   connects, and switches at random

Each checks what it receives and prints a line of JSON at its end. Now and then ``move`` goes to TCP
and asks the test for something, waiting for a line: "kill" its connections, take the network "down"
until it says "lost", and then bring it up. It goes on when the channel has found a new link.
"""

import dataclasses
import json
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import eastwest
from eastwest import Channel, Config, Context

SECONDS = 60.0
SIZES = (8, 8, 64, 1000, 40_000)
KILL_EVERY, DOWN_EVERY = 30, 150  # switches
GRACE = 2.0  # and as long until a network that is down is noticed


class Ends:
    """What both programs do with their channel."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.sent = self.received = self.wrong = 0
        self.stop = threading.Event()
        self.errors: list[str] = []
        self.threads = [
            threading.Thread(target=self.guarded, args=(work,))
            for work in (self.send, self.receive)
        ]
        for thread in self.threads:
            thread.start()

    def guarded(self, work: Any) -> None:
        try:
            work()
        except eastwest.EastwestError as error:
            self.errors.append(repr(error))

    def send(self) -> None:
        sizes = random.Random(5)
        while not self.stop.is_set():
            message = self.sent.to_bytes(8, "little") + bytes(sizes.choice(SIZES) - 8)
            self.channel.send(message, timeout=SECONDS)
            self.sent += 1
        self.channel.send_eof()

    def receive(self) -> None:
        sizes = random.Random(5)
        while True:
            try:
                message = self.channel.recv(timeout=SECONDS)
            except eastwest.EndOfChannel:
                return
            number = int.from_bytes(message[:8], "little")
            self.wrong += number != self.received or len(message) != sizes.choice(SIZES)
            self.received += 1

    def end(self, *, stop: bool) -> dict[str, Any]:
        if stop:
            self.stop.set()
        self.threads[1].join()  # the peer has sent its last
        self.stop.set()
        self.threads[0].join()
        stats = self.channel.stats()
        return {
            "sent": self.sent,
            "received": self.received,
            "wrong": self.wrong,
            "errors": self.errors,
            "changes": stats.path_changes,
        }


class Losses:
    """Has links taken away, and counts the changes that followed."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.lost: dict[str, int] = {"kill": 0, "down": 0}
        self.reasons: set[str] = set()
        self.paths: dict[str, int] = {}

    def suffer(self, what: str) -> None:
        self.channel.switch("tcp", timeout=SECONDS)
        before = self.channel.stats().changes[-1].generation
        ask(what)
        if what == "down":
            self.wait(lambda: bool(self.channel.explain().facts["without_a_link"]))
            ask("lost")
        self.wait(lambda: self.channel.stats().changes[-1].generation > before)
        change = self.channel.stats().changes[-1]
        self.lost[what] += change.lost
        self.reasons.add(change.reason)
        self.paths[change.after] = self.paths.get(change.after, 0) + 1

    def wait(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not happened():
            if self.channel.ended or time.monotonic() > deadline:
                raise eastwest.PeerLost(f"no new link: {self.channel!r}")
            time.sleep(0.002)


def ask(what: str) -> None:
    print(what, flush=True)
    sys.stdin.readline()


def serve(service: str) -> None:
    with eastwest.listen(service) as listener:
        print(json.dumps(listener.instance.addresses), flush=True)
        channel = listener.accept(timeout=SECONDS)
        ends = Ends(channel)
        ends.threads[1].join()
        ends.stop.set()
        print(json.dumps(ends.end(stop=True)), flush=True)
        channel.flush(timeout=SECONDS)
        sys.stdin.read()  # until the other one has got everything


def move(service: str, switches: int, seed: int) -> None:
    chance = random.Random(seed)
    config = dataclasses.replace(Config.load(), grace=GRACE)
    with Context(config) as context, context.connect(service, timeout=SECONDS) as channel:
        ends, losses = Ends(channel), Losses(channel)
        for number in range(1, switches + 1):
            if number % KILL_EVERY == 0:
                losses.suffer("down" if number % DOWN_EVERY == 0 else "kill")
            channel.switch(chance.choice(("shm", "tcp", "tcp")), timeout=SECONDS)
            time.sleep(chance.random() * 0.003)
        told = {"lost": losses.lost, "reasons": sorted(losses.reasons), "paths": losses.paths}
        print(json.dumps({**ends.end(stop=True), **told}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        move(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
