"""Which pair of processes does the works of a case."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Language = Literal["c", "python"]
Wait = Literal["spin", "adaptive", "block", "epoll", ""]


@dataclass(frozen=True, slots=True)
class PairSpec:
    """One pair program with its options.

    Attributes:
        section: of the results, as "local" or "remote".
        system: as the pair program calls it.
        links: channels between the two.
        options: of the system, as {"bind": "10.0.0.2"}.
        path: the way between the two where there are several, as "veth"; "" for this host.
        note: what a reader must know.
    """

    section: str
    system: str
    language: Language
    wait: Wait
    links: int = 1
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    path: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        """What the results call it: the system, and its path."""
        return f"{self.system} {self.path}".rstrip()
