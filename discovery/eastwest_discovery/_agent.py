"""A client of several servers, but for the sockets: links, unions and who waits for them.

Pure: no socket, no thread, no clock. The shell opens sockets, sends what ``due`` returns, brings
the replies and lets time pass with ``turn``; times are seconds of its monotonic clock.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from . import _log as log
from ._errors import DiscoveryError
from ._journal import Journal
from ._link import Link, Poll, Put, Request, Watched
from ._provider import Cursor, Update
from ._record import Key, Record
from ._union import INSTANCES_MAX, Union, View
from ._wire import Answer, Held, Page

WATCHES_MAX = 128  # services that are polled for at the same time; the least asked for goes
IDLE_SECONDS = 600.0  # what nobody has asked for that long is no longer polled for
SAVE_SECONDS = 1.0  # at most so often to disk when something changes,
CONFIRM_SECONDS = 60.0  # and so often, for the ages, when nothing does
REFUSED_SECONDS = 15.0  # a poll that the server refuses is tried again after that

NO_ANSWER = "an answer that belongs to another question; is it a registry?"


@dataclass(slots=True)
class _Pages:
    """What has come of a snapshot so far."""

    records: dict[Key, Record]
    cursor: Cursor


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

    Threads: one at a time; ``Watch.view`` and ``Watch.used`` by any.
    """

    def __init__(self, sources: Sequence[str], rng: random.Random) -> None:
        self.links = {source: Link() for source in sources}
        self.watches: dict[Watched, Watch] = {}
        self._rng = rng

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
        found.used = now
        return found

    def publish(self, record: Record, now: float) -> None:
        """Keep *record* alive at every server."""
        for link in self.links.values():
            link.publish(record, now)

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
            self._look(watch, now)

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
        if isinstance(request, Poll):
            self._polled(source, request, reply, now)
        elif isinstance(reply, DiscoveryError):
            link.refused(request, reply, now)
            log.warning("registry_refused", server=source, detail=reply)
        elif isinstance(reply, Held):
            link.accepted(request, now, self._rng.random())
            if reply.is_superseded and isinstance(request, Put):
                _warn_of_newer(source, request.record, reply.version)
        else:
            self.failed(source, NO_ANSWER, now)

    def failed(self, source: str, problem: str, now: float) -> None:
        """Note that a server cannot be asked, and why."""
        link = self.links[source]
        link.failed(problem, now, self._rng.random())
        for watch in self.watches.values():
            watch.union.lost(source, now, heard=link.heard)
            watch.pages.pop(source, None)
            watch.heard_from.add(source)
            self._look(watch, now)

    def turn(self, now: float) -> float | None:
        """Let time pass; return when there is something to do if nothing is heard."""
        times: list[float | None] = []
        for watched, watch in list(self.watches.items()):
            if now - watch.used >= IDLE_SECONDS:
                self._unwatch(watched)
                continue
            times += [self._look(watch, now), watch.used + IDLE_SECONDS]
        times += (link.next() for link in self.links.values())
        return min((each for each in times if each is not None), default=None)

    # ------------------------------------------------------------------ what is known

    def is_answered(self, watch: Watch) -> bool:
        """Whether waiting longer for a first answer is of no use."""
        if not watch.is_loaded:
            return False
        is_known = any(not each.is_stale for each in watch.view.entries)
        return is_known or watch.heard_from >= self.links.keys()

    def problems(self, watch: Watch | None = None) -> str:
        """Return what is wrong with each server, for an error."""
        refusals = watch.refusals if watch else {}
        return "; ".join(
            f"{source}: {link.problem or refusals.get(source) or 'has just started'}"
            for source, link in self.links.items()
        )

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

    def accepted(self, key: Key) -> int:
        """Return how many servers have accepted a publication."""
        return sum(link.outcome(key) is True for link in self.links.values())

    # ------------------------------------------------------------------ inside

    def _polled(
        self, source: str, request: Poll, reply: Held | Page | DiscoveryError, now: float
    ) -> None:
        link, watch = self.links[source], self.watches[request.watched]
        if isinstance(reply, DiscoveryError):
            watch.refusals[source] = reply
            watch.union.lost(source, now)
            link.polled(request, now, pause=REFUSED_SECONDS)
        elif isinstance(reply, Held) or not _take(watch, source, reply, now):
            self.failed(source, NO_ANSWER, now)
            return
        else:
            watch.refusals.pop(source, None)
            if reply.more:
                link.polled(request, now, pause=0.0)
            else:
                link.polled(request, now)
        if source not in watch.pages:
            watch.heard_from.add(source)
        self._look(watch, now)

    def _look(self, watch: Watch, now: float) -> float | None:
        """Bring the view up to date; return when it changes by itself."""
        following = watch.union.turn(now)
        if watch.version != watch.union.version:
            watch.version = watch.union.version
            changes, watch.view = watch.union.changes(), watch.union.view()
            watch.is_changed = watch.is_changed or bool(changes)
            watch.journal.note(changes, is_complete=watch.view.complete)
        return following

    def _unwatch(self, watched: Watched) -> None:
        del self.watches[watched]
        for link in self.links.values():
            link.unwatch(watched)


def _cursor(watch: Watch, source: str) -> Cursor:
    pages = watch.pages.get(source)
    return pages.cursor if pages is not None else watch.union.cursor(source)


def _take(watch: Watch, source: str, page: Page, now: float) -> bool:
    """Take a page; the pages of a snapshot count when all are there. Return whether it was good."""
    update, pages = page.update, watch.pages.pop(source, None)
    asked = watch.union.cursor(source)
    if update.snapshot:
        pages = _Pages({}, b"")
    if pages is None:
        return watch.union.apply(source, asked, update, now)
    pages.records.update((each.key, each) for each in update.records)
    for key in update.gone:
        pages.records.pop(key, None)
    if len(pages.records) > INSTANCES_MAX:
        return False
    if page.more:
        pages.cursor = update.cursor
        watch.pages[source] = pages
        return True
    whole = Update(tuple(pages.records.values()), (), update.cursor, True, update.complete)
    return watch.union.apply(source, asked, whole, now)


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
