"""A thread that keeps records in etcd alive: what ``_etcd_tenancy`` decides is asked here."""

import random
import threading
import time
from collections.abc import Callable

from . import _etcd_wire as wire
from . import _log
from ._errors import BadRecord, DiscoveryError, Unavailable
from ._etcd_gateway import Gateway
from ._etcd_tenancy import Ask, Granted, Seen, Step, Tenancy
from ._record import Key, Record

PUBLISH_SECONDS = 10.0  # that publish waits; the record is kept all the same
LEAVE_SECONDS = 3.0  # that withdraw and close wait; then the record runs out


class Keeper:
    """The records that are published here. Every method may be called from any thread."""

    def __init__(
        self, gateway: Gateway, prefix: str, superseded: Callable[[Key, int], object]
    ) -> None:
        self._gateway = gateway
        self._superseded = superseded
        self._prefix = prefix
        self._changed = threading.Condition()
        self._tenancies: dict[Key, Tenancy] = {}
        self._thread: threading.Thread | None = None
        self._stopping = False

    def publish(self, record: Record) -> None:
        """Put the record, wait until it is there or etcd cannot be asked.

        Raises:
            NotAllowed, Refusal: etcd refused it; it is not published.
            Unavailable: the same key is still being withdrawn.
        """
        deadline = time.monotonic() + PUBLISH_SECONDS
        with self._changed:
            tenancy = self._tenancy(record, deadline)
            self._wake()
            while not tenancy.is_settled and tenancy.error is None:
                left = deadline - time.monotonic()
                if tenancy.superseded >= 0 or not self._changed.wait(left):
                    return
            if tenancy.error and not isinstance(tenancy.error, Unavailable):
                tenancy.leave(time.monotonic())
                self._changed.notify_all()
                raise tenancy.error

    def _tenancy(self, record: Record, deadline: float) -> Tenancy:
        tenancy = self._tenancies.get(record.key)
        while tenancy and tenancy.leaving:  # the same key, withdrawn a moment ago
            if not self._changed.wait(deadline - time.monotonic()):
                raise Unavailable(f"{record.key} is still being withdrawn; try again")
            tenancy = self._tenancies.get(record.key)
        if tenancy is None:
            tenancy = self._tenancies[record.key] = Tenancy(record)
        elif not tenancy.replace(record):
            _warn_superseded(record, tenancy.wanted.version)
        tenancy.error = None
        return tenancy

    def withdraw(self, key: Key) -> None:
        """Withdraw what was published; wait a little until it is gone."""
        with self._changed:
            tenancies = [each for each in self._tenancies.values() if each.key == key]
            self._leave(tenancies)

    def problem_of(self, key: Key) -> str:
        """Return what keeps a record of ours from being there, "" for nothing."""
        with self._changed:
            tenancy = self._tenancies.get(key)
            if tenancy is None or tenancy.leaving:
                return "not published"
            if tenancy.superseded >= 0:
                return f"version {tenancy.superseded} of another owner is there"
            return "" if tenancy.is_settled else str(tenancy.error or "no answer yet")

    def close(self) -> None:
        """Withdraw everything, wait a little, end the thread."""
        with self._changed:
            self._leave(list(self._tenancies.values()))
            self._stopping = True
            thread = self._thread
            self._changed.notify_all()
        if thread:
            thread.join()

    def _leave(self, tenancies: list[Tenancy]) -> None:
        now = time.monotonic()
        for each in tenancies:
            each.leave(now)
        if not tenancies:
            return
        self._wake()
        self._changed.wait_for(lambda: all(each.ended for each in tenancies), LEAVE_SECONDS)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="eastwest-etcd", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    # -------------------------------------------------------------- the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                tenancy = min(self._tenancies.values(), key=Tenancy.due, default=None)
                now = time.monotonic()
                ask = tenancy.ask(now) if tenancy else None
                if tenancy is None or ask is None:
                    self._settle(tenancy)
                    wait = tenancy.due() - now if tenancy else None
                    if tenancy is None or not tenancy.ended:
                        self._changed.wait(wait)
                    continue
            self._step(tenancy, ask)

    def _settle(self, tenancy: Tenancy | None) -> None:
        """Forget a stay that has ended; wake those who wait for it."""
        if tenancy and tenancy.ended and self._tenancies.get(tenancy.key) is tenancy:
            del self._tenancies[tenancy.key]
        self._changed.notify_all()

    def _step(self, tenancy: Tenancy, ask: Ask) -> None:
        asked_at = time.monotonic()
        try:
            answer = self._answer(ask)
        except DiscoveryError as error:
            with self._changed:
                self._failed(tenancy, ask, error)
                self._settle(tenancy)
            return
        with self._changed:
            was_put = tenancy.put is not None
            if isinstance(answer, Granted):
                tenancy.granted(ask, answer, asked_at)
            elif isinstance(answer, Seen):
                before = tenancy.superseded
                tenancy.looked(answer, time.monotonic())
                if tenancy.superseded > before:
                    _warn_superseded(tenancy.wanted, tenancy.superseded)
                    self._superseded(tenancy.key, tenancy.superseded)
            else:
                tenancy.done(ask, answer)
            if was_put and tenancy.put is None and not tenancy.leaving:
                _log.warning("etcd_lost", key=tenancy.key, ttl=tenancy.wanted.ttl)
            self._settle(tenancy)

    def _failed(self, tenancy: Tenancy, ask: Ask, error: DiscoveryError) -> None:
        if isinstance(error, wire.Refusal) and error.code == wire.NOT_FOUND:
            tenancy.lost(ask)
            return
        if tenancy.error is None:  # once, until it works again
            _log.warning("etcd_put_fail", key=tenancy.key, detail=error)
        tenancy.failed(error, time.monotonic(), random.random())

    # -------------------------------------------------------------- questions

    def _answer(self, ask: Ask) -> Granted | Seen | bool:
        match ask.step:
            case Step.GRANT:
                return self._grant(ask.record.ttl)
            case Step.GRANT_GRAVE:
                return self._grant(2 * ask.record.ttl)
            case Step.RENEW:
                return self._renew(ask.lease)
            case Step.LOOK:
                return self._look(ask.record.key)
            case Step.PUT:
                return self._put(ask)
            case Step.ERASE:
                return self._erase(ask)
            case Step.REVOKE:
                self._gateway.ask("/v3/lease/revoke", {"ID": str(ask.lease)})
                return True

    def _grant(self, ttl: int) -> Granted:
        answer = self._gateway.ask("/v3/lease/grant", {"TTL": str(ttl)})
        return Granted(wire.number(answer, "ID"), wire.number(answer, "TTL"))

    def _renew(self, lease: int) -> Granted:
        answer = self._gateway.ask("/v3/lease/keepalive", {"ID": str(lease)})
        return Granted(lease, wire.number(wire.child(answer, "result"), "TTL"))

    def _keys(self, key: Key) -> tuple[str, str]:
        return (
            wire.text_of(wire.record_key(self._prefix, key)),
            wire.text_of(wire.grave_key(self._prefix, key)),
        )

    def _look(self, key: Key) -> Seen:
        both = [{"request_range": {"key": each}} for each in self._keys(key)]
        answer = self._gateway.ask("/v3/kv/txn", {"success": both})
        kvs = [
            wire.children(wire.child(each, "response_range"), "kvs")
            for each in wire.children(answer, "responses")
        ]
        if len(kvs) != 2:
            raise wire.NotEtcd(f"{len(kvs)} answers to two questions")
        here, grave = (wire.value_of(each[0]) if each else None for each in kvs)
        return Seen(
            record=_record_or_none(key, here),
            lease=here.lease if here else 0,
            record_revision=here.mod_revision if here else 0,
            grave_revision=grave.mod_revision if grave else 0,
            buried=_version(grave) if grave else -1,
        )

    def _put(self, ask: Ask) -> bool:
        key, _ = self._keys(ask.record.key)
        value = wire.text_of(ask.record.encode())
        put = {"key": key, "value": value, "lease": str(ask.lease)}
        return self._change(ask, [{"request_put": put}])

    def _erase(self, ask: Ask) -> bool:
        key, grave = self._keys(ask.record.key)
        version = wire.text_of(str(ask.record.version))
        bury = {"key": grave, "value": version, "lease": str(ask.grave_lease)}
        erase = {"key": key}
        return self._change(ask, [{"request_delete_range": erase}, {"request_put": bury}])

    def _change(self, ask: Ask, changes: list[dict[str, dict[str, str]]]) -> bool:
        """Make the changes if nothing has changed since it was looked at."""
        seen = ask.seen
        if seen is None:
            return False
        compare = [
            {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}
            for key, revision in zip(
                self._keys(ask.record.key),
                (seen.record_revision, seen.grave_revision),
                strict=True,
            )
        ]
        answer = self._gateway.ask("/v3/kv/txn", {"compare": compare, "success": changes})
        return answer.get("succeeded") is True


def _warn_superseded(record: Record, version: int) -> None:
    fix = "two owners of one instance id, or a version that did not rise"
    _log.warning(
        "publish_superseded", record=record.key, version=record.version, held=version, detail=fix
    )


def _record_or_none(key: Key, value: wire.Value | None) -> Record | None:
    try:
        return wire.record_of(key, value.value) if value else None
    except BadRecord:
        return None  # put over it: the key is this record's


def _version(value: wire.Value) -> int:
    return int(value.value) if value.value.isdigit() and len(value.value) <= 20 else -1
