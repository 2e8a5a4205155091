"""A switch that lacks a descriptor says so, and the channel goes on."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from os import listdir
from pathlib import Path

import eastwest
from eastwest import Config, Context
from tests.conformance.pairs import LONG

MORE_MAX = 8  # a switch takes fewer, at both ends together
TRIES_MAX = 1000


@contextmanager
def descriptors(more: int) -> Iterator[None]:
    """No more than so many descriptors can be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, listdir("/proc/self/fd")))
    fill = [os.dup(0)]
    while fill[-1] < highest:
        fill.append(os.dup(0))  # the numbers that are free below it
    resource.setrlimit(resource.RLIMIT_NOFILE, (fill[-1] + 1 + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for each in fill:
            os.close(each)


def test_a_switch_without_descriptors_fails_with_a_reason(tmp_path: Path) -> None:
    # catches: -EMFILE of a system call handed to the caller, without a word about it
    file = tmp_path / "services.toml"
    settings = Config(
        paths=("tcp",), registry=(f"static:{file}",), bind="127.0.0.1:0", security="none"
    )
    with Context(settings) as context, context.listen("few") as listener:
        (tcp,) = listener.instance.addresses
        file.write_text(f'[[service]]\nname = "few"\naddresses = ["{tcp}"]\n')
        opened = context.connect("few", timeout=LONG)
        accepted = listener.accept(timeout=LONG)
        errors: list[eastwest.EastwestError] = []
        more = 0
        while not any("no descriptor for a stream" in str(each) for each in errors):
            assert len(errors) < TRIES_MAX, errors[-9:]
            try:
                with descriptors(more % MORE_MAX):  # others open and close some meanwhile
                    opened.switch(tcp, timeout=LONG)
            except eastwest.EastwestError as error:
                errors.append(error)
                assert not isinstance(error, eastwest.SystemCallError) or "EMFILE" in str(error)
            opened.send(b"still")
            assert accepted.recv(timeout=LONG) == b"still"
            more += 1
        opened.abort()
        accepted.abort()
