"""Context: configuration, discovery and the native context, and what ties them together.

The default context, which the module-level functions use, is in ``_default.py``; an open context
is closed at exit by ``_exit.py``.
"""

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import final

from . import _exit, _log, _native, _native_rundir, _registries, _rundir
from ._addresses import is_unspecified, path_of
from ._better import Better
from ._channel import Channel, adopt
from ._closing import Closing
from ._config import Config
from ._config_checks import bind as check_bind
from ._config_checks import check_exposure
from ._connect import Connector, Request, ejections_now, probe
from ._errors import (
    ClosedHere,
    ConfigurationError,
    EastwestError,
    ForkedError,
    ServiceNotFound,
    Unreachable,
)
from ._explain import off_paths
from ._fabric import Fabric, given
from ._facts import WEIGHT, Facts, compose
from ._find import Finder
from ._health import Health
from ._keeper import Keeper, Ways
from ._listener import Listener
from ._names import check_labels, check_protocol, check_service
from ._native_values import Answer
from ._providers import Local, Provider
from ._providers._base import Record
from ._providers._local import SocketNames
from ._publish import Publisher
from ._select import Candidate, Pick, order, ways
from ._values import ContextStats, Explanation, Instance, Registry

PROBE_SECONDS = 1.0
MAX_CHANNELS_MAX = 1 << 20


