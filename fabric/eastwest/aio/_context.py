"""Context: the synchronous context, with what may take time done in threads."""

import threading
import weakref
from collections.abc import Generator, Mapping
from functools import partial
from typing import Any, Self, final

from .. import _channel, _context
from .._closing import AsyncClosing
from .._config import Config
from .._select import Pick
from .._values import ContextStats, Explanation, Instance
from ._channel import Channel
from ._listener import Listener
from ._thread import begun, in_thread


@final
class Connecting:
    """What ``connect`` returns: to be awaited, or entered with ``async with``, once."""

    def __init__(self, context: "Context", given_up: threading.Event, work: Any) -> None:
        self._context = context
        self._given_up = given_up
        self._work = work
        self._channel: Channel | None = None

    async def _connect(self) -> Channel:
        made = await in_thread(
            self._work, discard=_channel.Channel.abort, give_up=self._given_up.set
        )
        return self._context.adopted(Channel(made))

    def __await__(self) -> Generator[Any, None, Channel]:
        return self._connect().__await__()

    async def __aenter__(self) -> Channel:
        self._channel = await self._connect()
        return self._channel

    async def __aexit__(self, *raised: Any) -> None:
        if self._channel is not None:
            await self._channel.__aexit__(*raised)


@final
class Context(AsyncClosing):
    """Configuration, discovery and a budget of memory. Independent contexts share nothing.

    Nothing is opened before it is needed: making one only checks the settings.

    * Loop: channels and listeners may be in different loops; ``close`` belongs into the loop of
      its channels.
    * Fork: in a child every method raises ForkedError; make a new one there.
    * Leaving an ``async with`` block closes it, with its listeners and channels.
    """

    def __init__(self, config: Config | None = None) -> None:
        self._context = _context.Context(config)
        self._channels: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._listeners: weakref.WeakSet[Listener] = weakref.WeakSet()

    @classmethod
    def around(cls, context: _context.Context) -> Self:
        """Return one that shares everything with a synchronous context."""
        made = cls.__new__(cls)
        made._context = context
        made._channels = weakref.WeakSet()
        made._listeners = weakref.WeakSet()
        return made

    def is_around(self, context: _context.Context) -> bool:
        """Whether it shares everything with that one."""
        return self._context is context

    @property
    def config(self) -> Config:
        """The settings."""
        return self._context.config

    def connect(
        self,
        service: str,
        *,
        protocol: str = "",
        where: Mapping[str, str] | None = None,
        pick: Pick = "nearest",
        timeout: float | None = 5.0,
    ) -> Connecting:
        """Open a channel to one instance of *service*; waits for the name to appear.

        ``await`` it for a channel, or use it in ``async with``. It runs in a thread; cancelled, it
        leaves no channel behind. Arguments and errors are those of ``eastwest.Context.connect``.
        """
        given_up = threading.Event()
        work = partial(
            self._context.connect_unless,
            given_up,
            service,
            protocol=protocol,
            where=where,
            pick=pick,
            timeout=timeout,
        )
        return Connecting(self, given_up, work)

    def adopted(self, channel: Channel) -> Channel:
        """Remember a channel, to close it with the context. Not for applications."""
        self._channels.add(channel)
        return channel

    def listen(
        self,
        service: str,
        *,
        protocol: str = "",
        labels: Mapping[str, str] | None = None,
        bind: str | None = None,
        max_channels: int = 1024,
    ) -> Listener:
        """Publish one instance of *service* and accept channels to it; waits for nobody.

        Registries beyond this host are told in a thread; see ``Listener``. Arguments and errors
        are those of ``eastwest.Context.listen``.
        """
        made, publish = self._context.listen_unpublished(
            service, protocol=protocol, labels=labels, bind=bind, max_channels=max_channels
        )
        publication = begun(publish) if self._context.may_wait_to_publish else None
        if publication is None:
            publish()
        listener = Listener(made, self._channels.add, publication)
        self._listeners.add(listener)
        return listener

    async def instances(self, service: str) -> tuple[Instance, ...]:
        """Return what discovery knows now, best first; those that drain are the last."""
        return await in_thread(partial(self._context.instances, service))

    async def services(self) -> tuple[str, ...]:
        """Return the names that discovery knows now, sorted, at most 256 of each provider."""
        return await in_thread(self._context.services)

    async def explain(self, service: str) -> Explanation:
        """Say which path a connect would take now, and why not the others; opens no channel."""
        return await in_thread(partial(self._context.explain, service))

    def stats(self) -> ContextStats:
        """Return the counters now."""
        return self._context.stats()

    async def close(self, *, linger: float = 5.0) -> None:
        """Withdraw listeners, then close every channel. Idempotent.

        Args:
            linger: seconds for all channels together; one that needs longer is aborted.
        """
        for listener in list(self._listeners):
            listener.close()
        for channel in list(self._channels):
            channel.leave()
        await in_thread(partial(self._context.close, linger=linger))

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._context.closed

    async def _end_block(self, by_exception: bool) -> None:
        await self.close()
