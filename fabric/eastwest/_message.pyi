"""The message path of libeastwest: bindings/python/message.c.

A call that need not wait keeps the GIL. One that waits releases it, and Ctrl-C ends it with
nothing changed.
"""

from collections.abc import Callable, Sequence
from typing import Self

from typing_extensions import Buffer

def set_error(make: Callable[[int, str], BaseException], /) -> None:
    """Say how a code (``ew_err`` or ``-errno``) and its text become an exception."""

def wait_readable(fd: int, timeout: float | None, /) -> bool:
    """Wait until *fd* is readable; False at the timeout. A signal is never missed."""

class Port:
    """One end of a channel. Owns the ``ew_channel`` at *address* and frees it with the last use."""

    def __new__(cls, address: int, /) -> Self: ...
    @property
    def _handle(self) -> int:
        """Address of the ``ew_channel``; ClosedHere when it was freed."""

    def _close(self, linger: float | None, /) -> None:
        """``ew_channel_close``, with Ctrl-C. Frees nothing."""

    def _look(self, spin_ns: int, /) -> bytes | None:
        """``try_recv`` that looks for *spin_ns* (0..1e6) and leaves ``fileno()`` as it is."""

    def _spin(self, spin_ns: int, /) -> bool:
        """Whether there is something to receive within *spin_ns*; ``fileno()`` stays as it is."""

    def _arm(self, wants: int, send_bytes: int, /) -> int:
        """``ew_channel_arm``; *send_bytes* < 0: what ``_send_step`` needs to go on."""

    def _send_step(self, message: Buffer | Sequence[Buffer], is_parts: bool, /) -> bool:
        """Send without waiting; False: not all of it, call again when there is room.

        A message that was begun is the one that goes on, whatever is passed, until it is sent,
        an error, or ``_send_cancel``.
        """

    def _send_cancel(self) -> None:
        """Give up the message that ``_send_step`` has begun: nothing was sent. Else nothing."""

    def _positions(self) -> tuple[int, int]:
        """Return how far we have sent, and how far the peer's application has taken it."""

    def send(self, message: Buffer, *, timeout: float | None = None) -> None:
        """Send one message, waiting for room.

        Returning means the library owns a copy, not that the peer has read it.

        Args:
            message: any contiguous buffer of 0..message_bytes_max bytes.
            timeout: seconds to wait for room; None waits forever, 0 never.

        Raises:
            Timeout: no room before the timeout; nothing was sent.
            MessageTooLong: longer than the peer takes; nothing was sent.
            PeerLost: the peer is gone.
            ClosedHere: this end was closed.
            ForkedError: the channel belongs to the parent process.
        """

    def send_parts(self, parts: Sequence[Buffer], *, timeout: float | None = None) -> None:
        """Send one message gathered from several buffers; as ``send``."""

    def send_many(self, messages: Sequence[Buffer], *, timeout: float | None = None) -> int:
        """Wait for room for one message, then send as many as fit; return how many (>= 1)."""

    def try_send(self, message: Buffer) -> bool:
        """Send if there is room now; False changed nothing."""

    def recv(self, *, timeout: float | None = None) -> bytes:
        """Return the next message.

        Raises:
            Timeout: none came before the timeout.
            EndOfChannel: the peer closed, and everything was received.
            PeerLost: the peer is gone, and everything that had arrived was received.
            ClosedHere, ForkedError: as for ``send``.
        """

    def recv_into(self, buffer: Buffer, *, timeout: float | None = None) -> int:
        """Copy the next message into *buffer* and return its length.

        Raises:
            MessageTooLong: (a ValueError) the buffer is too small; the message is kept.
            others: as for ``recv``.
        """

    def recv_many(self, limit: int = 64, *, timeout: float | None = None) -> list[bytes]:
        """Wait for one message, then take what is there, at most *limit*."""

    def try_recv(self) -> bytes | None:
        """Return the next message if it is here, else None."""

    def flush(self, *, timeout: float | None = None) -> bool:
        """Wait until the peer's application has taken everything sent; False on timeout.

        With a timeout of 0 it sees to it that all of it leaves (ADR 22), and looks.
        """

    def send_eof(self) -> None:
        """Say that no more will be sent; receiving goes on."""

    def abort(self) -> None:
        """Free at once; the peer sees PeerLost. Idempotent."""

    def fileno(self) -> int:
        """Return one descriptor for life, readable when a message, the end or an error is there."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> bytes: ...
