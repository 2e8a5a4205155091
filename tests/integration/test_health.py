"""One of three instances stops answering: connects stop waiting for it, and come back to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from eastwest import Config, Context, Explanation, Verdict
from eastwest._health import Ejection, Health, Mark, Rules, mark_of
from eastwest._providers import Local
from tests.integration.hosts import environment, folder_in

SECONDS_MAX = 30.0
AN_HOUR = 3600.0
SERVER = """
import eastwest, sys

with eastwest.listen("pricing", bind=sys.argv[1] or None) as listener:
    tcp = [each for each in listener.instance.addresses if each.startswith("tcp:")]
    print(listener.instance.id, *tcp, flush=True)
    listener.serve(lambda channel: [*channel])
"""


class Patient(Health):
    """Health whose time may be put forward; what is ejected stays so for an hour until then."""

    def __init__(self, failures: int) -> None:
        super().__init__(Rules(failures=failures, seconds=AN_HOUR, seconds_max=AN_HOUR))
        self.ahead = 0.0
        self.failures: Counter[str] = Counter()

    def ejections(self, marks: Sequence[Mark], now: float) -> list[Ejection | None]:
        return super().ejections(marks, now + self.ahead)

    def begins(self, mark: Mark, now: float) -> bool:
        return super().begins(mark, now + self.ahead)

    def failed(self, mark: Mark, reason: str, fix: str | None, now: float) -> None:
        self.failures[mark.who] += 1
        super().failed(mark, reason, fix, now)


@dataclass(frozen=True)
class Server:
    """A process with one listener."""

    process: subprocess.Popen[str]
    instance: str
    address: str

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep it from running."""
        self.process.send_signal(signal.SIGSTOP)
        pid, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert pid == self.process.pid and os.WIFSTOPPED(status)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def serving(folder: Path, bind: str) -> Iterator[Server]:
    command = [sys.executable, "-c", SERVER, bind]
    process = subprocess.Popen(command, env=environment(folder), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        instance, *addresses = process.stdout.readline().split()
        yield Server(process, instance, addresses[0] if addresses else "")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def three(folder: Path, bind: str = "") -> Iterator[list[Server]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serving(folder, bind)) for _ in range(3)]


def connect(context: Context) -> tuple[str, Explanation]:
    """Return the instance that a new channel leads to, and why."""
    with context.connect("pricing", timeout=SECONDS_MAX) as channel:
        assert channel.peer is not None
        return channel.peer.instance, channel.explain()


def connect_until(context: Context, instance: str) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while connect(context)[0] != instance:
        assert time.monotonic() < deadline, f"{instance} is not used again"


def verdict_of(why: Explanation, address: str) -> Verdict:
    """Return the verdict that says most about an address: its ejection, if there is one."""
    those = [each for each in why.rejected if each.address == address]
    return next((each for each in those if each.check == "ejected"), those[0])


@pytest.fixture
def servers_of_ports(tmp_path: Path) -> Iterator[tuple[Context, list[Server]]]:
    """A context that knows three servers by their ports only."""
    with three(folder_in(tmp_path, "theirs"), "127.0.0.1:0") as servers:
        file = tmp_path / "services.toml"
        file.write_text(
            "".join(
                f'[[service]]\nname = "pricing"\ninstance = "{each.instance}"\n'
                f'addresses = ["{each.address}"]\n'
                for each in servers
            )
        )
        ours = str(folder_in(tmp_path, "ours"))
        with Context(Config(runtime_dirs=(ours,), registry=(f"static:{file}",))) as context:
            yield context, servers


def test_silent_instance_behind_a_port_is_left_out_and_used_again(
    servers_of_ports: tuple[Context, list[Server]],
) -> None:
    context, servers = servers_of_ports
    context._health = health = Patient(failures=2)
    silent = servers[0]
    connect_until(context, silent.instance)
    deadline = time.monotonic() + SECONDS_MAX
    with silent.stopped():
        while verdict_of(connect(context)[1], silent.address).check != "ejected":
            assert health.failures[silent.instance] <= 2 and time.monotonic() < deadline
        for _ in range(20):
            instance, why = connect(context)
            assert instance != silent.instance
            verdict = verdict_of(why, silent.address)
            assert verdict.check == "ejected"  # it was not tried
            assert "after 2 failures: no answer in 0." in verdict.detail
            assert verdict.fix and "stopped" in verdict.fix
        assert health.failures[silent.instance] == 2
        assert context.instances("pricing")[-1].id == silent.instance
        assert "ejected for" in str(context.explain("pricing"))
    health.ahead = AN_HOUR
    connect_until(context, silent.instance)
    assert not context.explain("pricing").facts["ejected"]


def test_silent_instance_of_this_host_is_left_out_and_used_again(tmp_path: Path) -> None:
    folder = folder_in(tmp_path, "shared")
    with three(folder) as servers, Context(Config(runtime_dirs=(str(folder),))) as context:
        silent = servers[0]
        connect_until(context, silent.instance)
        local = next(each for each in context._finder.providers if isinstance(each, Local))
        local._health = health = Patient(failures=1)
        with silent.stopped():
            instance, why = connect(context)
            socket = next(each.address for each in why.rejected if each.check == "timeout")
            assert silent.instance in socket
            for _ in range(20):
                instance, why = connect(context)
                assert instance != silent.instance
                assert verdict_of(why, socket).check == "ejected"
                assert "timeout" not in [each.check for each in why.rejected]  # it was not asked
            last = context.instances("pricing")[-1]
            assert (last.id, last.stale) == (silent.instance, True)
        health.ahead = AN_HOUR
        connect_until(context, silent.instance)
        assert not any(each.stale for each in context.instances("pricing"))


def test_when_all_are_ejected_all_are_tried(
    servers_of_ports: tuple[Context, list[Server]],
) -> None:
    context, servers = servers_of_ports
    context._health = health = Patient(failures=1)
    for each in context.instances("pricing"):
        health.failed(mark_of(each), "nobody there", None, time.monotonic())
    for each in servers[1:]:
        each.process.kill()
    for _ in range(5):
        assert connect(context)[0] == servers[0].instance