@final
class Context(Closing):
    """Configuration, discovery and a budget of memory. Independent contexts share nothing.

    Nothing is opened before it is needed: making one only checks the settings.

    * Threads: any number may use it.
    * Fork: in a child every method raises ForkedError; make a new one there.
    * Leaving a ``with`` block closes it, with its listeners and channels.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = Config.load() if config is None else config
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._network = (self.config.fabric_network or "") if given(self.config) else ""
        self._handle: _native.ContextHandle | None = None
        self._finder: Finder | None = None
        self._publisher = Publisher(())
        self._keeper: Keeper | None = None
        self._closed = False
        self._rng = random.Random()
        self._health = Health(rng=self._rng)
        self._is_control_logged = False
        self._listeners: set[Listener] = set()
        self._channels: weakref.WeakSet[Channel] = weakref.WeakSet()

    # ------------------------------------------------------------------ connecting

    def connect(
        self,
        service: str,
        *,
        protocol: str = "",
        where: Mapping[str, str] | None = None,
        pick: Pick = "nearest",
        timeout: float | None = 5.0,
    ) -> Channel:
        """Open a channel to one instance of *service*; waits for the name to appear.

        Args:
            protocol: application protocol that the listener must have, at most 63 bytes.
            where: labels that the instance must have.
            pick: "nearest", "spread" (ignores how near), or a function that gets the instances,
                nearest first, and returns those to try in its order.
            timeout: seconds for everything; None waits forever.

        Raises:
            ServiceNotFound: nothing that fits appeared until the timeout.
            Refused: an instance answered no, and no other one could be had.
            Unreachable: it is published, and nobody answers there; or it is not known here, and
                a registry that may know it could not be asked.
            ConfigurationError: an argument or a setting is not in order.
            OutOfMemory: the memory budget is used up.
        """
        return self.connect_unless(
            None, service, protocol=protocol, where=where, pick=pick, timeout=timeout
        )

    def connect_unless(
        self,
        given_up: threading.Event | None,
        service: str,
        *,
        protocol: str,
        where: Mapping[str, str] | None,
        pick: Pick,
        timeout: float | None,
    ) -> Channel:
        """Connect, until another thread sets *given_up*. Not for applications."""
        check_protocol(protocol)
        request = self._request(service, where, pick)
        handle, finder = self._open()

        def attempt(candidate: Candidate, seconds: float) -> Channel:
            at, expected = candidate.address, candidate.instance.id
            return adopt(handle.connect(at, service, protocol, expected, seconds), self)

        connector = Connector(finder, attempt, Channel.abort, self._rng, given_up, self._health)
        limit = _native.FOREVER_SECONDS if timeout is None else max(0.0, timeout)
        began = time.monotonic()
        try:
            channel, why = connector.run(request, limit)
        except EastwestError as error:
            kind, seconds = type(error).__name__, time.monotonic() - began
            _log.warning("connect_fail", service=service, error=kind, seconds=seconds, detail=error)
            raise
        channel.opened_by(why)
        self.adopted(channel)
        channel.log_opened("connect", seconds=time.monotonic() - began)
        self._log_control(handle)
        return channel

    def adopted(self, channel: Channel) -> None:
        """Remember a channel, to close it with the context. Not for applications."""
        with self._lock:
            self._channels.add(channel)
        if self._keeper is not None:
            self._keeper.watch(channel)

    def instances(self, service: str) -> tuple[Instance, ...]:
        """Return what discovery knows now, in the order of a connect; those that drain are last."""
        request = self._request(service, None, "nearest")
        _, finder = self._open()
        found = finder.look_up(service, PROBE_SECONDS, is_choosy=True).instances
        rng = random.Random(0)
        behind = ejections_now(self._health)
        good = order(found, zone=request.zone, pick="nearest", rng=rng, ejections=behind)
        return (*good, *(each for each in found if not each.weight))

    def everything(self) -> tuple[Instance, ...]:
        """Return all instances of all services that can be listed. For tools; DNS lists none."""
        return self._open()[1].look_up("", PROBE_SECONDS, is_choosy=True).instances

    def registries(self, service: str) -> tuple[Registry, ...]:
        """Return how each registry beyond this host stands with a service. For tools."""
        return self._open()[1].states(service)

    def address_of(self, service: str, instance: str, path: str) -> str:
        """Return where an instance is reached on a path. For ``Channel.switch``.

        Raises:
            Unreachable: discovery knows no such address of it.
        """
        for address in self._ways_to(service, instance):
            if path_of(address) == path:
                return address
        raise Unreachable(
            f"instance {instance} of {service!r} has no address for {path} that is known here, or "
            f"paths = {list(self.config.paths)} leaves it out",
        )

    def _ways_to(self, service: str, instance: str) -> tuple[str, ...]:
        found = self._open()[1].look_up(service, PROBE_SECONDS).instances
        return ways(found, instance, self.config.paths, self._network)

    def fabric(self) -> Fabric:
        """Return how the port on the fabric network is. For tools."""
        return self._open()[0].fabric()

    def ask_fabric(self, question: str) -> str:
        """Ask the fabric's stack; the answer is JSON. For tools."""
        return self._open()[0].ask_fabric(question)

    def services(self) -> tuple[str, ...]:
        """Return the names that discovery knows now, sorted, at most 256 of each provider."""
        return self._open()[1].known()

    def explain(self, service: str) -> Explanation:
        """Say which path a connect would take now, and why not the others; opens no channel.

        Asks every candidate with a hello, for at most a second. ``chosen`` is None when none
        can be had.
        """
        request = self._request(service, None, "nearest")
        handle, finder = self._open()
        return probe(finder, handle.query, request, self._rng, self._health)

    def query(self, address: str, service: str = "", *, timeout: float = PROBE_SECONDS) -> Answer:
        """Ask who listens at an address; opens no channel. For tools.

        Args:
            service: which of the services behind a TCP port is meant; a local socket has one.
            timeout: seconds for the answer.

        Raises:
            Unreachable, Refused, Timeout: nobody answered, or the answer was no.
        """
        return self._open()[0].query(address, service, timeout)

    def _request(self, service: str, where: Mapping[str, str] | None, pick: Pick) -> Request:
        check_service(service)
        config = self.config
        labels = check_labels(where)
        return Request(service, labels, pick, config.zone, config.paths, self._network)

    # ------------------------------------------------------------------ listening

    def listen(
        self,
        service: str,
        *,
        protocol: str = "",
        labels: Mapping[str, str] | None = None,
        bind: str | None = None,
        max_channels: int = 1024,
    ) -> Listener:
        """Publish one instance of *service* and accept channels to it.

        Waits for registries, a second at most with registry servers, ten with etcd; those that
        cannot be reached are told later.

        Args:
            protocol: application protocol name; a peer must give the same, at most 63 bytes.
            labels: what ``connect(where=)`` matches, at most 1024 bytes in all.
            bind: "ADDR:PORT" for peers on other hosts, port 0 for any; None takes the setting.
            max_channels: open at the same time, 1..1048576; more are refused.

        Raises:
            ConfigurationError: an argument or a setting is not in order, the address is in use,
                there is neither a runtime directory nor an address, or a registry refused it.
        """
        listener, publish = self.listen_unpublished(
            service, protocol=protocol, labels=labels, bind=bind, max_channels=max_channels
        )
        try:
            publish()
        except EastwestError:
            listener.close()
            raise
        return listener

    @property
    def may_wait_to_publish(self) -> bool:
        """Whether a registry beyond this host is told of listeners. Not for applications."""
        return self._open()[1] is not None and self._publisher.may_wait

    def listen_unpublished(
        self,
        service: str,
        *,
        protocol: str,
        labels: Mapping[str, str] | None,
        bind: str | None,
        max_channels: int,
    ) -> tuple[Listener, Callable[[], None]]:
        """Listen, and return what publishes it, which may wait, or raise: then close it.

        Not for applications.
        """
        check_service(service)
        check_protocol(protocol)
        if not 1 <= max_channels <= MAX_CHANNELS_MAX:
            raise ConfigurationError(f"max_channels={max_channels}: want 1..{MAX_CHANNELS_MAX}")
        address = self._bind(bind)
        facts = Facts(check_labels(labels), self.config.zone)
        text = compose(facts)
        handle, _ = self._open()
        search = self._bindable()
        directory = search.usable[0] if search.usable else None
        if directory is None and address is None and not self._network:
            raise self._nowhere(service, search)
        url = None if address is None else f"tcp://{address}"
        fabric = bool(self._network)
        native = handle.listen(service, protocol, directory, url, text, max_channels, fabric)
        off = off_paths(self.config.paths, directory, search.problems, address)
        instance = _published(service, native, facts)
        listener = Listener(native, instance, protocol, off, self, self._withdraw)
        with self._lock:
            self._listeners.add(listener)
        self._log_control(handle)
        return listener, partial(self._publish, listener, native)

    def _bind(self, bind: str | None) -> str | None:
        """Return the address to bind, checked, or None."""
        if bind is None:
            return self.config.bind if "tcp" in self.config.paths else None
        address = check_bind(bind)
        check_exposure(address, self.config.security)
        if "tcp" not in self.config.paths:
            raise ConfigurationError(
                f"bind={bind!r} needs TCP, and paths = {list(self.config.paths)} leaves it out"
            )
        return address

    def _bindable(self) -> _rundir.Search:
        if "shm" not in self.config.paths:
            return _rundir.Search((), ())
        return _rundir.bindable(self.config.runtime_dirs, os.environ, _native_rundir.rundir_problem)

    def _nowhere(self, service: str, search: _rundir.Search) -> ConfigurationError:
        why = "; ".join(search.problems) or f"paths = {list(self.config.paths)}"
        return ConfigurationError(
            f"nobody could reach {service!r}: there is no runtime directory ({why}) and no address "
            f"to bind; {'' if 'shm' not in self.config.paths else _rundir.SET + ', or '}"
            "set EASTWEST_BIND=ADDR:PORT"
        )

    def _publish(self, listener: Listener, native: _native.ListenerHandle) -> None:
        instance = listener.instance
        record = Record(instance, listener.protocol, self.config.namespace)
        self._publisher.publish(listener, record)
        _log.info(
            "listen",
            service=listener.service,
            instance=instance.id,
            addresses=instance.addresses,
        )
        has_port = any(path_of(each) == "dpdk" for each in instance.addresses)
        if self._network and not has_port and self.fabric().state != "absent":
            listener.publish_later(lambda: self._republish(listener, native))

    def _republish(self, listener: Listener, native: _native.ListenerHandle) -> Instance | None:
        """Tell the port on the fabric that a listener has got meanwhile; None: not yet."""
        if not native.info().fabric_address:
            return None
        instance = _published(listener.service, native, _facts_of(listener.instance))
        return instance if self._publisher.change(listener, instance) else None

    def draining(self, listener: Listener, native: _native.ListenerHandle) -> Instance:
        """Tell registries that a listener is going away. Not for applications."""
        facts = replace(_facts_of(listener.instance), weight=0)
        instance = _published(listener.service, native, facts)
        self._publisher.change(listener, instance)
        return instance

    def published(self, listener: Listener) -> tuple[str, ...]:
        """Return which registries have a listener, a sentence for each. Not for applications."""
        return self._publisher.published(listener)

    def _withdraw(self, listener: Listener) -> None:
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._listeners.discard(listener)
        self._publisher.withdraw(listener)

    # ------------------------------------------------------------------ life

    def stats(self) -> ContextStats:
        """Return the counters now."""
        handle, finder = self._open()
        return handle.stats(finder.age_seconds())

    def close(self, *, linger: float = 5.0) -> None:
        """Withdraw listeners, then close every channel. Idempotent.

        Args:
            linger: seconds for all channels together; one that needs longer is aborted.
        """
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            listeners = list(self._listeners)
            channels = list(self._channels)
        if self._keeper is not None:
            self._keeper.close()
        for listener in listeners:
            listener.close()
        _close_all(channels, linger)
        if self._finder is not None:
            self._finder.close()
        if self._handle is not None:
            self._handle.close()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def _end_block(self, by_exception: bool) -> None:
        self.close()

    def _open(self) -> tuple[_native.ContextHandle, Finder]:
        """Return what the first use makes."""
        if os.getpid() != self._pid:
            raise ForkedError("the context belongs to the parent process; make a new one")
        with self._lock:
            if self._closed:
                raise ClosedHere("the context is closed")
            if self._handle is None or self._finder is None:
                others = _registries.open_all(self.config, os.environ)
                try:
                    self._handle = _native.ContextHandle(self.config, self._control_dir())
                except EastwestError:
                    for each in others:
                        each.close()
                    raise
                self._finder = self._make_finder(self._handle, others)
                self._publisher = Publisher(self._finder.providers)
                _exit.close_at_exit(self)
            return self._handle, self._finder

    def _make_finder(self, handle: _native.ContextHandle, others: tuple[Provider, ...]) -> Finder:
        names = SocketNames(_native_rundir.rundir_prefix, _native_rundir.is_socket_name)
        local = Local(self.config.namespace, self._searchable, handle.query, names)
        better = Better(local.address_of, self._ways_to, handle.fabric, self.config.paths)
        find = Ways(self._ways_to, better if better.may_be else None)
        self._keeper = Keeper(handle, find, patience=self.config.grace / 4)
        providers = (local, *others)
        return Finder(providers, self._searchable, self.config.namespace, handle.fabric)

    def _log_control(self, handle: _native.ContextHandle) -> None:
        """Log once where tools look in, or why they cannot."""
        if self._is_control_logged:
            return
        self._is_control_logged = True
        try:
            _log.event(logging.DEBUG, "control", socket=handle.control_address())
        except (ServiceNotFound, ClosedHere):
            _log.event(logging.DEBUG, "control", socket="none")
        except EastwestError as error:
            _log.warning("control", detail=error)

    def _control_dir(self) -> str | None:
        dirs = self.config.runtime_dirs
        return _rundir.control_dir(dirs, os.environ, _native_rundir.rundir_problem)

    def _searchable(self) -> _rundir.Search:
        return _rundir.searchable(
            self.config.runtime_dirs, os.environ, _native_rundir.rundir_problem
        )


def _published(service: str, native: _native.ListenerHandle, facts: Facts) -> Instance:
    """Return the instance of a new listener, and let it tell the port that it got."""
    info = native.info()
    tcp, dpdk = info.tcp_address, info.fabric_address
    told = "" if tcp and is_unspecified(tcp) else tcp
    if told or dpdk or facts.weight != WEIGHT:
        native.set_facts(compose(replace(facts, tcp=told, dpdk=dpdk)))
    addresses = tuple(each for each in (info.local_address, dpdk, tcp) if each)
    return Instance(
        service, info.instance, facts.labels, facts.zone, facts.weight, addresses, False, "self"
    )


def _facts_of(instance: Instance) -> Facts:
    return Facts(instance.labels, instance.zone, instance.weight)


def _close_all(channels: list[Channel], linger: float) -> None:
    """Close each channel; those that are left share the time that is left."""
    deadline = time.monotonic() + linger
    for done, channel in enumerate(channels):
        share = max(0.0, deadline - time.monotonic()) / (len(channels) - done)
        try:
            channel.close(linger=share)
        except EastwestError:  # lost or too slow: it is over either way
            channel.abort()
