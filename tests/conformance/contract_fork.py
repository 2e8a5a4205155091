"""Fork: in the child every method raises ForkedError; the parent and its peer notice nothing."""

import contextlib
import multiprocessing
import os
from pathlib import Path

import pytest

import eastwest
from tests.conformance import children
from tests.conformance.conftest import MakePair
from tests.conformance.contract_end import CALLS, calls
from tests.conformance.forks import in_fork, refuses
from tests.conformance.pairs import (
    LONG,
    MIB,
    SOON,
    Pair,
    Task,
    Way,
    big,
    context,
    forget,
    is_receiving,
    wait_until,
)
from tests.conformance.processes import Child


def exchange(pair: Pair) -> None:
    """Both directions, short and long."""
    for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
        for message in (b"short", big(2 * MIB)):
            sender = Task(lambda one=one, message=message: one.send(message, timeout=LONG))
            assert other.recv(timeout=LONG) == message
            sender.result()


@calls
def test_in_a_forked_child_every_method_is_refused(pair: Pair, call: str) -> None:
    pair.b.send(b"for the parent", timeout=SOON)
    in_fork(lambda: refuses(lambda: CALLS[call](pair.a)))
    assert pair.a.recv(timeout=SOON) == b"for the parent"
    exchange(pair)


def test_a_forked_child_has_no_descriptor_of_the_parents_channels(make_pair: MakePair) -> None:
    # catches: an atfork handler that closes nothing; the pidfd would hide that from the peer
    make_pair()  # what is opened once for the process is open now
    before = descriptors()
    pair = make_pair()
    pair.a.fileno()
    assert len(descriptors()) > len(before)
    new = descriptors() - before

    def work() -> None:
        left = new & descriptors()
        assert not left, sorted(left)

    in_fork(work)
    exchange(pair)


def descriptors() -> set[tuple[str, str]]:
    """Number and target of every descriptor of this process."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of the listing
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return found


def test_after_a_fork_parent_and_peer_are_unharmed(pair: Pair) -> None:
    # catches: an atfork handler that shuts a socket down instead of closing it
    in_fork(lambda: None)
    exchange(pair)
    pair.a.close()
    with pytest.raises(eastwest.EndOfChannel):
        pair.b.recv(timeout=SOON)


@pytest.mark.parametrize("call", ["close", "abort"])
def test_ending_in_the_child_ends_nothing_in_the_parent(pair: Pair, call: str) -> None:
    def end() -> None:
        for each in (pair.a, pair.b):
            with contextlib.suppress(eastwest.ForkedError):
                getattr(each, call)()

    in_fork(end)
    exchange(pair)


def test_dropping_everything_in_the_child_ends_nothing_in_the_parent(
    way: Way, folder: Path
) -> None:
    # catches: a destructor in the child that aborts the parent's channel; handlers at exit
    with Child(children.fork_and_drop, way.serving, str(folder)) as child:
        assert child.hears() == ["peer and parent are unharmed"]


def test_a_child_of_multiprocessing_is_like_any_other(pair: Pair) -> None:
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=refuses, args=(lambda: pair.a.send(b"x"),))
    process.start()
    process.join(LONG)
    assert process.exitcode == 0
    exchange(pair)


def test_a_fork_while_other_threads_wait_disturbs_none(pair: Pair) -> None:
    # catches: a lock that another thread held at the fork
    waiting = Task(lambda: pair.a.recv(timeout=LONG))
    wait_until(lambda: is_receiving(pair.a), "one waits")
    in_fork(lambda: [refuses(lambda: pair.a.try_send(b"x")), refuses(pair.b.try_recv)])
    pair.b.send(b"for the one that waits", timeout=SOON)
    assert waiting.result(SOON) == b"for the one that waits"
    exchange(pair)


def test_a_fork_under_load_leaves_the_child_usable(pair: Pair) -> None:
    def churn(end: eastwest.Channel) -> None:
        while True:
            end.send(bytes(5000), timeout=LONG)

    def take(end: eastwest.Channel) -> None:
        while True:
            end.recv(timeout=LONG)

    tasks = [Task(lambda: churn(pair.a)), Task(lambda: take(pair.b))]
    for _ in range(20):
        in_fork(lambda: [refuses(lambda: pair.a.try_send(b"x")), refuses(pair.b.try_recv)])
    pair.a.abort()
    for each in tasks:
        assert isinstance(each.error(), eastwest.ChannelEnded)


def test_a_child_makes_contexts_and_channels_of_its_own(way: Way, pair: Pair) -> None:
    # catches: the reactor thread, which the child does not have, taken for running
    def work() -> None:
        there = context(way.serving)
        with there.listen("inner") as listener:
            here = context(way.dialling(listener))
            channel = here.connect("inner", timeout=LONG)
            other = listener.accept(timeout=LONG)
            channel.send(b"in the child", timeout=SOON)
            assert other.recv(timeout=SOON) == b"in the child"
            forget(here)
        forget(there)

    in_fork(work)
    exchange(pair)


def test_context_and_listener_are_refused_in_the_child(way: Way) -> None:
    there = context(way.serving)
    with there.listen("contract") as listener:

        def work() -> None:
            refuses(lambda: there.connect("contract", timeout=SOON))
            refuses(lambda: there.listen("another"))
            refuses(lambda: listener.accept(timeout=0))

        in_fork(work)
        here = context(way.dialling(listener))
        channel = here.connect("contract", timeout=LONG)
        assert listener.accept(timeout=LONG).path == channel.path == way.path
        forget(here)
    forget(there)


def test_the_peer_sees_the_parents_end_although_the_child_lives(way: Way, folder: Path) -> None:
    # catches: link descriptors that the child still has: no hang-up
    with Child(children.fork_then_abort, way.serving, str(folder)) as child:
        assert child.hears() == ["PeerLost"]
