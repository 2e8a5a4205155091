"""Channel: the message path of the extension, and the control side in Python."""

import logging
import threading
from contextlib import suppress
from typing import Protocol, final, runtime_checkable

from . import _log, _native, _note
from ._closing import Closing
from ._errors import ClosedHere, Code, EastwestError, InternalError
from ._explain import explain_channel
from ._fabric import Fabric
from ._keeper import Standing
from ._message import Port
from ._native_values import ChannelInfo
from ._values import PATHS, ChannelStats, Explanation, Path, PathChange, Peer


@runtime_checkable
class _Finds(Protocol):
    """What a channel needs of its context."""

    def address_of(self, service: str, instance: str, path: str) -> str:
        """Return where an instance is reached on a path."""

    def fabric(self) -> Fabric:
        """Return how its port on a fabric network is."""


RECV, SEND = 1, 2  # enum ew_arm_wants
ASKED = "asked for"

_news_lock = threading.RLock()  # the keeper and whoever switches log each event once
_FAILURES = (Code.EW_ELOST, Code.EW_EPROTO, Code.EW_EMEMORY)


@final
class Channel(Port, Closing):
    """Full-duplex, ordered, exactly-once messages to one peer.

    The peer may be a process on this host (shared memory) or on another one (TCP); the contract
    is the same. ``connect`` and ``Listener.accept`` make channels; nothing else does.

    * Order: messages arrive in the order of the ``send`` calls, each once and whole, until
      ``EndOfChannel`` or ``PeerLost``.
    * Waiting: a call that waits happens whole or changes nothing, under timeout and Ctrl-C.
    * Threads: any number may use it; a message is sent and received whole by one thread.
    * Fork: in a child every method raises ForkedError; the parent notices nothing.
    * Leaving a ``with`` block: normally it is ``close()``, by an exception ``abort()``.
    * Iterating receives until the peer closes.
    """

    __slots__ = (
        "__weakref__",
        "_is_draining_logged",
        "_is_end_logged",
        "_is_loss_logged",
        "_logged",
        "_opened",
        "_owner",
        "_stays",
    )

    _opened: Explanation | None
    _owner: object
    _stays: bool
    _logged: int  # generation of the link up to which changes are logged
    _is_loss_logged: bool
    _is_draining_logged: bool
    _is_end_logged: bool

    def close(self, *, linger: float | None = 5.0) -> None:
        """Deliver what was sent, then end the channel. Idempotent.

        Waits until the peer *holds* everything, which does not mean that it has read it. What the
        peer sends meanwhile is discarded.

        Args:
            linger: seconds to wait; None waits for as long as it takes.

        Raises:
            Timeout: the peer does not hold everything; the channel was aborted.
            PeerLost: the peer is gone and may not have got everything.
        """
        try:
            self._close(linger)
        finally:
            self._log_end()

    def abort(self) -> None:
        """End the channel at once; the peer sees PeerLost. Idempotent."""
        super().abort()
        self._log_end()

    def _end_block(self, by_exception: bool) -> None:
        if by_exception:
            self.abort()
        else:
            self.close()

    # ------------------------------------------------------------------ moving

    def switch(self, to: Path | str, *, timeout: float | None = 5.0) -> None:
        """Move the channel to another path while it is in use, for tools and tests.

        Nothing is lost, repeated or reordered, and whoever sends or receives meanwhile notices
        nothing. The end that connected calls it. When it fails the channel goes on as before.
        A channel that was switched stays there, even when a better path appears; if that link is
        lost and cannot be had again at once, it goes wherever its instance is reached.

        Args:
            to: "shm", "dpdk" or "tcp", or an address: "shm:DIRECTORY/SOCKET", "tcp://ADDR:PORT",
                "dpdk://NETWORK/ADDR:PORT".
            timeout: seconds; None waits for as long as it takes.

        Raises:
            Unreachable: the instance has no such path, or does not answer there.
            Timeout: nobody answered in time, perhaps because the peer's process is stopped.
            Refused: it says no.
            ConfigurationError: this is the end that accepted, or the address is not one.
        """
        info = self._info()
        owner = self._owner
        where = to
        if to in PATHS and isinstance(owner, _Finds):
            where = owner.address_of(info.service, info.instance, to)
        before, self._stays = self._stays, True
        try:
            _native.channel_move(self._handle, where, ASKED, False, timeout)
        except BaseException:
            self._stays = before
            raise
        self.log_news()

    def move(self, to: str, reason: str, *, only_if_lost: bool, timeout: float) -> None:
        """Move to an address in the name of the context. Not for applications."""
        _native.channel_move(self._handle, to, reason, only_if_lost, timeout)

    @property
    def stays(self) -> bool:
        """Whether ``switch`` has chosen the link. Not for applications."""
        return self._stays

    @property
    def standing(self) -> Standing:
        """Whether there is something to do about the link. Not for applications."""
        info = self._info()
        if info.end:
            return "over"
        if not info.opener:
            return "well"
        if info.lost_seconds:
            return "lost"
        return "well" if info.path == "shm" or self._stays else "worse"

    @property
    def path_now(self) -> Path | None:
        """As ``path``, None without a link. Not for applications."""
        return self._info().path

    # ------------------------------------------------------------------ event loops

    def arm(self, *, recv: bool = True, send: int | bool = False) -> bool:
        """Ask for a wake-up: ``fileno()`` becomes readable when it may be possible.

        To be called after a try that failed, and again after each wake-up that was for nothing.
        Room is told of late: with *send*, look again after 5 ms even without a wake-up, as the
        library itself does. A message longer than the ring never fits; ``send`` with time does it.

        Args:
            recv: to receive something, be it the end.
            send: to send a message of so many bytes; True: of one byte.

        Returns:
            True: do not wait, it may be possible now.

        Raises:
            ClosedHere: this end was closed.
            ForkedError: the channel belongs to the parent process.
        """
        wants = RECV if recv else 0
        if send is not False:
            wants |= SEND
        return self._arm(wants, int(send)) != 0

    # ------------------------------------------------------------------ facts

    @property
    def service(self) -> str:
        """The name of the service."""
        return self._info().service

    @property
    def path(self) -> Path:
        """The kind of the current link, or of the last one: "shm", "dpdk" or "tcp"."""
        path = self._info().path
        if path is None:
            raise InternalError("the channel has no path")
        return path

    @property
    def number(self) -> int:
        """The number of the channel in its context. Not for applications."""
        return self._info().number

    @property
    def address(self) -> str:
        """Where the peer is. Not for applications: see ``peer``."""
        return self._info().peer_address

    @property
    def instance(self) -> str:
        """The id of the listener at one of the ends, 32 hex digits."""
        return self._info().instance

    @property
    def ended(self) -> bool:
        """Whether the channel is over: closed here, ended by the peer, or lost."""
        return bool(self._info().end)

    @property
    def draining(self) -> bool:
        """Whether the listener at the other end asks us to go elsewhere: ``Listener.drain``."""
        return self._info().draining

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        info = self._info()
        return Peer(info.instance, info.peer_pid, info.peer_uid, info.peer_address)

    @property
    def message_bytes_max(self) -> int:
        """The longest message that the peer takes."""
        return self._info().message_bytes_max

    def stats(self) -> ChannelStats:
        """Return the counters now."""
        return _native.channel_stats(self._handle)

    def explain(self) -> Explanation:
        """Say why the channel is on its path, why not on others, and what it is made of."""
        fabric = None
        if isinstance(self._owner, _Finds):
            with suppress(ClosedHere):  # the context; what is told of a channel stays
                fabric = self._owner.fabric()
        return explain_channel(self._info(), self.stats(), self._opened, fabric)

    def opened_by(self, why: Explanation) -> None:
        """Keep the verdicts of the connect that made it. Not for applications."""
        self._opened = why
        with suppress(EastwestError):  # it may be closed already
            _native.set_note(self._handle, _note.compose(why))

    def log_opened(self, event: str, **more: object) -> None:
        """Log that it was opened here or accepted. Not for applications."""
        if _log.log.isEnabledFor(logging.INFO):
            info = self._info()
            peer = info.peer_pid or info.peer_address
            fields = {"path": info.path, "peer": peer, "uid": info.peer_uid}
            number = info.channel_id[: _log.ID_DIGITS]
            _log.info(event, service=info.service, channel=number, **fields, **more)

    def log_news(self) -> None:
        """Log what happened to the link since the last time. Not for applications."""
        if _log.log.isEnabledFor(logging.WARNING):
            with suppress(EastwestError), _news_lock:  # it may be of the parent process
                changes, info = _native.path_changes(self._handle), self._info()
                while changes != (later := _native.path_changes(self._handle)):
                    changes, info = later, self._info()
                self._log_news(info, changes)

    def _log_news(self, info: ChannelInfo, changes: tuple[PathChange, ...]) -> None:
        """Log what is new; the facts are of the link that the last change led to."""
        fields = {"service": info.service, "channel": info.channel_id[: _log.ID_DIGITS]}
        for change in changes:
            if change.generation <= self._logged:
                continue
            if change.lost and not self._is_loss_logged:
                _log.warning("link_lost", **fields, path=change.before)
            _log.path_change(info.service, info.channel_id, change)
            self._logged, self._is_loss_logged = change.generation, False
        if info.lost_seconds and not self._is_loss_logged:
            _log.warning("link_lost", **fields, path=info.path)
            self._is_loss_logged = True
        if info.draining and not self._is_draining_logged:
            _log.info("peer_draining", **fields)
            self._is_draining_logged = True

    def _log_end(self) -> None:
        if self._is_end_logged or not _log.log.isEnabledFor(logging.WARNING):
            return
        self._is_end_logged = True
        with suppress(EastwestError):  # of the parent process
            info = self._info()
            level = logging.WARNING if info.end_code in _FAILURES else logging.INFO
            if not _log.log.isEnabledFor(level):
                return
            stats = self.stats()
            _log.event(
                level,
                "channel_end",
                service=info.service,
                channel=info.channel_id[: _log.ID_DIGITS],
                path=info.path,
                reason=info.end,
                messages_sent=stats.messages_sent,
                messages_received=stats.messages_received,
                bytes_sent=stats.bytes_sent,
                bytes_received=stats.bytes_received,
            )

    def _info(self) -> ChannelInfo:
        return _native.channel_info(self._handle)

    def __repr__(self) -> str:
        info = self._info()
        state = info.end or info.path
        return f"<eastwest.Channel {info.service!r} {info.peer_address} {state}>"


def adopt(address: int, owner: object) -> Channel:
    """Return the Channel that owns the ``ew_channel`` at *address*.

    Args:
        owner: what has to live as long as the channel, its context.
    """
    channel = Channel(address)
    channel._is_loss_logged = channel._is_draining_logged = channel._is_end_logged = False
    channel._stays, channel._logged = False, 1
    channel._opened = None
    channel._owner = owner
    return channel
