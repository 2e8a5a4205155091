"""Which instance, which path: the policy, as pure functions.

merge     the same instance seen by several providers is one
order     same host, same zone, the rest; by weight within a tier; then the ejected; or ``pick=``
plan      instances -> candidates (one for each address), best first, and why others are out
ways      the addresses of one instance that a channel to it may be moved to, best first
failure   an error of the C library -> the verdict that is kept
missing   verdicts for paths that had no candidate at all

Randomness comes in as an argument. Imports no native module. ``_dial.py`` acts on the plan.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ._addresses import as_tcp, network_of, path_of
from ._errors import (
    ConfigurationError,
    ConnectError,
    EastwestError,
    PeerLost,
    Reason,
    Refused,
    ServiceNotFound,
    SystemCallError,
    Timeout,
)
from ._health import Ejection
from ._values import PATHS, Instance, Path, Verdict

Pick: TypeAlias = Literal["nearest", "spread"] | Callable[[Sequence[Instance]], Sequence[Instance]]
REASONS: tuple[Reason, ...] = ("access", "protocol", "version", "full", "draining")
Ejections: TypeAlias = Callable[[Sequence[Instance]], Sequence[Ejection | None]]
"""(those that fit) -> for each, how long it is behind the others, or None."""
SAME_HOST, SAME_ZONE, ELSEWHERE, EJECTED, STALE = range(5)

_FIXES: dict[str, str] = {
    "access": "let the server allow this user: allow = ['uid:NAME'] in its configuration",
    "protocol": "give listen() and connect() the same protocol=",
    "version": "install the same version of eastwest at both ends",
    "full": "raise max_channels of listen(), or start another instance",
    "draining": "connect again: another instance should take over",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One address of one instance that a connect may try."""

    instance: Instance
    address: str
    path: Path
    ejection: Ejection | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to try, in this order, and what not to.

    Attributes:
        ejected: a sentence for each instance that is behind the others.
    """

    candidates: tuple[Candidate, ...]
    rejected: tuple[Verdict, ...]
    ejected: tuple[str, ...] = ()


def nobody(instances: Sequence[Instance]) -> Sequence[Ejection | None]:
    """Return that none of them is behind the others."""
    return [None] * len(instances)


def merge(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """Return the instances with those of one id made one, local knowledge first.

    What the instance itself said just now (a local one) counts before what registries know of it;
    of those the highest version. An id that is unknown yet (a line in a file, DNS) is known by an
    address that another one publishes as its own.
    """
    merged: dict[str, Instance] = {}
    rest = sorted(instances, key=lambda each: (not is_local(each), not each.id, -each.version))
    owners: dict[str, str] = {}
    for index, each in enumerate(rest):
        known = [owners[a] for a in each.addresses if a in owners] if not each.id else []
        key = each.id or (known[0] if known else f"?{index}")
        old = merged.get(key)
        merged[key] = each if old is None else _joined(old, each)
        owners |= dict.fromkeys(each.addresses, key)
    return tuple(merged.values())


def _joined(old: Instance, new: Instance) -> Instance:
    """Return *old*, which counts, with what *new* adds: no addresses where it is out of date.

    That *new* is vouched for says that the instance is there, whatever its version.
    """
    is_outdated = 0 < new.version < old.version
    more = () if is_outdated else new.addresses
    sources = dict.fromkeys([*old.source.split(", "), *new.source.split(", ")])
    return replace(
        old,
        addresses=tuple(dict.fromkeys([*old.addresses, *more])),
        stale=old.stale and new.stale,
        source=", ".join(sources),
        age=min(old.age, new.age),
        version=max(old.version, new.version),
    )


def is_local(instance: Instance) -> bool:
    """Whether a socket of the instance is in our runtime directories; its hello proves it."""
    return any(path_of(address) == "shm" for address in instance.addresses)


def tier(instance: Instance, zone: str) -> int:
    """Return how near an instance is, 0 the nearest."""
    if instance.stale:
        return STALE
    if is_local(instance):
        return SAME_HOST
    return SAME_ZONE if zone and instance.zone == zone else ELSEWHERE


def order(
    instances: Iterable[Instance],
    *,
    zone: str,
    pick: Pick,
    rng: random.Random,
    ejections: Ejections = nobody,
) -> tuple[Instance, ...]:
    """Return the instances in the order in which a connect tries them.

    Within a tier the first one is drawn by weight, then the next from the rest, and so on. Behind
    all tiers are the ejected, who returns first before the others, and then the stale.

    Args:
        zone: our own, "" for none.
        pick: "nearest"; "spread" makes one tier of all but ejected and stale ones; a function gets
            the nearest order and returns its own.

    Raises:
        ConfigurationError: *pick* is something else, or its function returned a stranger.
    """
    some = tuple(instances)
    return _ordered(some, _behind(some, ejections), zone, pick, rng)


def _behind(instances: Iterable[Instance], ejections: Ejections) -> dict[int, Ejection]:
    """Return the ejections by ``id()`` of the instance; those who cannot be chosen do not count."""
    those = [each for each in instances if each.weight and not each.stale]
    found = zip(those, ejections(those), strict=True)
    return {id(each): ejection for each, ejection in found if ejection is not None}


def _ordered(
    instances: Iterable[Instance],
    behind: Mapping[int, Ejection],
    zone: str,
    pick: Pick,
    rng: random.Random,
) -> tuple[Instance, ...]:
    if not callable(pick) and pick not in ("nearest", "spread"):
        raise ConfigurationError(f"pick={pick!r}: want 'nearest', 'spread' or a function")
    drawn = [(rng.random() ** (1.0 / each.weight), each) for each in instances if each.weight]

    def rank(entry: tuple[float, Instance]) -> tuple[int, float]:
        if id(entry[1]) in behind:
            return EJECTED, behind[id(entry[1])].seconds
        near = tier(entry[1], zone)
        return (near if near == STALE or pick != "spread" else SAME_HOST), -entry[0]

    ordered = tuple(each for _, each in sorted(drawn, key=rank))
    return _picked(pick, ordered) if callable(pick) else ordered


def _picked(
    pick: Callable[[Sequence[Instance]], Sequence[Instance]], ordered: tuple[Instance, ...]
) -> tuple[Instance, ...]:
    picked = tuple(pick(ordered))
    for each in picked:
        if each not in ordered:
            raise ConfigurationError(f"pick returned {each!r}, which it was not given")
    return picked


def plan(
    instances: Iterable[Instance],
    *,
    where: Mapping[str, str],
    pick: Pick,
    zone: str,
    paths: Sequence[Path],
    rng: random.Random,
    network: str = "",
    ejections: Ejections = nobody,
) -> Plan:
    """Return what a connect tries, best first, and the verdicts of what it leaves out.

    Args:
        where: labels that an instance must have.
        paths: that the configuration allows.
        network: on which we have a port, "" for none.
    """
    fit: list[Instance] = []
    rejected: list[Verdict] = []
    for each in instances:
        problem = _unfit(each, where)
        if problem is None:
            fit.append(each)
        else:
            rejected.append(problem)
    behind = _behind(fit, ejections)
    ordered = _ordered(fit, behind, zone, pick, rng)
    rejected += [_out(each, "pick", "pick= left it out") for each in fit if each not in ordered]
    candidates: list[Candidate] = []
    for each in ordered:
        for candidate in _of(each):
            problem = _no_way(candidate, paths, network)
            if problem is None:
                candidates.append(candidate)
            else:
                rejected.append(problem)
    if "tcp" in paths:
        candidates += _by_kernel(candidates, ordered)
    candidates = [replace(each, ejection=behind.get(id(each.instance))) for each in candidates]
    return Plan(tuple(candidates), tuple(rejected), _sentences(ordered, behind))


def _sentences(instances: Iterable[Instance], behind: Mapping[int, Ejection]) -> tuple[str, ...]:
    return tuple(
        f"{each.id or ', '.join(each.addresses)}: {behind[id(each)]}"
        for each in instances
        if id(each) in behind
    )


def _no_way(candidate: Candidate, paths: Sequence[Path], network: str) -> Verdict | None:
    if candidate.path not in paths:
        return _path_off(candidate, paths)
    theirs = network_of(candidate.address)
    if theirs == network or not theirs:
        return None
    ours = f"the port here is on {network}" if network else "no fabric_network is configured here"
    fix = f"give this process a port there: fabric_network = {theirs!r}"
    return Verdict("dpdk", candidate.address, False, "network", f"{theirs}: {ours}", fix)


def _by_kernel(had: Iterable[Candidate], instances: Iterable[Instance]) -> list[Candidate]:
    """Return the last choices: what listens on a fabric speaks plain TCP, if there is a route."""
    known = {each.address for each in had}
    return [
        Candidate(each, address, "tcp")
        for each in instances
        for address in map(as_tcp, filter(network_of, each.addresses))
        if address not in known
    ]


def _of(instance: Instance) -> list[Candidate]:
    found = [(path_of(address), address) for address in instance.addresses]
    return [
        Candidate(instance, address, path)
        for path in PATHS
        for has, address in found
        if has == path
    ]


def ways(
    instances: Iterable[Instance], id: str, paths: Sequence[Path], network: str = ""
) -> tuple[str, ...]:
    """Return where an instance may be reached, best path first.

    One whose id is unknown yet (a line in a file) may be it; the hello tells. One that drains is
    still the instance that the channel leads to.

    Args:
        id: of the instance.
        paths: that the configuration allows.
        network: on which we have a port, "" for none.
    """
    those = [one for one in instances if one.id in (id, "")]
    found = [each for one in those for each in _of(one)]
    found.sort(key=lambda each: PATHS.index(each.path))
    good = [each for each in found if _no_way(each, paths, network) is None]
    if "tcp" in paths:
        good += _by_kernel(good, those)
    return tuple(dict.fromkeys(each.address for each in good))


def _unfit(instance: Instance, where: Mapping[str, str]) -> Verdict | None:
    if not instance.weight:
        return _out(instance, "draining", "its weight is 0: it is going away", _FIXES["draining"])
    for key, wanted in where.items():
        if instance.labels.get(key) != wanted:
            has = repr(instance.labels[key]) if key in instance.labels else "no such label"
            return _out(instance, "where", f"want label {key}={wanted!r}, it has {has}")
    return None


def _out(instance: Instance, check: str, detail: str, fix: str | None = None) -> Verdict:
    address = instance.addresses[0] if instance.addresses else ""
    return Verdict(path_of(address) or "tcp", address, False, check, detail, fix)


def _path_off(candidate: Candidate, paths: Sequence[Path]) -> Verdict:
    detail = f"paths = {list(paths)} leaves {candidate.path} out"
    fix = f"add '{candidate.path}' to paths in the configuration"
    return Verdict(candidate.path, candidate.address, False, "paths", detail, fix)


# ------------------------------------------------------------------ verdicts

_PUBLISH = "start the server with EASTWEST_BIND=ADDR:PORT, or name its address in static:FILE"
_NO_TCP = Verdict("tcp", "", False, "address", "it publishes none", _PUBLISH)


def success(candidate: Candidate, seconds: float) -> Verdict:
    """Return the verdict of the candidate that a channel was opened to."""
    proof = "its memory was handed over" if candidate.path == "shm" else "it answered the hello"
    return Verdict(candidate.path, candidate.address, True, "hello", proof, None, seconds)


def not_needed(candidate: Candidate, first: str) -> Verdict:
    """Return the verdict of a candidate that came behind *first*, an address that answered."""
    path, address, ejection = candidate.path, candidate.address, candidate.ejection
    if ejection is not None:
        return Verdict(path, address, False, "ejected", str(ejection), ejection.fix)
    return Verdict(path, address, False, "order", f"not needed: {first} answered first")


def failure(path: Path, address: str, error: EastwestError, seconds: float) -> Verdict | None:
    """Return the verdict for an attempt that ended in *error*; None: nobody should go on.

    Out of memory, a forked or a closed context would fail everywhere in the same way.
    """
    check, fix = _judged(path, error)
    if check is None:
        return None
    detail = str(error).removeprefix(address).lstrip(": ") or check
    return Verdict(path, address, False, check, detail, fix, seconds)


def _judged(path: Path, error: EastwestError) -> tuple[str | None, str | None]:
    if isinstance(error, Refused):
        return error.reason, _FIXES[error.reason]
    if isinstance(error, ServiceNotFound):
        return "service", "another service listens there now; correct the address"
    if isinstance(error, SystemCallError):
        return "system", None
    if isinstance(error, ConnectError):
        way = "check the address, the route and the firewall, and that the server runs"
        return "reach", "start the server again" if path == "shm" else way
    if isinstance(error, Timeout):
        return "timeout", "the peer is stopped or overloaded, or a firewall drops packets"
    if isinstance(error, PeerLost):
        return "hello", "something else than eastwest may be listening there"
    return None, None


def is_refusal(verdict: Verdict) -> bool:
    """Whether somebody answered no: then other addresses of the instance say the same."""
    return not verdict.ok and verdict.check in REASONS


def is_gone(verdict: Verdict) -> bool:
    """Whether a local listener vanished between being found and being called."""
    return verdict.path == "shm" and verdict.check in ("reach", "service", "hello")


def missing(
    seen: Iterable[Verdict], directories: Sequence[str], problems: Sequence[str], dpdk: Verdict
) -> tuple[Verdict, ...]:
    """Return a verdict for each path that none of the *seen* ones is about.

    Args:
        directories: that were searched.
        problems: what is wrong with the other runtime directories.
        dpdk: the one about the fabric.
    """
    had = {verdict.path for verdict in seen}
    searched = ", ".join(directories) or "no runtime directory"
    also = f" ({'; '.join(problems)})" if problems else ""
    share = "to use it, run the server here or share its runtime directory (EASTWEST_RUNTIME_DIR)"
    shm = Verdict("shm", "", False, "socket", f"none of it in {searched}{also}", share)
    return tuple(each for each in (shm, dpdk, _NO_TCP) if each.path not in had)
