"""Worker processes, as gunicorn and multiprocessing make them, beside a parent with a channel."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

import eastwest
from eastwest import Channel
from tests.conformance import children
from tests.conformance.contract_fork import exchange
from tests.conformance.forks import refuses
from tests.conformance.pairs import LONG, Pair, Settings, Way, context, forget

WORKERS = 4


class Worker:
    """A forked child that serves one channel after the other: it echoes."""

    def __init__(self, way: Way, parents: Pair, name: str) -> None:
        self.name = name
        told, tells = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                signal.alarm(int(2 * LONG))
                os.close(told)
                _serve(way, parents, name, tells)
            finally:
                os._exit(1)
        os.close(tells)
        with open(told) as stream:
            self.settings: Settings = json.loads(stream.readline())

    def kill(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.pid = 0


def _serve(way: Way, parents: Pair, name: str, tells: int) -> None:
    refuses(lambda: parents.a.try_send(b"x"))
    refuses(lambda: parents.contexts[1].listen("another"))
    with context(way.serving).listen(name) as listener:
        os.write(tells, json.dumps(way.dialling(listener)).encode() + b"\n")
        os.close(tells)
        while True:
            channel = listener.accept(timeout=LONG)
            for message in channel:
                channel.send(message, timeout=LONG)
            channel.close()


@contextmanager
def connected(worker: Worker) -> Iterator[Channel]:
    here = context(worker.settings)
    yield here.connect(worker.name, timeout=LONG)
    forget(here)


def answers(channel: Channel) -> bool:
    channel.send(b"are you there", timeout=LONG)
    return channel.recv(timeout=LONG) == b"are you there"


def test_a_preloading_server_replaces_a_killed_worker(way: Way, pair: Pair) -> None:
    # catches: a child that cannot listen because its parent did; a worker's death seen by the
    # channels of the others, or by the parent's
    with ExitStack() as stack:
        workers = []
        for number in range(WORKERS):
            workers.append(Worker(way, pair, f"worker{number}"))
            stack.callback(workers[-1].kill)
        channels = [stack.enter_context(connected(each)) for each in workers]
        assert all(map(answers, channels))
        victim = workers.pop()
        victim.kill()
        with pytest.raises(eastwest.PeerLost):
            channels.pop().recv(timeout=LONG)
        assert all(map(answers, channels))
        exchange(pair)
        again = Worker(way, pair, victim.name)
        stack.callback(again.kill)
        with connected(again) as channel:
            assert answers(channel)
        exchange(pair)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_that_is_not_forked_from_us_connects_to_us(
    way: Way, pair: Pair, method: str
) -> None:
    # catches: something of ours that is set up at import only in the first process
    there = context(way.serving)
    with there.listen("contract") as listener:
        start = multiprocessing.get_context(method)
        process = start.Process(target=children.greet, args=(way.dialling(listener),))
        process.start()
        channel = listener.accept(timeout=LONG)
        assert channel.recv(timeout=LONG) == b"from a new process"
        channel.send(b"welcome", timeout=LONG)
        with pytest.raises(eastwest.EndOfChannel):  # it closed at exit
            channel.recv(timeout=LONG)
        process.join(LONG)
        assert process.exitcode == 0
    exchange(pair)
    forget(there)
