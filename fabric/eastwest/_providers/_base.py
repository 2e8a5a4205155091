"""The interface of a registry, as selection sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .._values import Instance, Registry, Verdict

KNOWN_MAX = 256
"""How many names, and how many sockets, one provider reports or asks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider knows about one service; a hint, the hello proves.

    Attributes:
        instances: in no particular order.
        problems: what was there and could not be asked, for ``explain``.
        complete: what is not among the instances is not there; False: nobody could be asked, or
            who was asked does not know everybody yet.
    """

    instances: tuple[Instance, ...]
    problems: tuple[Verdict, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """What a listener asks a provider to publish, until it withdraws it."""

    instance: Instance
    protocol: str
    namespace: str


class Provider(Protocol):
    """One registry. Threads: every method may be called from any thread at the same time."""

    is_remote: bool
    """It is asked over the network: nobody waits for it who has found something nearer."""

    @property
    def source(self) -> str:
        """What errors and ``Instance.source`` call it, such as "static:/etc/e.toml"."""

    def publish(self, record: Record) -> None:
        """Make the instance known, or what has changed of it; one that others fill ignores it.

        A registry that cannot be reached is no error: it is told when it can be.

        Raises:
            ConfigurationError: the registry refused it; it is not published.
        """

    def published(self, record: Record) -> str:
        """Return who has what was published, and why others have not; "" if others fill it."""

    def withdraw(self, record: Record) -> None:
        """Undo ``publish``; waits for nobody. Idempotent."""

    def look_up(self, service: str, *, timeout: float) -> Answer:
        """Return who publishes *service* now, "" for every service.

        Args:
            timeout: seconds that the answer may take; 0: only what is known already.

        Raises:
            ConfigurationError: what the provider reads is not in order.
        """

    def state(self, service: str) -> Registry | None:
        """Return how its last answer about *service* stands; None: it is asked anew each time."""

    def known(self, *, timeout: float) -> tuple[str, ...]:
        """Return the names of services, sorted, at most 256."""

    def age_seconds(self) -> float:
        """Return how old what it would answer is at most."""

    def close(self) -> None:
        """Let go of files and connections. Idempotent."""


class Asked(Protocol):
    """What a listener at an address says about itself."""

    @property
    def instance(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def facts(self) -> str: ...


Ask = Callable[[str, str, float], Asked]
"""(address, service, timeout) -> what the listener there says; raises an EastwestError.

A TCP port serves several services, so the one that is meant is named; "" asks a socket whose it is.
"""
