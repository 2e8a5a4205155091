"""The two programs of the tests between hosts: both send numbered messages as fast as they may.

``python -m tests.moving.peers serve SERVICE``          accepts one channel
``python -m tests.moving.peers move SERVICE SWITCHES SEED``   connects, and switches at random

Each checks what it receives and prints a line of JSON at its end. ``move`` prints "down" and waits
for a line now and then: the test takes the network away and brings it back.
"""

import json
import random
import sys
import threading
import time
from typing import Any

import eastwest
from eastwest import Channel

SECONDS = 60.0
SIZES = (8, 8, 64, 1000, 40_000)
DOWN_EVERY = 40


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
    with eastwest.connect(service, timeout=SECONDS) as channel:
        ends = Ends(channel)
        for number in range(switches):
            if number % DOWN_EVERY == DOWN_EVERY - 1:
                print("down", flush=True)
                sys.stdin.readline()
            channel.switch(chance.choice(("shm", "tcp", "tcp")), timeout=SECONDS)
            time.sleep(chance.random() * 0.003)
        print(json.dumps(ends.end(stop=True)), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        move(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
