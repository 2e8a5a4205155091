"""Asking every provider of a context: what publishes a service, and what is known at all.

Imports no native module; the context passes in how sockets are asked.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ._errors import EastwestError
from ._fabric import Fabric
from ._names import near
from ._providers import Answer, Provider
from ._rundir import Search
from ._select import merge
from ._values import Instance, Registry, Verdict

KNOWN_SHOWN = 8
_WAY_OUT = (
    "start what is named there, or correct registry (EASTWEST_REGISTRY); 'eastwest doctor' asks "
    "each of them"
)
KNOWN_SECONDS = 0.2  # a socket whose process is stopped must not delay an error by more


@dataclass(frozen=True, slots=True)
class Found:
    """What the providers said about one service, together.

    Attributes:
        unproven: sources that have not answered completely, so that what is not here may be there.
    """

    instances: tuple[Instance, ...]
    problems: tuple[Verdict, ...]
    unproven: frozenset[str] = frozenset()


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

    def look_up(
        self, service: str, timeout: float, *, is_choosy: bool = False, before: Found | None = None
    ) -> Found:
        """Return the instances of *service* from all providers, those of one id made one.

        What is asked over the network is asked for a new name at once, and waited for only when
        nothing was found nearer.

        Args:
            service: "" for every service.
            is_choosy: wait for all, whatever was found.
            before: what this caller was told earlier: who has answered completely then, has.

        Raises:
            ConfigurationError: a runtime directory or a file that was named is not in order.
        """
        deadline = time.monotonic() + timeout
        answers: dict[str, Answer] = {}
        for each in self.providers:
            answers[each.source] = each.look_up(service, timeout=0 if each.is_remote else timeout)
        for each in self.providers:
            has_some = any(not i.stale for answer in answers.values() for i in answer.instances)
            if each.is_remote and not answers[each.source].complete and (is_choosy or not has_some):
                left = max(0.0, deadline - time.monotonic())
                answers[each.source] = each.look_up(service, timeout=left)
        unproven = {source for source, answer in answers.items() if not answer.complete}
        if before is not None:
            unproven &= before.unproven
        return Found(
            merge(instance for answer in answers.values() for instance in answer.instances),
            tuple(each for answer in answers.values() for each in answer.problems),
            frozenset(unproven),
        )

    def states(self, service: str) -> tuple[Registry, ...]:
        """Return how each source that keeps its answers stands with *service*."""
        found = (each.state(service) for each in self.providers)
        return tuple(each for each in found if each is not None)

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

    def unknown(self, service: str, seconds: float, found: Found) -> str:
        """Return the sentence for a name of which nobody can say that it is not there."""
        silent = [each for each in self.states(service) if each.source in found.unproven]
        asked = "; ".join(map(_silence, silent)) or ", ".join(sorted(found.unproven))
        lines = [
            f"nobody could be asked whether service {service!r} is in namespace "
            f"{self.namespace!r}, for {seconds:.1f} s: {asked}"
        ]
        others = [each for each in self.sources() if each not in found.unproven]
        if others and not found.instances:
            lines.append(f"it is not in {', '.join(others)}")
        lines += [f"{each.address}: {each.detail}" for each in found.problems]
        lines.append(_WAY_OUT)
        return "; ".join(lines)

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


def _silence(registry: Registry) -> str:
    """Return why a source proves nothing: the servers, and what is wrong with each."""
    return f"{registry.source} ({'; '.join(registry.troubles) or 'no answer yet'})"
