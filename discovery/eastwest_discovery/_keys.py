"""CURVE keys: making them, and the files they are in.

A key file is TOML with ``public`` and ``secret``, 40 characters of Z85 each. It is made with mode
0600 and never over another file, and it is not read when others than its owner may read it.
"""

import os
import re
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from ._errors import BadFile

_Z85 = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
FILE_BYTES_MAX = 1 << 20
MODE = 0o600


@dataclass(frozen=True, slots=True)
class KeyPair:
    """One party: others know it by the public key."""

    public: str  # Z85, 40 characters
    secret: str = field(repr=False)


def is_key(text: object) -> bool:
    """Say whether *text* has the form of a key."""
    return isinstance(text, str) and _Z85.fullmatch(text) is not None


def generate() -> KeyPair:
    """Return a new pair of keys. The public one can stand behind an option: no '-' comes first."""
    while True:
        public, secret = zmq.curve_keypair()
        if not public.startswith(b"-"):
            return KeyPair(public.decode(), secret.decode())


def write(path: str | Path, pair: KeyPair) -> None:
    """Write a pair of keys to a new file that only we may read.

    Raises:
        BadFile: it exists, or cannot be written.
    """
    text = (
        "# A key of Eastwest's discovery. Tell nobody the secret one.\n"
        f'public = "{pair.public}"\nsecret = "{pair.secret}"\n'
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    except FileExistsError:
        raise BadFile(f"key file {path} exists; remove it first, or choose another") from None
    except OSError as error:
        raise BadFile(f"key file {path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), MODE)  # whatever the umask
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        Path(path).unlink(missing_ok=True)
        raise BadFile(f"key file {path} cannot be written: {error.strerror}") from None


def read(path: str | Path) -> KeyPair:
    """Return the pair of keys in a file.

    Raises:
        BadFile: it cannot be read, others may read it, or it holds no pair of keys.
    """
    table = toml(path, private=True)
    public, secret = table.get("public"), table.get("secret")
    if not isinstance(public, str) or not isinstance(secret, str):
        raise BadFile(f"key file {path}: want public = '...' and secret = '...'; see keygen")
    if not is_key(public) or not is_key(secret):
        raise BadFile(f"key file {path}: a key is not 40 characters of Z85; see keygen")
    if zmq.curve_public(secret.encode()).decode() != public:
        raise BadFile(f"key file {path}: the public key is not that of the secret one; see keygen")
    return KeyPair(public, secret)


def toml(path: str | Path, *, private: bool = False) -> dict[str, object]:
    """Return what a TOML file holds.

    Args:
        private: refuse a file that others than its owner may read or write.

    Raises:
        BadFile: it cannot be read, is too private or too public, too long, or not TOML.
    """
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BadFile(f"file {path} is not a regular file")
            if private and stat.S_IMODE(found.st_mode) & 0o077:
                raise BadFile(
                    f"file {path} has mode {stat.S_IMODE(found.st_mode):04o}: others may use it; "
                    f"chmod 600 {path}, and make a new key if they should not have seen it"
                )
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BadFile(f"file {path} cannot be read: {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX:
        raise BadFile(f"file {path} has more than {FILE_BYTES_MAX} bytes, the limit")
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFile(f"file {path} is not TOML: {error}") from None
