"""The calls of others, both ends in this process, beside test_bench_calls.py.

A message is sent, then received: one that is there already. What has no such thing (a queue with a
thread of its own, a remote call) is not here. iceoryx2's payload is copied in and out, as that of
the others is; ZeroMQ's pair is within the process, where it needs no thread.
"""

import ctypes
import importlib
import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.compare.pair import segments
from bench.python.calls import SIZES

Calls = tuple[Callable[[bytes], object], Callable[[], object]]
Open = Callable[[int, Path], AbstractContextManager[Calls]]


@contextmanager
def sockets(kind: socket.SocketKind, size: int, _directory: Path) -> Iterator[Calls]:
    """A pair of Unix sockets."""
    near, far = socket.socketpair(socket.AF_UNIX, kind)
    flags = socket.MSG_WAITALL if kind == socket.SOCK_STREAM else 0
    with near, far:
        yield near.send, partial(far.recv, size, flags)


@contextmanager
def pipe(size: int, _directory: Path) -> Iterator[Calls]:
    """A pipe, which holds 64 KiB."""
    far, near = os.pipe()
    try:
        yield partial(os.write, near), partial(os.read, far, size)
    finally:
        os.close(near)
        os.close(far)


@contextmanager
def mp_pipe(_size: int, _directory: Path) -> Iterator[Calls]:
    """multiprocessing.Pipe, of bytes: nothing is pickled."""
    far, near = multiprocessing.Pipe(duplex=False)
    with near, far:
        yield near.send_bytes, far.recv_bytes


@contextmanager
def zmq_inproc(_size: int, _directory: Path) -> Iterator[Calls]:
    """A PAIR of ZeroMQ."""
    zmq = pytest.importorskip("zmq")
    with (
        zmq.Context() as context,
        context.socket(zmq.PAIR) as far,
        context.socket(zmq.PAIR) as near,
    ):
        far.bind("inproc://calls")
        near.connect("inproc://calls")
        yield near.send, far.recv


@contextmanager
def iceoryx2(size: int, directory: Path) -> Iterator[Calls]:
    """A publisher and a subscriber; files and segments have a prefix of their own."""
    try:
        ice: Any = importlib.import_module("iceoryx2")
    except ImportError:
        pytest.skip("iceoryx2 is not installed: ./dev bench does it")
    ice.set_log_level(ice.LogLevel.Error)
    config, prefix = ice.config.default(), f"ewc{os.getpid()}_"
    config.global_cfg.prefix = ice.FileName.new(prefix)
    config.global_cfg.root_path = ice.Path.new(f"{directory}/ice")
    node = ice.NodeBuilder.new().config(config).create(ice.ServiceType.Ipc)
    name = ice.ServiceName.new("calls")
    builder = node.service_builder(name).publish_subscribe(ice.Slice[ctypes.c_uint8])
    service = builder.open_or_create()
    publisher, subscriber = (
        service.publisher_builder().initial_max_slice_len(size).create(),
        service.subscriber_builder().create(),
    )
    loan, move, receive = publisher.loan_slice_uninit, ctypes.memmove, subscriber.receive

    def send(message: bytes) -> None:
        sample = loan(size)
        move(sample.payload_ptr, message, size)
        sample.assume_init().send()

    def recv() -> bytes:
        sample = receive()
        payload = sample.payload()
        message = ctypes.string_at(payload.as_ptr(), payload.len())
        sample.delete()
        return message

    try:
        yield send, recv
    finally:
        publisher.delete()
        subscriber.delete()
        del service, node
        segments.remove(segments.named(prefix))


PEERS: dict[str, Open] = {
    "unix-stream": partial(sockets, socket.SOCK_STREAM),
    "unix-seqpacket": partial(sockets, socket.SOCK_SEQPACKET),
    "pipe": pipe,
    "mp-pipe": mp_pipe,
    "zmq-inproc": zmq_inproc,
    "iceoryx2": iceoryx2,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("peer", PEERS)
def test_bench_send_and_recv(
    benchmark: BenchmarkFixture, tmp_path: Path, peer: str, size: int
) -> None:
    message = os.urandom(size)
    with PEERS[peer](size, tmp_path) as (send, recv):

        def both() -> object:
            send(message)
            return recv()

        assert both() == message
        benchmark(both)
