"""How a channel waits: its counters one by one, and where there is no CPU to spin on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eastwest import Channel, ChannelStats, Config, Context, aio
from tests.integration.hosts import environment

LONG = 30.0
CAP_SECONDS = (5e-6, 100e-6)  # transport/channel/spin_rule.h
TRIAL_SECONDS_MAX = 200e-6
SHORT, PAUSE = b"now", b"later"
ROOT = Path("/sys/fs/cgroup")

needs_two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")

ECHO = f"""
import os, sys, time
from eastwest import Config, Context, EndOfChannel

directory, wait, cpu = sys.argv[1:]
if cpu:
    os.sched_setaffinity(0, {{int(cpu)}})
with Context(Config(runtime_dirs=(directory,), wait=wait)) as context:
    with context.listen("echo") as listener:
        print("ready", flush=True)
        channel = listener.accept(timeout={LONG})
    try:
        while True:
            message = channel.recv()
            if message == {PAUSE!r}:
                time.sleep(0.02)
            channel.send(message)
    except EndOfChannel:
        pass
"""

LOOK = """
import json, os, sys
from eastwest import Config, Context

directory, groups = sys.argv[1], sys.argv[2:]
for group in groups:
    with open(f"{group}/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))
with Context(Config(runtime_dirs=(directory,))) as context, context.listen("self") as listener:
    mine = context.connect("self", timeout=10)
    theirs = listener.accept(timeout=10)
    for _ in range(100):
        mine.send(b"x")
        theirs.recv()
        try:
            theirs.recv(timeout=0.0001)
        except TimeoutError:
            pass
    stats, counters = context.stats(), theirs.stats()
    print(json.dumps([stats.cpus, stats.spin_seconds_max, counters.spin_seconds_max,
                      counters.spins_paid, counters.spins_lost]))
"""


@contextmanager
def echo(wait: str, theirs: str = "adaptive", cpu: int | None = None) -> Iterator[Channel]:
    """A channel to another process that answers; it runs on *cpu* only."""
    directory = os.environ["EASTWEST_RUNTIME_DIR"]
    arguments = [directory, theirs, "" if cpu is None else str(cpu)]
    command = [sys.executable, "-c", ECHO, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment(Path(directory))
    ) as peer:
        try:
            assert peer.stdout is not None
            assert peer.stdout.readline() == "ready\n"
            config = Config(runtime_dirs=(directory,), wait=wait)  # type: ignore[arg-type]
            with Context(config) as context, context.connect("echo", timeout=LONG) as channel:
                yield channel
        finally:
            peer.terminate()


@pytest.fixture(autouse=True)
def _affinity(runtime_dir: Path) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


def ask(channel: Channel, message: bytes = SHORT) -> None:
    channel.send(message)
    assert channel.recv(timeout=LONG) == message


def until(channel: Channel, is_so: Callable[[ChannelStats], bool]) -> ChannelStats:
    """Make round trips until it is so."""
    end = time.monotonic() + LONG
    while not is_so(stats := channel.stats()):
        assert time.monotonic() < end, stats
        for _ in range(100):
            ask(channel)
    return stats


# ------------------------------------------------------------------ counters


@pytest.mark.parametrize("wait", ["block", "adaptive"])
def test_a_wait_that_sleeps_counts_one_sleep_one_wakeup_and_one_kick(wait: str) -> None:
    """catches: a counter that stands still, or counts for another; a first wait that spins."""
    with Context(Config(wait=wait)) as context, context.listen("one") as listener:  # type: ignore[arg-type]
        receiver = context.connect("one", timeout=LONG)
        sender = listener.accept(timeout=LONG)
        sender.send(b"there already")
        assert receiver.recv() == b"there already"
        stats = receiver.stats()
        assert (stats.sleeps, stats.wakeups, stats.spins_paid, stats.spins_lost) == (0, 0, 0, 0)
        for nth in range(1, 4):
            thread = threading.Thread(target=receiver.recv, kwargs={"timeout": LONG})
            thread.start()
            end = time.monotonic() + LONG
            while receiver.stats().sleeps < nth:
                assert time.monotonic() < end
                time.sleep(0.001)
            time.sleep(0.02)  # it has counted, and sleeps in a moment
            assert receiver.stats().wakeups == nth - 1
            sender.send(b"x")
            thread.join()
            stats = receiver.stats()
            assert (stats.sleeps, stats.wakeups, stats.kicks) == (nth, nth, 0)
            assert (stats.spins_paid, stats.spins_lost, stats.spin_lost_seconds) == (0, 0, 0.0)
            assert sender.stats().kicks == nth


@needs_two_cpus
def test_a_spin_is_paid_or_lost() -> None:
    """catches: paid spins that are not counted; lost ones that are counted as paid."""
    mine, theirs, *_ = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {mine})
    with echo("adaptive", "spin", theirs) as channel:
        lost = 0
        end = time.monotonic() + LONG
        while lost < 3:
            assert time.monotonic() < end
            paid = channel.stats().spins_paid
            before = until(channel, lambda stats: stats.spins_paid > paid + 20)  # noqa: B023
            assert before.spins_paid <= before.messages_received
            ask(channel, PAUSE)  # longer than any spin
            after = channel.stats()
            assert after.spins_paid == before.spins_paid
            assert after.sleeps > before.sleeps
            assert after.spins_lost - before.spins_lost in (0, 1)
            if after.spins_lost == before.spins_lost:
                continue  # its last spin was lost: the budget was 0
            lost += 1
            assert after.spin_lost_seconds > before.spin_lost_seconds
        stats = channel.stats()  # a message may still come between a lost spin and its sleep
        assert CAP_SECONDS[0] <= stats.spin_seconds_max <= CAP_SECONDS[1]


def test_block_never_spins_and_spin_never_sleeps() -> None:
    for wait, theirs in (("block", "block"), ("spin", "adaptive")):
        with echo(wait, theirs) as channel:
            for _ in range(50):
                ask(channel)
            ask(channel, PAUSE)
            stats = channel.stats()
            assert (stats.spins_paid, stats.spins_lost) == (0, 0)
            assert stats.spin_seconds_max == 0
            assert (stats.sleeps == 0) == (wait == "spin")


@needs_two_cpus
def test_lost_spins_cost_no_more_than_their_share() -> None:
    """catches: a budget for one wait only, whatever it comes to in a second."""
    with echo("adaptive") as channel:
        until(channel, lambda stats: stats.spins_paid + stats.spins_lost > 0)
        began, before = time.monotonic(), channel.stats()
        while time.monotonic() < began + 1:
            ask(channel)
            time.sleep(0.0001)
        cost = channel.stats().spin_lost_seconds - before.spin_lost_seconds
        assert cost <= (time.monotonic() - began) / 16 + 0.001 + TRIAL_SECONDS_MAX + 0.02


# ------------------------------------------------------------------ affinity


@needs_two_cpus
def test_the_library_says_how_many_cpus_there_are_now() -> None:
    """catches: any fixed number; affinity that is looked at once."""
    everywhere = os.sched_getaffinity(0)
    with Context(Config()) as context:
        stats = context.stats()
        assert 2 <= stats.cpus <= len(everywhere)
        assert CAP_SECONDS[0] <= stats.spin_seconds_max <= CAP_SECONDS[1]
        os.sched_setaffinity(0, {min(everywhere)})
        stats = context.stats()
        assert (stats.cpus, stats.spin_seconds_max) == (1, 0)
        with Context(Config()) as narrow:
            assert (narrow.stats().cpus, narrow.stats().spin_seconds_max) == (1, 0)
            os.sched_setaffinity(0, everywhere)
            assert narrow.stats().cpus == len(everywhere)
            assert narrow.stats().spin_seconds_max >= CAP_SECONDS[0]


@needs_two_cpus
@pytest.mark.parametrize("when", ["before", "after"])
def test_together_on_one_cpu_nothing_spins(when: str) -> None:
    """catches: affinity that is looked at when a context is opened, and then never."""
    cpu = min(os.sched_getaffinity(0))
    if when == "before":
        os.sched_setaffinity(0, {cpu})
    with echo("adaptive", cpu=cpu) as channel:
        if when == "after":
            until(channel, lambda stats: stats.spin_seconds_max > 0)
            os.sched_setaffinity(0, {cpu})
            until(channel, lambda stats: stats.spin_seconds_max == 0)
        before = channel.stats()
        for _ in range(2000):
            ask(channel)
        after = channel.stats()
        assert aio.Channel(channel)._spin_ns == 0
        assert after.spin_seconds_max == 0
        assert (after.spins_paid, after.spins_lost) == (before.spins_paid, before.spins_lost)


@needs_two_cpus
def test_apart_on_two_cpus_it_spins_although_each_has_one() -> None:
    """catches: one CPU of our own taken for one CPU for both."""
    mine, theirs, *_ = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {mine})
    with echo("adaptive", cpu=theirs) as channel:
        assert aio.Channel(channel)._spin_ns > 0
        stats = until(channel, lambda stats: stats.spins_paid > 100)
        assert stats.spin_seconds_max > 0


# ------------------------------------------------------------------ control groups


def tree() -> Path:
    """Where the controller for CPU time is, of version 1 or 2."""
    return ROOT / "cpu" if (ROOT / "cpu").is_dir() else ROOT


@contextmanager
def group(*quotas: int | None) -> Iterator[Path]:
    """Control groups, each in the one before, with so many CPUs; the innermost is returned."""
    made: list[Path] = []
    path = tree()
    try:
        for depth, quota in enumerate(quotas):
            path = path / f"eastwest-test-{os.getpid()}-{depth}"
            try:
                path.mkdir()
                made.append(path)
                if tree() == ROOT:
                    if depth + 1 < len(quotas):
                        (path / "cgroup.subtree_control").write_text("+cpu")
                    if quota is not None:
                        (path / "cpu.max").write_text(f"{quota * 100_000} 100000")
                elif quota is not None:
                    (path / "cpu.cfs_quota_us").write_text(str(quota * 100_000))
            except OSError as error:
                pytest.skip(f"needs a control group of its own: {error}")
        yield path
    finally:
        for each in reversed(made):
            each.rmdir()


def look_from(path: Path) -> list[float]:
    directory = os.environ["EASTWEST_RUNTIME_DIR"]
    done = subprocess.run(
        [sys.executable, "-c", LOOK, directory, str(path)],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
        env=environment(Path(directory)),
    )
    assert done.returncode == 0, done.stderr
    found: list[float] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("quotas", [(1,), (1, None), (1, None, None)])
def test_with_a_quota_of_one_cpu_nothing_spins(quotas: tuple[int | None, ...]) -> None:
    """catches: version 1 not looked at; the limit of a group above not looked at."""
    with group(*quotas) as path:
        assert look_from(path) == [1, 0, 0, 0, 0]


@needs_two_cpus
def test_a_quota_of_two_cpus_leaves_two() -> None:
    with group(2) as path:
        cpus, cap, *_ = look_from(path)
        assert cpus == 2
        assert cap > 0


def test_doctor_says_what_the_library_does() -> None:
    """catches: a doctor that reads the group itself, and says what the library does not do."""
    with group(1, None) as path:
        enter = f'echo $$ > {path}/cgroup.procs && exec "$0" -m eastwest.cli doctor --json'
        done = subprocess.run(
            ["sh", "-c", enter, sys.executable],
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
            env=environment(Path(os.environ["EASTWEST_RUNTIME_DIR"])),
        )
        found = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
        assert found["cpus"]["state"] == "note"
        assert "does not spin" in found["cpus"]["detail"]
        assert "quota 1" in found["cpus"]["detail"]
        assert found["spin cap"]["state"] == "note"
