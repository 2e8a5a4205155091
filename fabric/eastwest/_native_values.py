"""What ``_native`` returns: plain values, without ``ffi``, so that policy is tested without C."""

from dataclasses import dataclass

from ._values import ListenerStats, Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What a listener said to a query; its strings are its own claims, pid and uid the kernel's."""

    instance: str
    namespace: str
    service: str
    protocol: str
    facts: str
    pid: int | None
    uid: int | None
    channels: int
    message_bytes_max: int
    rtt_seconds: float


@dataclass(frozen=True, slots=True)
class ListenerInfo:
    """A listener: where it is reached ("" for nowhere) and what happened there."""

    instance: str
    local_address: str
    tcp_address: str
    stats: ListenerStats
    fabric_address: str = ""


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """A channel: its link, its peer, its memory. path is None when there is no link now."""

    path: Path | None
    wait: str
    opener: bool
    peer_pid: int | None
    peer_uid: int | None
    generation: int
    instance: str
    channel_id: str
    service: str
    protocol: str
    peer_address: str
    message_bytes_max: int
    outbox_bytes: int
    peer_outbox_bytes: int
    record_bytes_max: int
    pages: str
    death_watch: str
    end: str
    draining: bool = False
    lost_seconds: float = 0.0
    spin_seconds_max: float = 0.0
    end_code: int = 0
    inbox_bytes: int = 0
    outbox_growths: int = 0
    inbox_growths: int = 0
    number: int = 0
