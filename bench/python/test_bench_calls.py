"""What does one call cost inside one process, with nobody to wait for?

Both ends are in this process: what is measured is the method, its arguments, libeastwest and the
copy, not the other CPU. Run by ``bench.python.calls``, or ``pytest bench/python``.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import eastwest
from bench.python.calls import SIZES

BATCH = 64


class Pair:
    """Two ends of one channel."""

    def __init__(self, directory: Path) -> None:
        config = eastwest.Config(runtime_dirs=(str(directory),), wait="block")
        self.context = eastwest.Context(config)
        self.listener = self.context.listen("bench")
        self.near = self.context.connect("bench", timeout=10)
        self.far = self.listener.accept(timeout=10)

    def close(self) -> None:
        """End both."""
        self.near.abort()
        self.far.abort()
        self.listener.close()
        self.context.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    tmp_path.chmod(0o700)
    made = Pair(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("size", SIZES)
def test_bench_send_and_recv(benchmark: BenchmarkFixture, pair: Pair, size: int) -> None:
    message = bytes(size)
    send, recv = pair.near.send, pair.far.recv

    def both() -> None:
        send(message)
        recv()

    benchmark(both)


def test_bench_send_and_recv_into(benchmark: BenchmarkFixture, pair: Pair) -> None:
    message = bytearray(64)
    send, recv_into = pair.near.send, pair.far.recv_into

    def both() -> None:
        send(message)
        recv_into(message)

    benchmark(both)


def test_bench_send_with_timeout_and_recv(benchmark: BenchmarkFixture, pair: Pair) -> None:
    message = bytes(64)
    send, recv = pair.near.send, pair.far.recv

    def both() -> None:
        send(message, timeout=1.0)
        recv(timeout=1.0)

    benchmark(both)


def test_bench_send_parts_and_recv(benchmark: BenchmarkFixture, pair: Pair) -> None:
    parts = (bytes(16), bytearray(48))
    send_parts, recv = pair.near.send_parts, pair.far.recv

    def both() -> None:
        send_parts(parts)
        recv()

    benchmark(both)


def test_bench_send_many_and_recv_many(benchmark: BenchmarkFixture, pair: Pair) -> None:
    batch = (bytes(64),) * BATCH
    send_many, recv_many = pair.near.send_many, pair.far.recv_many

    def both() -> None:
        send_many(batch)
        recv_many(BATCH)

    benchmark(both)


def test_bench_try_recv_of_nothing(benchmark: BenchmarkFixture, pair: Pair) -> None:
    benchmark(pair.far.try_recv)


def test_bench_try_send_into_a_full_ring(benchmark: BenchmarkFixture, pair: Pair) -> None:
    message = bytes(64)
    while pair.near.try_send(message):
        pass
    benchmark(pair.near.try_send, message)
