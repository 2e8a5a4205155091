"""Why another system, or the machine itself, may be ahead of Eastwest.

Only what was found out by measuring stands here, with the place where it is written down. It is
the mechanism, never a result: whether somebody is ahead comes from the numbers of a run.
"""

import re
from dataclasses import dataclass
from typing import Literal

from bench.compare.page import naming
from bench.compare.page.ratios import Ratio

Measure = Literal["speed", "p99.9", "p99", "CPU"]
NOT_EXPLAINED = "not explained"
KERNEL_TCP = "^(tcp|raw|kernel|zmq-tcp|zenoh|grpc-tcp)"  # what the kernel's TCP carries


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a system can be ahead; the first that fits is taken.

    Attributes:
        text: the mechanism.
        ours, other: patterns that the names contain.
        wait, place: of ours, patterns for the whole.
        works: of these works; () all.
        least: of at least so many bytes.
        measures: in which respect.
    """

    text: str
    ours: str = ""
    other: str = ""
    wait: str = ".*"
    place: str = ".*"
    works: tuple[str, ...] = ()
    least: int = 0
    measures: tuple[Measure, ...] = ("speed", "CPU")


REASONS = (
    Reason(  # docs/reference/performance.md, round trip
        "a message and its header lie on two cache lines, and a ring walks through its memory; the "
        "bare line stays where it is",
        other="^lines?$",
    ),
    Reason(  # docs/reference/performance.md, 32 KiB
        "memcpy stays in one core's cache; a message is copied in by one core and out by the other",
        other="^memcpy",
    ),
    Reason(  # section 5 of the design: the core of the poll mode driver never sleeps
        "the switch's own core polls all the time and is counted in full",
        ours="ovs",
        measures=("CPU",),
    ),
    Reason(  # docs/adr/0001-session-and-links.md
        "a bare socket has no records: a copy into the ring and one out of the inbox are saved, "
        "and so is the epoll set, the larger part of it",
        ours="eastwest-tcp(?!-aio)",
        other="^(tcp|raw|kernel)",
        works=("trip", "paced", "fan", "window"),
    ),
    Reason(  # docs/reference/performance.md, blocking round trips
        "a blocking wait sleeps in ppoll, on its doorbell and on what its own process nudges it "
        "with, and reads the doorbell afterwards: four system calls on each side for a message, "
        "where a socket or a pipe has two; in Python two more, for signals",
        ours="eastwest-shm",
        other="^(unix|pipe|posix-mq|mp-pipe|tcp)",
        wait="block",
        works=("trip", "paced"),
    ),
    Reason(  # docs/reference/performance.md, recv_into over TCP
        "the receiver's inbox is small: it sends more ACKs, sleeps and wakes more often, and a "
        "record of 32 KiB costs a system call",
        ours="eastwest-tcp(?!-aio)",
        other="^(tcp|raw|kernel|zmq-tcp|zenoh-tcp)",
        works=("flow",),
        least=4096,
    ),
    Reason(  # docs/reference/performance.md, our TCP/IP on DPDK
        "the kernel passes 64 KiB at a time, through a veth or loopback that copies nothing "
        "(segmentation offload); a device without it takes packets of the MTU",
        ours="eastwest-dpdk",
        place="(?!virtio-tso).*",
        other=KERNEL_TCP,
        works=("flow",),
        least=4096,
    ),
    Reason(
        "the kernel passes 64 KiB at a time, through a veth or loopback that copies nothing "
        "(segmentation offload); a device without it takes packets of the MTU",
        ours="eastwest-dpdk",
        place="(?!virtio-tso).*",
        other=KERNEL_TCP,
        least=64 << 10,
    ),
    Reason(  # docs/guide/dpdk.md
        "its device is polled as long as somebody waits",
        ours="eastwest-dpdk",
        measures=("CPU",),
    ),
    Reason(  # docs/guide/waiting.md
        "who waits spins for a moment before it sleeps, and that is CPU time",
        wait="adaptive",
        measures=("CPU",),
    ),
)


def reason(each: Ratio, measure: Measure) -> str:
    """Return why the other one may be ahead."""
    for known in REASONS:
        if (
            measure in known.measures
            and (not known.works or each.ours.work in known.works)
            and known.least <= each.ours.bytes
            and re.fullmatch(known.wait, each.ours.wait)
            and re.fullmatch(known.place, naming.place(each.ours))
            and re.search(known.ours, each.ours.system)
            and re.search(known.other, each.other.system)
        ):
            return known.text
    return NOT_EXPLAINED
