"""Asking every provider of a context: what publishes a service, and what is known at all.

Imports no native module; the context passes in how sockets are asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ._errors import EastwestError
from ._fabric import Fabric
from ._names import near
from ._providers import Provider
from ._rundir import Search
from ._select import merge
from ._values import Instance, Verdict

KNOWN_SHOWN = 8
KNOWN_SECONDS = 0.2  # a socket whose process is stopped must not delay an error by more


@dataclass(frozen=True, slots=True)
class Found:
    """What the providers said about one service, together."""

    instances: tuple[Instance, ...]
    problems: tuple[Verdict, ...]


class Finder:
    """The providers of one context, its runtime directories and its port on a fabric."""

    def __init__(
        self,
        providers: Sequence[Provider],
        search: Callable[[], Search],
        namespace: str,
        fabric: Callable[[], Fabric] = Fabric,
    ) -> None:
        self.providers = tuple(providers)
        self.search = search
        self.namespace = namespace
        self.fabric = fabric

    def look_up(self, service: str, timeout: float) -> Found:
        """Return the instances of *service* from all providers, those of one id made one.

        Raises:
            ConfigurationError: a runtime directory or a file that was named is not in order.
        """
        answers = [each.look_up(service, timeout=timeout) for each in self.providers]
        instances = merge(instance for answer in answers for instance in answer.instances)
        return Found(instances, tuple(each for answer in answers for each in answer.problems))

    def known(self) -> tuple[str, ...]:
        """Return the names that any provider knows, sorted."""
        names: set[str] = set()
        for each in self.providers:
            names.update(each.known(timeout=KNOWN_SECONDS))
        return tuple(sorted(names))

    def sources(self) -> tuple[str, ...]:
        """Return what is asked, the runtime directories by name."""
        search = self.search()
        local = [f"local:{directory}" for directory in search.usable]
        others = [each.source for each in self.providers if each.source != "local:"]
        return (*(local or ["local: (no runtime directory)"]), *others)

    def not_found(self, service: str, seconds: float, found: Found, why: Sequence[str]) -> str:
        """Return the sentence of ServiceNotFound: what was asked, where, what is known."""
        search = self.search()
        lines = [
            f"no service {service!r} in namespace {self.namespace!r} after {seconds:.1f} s; "
            f"asked {', '.join(self.sources())}"
        ]
        lines += [f"not searched: {problem}" for problem in search.problems if not search.usable]
        if found.instances:
            lines.append(f"{len(found.instances)} of that name did not fit: {'; '.join(why)}")
        lines += [f"{each.address}: {each.detail}" for each in found.problems]
        return "; ".join([*lines, *self._known_words(service)])

    def _known_words(self, service: str) -> list[str]:
        try:
            names = [name for name in self.known() if name != service]
        except EastwestError as error:  # the answer is "not found"; this is only the advice
            return [f"cannot list what is known: {error}"]
        if not names:
            return ["nothing else is known there"]
        more = f" and {len(names) - KNOWN_SHOWN} more" if len(names) > KNOWN_SHOWN else ""
        words = [f"known: {', '.join(names[:KNOWN_SHOWN])}{more}"]
        meant = near(service, names)
        return [*words, f"did you mean {meant!r}?"] if meant else words

    def age_seconds(self) -> float:
        """Return the age of the oldest thing that a provider would answer from."""
        return max((each.age_seconds() for each in self.providers), default=0.0)

    def close(self) -> None:
        """Close the providers. Idempotent."""
        for each in self.providers:
            each.close()
