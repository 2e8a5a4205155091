"""What a registry server answers: requests in, answers out. See registry.proto.

Pure: the leases, the waiting polls and the permissions put together; bytes and the time are
arguments. ``_server.py`` has the sockets. One thread.
"""

from collections import Counter
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from . import registry_pb2 as pb
from ._access import Access, Everything, Grant
from ._errors import BadRecord, DiscoveryError, LimitReached, NotAllowed
from ._leases import Changes, Held, Leases, Limits, Position, Scope
from ._log import info, warning
from ._protocol import PROTOCOL
from ._record import TTL_DEFAULT, TTL_MAX, Key, parse
from ._waiting import Poll, Waiting
from .names import instance_problem, namespace_problem, service_problem

REQUEST_BYTES_MAX = 8192
WAIT_SECONDS_MAX = 25.0
CACHED_MAX = 256  # answers to polls
TOLD_SECONDS = 10.0  # the same complaint is logged once in so many
TOLD_MAX = 1000

_ANYBODY = Everything("anybody")
_PROBLEMS: dict[type[DiscoveryError], pb.Problem] = {
    BadRecord: pb.BAD_REQUEST,
    NotAllowed: pb.NOT_ALLOWED,
    LimitReached: pb.LIMIT_REACHED,
}


class Registry:
    """One server without its sockets."""

    def __init__(
        self,
        boot: bytes,
        now: float,
        *,
        access: Access | None = None,
        limits: Limits | None = None,
        settle_seconds: float = TTL_DEFAULT,
    ) -> None:
        """Start with nothing known.

        Args:
            boot: 8 bytes that no other start has.
            now: seconds of a clock that never goes back.
            access: None: whoever reaches us may do anything.
        """
        limits = limits or Limits()
        self.leases = Leases(boot, now, limits=limits, settle_seconds=settle_seconds)
        self.counts: Counter[str] = Counter()
        self._access = access
        self._waiting = Waiting(limits)
        self._now = now
        self._was_complete = self.leases.complete
        self._cache: dict[tuple[Scope, Position], bytes] = {}
        self._cached_at = (-1, False)
        self._told: set[tuple[str, str]] = set()
        self._told_at = now

    def tick(self, now: float) -> None:
        """It is *now*. To be called at least twice a second, and before ``request``."""
        stalled = self.leases.counters.stalled_seconds
        self._now = now
        self.leases.tick(now)
        if self.leases.counters.stalled_seconds > stalled:
            warning("stall", seconds=self.leases.counters.stalled_seconds - stalled)
        if now - self._told_at >= TOLD_SECONDS:
            self._told.clear()
            self._told_at = now

    def request(self, key: str | None, route: bytes, number: bytes, body: bytes) -> bytes | None:
        """Return the answer to a request; None: there is none, or it comes from ``letters``.

        Args:
            key: the client's public key, proved by the connection; None without keys.
            route: of the connection.
            number: of the request.
        """
        try:
            request = pb.Request.FromString(body)
        except (DecodeError, UnicodeDecodeError):
            self.counts["garbage"] += 1
            return None
        what = request.WhichOneof("what")
        if request.protocol != PROTOCOL:
            text = f"protocol version {request.protocol}, this server speaks {PROTOCOL} only"
            return self._problem(pb.BAD_PROTOCOL, text)
        grant = self._grant(key)
        client = route if key is None else key
        try:
            if grant is None:
                raise NotAllowed(_unknown(key))
            if what == "put":
                return self._put(grant, client, request.put.record)
            if what == "withdraw":
                return self._withdraw(grant, request.withdraw)
            if what == "poll":
                return self._poll(grant, client, (route, number), request.poll)
            if what == "status":
                return self._answer(status=pb.Status(numbers=self.numbers()))
            raise BadRecord("a request that asks for nothing this server knows")
        except (BadRecord, NotAllowed, LimitReached) as error:
            self.tell(grant.name if grant else str(key), type(error).__name__, str(error))
            return self._problem(_PROBLEMS[type(error)], str(error))

    def letters(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yield route, number and answer of the polls that waited and need not wait longer."""
        if self.leases.complete != self._was_complete:
            self._was_complete = True
            info("settled", records=self.leases.all.records)
            self.leases.take_changed()
            polls = self._waiting.take_all()
        else:
            polls = [
                poll
                for scope in self.leases.take_changed()
                for poll in self._waiting.take_of(scope)
                if self._has_news(poll)
            ]
            polls += self._waiting.take_due(self._now)
        for poll in polls:
            yield poll.route, poll.number, self._changes(poll.scope, poll.position)

    def set_access(self, access: Access) -> list[tuple[bytes, bytes, bytes]]:
        """Change the permissions; return letters to waiting polls, so that all ask again."""
        self._access = access
        return [(poll.route, poll.number, self._again(poll)) for poll in self._waiting.take_all()]

    def knock(self, address: str, key: str) -> None:
        """Count a connection with an unknown key, and log it unless it was logged just now."""
        self.counts["knocks"] += 1
        if (address, key) not in self._told and len(self._told) < TOLD_MAX:
            self._told.add((address, key))
            warning("knock", address=address, key=key)

    def tell(self, client: str, problem: str, detail: str) -> None:
        """Count a refusal, and log it unless it was logged just now."""
        self.counts[f"refused_{problem}"] += 1
        if (client, problem) not in self._told and len(self._told) < TOLD_MAX:
            self._told.add((client, problem))
            warning("refuse", client=client, problem=problem, detail=detail)

    def numbers(self) -> dict[str, float]:
        """Return what STATUS and the metrics show."""
        leases = self.leases
        namespaces, services = leases.count_scopes()
        done = leases.counters
        return {
            "age_seconds": leases.age,
            "complete": float(leases.complete),
            "revision": leases.revision,
            "records": leases.all.records,
            "record_bytes": leases.all.bytes,
            "dead": leases.dead,
            "namespaces": namespaces,
            "services": services,
            "owners": leases.clients,
            "waiting": len(self._waiting),
            "stored_total": done.stored,
            "renewed_total": done.renewed,
            "superseded_total": done.superseded,
            "withdrawn_total": done.withdrawn,
            "expired_total": done.expired,
            "forgotten_total": done.forgotten,
            "polls_total": self.counts["polls"],
            "refused_request_total": self.counts["refused_BadRecord"],
            "refused_access_total": self.counts["refused_NotAllowed"],
            "refused_limit_total": self.counts["refused_LimitReached"],
            "refused_keys_total": self.counts["knocks"],
            "garbage_total": self.counts["garbage"],
            "answers_dropped_total": self.counts["dropped"],
            "answers_unroutable_total": self.counts["unroutable"],
            "stalls_total": done.stalls,
            "stalled_seconds_total": done.stalled_seconds,
        }

    # ---------------------------------------------------------- requests

    def _grant(self, key: str | None) -> Grant | None:
        if self._access is None:
            return _ANYBODY
        return self._access.of(key) if key is not None else None

    def _put(self, grant: Grant, client: str | bytes, encoded: bytes) -> bytes:
        message = parse(encoded)
        if not grant.may_publish(message.namespace, message.service):
            raise NotAllowed(_lacks(grant, "publish", message.namespace, message.service))
        return self._held(self.leases.put(client, encoded, message))

    def _withdraw(self, grant: Grant, asked: pb.Withdraw) -> bytes:
        key = Key(asked.namespace, asked.service, asked.instance)
        problem = (
            namespace_problem(key.namespace)
            or service_problem(key.service)
            or instance_problem(key.instance)
        )
        if not problem and asked.ttl > TTL_MAX:
            problem = f"ttl {asked.ttl}: want seconds, 1..{TTL_MAX}"
        if problem:
            raise BadRecord(problem)
        if not grant.may_publish(key.namespace, key.service):
            raise NotAllowed(_lacks(grant, "publish", key.namespace, key.service))
        return self._held(self.leases.delete(key, asked.version, asked.ttl or TTL_DEFAULT))

    def _poll(
        self, grant: Grant, client: str | bytes, sender: tuple[bytes, bytes], asked: pb.Poll
    ) -> bytes | None:
        problem = namespace_problem(asked.namespace)
        problem = problem or (service_problem(asked.service) if asked.service else None)
        if problem:
            raise BadRecord(problem)
        if not grant.may_read(asked.namespace, asked.service):
            raise NotAllowed(_lacks(grant, "read", asked.namespace, asked.service))
        self.counts["polls"] += 1
        scope = (asked.namespace, asked.service)
        boot = asked.boot if asked.boot == self.leases.boot else b""  # any other is as good
        position = Position(boot, asked.revision, asked.base)
        wait = min(asked.wait_ms / 1000, WAIT_SECONDS_MAX)
        if wait and boot and not self.leases.poll(*scope, position):
            route, number = sender
            self._waiting.add(Poll(client, route, number, scope, position, self._now + wait))
            return None
        return self._changes(scope, position)

    def _has_news(self, poll: Poll) -> bool:
        """Say whether to answer a poll that was woken; if not, it waits on."""
        if self.leases.poll(*poll.scope, poll.position):
            return True
        self._waiting.add(poll)  # the change was before it came
        return False

    def _again(self, poll: Poll) -> bytes:
        """Return the answer to a poll that waited while the permissions were changed."""
        key = poll.client if isinstance(poll.client, str) else None
        grant = self._grant(key)
        if grant is None:
            return self._problem(pb.NOT_ALLOWED, _unknown(key))
        if not grant.may_read(*poll.scope):
            return self._problem(pb.NOT_ALLOWED, _lacks(grant, "read", *poll.scope))
        return self._changes(poll.scope, poll.position)

    # ----------------------------------------------------------- answers

    def _held(self, held: Held) -> bytes:
        return self._answer(held=pb.Held(outcome=held.outcome, version=held.version))

    def _changes(self, scope: Scope, position: Position) -> bytes:
        """Return the answer to a poll; many ask the same, so it is kept while nothing changes."""
        state = (self.leases.revision, self.leases.complete)
        if self._cached_at != state or len(self._cache) >= CACHED_MAX:
            self._cache.clear()
            self._cached_at = state
        body = self._cache.get((scope, position))
        if body is None:
            body = self._answer(changes=_encoded(self.leases.poll(*scope, position)))
            self._cache[scope, position] = body
        return body

    def _problem(self, problem: pb.Problem, text: str) -> bytes:
        answer = pb.Answer(protocol=PROTOCOL, boot=self.leases.boot, problem=problem, text=text)
        return answer.SerializeToString()

    def _answer(
        self,
        held: pb.Held | None = None,
        changes: pb.Changes | None = None,
        status: pb.Status | None = None,
    ) -> bytes:
        return pb.Answer(
            protocol=PROTOCOL,
            boot=self.leases.boot,
            complete=self.leases.complete,
            held=held,
            changes=changes,
            status=status,
        ).SerializeToString()


def _encoded(changes: Changes) -> pb.Changes:
    return pb.Changes(
        records=changes.records,
        gone=[
            pb.Gone(namespace=key.namespace, service=key.service, instance=key.instance)
            for key in changes.gone
        ],
        revision=changes.position.revision,
        base=changes.position.base,
        snapshot=changes.snapshot,
        more=changes.more,
    )


def _unknown(key: str | None) -> str:
    return (
        f"key {key} is not known to this server (any more); add it to the server's file of "
        "permissions, and send the server SIGHUP"
    )


def _lacks(grant: Grant, right: str, namespace: str, service: str) -> str:
    return (
        f"client {grant.name!r} may not {right} '{namespace}/{service or '*'}'; add it to its "
        f"'{right}' list in the server's file of permissions, and send the server SIGHUP"
    )
