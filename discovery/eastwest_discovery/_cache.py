"""What a client knew, on disk: restarted while no server can be asked, it still finds its peers.

One small file for each service of each source, 0600 in a folder 0700 of one's own, replaced as a
whole: a reader sees the old one or the new one. Nothing waits for the disk (no fsync): a machine
that loses its power may lose the file, and the checksum says so.

A file that is damaged, too old, of another user, of another format or of another source is passed
over with a log line and replaced in time. No error of the disk reaches the caller: ``save`` says
no, logs the first failure and the recovery.

Ages come from the clock of the wall, which is all that lasts: where it was set back, what is in
the file looks younger, never negative.
"""

import hashlib
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from . import _log as log
from ._errors import BadRecord
from ._record import Record, decode
from ._union import STALE_SECONDS_MAX

FILE_BYTES_MAX = 64 << 20  # more than all of one service: 10,000 records of 4 KiB, and a third
FILES_MAX = 4096  # in one folder; the oldest go
LEFT_OVER_SECONDS = 3600.0  # a half-written file that old has no writer any more

_MAGIC = b"eastwest-discovery-cache 1\n"
_SUFFIX = ".records"
_DIGEST_BYTES = 32  # SHA-256 of all that follows it
_SAVED = struct.Struct("<dIHHH")  # wall clock, records; bytes of source, namespace, service
_RECORD = struct.Struct("<dI")  # age in seconds, bytes


class _Unusable(Exception):
    """Why a file is passed over."""


class Cache:
    """The files of one source in one folder.

    Threads: of one thread. Processes: any number share a folder; the last one to write a
    file wins, and all of them write what the same servers say.
    """

    def __init__(self, folder: Path, source: str) -> None:
        self.folder = folder
        self._source = source
        self._is_failing = False
        self._temporary = 0

    def load(self, namespace: str, service: str, now: float) -> list[tuple[Record, float]]:
        """Return what was saved, each record with its age in seconds; nothing if there is none.

        Args:
            now: the clock of the wall, seconds since 1970.
        """
        path = self._path(namespace, service)
        try:
            found = _parse(_read(path), (self._source, namespace, service), now)
        except FileNotFoundError:
            return []
        except (OSError, _Unusable) as error:
            log.warning("cache_ignored", file=path, detail=error)
            return []
        return [(record, age) for record, age in found if age < STALE_SECONDS_MAX]

    def save(
        self, namespace: str, service: str, records: Iterable[tuple[Record, float]], now: float
    ) -> bool:
        """Replace the file of one service; return whether it could be written.

        Args:
            records: each with its age in seconds.
        """
        text = _format((self._source, namespace, service), list(records), now)
        path = self._path(namespace, service)
        try:
            if len(text) > FILE_BYTES_MAX:
                raise _Unusable(f"{len(text)} bytes, limit {FILE_BYTES_MAX}")
            self._replace(path, text)
        except (OSError, _Unusable) as error:
            if not self._is_failing:
                log.warning("cache_not_saved", file=path, detail=error)
            self._is_failing = True
            return False
        if self._is_failing:
            log.info("cache_saved_again", file=path)
        self._is_failing = False
        return True

    def tidy(self, now: float) -> None:
        """Remove what is too old to be used, what was left half-written, and what is too many."""
        with suppress(OSError):
            ages: list[tuple[float, str]] = []
            with os.scandir(self.folder) as listed:
                for each in listed:
                    with suppress(OSError):
                        age = now - each.stat(follow_symlinks=False).st_mtime
                        is_whole = each.name.endswith(_SUFFIX)
                        is_half = each.name.startswith(".")
                        if age > (STALE_SECONDS_MAX if is_whole else LEFT_OVER_SECONDS):
                            if is_whole or is_half:
                                os.unlink(each.path)
                        elif is_whole:
                            ages.append((age, each.path))
            for _, path in sorted(ages)[FILES_MAX:]:
                with suppress(OSError):
                    os.unlink(path)

    def _path(self, namespace: str, service: str) -> Path:
        name = "\0".join((self._source, namespace, service)).encode()
        return self.folder / (hashlib.sha256(name).hexdigest()[:32] + _SUFFIX)

    def _replace(self, path: Path, text: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._temporary += 1
        temporary = path.with_name(f".{path.stem}.{os.getpid()}.{self._temporary}")
        with suppress(FileNotFoundError):
            temporary.unlink()  # of a process that had our number and was killed
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb", buffering=0) as file:
                view = memoryview(text)
                while view:
                    view = view[file.write(view) :]
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise


def _read(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid():
            raise _Unusable(f"it belongs to user {status.st_uid}, not to us ({os.geteuid()})")
        if status.st_size > FILE_BYTES_MAX:
            raise _Unusable(f"{status.st_size} bytes, limit {FILE_BYTES_MAX}")
        return file.read(FILE_BYTES_MAX)


def _format(names: tuple[str, str, str], records: list[tuple[Record, float]], now: float) -> bytes:
    encoded_names = [name.encode() for name in names]
    body = [_SAVED.pack(now, len(records), *map(len, encoded_names)), *encoded_names]
    for record, age in records:
        encoded = record.encode()
        body += [_RECORD.pack(age, len(encoded)), encoded]
    text = b"".join(body)
    return _MAGIC + hashlib.sha256(text).digest() + text


def _parse(text: bytes, names: tuple[str, str, str], now: float) -> list[tuple[Record, float]]:
    if not text.startswith(_MAGIC):
        raise _Unusable(f"it begins with {text[:16]!r}: another format")
    body = memoryview(text)[len(_MAGIC) + _DIGEST_BYTES :]
    if hashlib.sha256(body).digest() != text[len(_MAGIC) : len(_MAGIC) + _DIGEST_BYTES]:
        raise _Unusable("the checksum is wrong")
    try:
        saved, count, *sizes = _SAVED.unpack_from(body)
        at = _SAVED.size
        for name, size in zip(names, sizes, strict=True):
            if body[at : at + size] != name.encode():
                raise _Unusable(f"it is not about {name!r}")
            at += size
        found = []
        for _ in range(count):
            age, size = _RECORD.unpack_from(body, at)
            at += _RECORD.size
            found.append((decode(bytes(body[at : at + size])), age + max(0.0, now - saved)))
            at += size
    except (struct.error, BadRecord) as error:
        raise _Unusable(str(error)) from None
    return found
