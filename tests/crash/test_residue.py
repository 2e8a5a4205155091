"""What kill -9 leaves behind: nothing. Of one party, of both, again and again."""

import gc
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import eastwest
from tests.conformance import children
from tests.conformance.pairs import (
    LONG,
    MIB,
    SOON,
    Way,
    context,
    fill,
    forget,
    shm_way,
    wait_until,
)
from tests.conformance.processes import Child
from tests.crash.conftest import descriptors, free_huge_pages, mappings


def dev_shm() -> set[str]:
    return set(os.listdir("/dev/shm"))


def sockets(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.is_socket())


@contextmanager
def two_processes(way: Way, folder: Path) -> Iterator[tuple[Child, Child]]:
    """A server and a client, both blocked in send with everything full."""
    with ExitStack() as stack:
        server = stack.enter_context(Child(children.accept_and_send, way.serving, str(folder)))
        (registry,) = server.hears()
        dialling = way.serving if registry is None else tcp_only(registry)
        client = stack.enter_context(Child(children.send_for_ever_from, dialling))
        assert server.hears() == client.hears() == ["full"]
        yield server, client


@pytest.mark.parametrize("victims", ["client", "server", "both"])
def test_kill_leaves_no_file_and_no_huge_page(
    way: Way, folder: Path, huge_pages: None, victims: str
) -> None:
    # catches: shm_open instead of memfd, a named file in hugetlbfs
    shm, pages = dev_shm(), free_huge_pages()
    with two_processes(way, folder) as (server, client):
        for each in {"client": [client], "server": [server], "both": [client, server]}[victims]:
            each.kill()
        survivor = {"client": server, "server": client}.get(victims)
        if survivor:
            assert survivor.hears(SOON) == ["PeerLost"]
    wait_until(lambda: dev_shm() <= shm, "nothing new in /dev/shm", SOON)
    wait_until(lambda: free_huge_pages() >= pages, "the huge pages are back", SOON)


def test_huge_pages_are_used_where_there_are_some(huge_pages: None, folder: Path) -> None:
    # else the test above says little
    if free_huge_pages() < 8:
        pytest.skip("needs huge pages" if os.geteuid() == 0 else "needs an unprivileged user pool")
    way = shm_way(folder)
    with two_processes(way, folder):
        before = free_huge_pages()
    wait_until(lambda: free_huge_pages() >= before + 2, "two of them were in use", SOON)


@pytest.mark.parametrize("victims", ["server", "both"])
def test_the_name_can_be_used_again_at_once(way: Way, folder: Path, victims: str) -> None:
    # catches: a stale socket taken for a living listener (iceoryx2#601)
    with two_processes(way, folder) as (server, client):
        server.kill()
        if victims == "both":
            client.kill()
        there = context(way.serving)
        with there.listen("contract") as listener:
            here = context(way.dialling(listener))
            began = time.monotonic()
            channel = here.connect("contract", timeout=LONG)
            assert time.monotonic() - began < SOON
            assert channel.peer.instance == listener.instance.id
            listener.accept(timeout=SOON)
            forget(here)
        forget(there)
    assert sockets(folder) == [], "the stale socket was replaced or removed"


def test_a_stale_socket_alone_is_no_service(folder: Path) -> None:
    way = shm_way(folder)
    with two_processes(way, folder) as (server, _):
        server.kill()
        here = context(way.serving)
        with pytest.raises(eastwest.ConnectError):
            here.connect("contract", timeout=0.3)
        assert here.explain("contract").chosen is None
        forget(here)


def test_a_new_listener_leaves_a_living_one_alone(folder: Path) -> None:
    # catches: replacing every socket of the name instead of the stale ones
    way = shm_way(folder)
    with two_processes(way, folder) as (server, _):
        there = context(way.serving)
        there.listen("contract").close()
        names = sockets(folder)
        assert len(names) == 1
        here = context(way.serving)
        assert here.connect("contract", timeout=SOON).peer.pid == server.pid
        forget(here)
        forget(there)


