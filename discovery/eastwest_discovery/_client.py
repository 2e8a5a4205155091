"""Opening a source by its URL, as a client that remembers: what ``eastwest`` uses.

dns:PATTERN           headless services and other names; needs dnspython
zmq://h1:p,h2:p       registry servers of ours; needs pyzmq
etcd://h1,h2/prefix   an existing cluster

What a source needs is imported when it is opened; all of them need protobuf.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ._errors import BadAddress
from ._record import Key, Record
from ._union import View

SCHEMES = ("dns", "etcd", "zmq")
Superseded = Callable[[Key, int], object]


class Client(Protocol):
    """A source that is followed. Every method may be called from any thread."""

    @property
    def source(self) -> str:
        """The URL, without secrets."""

    def publish(self, record: Record) -> None:
        """Publish *record* and keep it alive; a newer version replaces it.

        A source that cannot be reached is no error: it is published when it can be.

        Raises:
            DiscoveryError: it was refused, and is not published.
        """

    def withdraw(self, key: Key) -> None:
        """Withdraw what was published here; waits for nobody. Idempotent."""

    def view(self, namespace: str, service: str) -> View | None:
        """Return what is known now; None: it is not followed. Never waits."""

    def look(self, namespace: str, service: str, timeout: float) -> View:
        """Return what is known, which is followed from now on; see ``view``.

        Waits at most *timeout* seconds for the first answer. "" is every service; DNS cannot
        tell which there are.
        """

    def states(self, namespace: str, service: str) -> Mapping[str, str]:
        """Return what keeps each server from answering completely, "" for nothing."""

    def published(self, key: Key) -> Mapping[str, str]:
        """Return what keeps each server from having what is published here, "" for nothing.

        Empty for a source that others fill.
        """

    def age_seconds(self) -> float:
        """Return how long ago the oldest thing that is known was confirmed; 0: all is fresh."""

    def close(self) -> None:
        """Withdraw what was published here and give everything back. Idempotent."""


@dataclass(frozen=True, slots=True)
class Keys:
    """CURVE: the file of our pair of keys, and the public key of each server or one for all."""

    file: Path
    servers: tuple[str, ...]


def open_client(
    url: str,
    *,
    keys: Keys | None = None,
    cache: Path | None = None,
    superseded: Superseded = lambda *_: None,
) -> Client:
    """Open a source; nobody is asked yet.

    Args:
        keys: for ``zmq://``; etcd has its files in the URL.
        cache: a folder of this user for what is known, made at need; None keeps nothing on disk.
        superseded: told by a thread, which it must not hold up, that a source has the key of
            what we publish in a newer version, and which.

    Raises:
        BadAddress, BadFile: the URL, or a file, cannot be used.
        Unavailable: the system has no resolvers configured.
        ImportError: a package that the source needs is not installed.
    """
    scheme = url.partition(":")[0]
    if scheme == "zmq":
        return _zmq(url, keys, cache, superseded)
    if scheme == "etcd":
        from ._etcd import Etcd
        from ._follow import Follower

        return Follower(Etcd(url, superseded=superseded), cache=cache)
    if scheme == "dns":
        from ._dns import Dns
        from ._follow import Follower

        return Follower(Dns(url), cache=cache)
    raise BadAddress(f"{url!r}: want one of {', '.join(SCHEMES)}")


def _zmq(url: str, keys: Keys | None, cache: Path | None, superseded: Superseded) -> Client:
    from . import _keys
    from ._zmq import Zmq
    from ._zmq_thread import Curve

    curve = None
    if keys is not None:
        pair = _keys.read(keys.file)
        curve = Curve(pair.public, pair.secret, keys.servers)
    return Zmq(url, keys=curve, cache=cache, superseded=superseded)
