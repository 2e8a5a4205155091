"""A client of several servers, but for the sockets: links, unions and who waits for them.

Pure: no socket, no thread, no clock. The shell opens sockets, sends what ``due`` returns, brings
the replies and lets time pass with ``turn``; times are seconds of its monotonic clock.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from . import _log as log
from ._errors import DiscoveryError, NotAllowed, Unavailable
from ._journal import Journal
from ._link import POLL_PAUSE_SECONDS, Link, Poll, Put, Request, Watched
from ._provider import Cursor, Update
from ._record import Key, Record
from ._union import INSTANCES_MAX, Union, View
from ._wire import Answer, Held, Page, is_backwards

WATCHES_MAX = 128  # services that are polled for at the same time; the least asked for goes
IDLE_SECONDS = 600.0  # what nobody has asked for that long is no longer polled for
IDLE_ALL_SECONDS = 30.0  # and so long if it is a whole namespace, which is much to be told
SAVE_SECONDS = 1.0  # at most so often to disk when something changes,
CONFIRM_SECONDS = 60.0  # and so often, for the ages, when nothing does
REFUSED_SECONDS = 15.0  # a poll that the server refuses is tried again after that

SNAPSHOT_RECORDS_MAX = 4 * INSTANCES_MAX  # told for one snapshot, those that changed meanwhile too
STARTED = "it has just started and does not know everybody yet; ask again soon"
NO_ANSWER = "an answer that belongs to another question; is it a registry?"
BACKWARDS = "its revision went back, and it did not start over; is it a registry?"
NO_END = "a snapshot without an end; is it a registry?"
TOO_MANY = f"more than {INSTANCES_MAX} instances, or an answer out of order"


@dataclass(slots=True)
class _Pages:
    """What has come of a snapshot so far."""

    records: dict[Key, Record]
    cursor: Cursor
    told: int = 0


@dataclass(slots=True)
class Watch:
    """One service that is polled for.

    Attributes:
        view: what is known, replaced as a whole: may be read by any thread at any time.
        used: when somebody last asked; written by any thread.
        heard_from: servers that have answered, or could not, since this began.
        is_loaded: what was on disk is in.
    """

    union: Union
    journal: Journal
    used: float
    view: View = field(default_factory=View)
    version: int = 0  # of the union, that the view shows
    heard_from: set[str] = field(default_factory=set)
    refusals: dict[str, DiscoveryError] = field(default_factory=dict)
    pages: dict[str, _Pages] = field(default_factory=dict)  # by server
    is_loaded: bool = False
    is_changed: bool = False
    saved: float = 0.0

    def save_at(self) -> float | None:
        """Return when to write it to disk; None: not as long as nothing changes."""
        if not self.is_loaded:
            return None
        if self.is_changed:
            return self.saved + SAVE_SECONDS
        return self.saved + CONFIRM_SECONDS if self.view.asked else None


class Agent:
    """Everything that one client process wants of several servers, and knows from them.

    Threads: one at a time; ``Watch.view``, ``Watch.used`` and ``states`` by any.

    Attributes:
        news: rises with everything that somebody may wait for.
    """

    def __init__(
        self,
        sources: Sequence[str],
        rng: random.Random,
        superseded: Callable[[Key, int], object] = lambda *_: None,
    ) -> None:
        """Begin with nothing.

        Args:
            superseded: told of a publication of ours whose key a server has in a newer version.
        """
        self.links = {source: Link() for source in sources}
        self.watches: dict[Watched, Watch] = {}
        self.news = 0
        self._rng = rng
        self._turns: dict[Watched, float] = {}  # when time alone may change something of a watch
        self._superseded = superseded

    # ------------------------------------------------------------------ what is wanted

    def watch(self, watched: Watched, now: float) -> Watch:
        """Return what is known of a service, which is polled for from now on."""
        found = self.watches.get(watched)
        if found is None:
            if len(self.watches) >= WATCHES_MAX:
                self._unwatch(min(self.watches, key=lambda each: self.watches[each].used))
            union = Union(*watched, self.links)
            found = self.watches[watched] = Watch(union, Journal(self._rng.randbytes(8)), now)
            for link in self.links.values():
                link.watch(watched, now)
            self._turns[watched] = now + idle_seconds(watched)
        found.used = now
        return found

    def publish(self, record: Record, now: float) -> None:
        """Keep *record* alive at every server."""
        for link in self.links.values():
            link.publish(record, now)

    def published(self, key: Key) -> Record | None:
        """Return what is kept alive of a key."""
        return next(iter(self.links.values())).record(key)

    def take_back(self, record: Record, before: Record | None, now: float) -> None:
        """Have *before* again instead of *record*, which was refused."""
        for link in self.links.values():
            link.take_back(record, before, now)

    def withdraw(self, key: Key, now: float) -> None:
        """Withdraw it from every server. Idempotent."""
        for link in self.links.values():
            link.withdraw(key, now)

    def withdraw_all(self, now: float) -> None:
        """Withdraw everything."""
        for link in self.links.values():
            for key in link.published():
                link.withdraw(key, now)

    @property
    def is_withdrawing(self) -> bool:
        """Whether a server that is up has not answered a withdrawal yet."""
        return any(link.is_withdrawing and not link.is_down for link in self.links.values())

    def remember(self, watched: Watched, known: Iterable[tuple[Record, float]], now: float) -> None:
        """Add what was on disk, each record with its age in seconds."""
        watch = self.watches.get(watched)
        if watch is not None:
            for record, age in known:
                watch.union.remember(record, now - age, now)
            watch.is_loaded = True
            self._look(watched, now)
            if self.is_answered(watch):  # else it helps nobody who waits, and waking takes long
                self.news += 1

    # ------------------------------------------------------------------ what happens

    def due(self, source: str, now: float) -> Iterator[tuple[int, Request, bytes]]:
        """Return what to send: the number of the request, the request, and of a poll the cursor."""
        for number, request in self.links[source].due(now):
            cursor = b""
            if isinstance(request, Poll):
                watch = self.watches.get(request.watched)
                cursor = _cursor(watch, source) if watch else b""
            yield number, request, cursor

    def replied(self, source: str, answer: Answer, now: float) -> None:
        """Take the answer to a request; one that came late changes nothing."""
        link = self.links[source]
        if link.is_other_start(answer.boot):
            self.failed(source, "it was restarted", now)
            return
        request, reply = link.answered(answer.number, now), answer.reply
        if request is None:
            return
        self.news += 1
        if isinstance(request, Poll):
            self._polled(source, request, reply, now)
        elif isinstance(reply, DiscoveryError):
            if link.refused(request, reply, now):
                log.warning("registry_refused", server=source, detail=reply)
        elif isinstance(reply, Held):
            link.accepted(request, now, self._rng.random())
            if reply.is_superseded and isinstance(request, Put):
                _warn_of_newer(source, request.record, reply.version)
                self._superseded(request.record.key, reply.version)
        else:
            self.failed(source, NO_ANSWER, now)

    def failed(self, source: str, problem: str, now: float) -> None:
        """Note that a server cannot be asked, and why."""
        link = self.links[source]
        link.failed(problem, now, self._rng.random())
        self.news += 1
        for watched, watch in self.watches.items():
            watch.union.lost(source, now, heard=link.heard)
            watch.pages.pop(source, None)
            watch.heard_from.add(source)
            self._look(watched, now)

    def turn(self, now: float) -> float | None:
        """Let time pass; return when there is something to do if nothing is heard."""
        if min(self._turns.values(), default=now + 1.0) <= now:
            for watched in [each for each, at in self._turns.items() if at <= now]:
                if now - self.watches[watched].used >= idle_seconds(watched):
                    self._unwatch(watched)
                else:
                    self._look(watched, now)
        times = [link.next() for link in self.links.values()]
        return min((*self._turns.values(), *(at for at in times if at is not None)), default=None)

    # ------------------------------------------------------------------ what is known

    def is_answered(self, watch: Watch) -> bool:
        """Whether waiting longer for a first answer is of no use."""
        if not watch.is_loaded:
            return False
        is_known = any(not each.is_stale for each in watch.view.entries)
        return is_known or watch.heard_from >= self.links.keys()

    def states(self, watch: Watch | None) -> dict[str, str]:
        """Return what keeps each server from answering completely, "" for nothing. By any thread.

        Args:
            watch: of the service that is asked for; None: does it answer at all?
        """
        return {source: self._state(source, watch) for source in self.links}

    def _state(self, source: str, watch: Watch | None) -> str:
        link = self.links[source]
        if link.problem or watch is None:
            return link.problem
        if refusal := watch.refusals.get(source):
            return str(refusal)
        if source not in watch.heard_from:
            return "no answer yet"
        return "" if watch.union.is_complete(source) else STARTED

    def problems(self, watch: Watch | None = None) -> str:
        """Return the state of each server, or why it does not answer the question of a watch."""
        refusals = watch.refusals if watch else {}
        good = "has not answered this yet" if watch else "answers"
        return "; ".join(
            f"{source}: {link.problem or refusals.get(source) or good}"
            for source, link in self.links.items()
        )

    def refusal(self, watch: Watch) -> type[DiscoveryError]:
        """Return the error of a question that no server answers."""
        is_refused = any(isinstance(each, NotAllowed) for each in watch.refusals.values())
        return NotAllowed if is_refused else Unavailable

    def verdict(self, key: Key) -> tuple[bool, DiscoveryError | None]:
        """Return how a publication stands: whether every server that is up has decided.

        Returns:
            And why it was refused, if a server did and none has accepted it.
        """
        outcomes = {source: link.outcome(key) for source, link in self.links.items()}
        is_decided = all(each or self.links[source].is_down for source, each in outcomes.items())
        errors = {s: each for s, each in outcomes.items() if isinstance(each, DiscoveryError)}
        if not errors or True in outcomes.values():
            return is_decided, None
        first = next(iter(errors.values()))
        text = "; ".join(f"{source}: {each}" for source, each in errors.items())
        return is_decided, type(first)(text)

    def lacking(self, key: Key) -> dict[str, str]:
        """Return why each server has not accepted a publication, "" if it has."""
        found: dict[str, str] = {}
        for source, link in self.links.items():
            outcome = link.outcome(key)
            waits = link.problem or "no answer yet"
            found[source] = "" if outcome is True else str(outcome) if outcome else waits
        return found

    def accepted(self, key: Key) -> int:
        """Return how many servers have accepted a publication."""
        return sum(link.outcome(key) is True for link in self.links.values())

    # ------------------------------------------------------------------ inside

    def _polled(
        self, source: str, request: Poll, reply: Held | Page | DiscoveryError, now: float
    ) -> None:
        link, watch = self.links[source], self.watches[request.watched]
        if isinstance(reply, DiscoveryError):
            if str(reply) != str(watch.refusals.get(source)):
                log.warning("registry_refused", server=source, detail=reply)
            watch.refusals[source] = reply
            watch.union.lost(source, now)
            link.polled(request, now, pause=REFUSED_SECONDS)
        elif problem := NO_ANSWER if isinstance(reply, Held) else _take(watch, source, reply, now):
            self.failed(source, problem, now)
            return
        else:
            watch.refusals.pop(source, None)
            is_partial = source in watch.pages
            link.polled(request, now, pause=0.0 if is_partial else POLL_PAUSE_SECONDS)
        if source not in watch.pages:
            watch.heard_from.add(source)
        self._look(request.watched, now)

    def _look(self, watched: Watched, now: float) -> None:
        """Bring a view up to date, and note when to look at it if nothing is heard."""
        watch = self.watches[watched]
        following = watch.union.turn(now)
        idle = watch.used + idle_seconds(watched)
        self._turns[watched] = idle if following is None else min(following, idle)
        if watch.version != watch.union.version:
            watch.version = watch.union.version
            changes, watch.view = watch.union.changes(), watch.union.view()
            watch.is_changed = watch.is_changed or bool(changes)
            watch.journal.note(changes, is_complete=watch.view.complete)
            self.news += 1

    def _unwatch(self, watched: Watched) -> None:
        del self.watches[watched]
        self._turns.pop(watched, None)
        for link in self.links.values():
            link.unwatch(watched)


def idle_seconds(watched: Watched) -> float:
    """Return how long something is followed that nobody asks for."""
    return IDLE_SECONDS if watched[1] else IDLE_ALL_SECONDS


def _cursor(watch: Watch, source: str) -> Cursor:
    pages = watch.pages.get(source)
    return pages.cursor if pages is not None else watch.union.cursor(source)


def _take(watch: Watch, source: str, page: Page, now: float) -> str:
    """Take a page; the pages of a snapshot count when all are there. Return what is wrong."""
    before = _cursor(watch, source)
    update, pages = page.update, watch.pages.pop(source, None)
    if page.more and not (update.records or update.gone):
        return NO_END
    if not update.snapshot and is_backwards(before, update.cursor):
        return BACKWARDS
    if update.snapshot:
        pages = _Pages({}, b"", pages.told if pages else 0)
    if pages is None:
        return _apply(watch, source, update, now)
    pages.told += len(update.records) + len(update.gone)
    pages.records.update((each.key, each) for each in update.records)
    for key in update.gone:
        pages.records.pop(key, None)
    if pages.told > SNAPSHOT_RECORDS_MAX:
        return NO_END
    if page.more:
        pages.cursor = update.cursor
        watch.pages[source] = pages
        return ""
    whole = Update(tuple(pages.records.values()), (), update.cursor, True, update.complete)
    return _apply(watch, source, whole, now)


def _apply(watch: Watch, source: str, update: Update, now: float) -> str:
    union = watch.union
    if strange := [each.key for each in update.records if not union.is_asked_for(each)]:
        fix = f"not asked for, {len(strange)} in one answer; is it a registry?"
        log.warning("record_ignored", server=source, record=strange[0], detail=fix)
    is_taken = union.apply(source, union.cursor(source), update, now)
    return "" if is_taken else TOO_MANY


def _warn_of_newer(source: str, record: Record, version: int) -> None:
    fix = "two owners of one instance id, or a version that did not rise"
    log.warning(
        "publish_superseded",
        server=source,
        record=record.key,
        version=record.version,
        held=version,
        detail=fix,
    )
