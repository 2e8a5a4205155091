"""Processes of tests/crash/party.c, and where in our sources one of them may be killed."""

import os
import re
import signal
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/dev/tests/crash_party"
FOLDERS = ("shm", "transport", "bindings/c")
SECONDS_MAX = 70  # its own alarm is earlier

END, LOST, UNREACHABLE, AGAIN, TIMEOUT = -1004, -1005, -1010, -1000, -1001  # enum ew_err
ROUNDS = 24  # messages of a whole conversation, each way


def labels() -> list[str]:
    """Every label of an EWI_CRASH_POINT in the library's sources."""
    found = {
        label
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*.[ch]")
        for label in re.findall(r"EWI_CRASH_POINT\(\"([^\"]+)\"\)", file.read_text())
    }
    return sorted(found)


class Party:
    """One end. Armed with a label it kills itself there, with SIGKILL."""

    def __init__(
        self, role: str, path: str, folder: Path, *, address: str = "-", armed: str = "", last: bool
    ) -> None:
        self.role = role
        self._progress = folder / f"progress-{role}-{len(list(folder.iterdir()))}"
        self._process = subprocess.Popen(
            [PROGRAM, role, address, path, folder, self._progress, *(["--last"] if last else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **({"EWI_CRASH_AT": armed} if armed else {})},
        )

    def hears(self) -> list[str]:
        """The next line it says, as words; none when it is dead."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().split()

    def address(self) -> str:
        words = self.hears()
        assert words[:1] == ["at"], f"the {self.role} does not listen: {words}"
        return words[1]

    def over(self) -> tuple[int, int]:
        """How the conversation ended: messages received, and the code."""
        words = self.hears()
        assert words[:1] == ["over"], f"the surviving {self.role} failed: {words}"
        return int(words[1]), int(words[2])

    def left(self) -> list[str]:
        """End it: what it still holds of descriptors, mappings and bytes."""
        self.tell("end")
        words = self.hears()
        assert self._process.wait(SECONDS_MAX) == 0
        return words[1:]

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def dies(self) -> bool:
        """Say whether it killed itself; if it got to its end alive, it ends as it should."""
        if self.hears():
            with suppress(BrokenPipeError):
                self.tell("end")
                self.hears()
        code = self._process.wait(SECONDS_MAX)
        assert code in (0, -signal.SIGKILL), f"the {self.role} ended with {code}"
        return code == -signal.SIGKILL

    def progress(self) -> tuple[int, int, int]:
        """Messages that it began to send, and that send took; whether it began to close."""
        begun, done, _, closing = struct.unpack("4Q", self._progress.read_bytes())
        return begun, done, closing

    def __enter__(self) -> "Party":
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
