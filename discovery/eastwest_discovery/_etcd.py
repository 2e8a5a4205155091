"""etcd as a provider: an existing cluster, for those who want consensus.

A record lies under a lease that is renewed at a third of its ttl; a lost lease is replaced and
the record put again. A question is answered by a snapshot at one revision, and from there on by a
watch, which is kept between calls. Compaction, another cluster or a cursor from the future lead to
a snapshot. See ``_etcd_tenancy`` and ``_etcd_view`` for what is decided, ``_etcd_gateway`` for how
members are asked; why not a client library: docs/adr/0020-etcd-gateway.md.
"""

import threading
import time
from collections.abc import Callable

from . import _etcd_wire as wire
from . import _log
from ._errors import DiscoveryError, LimitReached, NotAllowed, Unavailable
from ._etcd_address import EtcdAddress, parse_etcd_url
from ._etcd_gateway import Gateway, Stream, TooLarge
from ._etcd_keeper import Keeper
from ._etcd_view import Follower, Position, Question, Snapshot
from ._provider import Cursor, Update
from ._record import Key, Record

PROBE_SECONDS = 5.0  # a watch that is silent that long: does its member still answer?
WATCHES_MAX = 64  # kept between calls
SKIPPED_MAX = 1000  # keys whose values are no records, told once each

_ANOTHER_MAY = (*wire.PASSING, wire.NO_LOGIN)  # go on with a watch that was ended so


class _Watch:
    def __init__(self, follower: Follower, stream: Stream) -> None:
        self.follower = follower
        self.stream = stream


