"""Frames of 64 KiB between two of our stacks: segmentation offload on virtio_user and vhost."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.dpdk import fixtures, in_memory
from tests.dpdk.in_memory import THEIRS, Memory, exchange, listen
from tests.dpdk.stack import StackPeer
from tests.net.kernel import OURS, SOON

stack = fixtures.stack
folder = in_memory.folder
SIZE = 32 << 20
FULL = 1448  # bytes of a segment
MEGABYTE = fixtures.MEGABYTE
UNREAD = 24  # streams that nobody reads: their windows together are longer than all long buffers


def counter(peer: StackPeer, name: str) -> int:
    """Return a counter of the stack."""
    (value,) = [int(row["value"]) for row in peer.rows("stats") if row["name"] == name]
    return value


def of_port(peer: StackPeer, name: str) -> int:
    """Return what a stack says of its device."""
    (port,) = peer.rows("port")
    return int(port[name])


def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so; a hang is a failure."""
    end = time.monotonic() + SOON
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("kind", "family"), [("tso", 4), ("tso-client", 6)])
def test_bulk_goes_in_long_frames_both_ways(kind: str, family: int, folder: Path) -> None:
    with ExitStack() as stack:
        ends = Memory(stack, kind, folder).start_both()
        for ours, theirs, at in zip(ends, ends[::-1], (OURS, THEIRS), strict=True):
            address = f"[{at[family]}]" if family == 6 else at[family]
            frames = counter(theirs, "tx_frames")
            exchange(ours, theirs, address, SIZE, 80)
            assert counter(theirs, "tx_frames") - frames < SIZE / FULL / 4
        for each in ends:
            each.quit()


def test_bulk_arrives_whole_over_a_bad_wire(folder: Path) -> None:
    with ExitStack() as stack:
        bad = "delay_us=200,reorder_ppm=10000,hold_us=500,loss_ppm=10000,duplicate_ppm=10000"
        ours, theirs = Memory(stack, "tso", folder, bad).start_both()
        exchange(ours, theirs, OURS[4], SIZE // 4, 80)
        assert of_port(theirs, "tx_dropped") > 0
        assert counter(theirs, "tx_frames") < SIZE / 4 / FULL / 2


def test_streams_that_nobody_reads_do_not_stop_the_others(folder: Path) -> None:
    # catches: a receive ring that cannot be filled again
    with ExitStack() as stack:
        ours, theirs = Memory(stack, "tso", folder).start_both()
        listen(ours, f"{OURS[4]}:81")
        unread = []
        for _ in range(UNREAD):
            theirs.tell(f"connect {OURS[4]}:81 source {2 * MEGABYTE}")
            theirs.wait("done")
            unread.append(int(ours.wait("accepted")["id"]))
            ours.ask(f"stop {unread[-1]}")
        half = UNREAD * MEGABYTE // 2
        until(lambda: sum(int(row["readable"]) for row in ours.rows("conn")) > half)
        exchange(ours, theirs, OURS[4], MEGABYTE, 82)
        for each in unread:
            ours.ask(f"go {each}")
        for each in unread:
            assert ours.end(each)["received"] == 2 * MEGABYTE


def test_a_driver_whose_other_end_cuts_nothing_is_refused(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        memory = Memory(stack, "tso", folder)
        memory.forms[0] = memory.forms[0].replace(",tso=1", "")
        memory.start(0)
        with pytest.raises(AssertionError):
            memory.start(1)
    assert "cuts no segments: give it tso=1 as well" in capfd.readouterr().err


def test_a_host_whose_driver_takes_nothing_long_has_no_carrier(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = folder / "log"
    monkeypatch.setenv("EASTWEST_DPDK_LOG", str(log))
    with ExitStack() as stack:
        memory = Memory(stack, "tso", folder)
        memory.forms[1] = memory.forms[1].replace(",tso=1", "")
        ours, theirs = memory.start_both()
        until(lambda: log.exists() and "takes no large segments: give it tso=1" in log.read_text())
        assert not of_port(ours, "carrier")
        theirs.quit()
