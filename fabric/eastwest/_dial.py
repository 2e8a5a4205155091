"""Trying the candidates of a plan until one gives a channel; a verdict is kept for each.

Local ones are tried one after the other in the calling thread: a hello on this host takes 100 us.
From the first remote one on, starts are staggered by 250 ms and the first success wins
(RFC 8305 section 5). An instance that refused is not asked again at its other addresses. What came
of each try is told to the health of the context (``_tries.py``). What a channel is, is the caller's
business. Imports no native module.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from ._errors import EastwestError
from ._health import Health
from ._parallel import Race
from ._select import Candidate, failure, is_refusal, not_needed, success
from ._tries import Tries
from ._values import Instance, Verdict

STAGGER_SECONDS = 0.25  # RFC 8305 section 8, Connection Attempt Delay
LOCAL_SECONDS_MAX = 1.0  # a listener's hello deadline, design section 5
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Dialled(Generic[C]):
    """The outcome: a channel and its verdict, or neither; and every other verdict, in order."""

    channel: C | None
    chosen: Verdict | None
    rejected: tuple[Verdict, ...]


class Dialler(Generic[C]):
    """One connect.

    Args:
        attempt: (candidate, seconds) -> a channel; raises an EastwestError.
        discard: frees a channel that came too late.
        deadline: on ``time.monotonic``, for all attempts together.
        stagger: seconds between starts of remote attempts.
        health: of the instances; None: nobody keeps it.
    """

    def __init__(
        self,
        attempt: Callable[[Candidate, float], C],
        discard: Callable[[C], None],
        deadline: float,
        stagger: float = STAGGER_SECONDS,
        health: Health | None = None,
    ) -> None:
        self._attempt = attempt
        self._discard = discard
        self._deadline = deadline
        self._stagger = stagger
        self._tries = Tries(Health() if health is None else health)
        self._refused: list[tuple[Instance, Verdict]] = []
        self._rejected: list[Verdict] = []

    def run(self, candidates: Sequence[Candidate]) -> Dialled[C]:
        """Return the first channel that came about.

        Raises:
            EastwestError: one that every candidate would run into, such as OutOfMemory.
        """
        try:
            return self._in_order(candidates)
        finally:
            instances = {id(each.instance) for each in candidates}
            self._tries.report(time.monotonic(), len(instances))

    def _in_order(self, candidates: Sequence[Candidate]) -> Dialled[C]:
        local = 0
        while local < len(candidates) and candidates[local].path == "shm":
            found = self._one(candidates[local], more=local + 1 < len(candidates))
            if found is not None:
                return self._won(found, candidates[local + 1 :])
            local += 1
        rest = candidates[local:]
        if len(rest) != 1:
            return self._race(rest)
        found = self._one(rest[0], more=False)
        return self._won(found, ()) if found is not None else self._lost()

    def _one(self, candidate: Candidate, *, more: bool) -> tuple[C, Verdict] | None:
        if self._skip(candidate):
            return None
        began = time.monotonic()
        seconds = max(0.0, self._deadline - began)
        try:
            channel = self._try(candidate, min(seconds, LOCAL_SECONDS_MAX) if more else seconds)
        except EastwestError as error:
            self._failed(candidate, error, time.monotonic() - began)
            return None
        return channel, success(candidate, time.monotonic() - began)

    def _try(self, candidate: Candidate, seconds: float) -> C:
        began = time.monotonic()
        one = self._tries.begin(candidate, began)
        try:
            channel = self._attempt(candidate, seconds)
        except EastwestError as error:
            now = time.monotonic()
            verdict = failure(candidate.path, candidate.address, error, now - began)
            self._tries.end(one, verdict, now)
            raise
        now = time.monotonic()
        self._tries.end(one, success(candidate, now - began), now)
        return channel

    def _race(self, candidates: Sequence[Candidate]) -> Dialled[C]:
        race = Race(self._try, self._discard, stagger=self._stagger)
        found = race.run(candidates, self._deadline, skip=self._skip, failed=self._failed)
        won: tuple[C, Verdict] | None = None
        if found is not None and found.value is not None:
            won = found.value, success(found.item, found.seconds)
        judged = {verdict.address for verdict in self._rejected}
        judged |= {won[1].address} if won else set()
        left = [each for each in candidates if each.address not in judged]
        if won is not None:
            return self._won(won, left)
        self._rejected += [_verdict(each, "timeout", "no answer in time") for each in left]
        return self._lost()

    def _skip(self, candidate: Candidate) -> bool:
        for instance, verdict in self._refused:
            if instance is candidate.instance:
                self._note_refusal(candidate, verdict)
                return True
        return False

    def _note_refusal(self, candidate: Candidate, verdict: Verdict) -> None:
        detail = f"not tried: the instance refused at {verdict.address}"
        self._rejected.append(replace(_verdict(candidate, verdict.check, detail), fix=verdict.fix))

    def _failed(self, candidate: Candidate, error: EastwestError, seconds: float) -> None:
        verdict = failure(candidate.path, candidate.address, error, seconds)
        if verdict is None:
            raise error
        self._rejected.append(verdict)
        if is_refusal(verdict):
            self._refused.append((candidate.instance, verdict))

    def _won(self, found: tuple[C, Verdict], left: Sequence[Candidate]) -> Dialled[C]:
        self._rejected += [not_needed(each, found[1].address) for each in left]
        return Dialled(found[0], found[1], tuple(self._rejected))

    def _lost(self) -> Dialled[C]:
        return Dialled(None, None, tuple(self._rejected))


def _verdict(candidate: Candidate, check: str, detail: str) -> Verdict:
    return Verdict(candidate.path, candidate.address, False, check, detail)
