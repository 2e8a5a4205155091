"""A TOML file that somebody writes by hand or deploys: "static:FILE".

    [[service]]
    name = "pricing"
    addresses = ["tcp://10.0.0.1:7411"]
    instance = "0123456789abcdef0123456789abcdef"     # optional, as are the rest
    labels = { color = "blue" }
    zone = "eu-1"
    weight = 2

Read again when it changes. Every error has the file and the line.
"""

import os
import re
import threading
import time
import tomllib
from typing import Any

from .._addresses import check_dialled
from .._config_checks import unknown
from .._errors import ConfigurationError
from .._facts import WEIGHT, check_weight
from .._names import check_labels, check_service, check_zone
from .._values import Instance
from ._base import KNOWN_MAX, Answer, Record

FILE_BYTES_MAX = 16 << 20
ENTRIES_MAX = 10_000
ADDRESSES_MAX = 16
KEYS = ("name", "addresses", "instance", "labels", "zone", "weight")


class Static:
    """The services of one TOML file."""

    is_remote = False

    def __init__(self, file: str) -> None:
        self.source = f"static:{file}"
        self._file = file
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._checked = time.monotonic()
        self._instances: tuple[Instance, ...] = ()

    def publish(self, record: Record) -> None:
        """Do nothing: the file is written by somebody else."""

    def withdraw(self, record: Record) -> None:
        """Do nothing: the file is written by somebody else."""

    def published(self, record: Record) -> str:
        """Return "": the file is written by somebody else."""
        return ""

    def state(self, service: str) -> None:
        """Return None: the file is there, or it is an error."""

    def look_up(self, service: str, *, timeout: float) -> Answer:
        """Return the entries with that name; reads the file if it changed."""
        return Answer(tuple(each for each in self._current() if service in ("", each.service)))

    def known(self, *, timeout: float) -> tuple[str, ...]:
        """Return every name in the file, sorted, at most 256."""
        return tuple(sorted({each.service for each in self._current()})[:KNOWN_MAX])

    def age_seconds(self) -> float:
        """Return the seconds since the file was last looked at."""
        return time.monotonic() - self._checked

    def close(self) -> None:
        """Hold nothing."""

    def _current(self) -> tuple[Instance, ...]:
        with self._lock:
            try:
                stat = os.stat(self._file)
                stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                if stamp != self._stamp:
                    self._instances = parse(_read(self._file), self._file)
                    self._stamp = stamp
            except OSError as error:
                raise ConfigurationError(
                    f"registry {self.source}: {error.strerror}; write the file, or take it out "
                    "of EASTWEST_REGISTRY"
                ) from None
            self._checked = time.monotonic()
            return self._instances


def _read(file: str) -> str:
    with open(file, "rb") as stream:
        data = stream.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise ConfigurationError(f"{file}: more than {FILE_BYTES_MAX} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: not UTF-8 at byte {error.start}") from None


def parse(text: str, file: str) -> tuple[Instance, ...]:
    """Return the instances of a registry file.

    Args:
        file: its name, for errors and for ``Instance.source``.

    Raises:
        ConfigurationError: not TOML, an unknown key, a missing or bad value; with the line.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file}: not valid TOML: {error}") from None
    for key in table:
        if key != "service":
            raise ConfigurationError(f"{file}: {unknown('key', key, ['service'])}")
    entries = table.get("service", [])
    if not isinstance(entries, list) or len(entries) > ENTRIES_MAX:
        raise ConfigurationError(
            f"{file}: want at most {ENTRIES_MAX} [[service]] tables (two brackets each)"
        )
    lines = _entry_lines(text)
    found = []
    for index, entry in enumerate(entries):
        where = f"{file}:{lines[index]}" if len(lines) == len(entries) else file
        try:
            found.append(_instance(entry, f"static:{file}"))
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: [[service]] number {index + 1}: {error}") from None
    return tuple(found)


def _entry_lines(text: str) -> list[int]:
    """Return the line of each [[service]]; trusted only if there are as many as entries."""
    header = re.compile(r"\s*\[\[\s*[\"']?service[\"']?\s*\]\]")
    return [number for number, line in enumerate(text.splitlines(), 1) if header.match(line)]


def _instance(entry: Any, source: str) -> Instance:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{entry!r} is not a table")
    for key in entry:
        if key not in KEYS:
            raise ConfigurationError(unknown("key", key, KEYS))
    for key in ("name", "addresses"):
        if key not in entry:
            raise ConfigurationError(f"{key} is missing")
    labels = entry.get("labels", {})
    if not isinstance(labels, dict):
        raise ConfigurationError(f'labels {labels!r}: want a table, as in {{ color = "blue" }}')
    zone = entry.get("zone", "")
    if not isinstance(zone, str):
        raise ConfigurationError(f"zone {zone!r}: want a string")
    return Instance(
        service=check_service(entry["name"]),
        id=_instance_id(entry.get("instance", "")),
        labels=check_labels(labels),
        zone=check_zone(zone),
        weight=check_weight(entry.get("weight", WEIGHT)),
        addresses=_addresses(entry["addresses"]),
        stale=False,
        source=source,
    )


def _instance_id(value: Any) -> str:
    if not isinstance(value, str) or (value and not re.fullmatch(r"[0-9a-f]{32}", value)):
        raise ConfigurationError(f"instance {value!r}: want 32 hex digits in lower case")
    return value


def _addresses(value: Any) -> tuple[str, ...]:
    good = isinstance(value, list) and all(isinstance(each, str) for each in value)
    if not good or not 1 <= len(value) <= ADDRESSES_MAX:
        raise ConfigurationError(
            f"addresses {value!r}: want a list of 1..{ADDRESSES_MAX} strings, "
            'as in ["tcp://10.0.0.1:7411"]'
        )
    return tuple(check_dialled(each) for each in value)