class Etcd:
    """A provider over an etcd cluster, 3.4 or later.

    Args:
        superseded: told by a thread, which it must not hold up, that etcd has the key of what we
            publish in a newer version: that one counts.

    Raises:
        BadAddress: the URL, or a file that it names, cannot be used.
    """

    def __init__(
        self,
        address: str | EtcdAddress,
        *,
        superseded: Callable[[Key, int], object] = lambda *_: None,
    ) -> None:
        self._address = parse_etcd_url(address) if isinstance(address, str) else address
        self._gateway = Gateway(self._address)
        self._keeper = Keeper(self._gateway, self._address.prefix, superseded)
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str, Position], _Watch] = {}  # by question and position
        self._busy: set[_Watch] = set()
        self._skips: set[str] = set()
        self._closed = False

    @property
    def source(self) -> str:
        """``etcd://h1:2379,h2:2379/prefix``; never a password."""
        return str(self._address)

    def publish(self, record: Record) -> None:
        """Put *record* and keep it alive until it is withdrawn.

        Returns when etcd has it, or after ten seconds. Where no member answers that is logged and
        no error, like a newer record that etcd has: it is put as soon as that can be.

        Raises:
            NotAllowed: the user may not put it. It is not published.
            LimitReached: etcd is full. It is not published.
            Unavailable: the same key is still being withdrawn.
        """
        self._check_open()
        try:
            self._keeper.publish(record)
        except wire.Refusal as error:
            raise self._explained(error) from None

    def withdraw(self, key: Key) -> None:
        """Withdraw what was published here; if etcd cannot be asked, it runs out."""
        self._keeper.withdraw(key)

    def problem_of(self, key: Key) -> str:
        """Return what keeps a record of ours from being in etcd, "" for nothing."""
        return self._keeper.problem_of(key)

    def poll(self, namespace: str, service: str, cursor: Cursor, timeout: float) -> Update:
        """Return what has changed after *cursor*; see Provider.

        Raises:
            Unavailable: no member answered.
            NotAllowed: the user may not read there.
        """
        self._check_open()
        position = Position.of(cursor)
        question = Question(self._address.prefix, namespace, service, self._skipped)
        try:
            if position is not None:
                return self._follow((namespace, service), question, position, timeout)
            return self._snapshot(question)
        except wire.Compacted:
            return self._poll_again(question)
        except wire.Refusal as error:
            raise self._explained(error) from None

    def close(self) -> None:
        """Withdraw what was published here, within three seconds, and give everything back."""
        with self._lock:
            was_closed, self._closed = self._closed, True
            kept, self._kept = list(self._kept.values()), {}
            for watch in self._busy:
                watch.stream.cut()
        for watch in kept:
            watch.stream.close()
        if not was_closed:
            self._keeper.close()
            self._gateway.close()

    # -------------------------------------------------------------- snapshots

    def _poll_again(self, question: Question) -> Update:
        try:
            return self._snapshot(question)
        except wire.Refusal as error:
            raise self._explained(error) from None

    def _snapshot(self, question: Question) -> Update:
        while True:
            update = self._pages(Snapshot(question))
            if update:
                return update

    def _pages(self, snapshot: Snapshot) -> Update | None:
        """Return the update; None when the revision was compacted between two pages."""
        while True:
            try:
                answer = self._gateway.ask("/v3/kv/range", snapshot.request())
            except TooLarge:
                if not snapshot.too_large():
                    raise
                continue
            except wire.Refusal as error:
                if error.code != wire.OUT_OF_RANGE:
                    raise
                return None
            if update := snapshot.take(answer):
                return update

    # -------------------------------------------------------------- watches

    def _follow(
        self, asked: tuple[str, str], question: Question, position: Position, timeout: float
    ) -> Update:
        deadline = time.monotonic() + timeout
        for _ in range(len(self._address.endpoints) + 1):
            watch = self._take_watch(asked, question, position)
            try:
                self._check_open()
                update = self._wait(question, watch, deadline)
            except (OSError, wire.NotEtcd, wire.Refusal) as error:
                self._drop(watch)
                self._check_open()
                if isinstance(error, wire.Refusal) and error.code not in _ANOTHER_MAY:
                    raise
                self._gateway.broken(watch.stream.endpoint, f"/v3/watch: {error}")
                position = watch.follower.position
            except BaseException:
                self._drop(watch)
                raise
            else:
                position = watch.follower.position
                self._keep(asked, watch)
                return update or Update((), (), position.cursor(), False, True)
        raise self._gateway.unavailable("/v3/watch")

    def _take_watch(self, asked: tuple[str, str], question: Question, position: Position) -> _Watch:
        with self._lock:
            watch = self._kept.pop((*asked, position), None)
            if watch:
                self._busy.add(watch)
        return watch or self._open_watch(question, position)

    def _open_watch(self, question: Question, position: Position) -> _Watch:
        follower = Follower(question, position)
        watch = _Watch(follower, self._gateway.watch(follower.request()))
        with self._lock:
            self._busy.add(watch)
        return watch

    def _check_revision(self, question: Question, position: Position) -> None:
        """A member is behind us: is it late, or is the whole cluster an older one?

        Raises:
            Compacted: it is older.
        """
        asked = wire.within(question.folder) | {"limit": "1", "keys_only": True}
        header = wire.child(self._gateway.ask("/v3/kv/range", asked), "header")
        if wire.number(header, "revision") < position.revision:
            raise wire.Compacted(f"revision {position.revision} is from the future")

    def _wait(self, question: Question, watch: _Watch, deadline: float) -> Update | None:
        """Return what the watch tells until *deadline*, or None.

        Raises:
            OSError: the stream is cut, or its member does not answer any more.
            Compacted, Refusal: it cannot go on.
        """
        while True:
            left = deadline - time.monotonic()
            message = watch.stream.read(min(max(left, 0.0), PROBE_SECONDS))
            if message is None and left > PROBE_SECONDS:
                self._probe(watch.stream)
            elif message is None:
                return None
            elif update := watch.follower.take(message):
                return update
            elif watch.follower.suspicious:
                self._check_revision(question, watch.follower.position)
                watch.follower.suspicious = False

    def _probe(self, stream: Stream) -> None:
        try:
            asked = {"key": wire.text_of("\0"), "keys_only": True}
            self._gateway.ask("/v3/kv/range", asked, at=stream.endpoint)
        except Unavailable as error:
            raise ConnectionResetError(f"no answer beside a silent watch: {error}") from None
        except wire.Refusal:
            pass  # it speaks, and that was the question

    def _drop(self, watch: _Watch) -> None:
        with self._lock:
            self._busy.discard(watch)
        watch.stream.close()

    def _keep(self, asked: tuple[str, str], watch: _Watch) -> None:
        """Keep the watch for the next call; the oldest makes room."""
        where = (*asked, watch.follower.position)
        surplus = []
        with self._lock:
            self._busy.discard(watch)
            if where in self._kept or self._closed:
                surplus.append(watch)
            else:
                self._kept[where] = watch
            if len(self._kept) > WATCHES_MAX:
                surplus.append(self._kept.pop(next(iter(self._kept))))
        for each in surplus:
            each.stream.close()

    # -------------------------------------------------------------- errors

    def _check_open(self) -> None:
        if self._closed:
            raise DiscoveryError(f"{self.source} is closed")

    def _skipped(self, key: str, reason: str) -> None:
        with self._lock:
            if key in self._skips or len(self._skips) >= SKIPPED_MAX:
                return
            self._skips.add(key)
        _log.warning("etcd_skip", key=key, detail=reason, source=self.source)

    def _explained(self, error: wire.Refusal) -> DiscoveryError:
        return explained(error, self.source, self._address.user)


def explained(error: wire.Refusal, source: str, user: str) -> DiscoveryError:
    """Return what etcd's refusal means to a caller."""
    is_nobody = error.code == wire.BAD_ARGUMENT and "user name is empty" in str(error)
    if error.code in (wire.DENIED, wire.NO_LOGIN) or is_nobody:
        who = f"user {user!r}" if user else "no user (?user=NAME&password-file=FILE)"
        return NotAllowed(f"{source}: {who}: {error}; grant its role the keys of the prefix")
    if error.code == wire.EXHAUSTED:
        return LimitReached(f"{source}: {error}; compact and defragment etcd, or raise its quota")
    return Unavailable(f"{source}: {error} (code {error.code})")
