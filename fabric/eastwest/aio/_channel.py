"""Channel: the synchronous channel, with waiting done by the event loop."""

import asyncio
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter_ns as clock
from typing import Self, TypeVar, final

from typing_extensions import Buffer

from .. import _channel
from .._channel import RECV, SEND
from .._closing import AsyncClosing
from .._context import Context
from .._errors import ClosedHere, EastwestError, EndOfChannel, Timeout
from .._values import ChannelStats, Explanation, Path, Peer
from ._line import Line, check_timeout
from ._thread import in_thread
from ._turn import Turn, turn_of
from ._watch import Watch

OF_THE_STEP = -1  # room for what the send in steps needs
LOOK_SECONDS = 0.005  # how often a sender looks for room unasked: CHANNEL_SPACE_LOOK_NS
SPIN_NS = 5_000  # between two laps; less than a trip through the loop costs
LAPS_MAX = 4  # with their spins some 40 us: about what a wake-up costs
SHORT_WAIT_NS = 200_000  # two wake-ups and what both ends do: then spinning would have paid
T = TypeVar("T")


@final
class Channel(AsyncClosing):
    """Full-duplex, ordered, exactly-once messages to one peer, for asyncio.

    ``connect`` and ``Listener.accept`` make channels; a synchronous channel can be wrapped, and
    is then used through the wrapper only.

    * Names, results and errors are those of ``eastwest.Channel``.
    * A call that need not wait does not go through the loop, but for every 64th, or after 200 us.
    * Waiting: a call that waits happens whole or changes nothing, under timeout and cancellation.
    * Tasks: any number may use it; those that wait for the same thing are served in order.
    * Loop: it belongs to the loop that it was last used in; two at once are an error.
    * Leaving an ``async with`` block: normally it is ``close()``, by an exception ``abort()``.
    * Iterating receives until the peer closes.
    """

    def __init__(self, channel: _channel.Channel) -> None:
        self._channel = channel
        self._look = channel._look
        self._try_send = channel.try_send
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = Turn(None)
        self._ended = False
        me = weakref.ref(self)
        self._receivers = Line(partial(_arm, me, RECV))
        self._senders = Line(partial(_arm, me, SEND), LOOK_SECONDS)
        self._flushers = Line(lambda: False, LOOK_SECONDS)
        self._watch = Watch(self, _seen)
        self._spin_ns = self._spin_ns_max = 0
        self._laps = self._laps_max = 0
        if _spins(channel):
            self._spin_ns = self._spin_ns_max = SPIN_NS
            self._laps = self._laps_max = LAPS_MAX

    # ------------------------------------------------------------------ sending

    async def send(self, message: Buffer, *, timeout: float | None = None) -> None:
        """Send one message, waiting for room.

        Returning means the library owns a copy, not that the peer has read it. A cancelled send
        has sent nothing.

        Args:
            message: any contiguous buffer of 0..message_bytes_max bytes; while the call waits, it
                must not change.
            timeout: seconds to wait for room; None waits forever, 0 never.

        Raises:
            Timeout: no room before the timeout; nothing was sent.
            MessageTooLong: longer than the peer takes; nothing was sent.
            PeerLost: the peer is gone.
            ClosedHere: this end was closed.
            ForkedError: the channel belongs to the parent process.
        """
        turn = self._turn
        turn.left -= 1
        if turn.left < 0 or clock() > turn.until:
            await self._pause()
        if timeout is not None:
            check_timeout(timeout)
        if not self._senders and self._try_send(message):
            return
        await self._send_in_line(message, False, timeout, "send: no room")

    async def send_parts(self, parts: Sequence[Buffer], *, timeout: float | None = None) -> None:
        """Send one message gathered from several buffers; as ``send``."""
        await self._begin(timeout)
        if not self._senders:
            with suppress(Timeout):
                self._channel.send_parts(parts, timeout=0)
                return
        await self._send_in_line(parts, True, timeout, "send_parts: no room")

    async def send_many(self, messages: Sequence[Buffer], *, timeout: float | None = None) -> int:
        """Wait for room for one message, then send as many as fit; return how many (>= 1)."""
        await self._begin(timeout)
        if not self._senders:
            with suppress(Timeout):
                return self._channel.send_many(messages, timeout=0)
        messages = tuple(messages)
        await self._send_in_line(messages[0], False, timeout, "send_many: no room")
        with suppress(Timeout):
            return 1 + self._channel.send_many(messages[1:], timeout=0)
        return 1

    def try_send(self, message: Buffer) -> bool:
        """Send if there is room now and nobody waits for it; False changed nothing."""
        return not self._senders and self._try_send(message)

    async def _send_in_line(
        self, message: Buffer | Sequence[Buffer], is_parts: bool, timeout: float | None, lacked: str
    ) -> None:
        """Send when those who came before have; a long message goes in steps, as room appears."""
        if timeout == 0:
            raise Timeout(f"{lacked} within {timeout} s")
        loop = self._bind()
        begun = False

        def attempt() -> bool | None:
            nonlocal begun
            self._check_open()
            begun = True
            return self._channel._send_step(message, is_parts) or None

        try:
            await self._senders.wait(attempt, loop, timeout, lacked)
        finally:
            if begun:
                self._channel._send_cancel()  # does nothing when it is sent
            if not (self._senders or self._flushers) and not self._ended:
                with suppress(EastwestError):
                    self._channel._arm(0, 0)  # room is of no interest any more

    async def flush(self, *, timeout: float | None = None) -> bool:
        """Wait until the peer's application has taken everything sent; False on timeout."""
        await self._begin(timeout)
        if self._channel.flush(timeout=0):
            return True
        if timeout == 0:
            return False
        loop = self._bind()
        position = self._channel._positions()[0]

        def flushed() -> bool | None:
            self._check_open()
            done = self._channel.flush(timeout=0) or self._channel._positions()[1] >= position
            return done or None

        def attempt() -> bool | None:
            if flushed() is None:
                self._arm_all()
            return flushed()  # it may have been just before

        try:
            return await self._flushers.wait(attempt, loop, timeout, "flush: not taken")
        except Timeout:
            return False

    async def send_eof(self) -> None:
        """Say that no more will be sent; receiving goes on. Waits for senders that wait."""
        if self._senders:
            await self._senders.wait(lambda: True, self._bind(), None, "send_eof")
        self._check_open()
        self._channel.send_eof()

    # ------------------------------------------------------------------ receiving

    async def recv(self, *, timeout: float | None = None) -> bytes:
        """Return the next message. A cancelled recv has taken nothing.

        Args:
            timeout: seconds; None waits forever, 0 never.

        Raises:
            Timeout: none came before the timeout.
            EndOfChannel: the peer closed, and everything was received.
            PeerLost: the peer is gone, and everything that had arrived was received.
            ClosedHere, ForkedError: as for ``send``.
        """
        turn = self._turn
        turn.left -= 1
        if turn.left < 0 or clock() > turn.until:
            await self._pause()
        if timeout is not None:
            check_timeout(timeout)
        message = self._look(self._spin_ns if turn.quiet else 0)
        if message is not None:
            return message
        return await self._receive(lambda: self._look(0), timeout, "recv: no message")

    async def recv_into(self, buffer: Buffer, *, timeout: float | None = None) -> int:
        """Copy the next message into *buffer* and return its length.

        Raises:
            MessageTooLong: (a ValueError) the buffer is too small; the message is kept.
            others: as for ``recv``.
        """
        await self._begin(timeout)
        take = partial(self._channel.recv_into, buffer, timeout=0)
        return await self._take(take, timeout, "recv_into: no message")

    async def recv_many(self, limit: int = 64, *, timeout: float | None = None) -> list[bytes]:
        """Wait for one message, then take what is there, at most *limit*."""
        await self._begin(timeout)
        take = partial(self._channel.recv_many, limit, timeout=0)
        batch = await self._take(take, timeout, "recv_many: no message")
        self._turn.left -= len(batch) - 1
        return batch

    def try_recv(self) -> bytes | None:
        """Return the next message if it is here, else None."""
        return self._look(0)

    async def _take(self, take: Callable[[], T], timeout: float | None, lacked: str) -> T:
        """Receive with a synchronous call that raises Timeout when nothing is there."""

        def attempt(spin_ns: int = 0) -> T | None:
            if self._ended or self._channel._spin(spin_ns):
                with suppress(Timeout):  # a message that is not all here
                    return take()
            return None

        result = attempt(self._spin_ns if self._turn.quiet else 0)
        if result is not None:
            return result
        return await self._receive(attempt, timeout, lacked)

    async def _receive(
        self, attempt: Callable[[], T | None], timeout: float | None, lacked: str
    ) -> T:
        """Spin a little if it is likely to pay; then wait in line."""
        if timeout == 0:
            raise Timeout(f"{lacked} within {timeout} s")
        loop = self._bind()
        began = clock()
        if self._laps:
            result = await self._spin(attempt)
            if result is not None:
                return result
        result = await self._receivers.wait(attempt, loop, timeout, lacked, tried=True)
        self._turn.renew()
        if clock() - began < SHORT_WAIT_NS:
            self._spin_ns, self._laps = self._spin_ns_max, self._laps_max
        return result

    async def _spin(self, attempt: Callable[[], T | None]) -> T | None:
        """Look for a while, going through the loop in between, as long as nobody else has work."""
        turn = self._turn
        for _ in range(self._laps):
            if self._receivers or not await turn.lap():
                break
            if self._channel._spin(self._spin_ns):
                result = attempt()
                if result is not None:
                    self._spin_ns, self._laps = self._spin_ns_max, self._laps_max
                    return result
        self._spin_ns //= 2
        self._laps //= 2
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except EndOfChannel:
            raise StopAsyncIteration from None

    # ------------------------------------------------------------------ life

    async def close(self, *, linger: float | None = 5.0) -> None:
        """Deliver what was sent, then end the channel. Idempotent.

        Waits until the peer *holds* everything, which does not mean that it has read it. Tasks
        that wait here get ClosedHere. When it is cancelled, closing goes on in the background.

        Args:
            linger: seconds to wait; None waits for as long as it takes.

        Raises:
            Timeout: the peer does not hold everything; the channel was aborted.
            PeerLost: the peer is gone and may not have got everything.
        """
        check_timeout(linger)
        self.leave()
        if self._channel.path == "shm":  # the peer has our memory: there is nothing to wait for
            self._channel.close(linger=linger)
        else:
            await in_thread(partial(self._channel.close, linger=linger))

    async def switch(self, to: str, *, timeout: float | None = 5.0) -> None:
        """Move the channel to another path while it is in use, as ``eastwest.Channel.switch``.

        When it is cancelled, the move goes on in the background.
        """
        await in_thread(partial(self._channel.switch, to, timeout=timeout))

    def abort(self) -> None:
        """Free at once; the peer sees PeerLost. Idempotent."""
        self.leave()
        self._channel.abort()

    def leave(self) -> None:
        """Leave the loop; who waits gets ClosedHere. Not for applications: ``close`` follows."""
        self._ended = True
        self._watch.stop()
        self._channel._send_cancel()  # it holds what close needs
        for line in (self._receivers, self._senders, self._flushers):
            line.wake_all()
        self._look = self._refuse_look
        self._try_send = self._refuse_send  # type: ignore[assignment]

    def _refuse_look(self, spin_ns: int, /) -> bytes | None:
        self._check_open()
        return None

    def _refuse_send(self, message: Buffer, /) -> bool:
        self._check_open()
        return False

    def _check_open(self) -> None:
        if self._ended:
            raise ClosedHere("the channel was closed here")

    async def _end_block(self, by_exception: bool) -> None:
        if by_exception:
            self.abort()
        else:
            await self.close()

    def __del__(self) -> None:
        if hasattr(self, "_watch"):
            self._watch.stop_from_anywhere(self._channel)

    # ------------------------------------------------------------------ facts

    @property
    def service(self) -> str:
        """The name of the service."""
        return self._channel.service

    @property
    def path(self) -> Path:
        """The kind of the current link, or of the last one: "shm", "dpdk" or "tcp"."""
        return self._channel.path

    @property
    def draining(self) -> bool:
        """Whether the listener at the other end asks us to go elsewhere."""
        return self._channel.draining

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return self._channel.peer

    @property
    def message_bytes_max(self) -> int:
        """The longest message that the peer takes."""
        return self._channel.message_bytes_max

    def stats(self) -> ChannelStats:
        """Return the counters now."""
        return self._channel.stats()

    def explain(self) -> Explanation:
        """Say why the channel is on its path, why not on others, and what it is made of."""
        return self._channel.explain()

    def fileno(self) -> int:
        """Return the one descriptor for life; readable after ``arm`` when something happened."""
        return self._channel.fileno()

    def arm(self, *, recv: bool = True, send: int | bool = False) -> bool:
        """Ask for a wake-up, for loops other than asyncio; see ``eastwest.Channel.arm``."""
        return self._channel.arm(recv=recv, send=send)

    def __repr__(self) -> str:
        return repr(self._channel).replace("eastwest.Channel", "eastwest.aio.Channel", 1)

    # ------------------------------------------------------------------ the loop

    async def _begin(self, timeout: float | None) -> None:
        """Begin a call: the argument is in order, and the loop has had its turn."""
        check_timeout(timeout)
        turn = self._turn
        turn.left -= 1
        if turn.left < 0 or clock() > turn.until:
            await self._pause()
        self._check_open()

    async def _pause(self) -> None:
        before = self._turn
        self._bind()
        turn = self._turn
        if turn is before or turn.left < 0 or clock() > turn.until:
            await turn.pause()

    def _bind(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, to which the channel belongs from now on."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._receivers or self._senders or self._flushers:
                raise RuntimeError(f"{self!r} is waited for in another event loop")
            self._watch.stop()
            self._loop, self._turn = loop, turn_of(loop)
        return loop

    def _arm_all(self) -> int:
        """Ask for what anybody waits for; return what is possible now."""
        if self._loop is not None:
            self._watch.start(self._loop, self._channel.fileno())
        wants = RECV if self._receivers else 0
        if self._senders or self._flushers:
            wants |= SEND
        return self._channel._arm(wants, OF_THE_STEP)

    def on_readable(self) -> bool:
        """Wake whoever can go on; False: nobody waits. For the loop."""
        if not (self._receivers or self._senders or self._flushers):
            return False
        try:
            possible = RECV if self._channel._spin(0) else 0  # spares what arming costs
            if not possible or self._senders:
                possible = self._arm_all()
        except EastwestError:  # it was ended behind our back: they find out how
            possible = RECV | SEND
        if possible & RECV:
            self._receivers.wake()
        if possible & SEND:
            self._senders.wake()
        self._flushers.wake()
        return True

    def armed(self, want: int) -> bool:
        """Ask for a wake-up for the first of a line; what others can do now is told to them."""
        self._check_open()
        possible = self._arm_all()
        if possible & RECV and want != RECV:
            self._receivers.wake()
        if possible & SEND and want != SEND:
            self._senders.wake()
        return bool(possible & want)


def _arm(me: "weakref.ref[Channel]", want: int) -> bool:
    channel = me()
    return channel is not None and channel.armed(want)


def _seen(owner: object) -> bool:
    assert isinstance(owner, Channel)
    return owner.on_readable()


def _spins(channel: _channel.Channel) -> bool:
    """Whether spinning can pay: not with one CPU, little quota, or the policy "block".

    The policy "spin" is no different from "adaptive": a loop has others to serve.
    """
    owner = channel._owner
    if channel._info().wait == "block" or not isinstance(owner, Context):
        return False
    return owner.stats().spin_seconds_max > 0
