"""A running pair program: started, asked to do works, ended. Protocol: ``bench.compare.pair``."""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from bench.python.duo import die_with_parent

from .results import Missing
from .specs import PairSpec

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "dev" / "bench" / "pair"
OPEN_S, OPEN_LINK_S = 30.0, 0.01
SLACK_S = 30.0  # beyond the seconds of a work; a trial and large messages take their time
END_S = 10.0
CPUCLOCK_SCHED = 2  # of a whole process, include/linux/posix-timers.h


class PairError(Exception):
    """The pair ended, said nothing, or nothing that can be read."""


class MissingPair(Exception):
    """The system cannot be had here."""

    def __init__(self, missing: Missing) -> None:
        super().__init__(missing.why)
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Done:
    """What a work came to.

    Attributes:
        count: messages; round trips, but for "flow".
        ns: how long they took.
        cpu_ns: of both processes.
        switches: context switches of both.
        samples: ns of each round trip, where there are any.
    """

    count: int
    ns: int
    cpu_ns: int
    switches: int
    samples: "array[int]" = field(default_factory=lambda: array("I"))


class Pair:
    """Two processes; their files are removed with them.

    Attributes:
        version: of the system.
        cannot: why it cannot do a work in a size, by (work, bytes, and what else was given).
    """

    def __init__(self, spec: PairSpec) -> None:
        """Start it.

        Raises:
            MissingPair: it cannot be had here.
            PairError: it does not start.
        """
        self.spec = spec
        program = self._program()
        self.cannot: dict[tuple[str, int, *tuple[float, ...]], str] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="eastwest-pair-"))
        (self._folder / "both").mkdir()
        self._samples = self._folder / "samples"
        self._errors = (self._folder / "errors").open("w+", errors="replace")
        self._heard = b""
        self._cpu: dict[int, int] = {}
        self._process = subprocess.Popen(
            [*program, *self._options()],
            cwd=ROOT,
            env={**_environment(), "TMPDIR": str(self._folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            preexec_fn=partial(die_with_parent, os.getpid()),  # also while it is stopped
        )
        try:
            facts = self._hear(OPEN_S + OPEN_LINK_S * spec.links)
            if "missing" in facts:
                raise MissingPair(Missing(self.name, facts["missing"], facts.get("fix", "")))
            self.version = f"{facts.get('version', '')} {facts.get('detail', '')}".strip()
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """System, path, language and wait, for people."""
        words = (self.spec.label, self.spec.language, self.spec.wait)
        links = [f"{self.spec.links} links"] if self.spec.links > 1 else []
        return ", ".join([each for each in words if each] + links)

    def do(self, work: str, size: int, seconds: float, *more: float) -> Done | None:
        """Do a work; None: it cannot, ``cannot`` says why.

        Raises:
            PairError: the pair is gone.
        """
        if (work, size, *more) in self.cannot:
            return None
        line = " ".join([work, str(size), f"{seconds:g}", *(f"{each:g}" for each in more)])
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except OSError as error:
            raise PairError(f"{self.name}: {error}; {self._last_words()}") from error
        found = self._hear(seconds + SLACK_S)
        if "cannot" in found:
            self.cannot[work, size, *more] = found["cannot"]
            return None
        samples = array("I")
        if work in ("trip", "paced"):
            samples.frombytes(self._samples.read_bytes()[: 4 * found["count"]])
        return Done(found["count"], found["ns"], found["cpu_ns"], found["switches"], samples)

    def cpu_ns(self) -> int:
        """Return the CPU time of both processes; of one that has ended, what it had at last."""
        for pid in (self._process.pid, *children(self._process.pid)):
            with suppress(OSError):
                self._cpu[pid] = time.clock_gettime_ns(cpu_clock_of(pid))
        return sum(self._cpu.values())

    def close(self) -> None:
        """End both, and remove their files."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(END_S)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()  # its child dies with it
            self._process.wait()
        finally:
            self._process.stdout.close()
            self._errors.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ inside

    def _program(self) -> list[str]:
        """Return what is started, without options.

        Raises:
            MissingPair: it is not built.
        """
        if self.spec.language == "python":
            return [sys.executable, "-m", "bench.compare.pair", self.spec.system]
        return [self._built(PROGRAM), self.spec.system]

    def _built(self, program: Path) -> str:
        if not program.exists():
            raise MissingPair(Missing(self.name, f"{program} is not built", "./dev build"))
        return str(program)

    def _options(self) -> list[str]:
        options = {
            **({"wait": self.spec.wait} if self.spec.wait else {}),
            "links": str(self.spec.links),
            "samples": str(self._samples),
            "folder": str(self._folder / "both"),
            **self.spec.options,
        }
        return [f"{name}={value}" for name, value in options.items()]

    def _hear(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        until = time.monotonic() + seconds
        while b"\n" not in self._heard:
            left = until - time.monotonic()
            if not select.select([self._process.stdout], [], [], max(0.0, left))[0]:
                raise PairError(f"{self.name}: silent for {seconds:g} s; {self._last_words()}")
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            if not part:
                raise PairError(f"{self.name}: ended; {self._last_words()}")
            self._heard += part
        line, _, self._heard = self._heard.partition(b"\n")
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise PairError(f"{self.name}: said {line[:200]!r}")
        return found

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "without a word"


def children(pid: int) -> list[int]:
    """Return the processes that a process has begun, and theirs."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found + [each for child in found for each in children(child)]


def cpu_clock_of(pid: int) -> int:
    """Return the clock that counts the CPU time of another process, as clock_getcpuclockid(3)."""
    return (~pid << 3) | CPUCLOCK_SCHED


def _environment() -> dict[str, str]:
    paths = os.pathsep.join(str(ROOT / each) for each in ("", "fabric", "discovery"))
    own = {name: value for name, value in os.environ.items() if not name.startswith("EASTWEST_")}
    return {**own, "PYTHONPATH": paths}
