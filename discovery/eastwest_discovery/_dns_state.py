"""Names asked of DNS, and the records that their answers make. Pure: time is an argument.

DNS knows addresses, not instances. Each place (an address and a port; with SRV all addresses of a
target) is a record whose instance is ``dns-`` and a hash of its addresses: the same in every
process, and never taken for a real one. The real id comes with the hello.
"""

import hashlib
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ._errors import BadAddress
from ._record import TTL_MAX, WEIGHT_DEFAULT, Record

TTL_FLOOR = 5.0  # seconds: a name is not asked more often, whatever its ttl
RETRY_FIRST_SECONDS = 1.0  # the longest first wait after a failure
RETRY_LAST_SECONDS = 30.0
PLACES_MAX = 1000  # of one name; more are not taken
ADDRESSES_OF_PLACE_MAX = 16  # a record's limit


@dataclass(frozen=True, slots=True)
class Pattern:
    """How the name of a service is made: ``{service}.apps.svc.cluster.local:7400``.

    With a port, A and AAAA records are asked for; without, SRV records, which tell it.
    """

    name: str
    port: int  # 0: none

    def of(self, namespace: str, service: str) -> str:
        """Return the name to ask for."""
        return self.name.format(namespace=namespace, service=service)


def parse_dns_url(url: str) -> Pattern:
    """Return the pattern of ``dns:PATTERN``.

    Raises:
        BadAddress: it is none.
    """
    scheme, mark, pattern = url.partition(":")
    name, colon, port = pattern.partition(":")
    if scheme != "dns" or not mark or not name or not name.isascii() or "/" in name:
        raise BadAddress(f"{url!r}: want dns:NAME:PORT, as in dns:{{service}}.example.org:7400")
    if colon and not (port.isdecimal() and 0 < int(port[:6]) < 65536):
        raise BadAddress(f"{url!r}: port {port!r}, want 1..65535, or none for SRV records")
    try:
        fields = [each for _, each, form, how in string.Formatter().parse(name) if each is not None]
        is_plain = not any(form or how for _, _, form, how in string.Formatter().parse(name))
    except ValueError as error:
        raise BadAddress(f"{url!r}: {error}") from None
    if "service" not in fields or not set(fields) <= {"service", "namespace"} or not is_plain:
        raise BadAddress(
            f"{url!r}: want {{service}} in the name, and at most {{namespace}} besides"
        )
    return Pattern(name, int(port) if port else 0)


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
    failures: int = 0
    asked: int = 0  # answers and failures so far
    _places: tuple[Place, ...] = field(default=())

    def answered(self, answer: Answer, generation: int, now: float, wall_seconds: float) -> None:
        """An answer came, perhaps that there is nothing.

        Args:
            generation: larger than any before; taken if the answer is another one.
            wall_seconds: since 1970: the version of the records, if the answer is another one.
        """
        places = merged(answer.places)
        ttl = max(TTL_FLOOR, answer.ttl)
        self.asked += 1
        self.problem, self.failures = "", 0
        self.due = now + (min(ttl, float(TTL_MAX)) if places else TTL_FLOOR)
        if self.generation and places == self._places:
            return
        self.records = records_of(
            self.namespace, self.service, places[:PLACES_MAX], ttl, int(wall_seconds)
        )
        self._places = places
        self.is_whole = len(places) <= PLACES_MAX
        self.generation = generation

    def failed(self, problem: str, now: float, random: float) -> None:
        """Nobody answered: what is known stays, and it is asked again soon.

        Args:
            random: drawn evenly from [0, 1).
        """
        ceiling = min(RETRY_LAST_SECONDS, RETRY_FIRST_SECONDS * 2.0 ** min(self.failures, 32))
        self.asked += 1
        self.failures += 1
        self.problem = problem
        self.due = now + ceiling * (1.0 - random)


def check_question(namespace: str, service: str) -> None:
    """Check that records of the service can be.

    Raises:
        BadRecord: they cannot.
    """
    Record(namespace=namespace, service=service, instance="dns-0", version=0)
