"""The C library as typed Python: it and the other ``_native`` modules alone touch ``ffi``.

ContextHandle   ew_context: connect, query, listen, stats, fabric
ListenerHandle  ew_listener
channel_info, channel_stats ...   functions on addresses of channels

Codes become exceptions of ``_errors``, nanoseconds become seconds, char arrays become str, and a
wait on the main thread ends with Ctrl-C: signals are blocked in this thread outside of the sleep,
so that none is missed (``sigmask`` of eastwest.h). Channels are handed over as addresses, for
``_message.Port`` to own.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from . import _message, _native_fabric
from ._addresses import SHM
from ._config import Config
from ._core import ffi, lib
from ._errors import ClosedHere, Code, ForkedError, from_code
from ._fabric import Fabric
from ._native_options import FOREVER_SECONDS as FOREVER_SECONDS
from ._native_options import NS, WAIT, context_options
from ._native_options import chars as _chars
from ._native_options import ns as _ns
from ._native_values import Answer, ChannelInfo, ListenerInfo
from ._values import ChannelStats, ContextStats, ListenerStats, Path, PathChange

_message.set_error(from_code)

_PATHS: dict[int, Path] = {
    lib.EW_PATH_SHM: "shm",
    lib.EW_PATH_TCP: "tcp",
    lib.EW_PATH_DPDK: "dpdk",
}
_WAIT_NAMES = {value: name for name, value in WAIT.items()}
_SIGSET_BYTES = 128  # sizeof(sigset_t), glibc bits/types/__sigset_t.h
NEWS_MAX = 256  # channels that are asked for at once


def version() -> str:
    """Return the version of the C library."""
    return text_of(lib.ew_version())


def error_codes() -> dict[str, int]:
    """Return ``enum ew_err``: name -> number."""
    return {name: number for number, name in ffi.typeof("ew_err").elements.items()}


def text_of(chars: Any) -> str:
    """Return a C string or char array that may hold anything."""
    text: str = ffi.string(chars).decode(errors="replace")
    return text


def check(code: int) -> int:
    """Return a result that is not negative.

    Raises:
        EastwestError: the class of the code, with the library's text.
    """
    if code < 0:
        raise from_code(code, text_of(lib.ew_error_text()))
    return code


# ------------------------------------------------------------------ waiting


def _sigset(signals: set[Any]) -> Any:
    """Return a ``sigset_t``: bit n - 1 of its words stands for signal n."""
    bits = sum(1 << (int(each) - 1) for each in signals)
    return ffi.new("unsigned char[]", bits.to_bytes(_SIGSET_BYTES, "little"))


@contextmanager
def _signals_held() -> Iterator[Any]:
    """Block signals here and give the mask to sleep with; in other threads nothing is needed."""
    if threading.current_thread() is not threading.main_thread():
        yield ffi.NULL
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        yield _sigset(before)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _waiting(call: Callable[[Any], int]) -> int:
    """Return ``call(sigmask)``, again for as long as a signal handler returned normally."""
    while True:
        with _signals_held() as mask:
            code = call(mask)
            text = text_of(lib.ew_error_text()) if code < 0 else ""
        if code != Code.EW_EINTR:  # else the handlers ran when the mask was put back
            if code < 0:
                raise from_code(code, text)
            return code


# ------------------------------------------------------------------ context


class ContextHandle:
    """One ``ew_context``. It is closed when the last call in it has returned."""

    def __init__(self, config: Config, control_dir: str | None) -> None:
        options, keep = context_options(config)
        if control_dir is not None:
            keep.append(ffi.new("char[]", os.fsencode(control_dir)))
            options.control_dir = keep[-1]
        out = ffi.new("ew_context **")
        check(lib.ew_context_open(options, out))
        del keep
        self._context = ffi.gc(out[0], lib.ew_context_close)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._calls = 0
        self._closing = False

    def connect(
        self, address: str, service: str, protocol: str, instance: str, timeout: float | None
    ) -> int:
        """Return the address of a new ``ew_channel``.

        Args:
            instance: 32 hex digits that the listener must have, or "".
            timeout: seconds; None waits for as long as the system does.
        """
        keep = [_chars(service), _chars(protocol), _chars(address)]
        expected = ffi.new("uint8_t[16]", bytes.fromhex(instance)) if instance else ffi.NULL
        options = ffi.new("ew_connect_options *")
        options.service, options.protocol, options.address = keep
        options.instance = expected
        options.timeout_ns = _ns(timeout)
        out = ffi.new("ew_channel **")

        def call(mask: Any) -> int:
            options.sigmask = mask
            code: int = lib.ew_connect(context, options, out)
            return code

        whole = False
        try:
            with self._in_use() as context:
                _waiting(call)
            whole = True
        finally:
            if not whole and out[0] != ffi.NULL:  # Ctrl-C just after it succeeded
                lib.ew_channel_free(out[0])
        return _address(out[0])

    def query(self, address: str, service: str, timeout: float | None) -> Answer:
        """Ask who listens at an address; opens no channel.

        Args:
            service: which one is meant, behind a TCP port; "" asks a local socket whose it is.
            timeout: seconds.
        """
        info = ffi.new("ew_query_info *")
        where, wanted = _chars(address), _chars(service)
        with self._in_use() as context:
            _waiting(lambda mask: lib.ew_query(context, where, wanted, _ns(timeout), mask, info))
        return Answer(
            instance=bytes(info.instance).hex(),
            namespace=text_of(info.namespace_name),
            service=text_of(info.service),
            protocol=text_of(info.protocol),
            facts=text_of(info.facts),
            pid=info.pid or None,
            uid=info.uid if address.startswith(SHM) else None,
            channels=info.channels,
            message_bytes_max=info.message_bytes_max,
            rtt_seconds=info.rtt_ns / NS,
        )

    def listen(
        self,
        service: str,
        protocol: str,
        runtime_dir: str | None,
        bind: str | None,
        facts: str,
        max_channels: int,
        fabric: bool,
    ) -> "ListenerHandle":
        """Return a new listener; *bind* is "tcp://ADDR:PORT"."""
        options = ffi.new("ew_listen_options *")
        keep = [_chars(each) for each in (service, protocol, runtime_dir, bind, facts)]
        options.service, options.protocol, options.runtime_dir, options.bind, options.facts = keep
        options.max_channels, options.fabric = max_channels, fabric
        out = ffi.new("ew_listener **")
        with self._in_use() as context:
            check(lib.ew_listen(context, options, out))
        return ListenerHandle(out[0])

    def stats(self, registry_age_seconds: float) -> ContextStats:
        """Return the counters; the age is put in as given."""
        out = ffi.new("ew_context_stats *")
        with self._in_use() as context:
            check(lib.ew_context_get_stats(context, out))
        return ContextStats(
            channels=out.channels,
            listeners=out.listeners,
            half_open=out.half_open,
            memory_bytes=out.memory_bytes,
            memory_bytes_max=out.memory_bytes_max,
            huge_bytes=out.huge_bytes,
            accepted=out.accepted,
            refused=out.refused,
            dropped=out.dropped,
            spin_seconds_max=out.spin_ns_max / NS,
            cpus=out.cpus,
            seal_huge=bool(out.seal_huge),
            registry_age_seconds=registry_age_seconds,
        )

    def fabric(self) -> Fabric:
        """Return how the context's port on its fabric network is."""
        out = ffi.new("ew_fabric_info *")
        with self._in_use() as context:
            check(lib.ew_context_get_fabric(context, out))
        return _native_fabric.of(out)

    def ask_fabric(self, question: str) -> str:
        """Return what the fabric's stack answers a tool, JSON."""
        with self._in_use() as context:
            said = _native_fabric.ask(context, question)
        return said if isinstance(said, str) else str(check(said))

    def control_address(self) -> str:
        """Return the path of the socket where tools look in.

        Raises:
            ServiceNotFound: there is none yet.
            EastwestError: it could not be opened; the text says why.
        """
        out = ffi.new("char[4224]")
        with self._in_use() as context:
            check(lib.ew_context_control_address(context, out))
        return os.fsdecode(ffi.string(out))

    def wait_news(self, seconds: float | None) -> list[int]:
        """Return the numbers of channels with news; none at the timeout, or when woken.

        Raises:
            ClosedHere: the context was closed, also while we waited.
        """
        out = ffi.new("uint64_t[]", NEWS_MAX)
        numbers: list[int] = []
        with self._in_use() as context:
            _message.wait_readable(check(lib.ew_context_fileno(context)), seconds)
            more = True
            while more:
                count = check(lib.ew_context_news(context, out, NEWS_MAX))
                numbers.extend(ffi.unpack(out, count))
                more = count == NEWS_MAX
        return numbers

    def wake(self) -> None:
        """End ``wait_news`` of another thread."""
        with suppress(ClosedHere), self._in_use() as context:
            check(lib.ew_context_wake(context))

    def is_idle(self) -> bool:
        """Whether no channel is open."""
        out = ffi.new("ew_context_stats *")
        with suppress(ClosedHere), self._in_use() as context:
            check(lib.ew_context_get_stats(context, out))
        return not out.channels

    def close(self) -> None:
        """Refuse new calls, and close the context when the last one has returned. Idempotent."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            idle = not self._closing and not self._calls
            self._closing = True
        if idle:
            ffi.release(self._context)

    @contextmanager
    def _in_use(self) -> Iterator[Any]:
        if os.getpid() != self._pid:
            raise ForkedError("the context belongs to the parent process; make a new one")
        with self._lock:
            if self._closing:
                raise ClosedHere("the context is closed")
            self._calls += 1
        try:
            yield self._context
        finally:
            with self._lock:
                self._calls -= 1
                last = self._closing and not self._calls
            if last:
                ffi.release(self._context)


def _address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


# ------------------------------------------------------------------ listener


class ListenerHandle:
    """One ``ew_listener``, freed with the last reference."""

    def __init__(self, pointer: Any) -> None:
        self._listener = ffi.gc(pointer, lib.ew_listener_free)
        self.fileno = check(lib.ew_listener_fileno(pointer))

    def accept_now(self) -> int | None:
        """Return the address of the next ``ew_channel``, or None if there is none now."""
        out = ffi.new("ew_channel **")
        code = lib.ew_listener_accept(self._listener, 0, ffi.NULL, out)
        if code in (Code.EW_EAGAIN, Code.EW_ETIMEOUT, Code.EW_EINTR):
            return None
        check(code)
        return _address(out[0])

    def set_facts(self, facts: str) -> None:
        """Replace the text that the listener gives to whoever asks."""
        check(lib.ew_listener_set_facts(self._listener, _chars(facts)))

    def info(self) -> ListenerInfo:
        """Return instance, addresses and counters."""
        out = ffi.new("ew_listener_info *")
        check(lib.ew_listener_get_info(self._listener, out))
        return ListenerInfo(
            instance=bytes(out.instance).hex(),
            local_address=text_of(out.local_address),
            tcp_address=text_of(out.tcp_address),
            fabric_address=text_of(out.fabric_address),
            stats=ListenerStats(
                accepted=out.accepted,
                refused=out.refused,
                dropped=out.dropped,
                channels=out.channels,
                waiting=out.waiting,
            ),
        )

    def drain(self) -> None:
        """Refuse new channels and tell the peers of those there are to go elsewhere."""
        check(lib.ew_listener_drain(self._listener))

    def close(self) -> None:
        """Stop accepting and remove the socket. Idempotent."""
        lib.ew_listener_close(self._listener)


# ------------------------------------------------------------------ channel


def channel_info(address: int) -> ChannelInfo:
    """Return what the channel is made of."""
    out = ffi.new("ew_channel_info *")
    check(lib.ew_channel_get_info(ffi.cast("ew_channel *", address), out))
    return ChannelInfo(
        path=_PATHS.get(out.path),
        wait=_WAIT_NAMES.get(out.wait, "?"),
        opener=bool(out.opener),
        peer_pid=out.peer_pid or None,
        peer_uid=out.peer_uid if out.path == lib.EW_PATH_SHM else None,
        number=out.number,
        generation=out.generation,
        instance=bytes(out.instance).hex(),
        channel_id=bytes(out.channel_id).hex(),
        service=text_of(out.service),
        protocol=text_of(out.protocol),
        peer_address=text_of(out.peer_address),
        message_bytes_max=out.message_bytes_max,
        outbox_bytes=out.outbox_bytes,
        peer_outbox_bytes=out.peer_outbox_bytes,
        record_bytes_max=out.record_bytes_max,
        inbox_bytes=out.inbox_bytes,
        outbox_growths=out.outbox_growths,
        inbox_growths=out.inbox_growths,
        pages=text_of(out.pages),
        death_watch=text_of(out.death_watch),
        end=text_of(out.end),
        draining=bool(out.draining),
        lost_seconds=out.lost_ns / NS,
        spin_seconds_max=out.spin_ns_max / NS,
        end_code=out.end_code,
    )


def channel_stats(address: int) -> ChannelStats:
    """Return the counters of a channel."""
    out = ffi.new("ew_channel_stats *")
    check(lib.ew_channel_get_stats(ffi.cast("ew_channel *", address), out))
    return ChannelStats(
        messages_sent=out.messages_sent,
        messages_received=out.messages_received,
        bytes_sent=out.bytes_sent,
        bytes_received=out.bytes_received,
        send_free_bytes=out.send_free_bytes,
        send_unread_bytes=out.send_unread_bytes,
        unread_bytes=out.recv_unread_bytes,
        send_blocked_seconds=out.send_blocked_ns / NS,
        spins_paid=out.spins_paid,
        spins_lost=out.spins_lost,
        spin_lost_seconds=out.spin_lost_ns / NS,
        spin_seconds_max=out.spin_ns_max / NS,
        sleeps=out.sleeps,
        wakeups=out.wakeups,
        kicks=out.kicks,
        send_waiting=out.send_waiting,
        recv_waiting=out.recv_waiting,
        path_changes=out.path_changes,
        changes=path_changes(address),
        position_sent=out.position_sent,
        position_peer_taken=out.position_peer_taken,
        position_peer_consumed=out.position_peer_consumed,
        position_taken=out.position_taken,
    )


def path_changes(address: int) -> tuple[PathChange, ...]:
    """Return the last changes of a channel's link, oldest first."""
    out = ffi.new("ew_path_change[]", lib.EW_PATH_CHANGES_KEPT)
    channel = ffi.cast("ew_channel *", address)
    count = check(lib.ew_channel_get_path_changes(channel, out, lib.EW_PATH_CHANGES_KEPT))
    return tuple(
        PathChange(
            generation=each.generation,
            before=_PATHS[getattr(each, "from")],
            after=_PATHS[each.to],
            lost=bool(each.lost),
            reason=text_of(each.reason),
            at=each.at_ns / NS,
            seconds=each.took_ns / NS,
        )
        for each in out[0:count]
    )


def channel_move(
    address: int, where: str, reason: str, only_if_lost: bool, timeout: float | None
) -> None:
    """Put a channel on another link, to the address *where*; for the *reason*, see PathChange.

    Args:
        only_if_lost: a channel that has a link stays on it.
    """
    channel = ffi.cast("ew_channel *", address)
    options = ffi.new("ew_move_options *")
    keep = [_chars(where), _chars(reason)]
    options.address, options.reason = keep
    options.only_if_lost = only_if_lost
    options.timeout_ns = _ns(timeout)

    def call(mask: Any) -> int:
        options.sigmask = mask
        code: int = lib.ew_channel_move(channel, options)
        return code

    _waiting(call)


def set_note(address: int, text: str) -> None:
    """Give a channel the text that tools see; at most 4096 bytes, no control characters."""
    check(lib.ew_channel_set_note(ffi.cast("ew_channel *", address), text.encode()))