@pytest.mark.parametrize("count", [10])
def test_a_server_that_survives_many_clients_does_not_grow(way: Way, count: int) -> None:
    # catches: a mapping, descriptor or budget of a dead peer that is kept (zenoh#2787)
    there = context(way.serving)
    with there.listen("contract") as listener:
        dialling = way.dialling(listener)

        def round_of_one() -> None:
            with Child(children.send_for_ever_from, dialling) as child:
                channel = listener.accept(timeout=LONG)
                child.hears()
                channel.recv(timeout=LONG)
                fill(channel)
                child.kill()
                with pytest.raises(eastwest.PeerLost):
                    while True:
                        channel.recv(timeout=LONG)

        def is_idle() -> bool:
            gc.collect()
            stats = there.stats()
            return stats.channels == stats.memory_bytes == 0

        for _ in range(3):
            round_of_one()
        wait_until(is_idle, "nothing is held of the dead", SOON)
        before = (descriptors(), mappings())
        for _ in range(count):
            round_of_one()
        wait_until(is_idle, "nothing is held of the dead", SOON)
        assert descriptors() <= before[0]
        assert mappings() <= before[1] + 4
    forget(there)


def test_a_client_that_survives_many_servers_does_not_grow(way: Way, folder: Path) -> None:
    before = (0, 0)
    for number in range(12):
        with Child(children.accept_and_hold, way.serving, str(folder)) as server:
            (registry,) = server.hears()
            here = context(way.serving if registry is None else tcp_only(registry))
            channel = here.connect("contract", timeout=LONG)
            server.hears()
            server.kill()
            with pytest.raises(eastwest.PeerLost):
                channel.recv(timeout=LONG)
            channel.close()
            del channel
            forget(here)
            del here
        gc.collect()
        if number == 2:
            before = (descriptors(), mappings())
    wait_until(lambda: descriptors() <= before[0], "as many descriptors as before", SOON)
    assert mappings() <= before[1] + 4


def tcp_only(registry: str) -> dict[str, Any]:
    """Return settings of a client that sees at once that its server is gone."""
    return {"paths": ["tcp"], "registry": [registry], "grace": 0.0}


def test_a_lost_channel_that_is_kept_holds_what_it_has_and_no_more(way: Way) -> None:
    # the application may keep the object; the memory goes when it is closed
    there = context(way.serving)
    with there.listen("contract") as listener:
        with Child(children.hold, way.dialling(listener)) as child:
            channel = listener.accept(timeout=LONG)
            child.kill()
        with pytest.raises(eastwest.PeerLost):
            channel.recv(timeout=LONG)
        channel.close()
        wait_until(lambda: there.stats().memory_bytes == 0, "its memory is free", SOON)
    forget(there)


def test_opening_and_closing_many_channels_does_not_grow(way: Way) -> None:
    there = context(way.serving)
    with there.listen("contract") as listener:
        here = context(way.dialling(listener))

        def round_of_one() -> None:
            with here.connect("contract", timeout=LONG) as a, listener.accept(timeout=LONG) as b:
                a.send(b"x", timeout=LONG)
                b.recv(timeout=LONG)
                a.fileno()

        for _ in range(5):
            round_of_one()
        gc.collect()
        before = (descriptors(), mappings())
        for _ in range(150):
            round_of_one()
        gc.collect()
        wait_until(lambda: descriptors() <= before[0], "as many descriptors as before", SOON)
        wait_until(lambda: mappings() <= before[1] + 4, "as many mappings as before", SOON)
        assert there.stats().memory_bytes == here.stats().memory_bytes == 0
        forget(here)
    forget(there)


def test_an_idle_channel_over_shared_memory_holds_one_descriptor_at_each_end(folder: Path) -> None:
    # catches: memfds kept open after they were mapped
    way = shm_way(folder)
    there = context(way.serving)
    with there.listen("contract") as listener:
        here = context(way.dialling(listener))
        kept = [(here.connect("contract", timeout=LONG), listener.accept(timeout=LONG))]
        before = descriptors()
        for _ in range(20):
            kept.append((here.connect("contract", timeout=LONG), listener.accept(timeout=LONG)))
        wait_until(lambda: descriptors() <= before + 40, "two descriptors for two ends", SOON)
        for pair in kept:
            for each in pair:
                each.abort()
        forget(here)
    forget(there)


def test_a_core_of_many_mebibytes_of_mail_is_freed_with_its_reader(way: Way) -> None:
    # a long message half received when the peer dies: the assembly buffer must go
    there = context(way.serving)
    with there.listen("contract") as listener:
        for _ in range(3):
            with Child(children.send_on_demand, way.dialling(listener)) as child:
                channel = listener.accept(timeout=LONG)
                child.tell(60 * MIB)
                with pytest.raises(eastwest.Timeout):
                    channel.recv(timeout=0.001)
                child.kill()
                with pytest.raises((eastwest.PeerLost, eastwest.Timeout)):
                    channel.recv(timeout=LONG)
                channel.close()
                del channel
                gc.collect()
        wait_until(lambda: there.stats().memory_bytes == 0, "nothing is held", SOON)
    forget(there)
