"""Names asked of DNS, and the records that their answers make. Pure: time is an argument.

DNS knows addresses, not instances. Each place (an address and a port; with SRV all addresses of a
target) is a record whose instance is ``dns-`` and a hash of its addresses: the same in every
process, and never taken for a real one. The real id comes with the hello.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ._backoff import Backoff
from ._dns_pattern import Pattern as Pattern
from ._dns_pattern import parse_dns_url as parse_dns_url
from ._record import TTL_MAX, WEIGHT_DEFAULT, Record

TTL_FLOOR = 5.0  # seconds: a name is not asked more often, whatever its ttl
RETRY_FIRST_SECONDS = 1.0  # the longest first wait after a failure
RETRY_LAST_SECONDS = 30.0
PLACES_MAX = 1000  # of one name; more are not taken
ADDRESSES_OF_PLACE_MAX = 16  # a record's limit


@dataclass(frozen=True, slots=True)
class Place:
    """Where something listens: addresses of one target, its port, SRV's weight (0: not told)."""

    addresses: tuple[str, ...]
    port: int
    weight: int = 0

    @property
    def instance(self) -> str:
        """An id that stands in until the hello tells the real one."""
        text = "\n".join(sorted(self.urls))
        return f"dns-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    @property
    def urls(self) -> tuple[str, ...]:
        """``ADDRESS:PORT`` of each address."""
        shown = (f"[{each}]" if ":" in each else each for each in self.addresses)
        return tuple(f"{each}:{self.port}" for each in shown)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name has: places, and the seconds for which that holds."""

    places: tuple[Place, ...]
    ttl: float


def merged(places: Iterable[Place]) -> tuple[Place, ...]:
    """Return the places without duplicates, in a fixed order; the larger weight stays."""
    by_urls: dict[tuple[str, ...], Place] = {}
    for place in places:
        addresses = tuple(sorted(set(place.addresses)))[:ADDRESSES_OF_PLACE_MAX]
        clean = Place(addresses, place.port, place.weight)
        if not addresses or not 0 < place.port < 65536:
            continue
        old = by_urls.get(clean.urls)
        by_urls[clean.urls] = clean if old is None or old.weight < clean.weight else old
    return tuple(by_urls[each] for each in sorted(by_urls))


def records_of(
    namespace: str, service: str, places: Sequence[Place], ttl: float, version: int
) -> tuple[Record, ...]:
    """Return a record of each place."""
    return tuple(
        Record(
            namespace=namespace,
            service=service,
            instance=place.instance,
            version=version,
            addresses={"tcp": place.urls},
            weight=place.weight or WEIGHT_DEFAULT,
            ttl=min(TTL_MAX, max(1, round(ttl))),
        )
        for place in places
    )


@dataclass(slots=True)
class Name:
    """One question that is asked again and again.

    Attributes:
        generation: a number of its own for each answer that is another one; 0: there was none.
        problem: why the last question failed; "" if it did not.
        due: when to ask again.
        wanted_at: when somebody last wanted to know.
    """

    namespace: str
    service: str
    generation: int = 0
    records: tuple[Record, ...] = ()
    is_whole: bool = True  # False: there are more places than are taken
    problem: str = ""
    due: float = 0.0
    wanted_at: float = 0.0
    failures: int = 0  # since the last answer
    asked: int = 0  # answers and failures so far
    _places: tuple[Place, ...] = field(default=())
    _version: int = -1

    def answered(self, answer: Answer, generation: int, now: float, wall_seconds: float) -> None:
        """An answer came, perhaps that there is nothing.

        Args:
            generation: larger than any before; taken if the answer is another one.
            wall_seconds: since 1970: the version of the records, if the answer is another one;
                one more than before if that clock was set back.
        """
        places = merged(answer.places)
        ttl = max(TTL_FLOOR, answer.ttl)
        self.asked += 1
        self.problem, self.failures = "", 0
        self.due = now + (min(ttl, float(TTL_MAX)) if places else TTL_FLOOR)
        if self.generation and places == self._places:
            return
        self._version = max(int(wall_seconds), self._version + 1)  # the clock may be set back
        self.records = records_of(
            self.namespace, self.service, places[:PLACES_MAX], ttl, self._version
        )
        self._places = places
        self.is_whole = len(places) <= PLACES_MAX
        self.generation = generation

    def failed(self, problem: str, now: float, random: float) -> None:
        """Nobody answered: what is known stays, and it is asked again soon.

        Args:
            random: drawn evenly from [0, 1).
        """
        backoff = Backoff(RETRY_FIRST_SECONDS, RETRY_LAST_SECONDS, self.failures)
        _, wait = backoff.failed(now, random)
        self.asked += 1
        self.failures += 1
        self.problem = problem
        self.due = now + wait


def check_question(namespace: str, service: str) -> None:
    """Check that records of the service can be.

    Raises:
        BadRecord: they cannot.
    """
    Record(namespace=namespace, service=service, instance="dns-0", version=0)
