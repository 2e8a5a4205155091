"""``results.json``: what a run found, with the machine that it ran on.

The unit of a series follows from its work: ``trip``, ``paced`` and ``fan`` are nanoseconds for a
round trip (``fan``: of all links at once, per message), ``flow`` is messages a second one way;
others say their own. ``values`` has one number for each round that was kept; a ratio is formed
round by round, as all systems of a section share their rounds. ``raw`` has the single round trips
as they came, one text for each round; ``unpacked`` reads it.
"""

import base64
import binascii
import json
import sys
import zlib
from array import array
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = "eastwest-compare-2"
RAW_MOST = 1000  # of a round; the histogram has all


@dataclass(slots=True)
class Series:
    """One case: one system doing one work.

    Attributes:
        section: "limits", "local", "async", "calls", "many", "remote", "ovs", "sweep", "scale".
        system: whose, as "eastwest", "unix-stream", "zmq-ipc"; with its path where it has several:
            "eastwest-shm", "eastwest-tcp".
        language: "c" or "python".
        wait: "spin", "adaptive", "block"; "" where there is no choice.
        work: "trip", "paced", "fan", "flow", or another, see ``unit``.
        bytes: of a message.
        links: channels at once.
        at: what is varied in a curve beside bytes and links, as {"loss_percent": 1.0}.
        unit: "ns" (less is better), "1/s" (more is better), or another.
        values: one for each round.
        p50, p99, p999, max: ns, over all samples of all rounds; None without samples.
        samples: how many.
        histogram: HdrHistogram V2, base64, of all samples, ns; "" without.
        raw: a text for each round: its samples in the order in which they came, ns, see
            ``packed``; of more than RAW_MOST every ``raw_step``-th.
        raw_step: a number for each round: 1: all samples are there.
        cpu_ns: of both cores for a message: processes, kernel, softirq; None: not measured.
        switches: context switches for a message; None: not measured.
        note: what a reader must know, as "one way only", "PMD core counted as 100 %".
    """

    section: str
    system: str
    language: str
    wait: str
    work: str
    bytes: int
    links: int = 1
    at: dict[str, float | str] = field(default_factory=dict)
    unit: str = "ns"
    values: list[float] = field(default_factory=list)
    p50: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None
    samples: int = 0
    histogram: str = ""
    raw: list[str] = field(default_factory=list)
    raw_step: list[int] = field(default_factory=list)
    cpu_ns: float | None = None
    switches: float | None = None
    note: str = ""


def packed(samples: "array[int]") -> tuple[str, int]:
    """Return samples of 4 bytes as text, and of how many each is one.

    The text is base64 of zlib of unsigned integers of 32 bits, little-endian. At most RAW_MOST are
    kept, evenly, so that what drifts within a round is seen.
    """
    step = max(1, -(-len(samples) // RAW_MOST))
    kept = samples[::step]
    if sys.byteorder == "big":
        kept.byteswap()
    return base64.b64encode(zlib.compress(kept.tobytes())).decode(), step


def unpacked(text: str) -> "array[int]":
    """Return what ``packed`` took.

    Raises:
        ValueError: it is something else.
    """
    samples = array("I")
    try:
        samples.frombytes(zlib.decompress(base64.b64decode(text, validate=True)))
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError(f"no samples: {text[:40]!r}: {error}") from error
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


@dataclass(slots=True)
class Missing:
    """A system, or a part of the run, that could not be measured here.

    Attributes:
        what: the system or section.
        why: the reason.
        fix: what would help, as "pip install pynng"; "" for nothing.
    """

    what: str
    why: str
    fix: str = ""


@dataclass(slots=True)
class Results:
    """One run.

    Attributes:
        environment: facts of the machine, the versions of all systems, the commit.
        started: local time, ISO 8601.
        seconds: how long it took.
        rounds: kept in each section.
        dropped: rounds of each section that were dropped because of foreign load.
    """

    environment: dict[str, str]
    started: str
    is_quick: bool
    seconds: float = 0.0
    rounds: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write ``results.json``."""
        document = {"schema": SCHEMA, **asdict(self)}
        path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")


def read(path: Path) -> Results:
    """Return what ``Results.write`` wrote.

    Raises:
        ValueError: it is something else; the text names the file and what is wrong.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        if (schema := document.pop("schema", None)) != SCHEMA:
            raise ValueError(f"schema {schema!r}; want {SCHEMA!r}")
        series = [Series(**each) for each in document.pop("series")]
        missing = [Missing(**each) for each in document.pop("missing")]
        return Results(**document, series=series, missing=missing)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} holds no results of this version: {error}") from error
