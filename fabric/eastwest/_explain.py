"""The explanations of a channel and of a listener, from what the C library tells. Pure.

Imports no native module.
"""

from collections.abc import Sequence
from dataclasses import replace

from ._addresses import network_of
from ._fabric import Fabric, absent
from ._native_values import ChannelInfo, ListenerInfo
from ._values import ChannelStats, Explanation, Verdict


def blocked(info: ChannelInfo, stats: ChannelStats) -> tuple[str, ...]:
    """Return a sentence for each direction that stands still because its ring is full.

    What we cannot see is whether the peer's threads wait; a peer whose ring is full cannot send.
    """
    sending = stats.send_waiting > 0 and stats.send_free_bytes < info.record_bytes_max
    full = info.peer_outbox_bytes - info.record_bytes_max
    receiving = full > 0 and stats.unread_bytes >= full
    words = []
    if sending:
        words.append(
            f"send: {_threads(stats.send_waiting)} for room; {stats.send_free_bytes} bytes are "
            f"free and the peer has not received {stats.send_unread_bytes}"
        )
    if receiving:
        waits = f", and {_threads(stats.recv_waiting)} here" if stats.recv_waiting else ""
        words.append(
            f"receive: {stats.unread_bytes} bytes of the peer are not received here{waits}"
        )
    if sending and receiving:
        words.append(
            "both directions are full: each end waits for the other to receive; receive here, in "
            "another thread than the one that sends, to go on"
        )
    return tuple(words)


def grown(info: ChannelInfo) -> str:
    """Return how often the memory of a stream was doubled, "" for never."""
    if not info.outbox_growths and not info.inbox_growths:
        return ""
    times = [
        f"{count} time{'s' * (count != 1)}" for count in (info.outbox_growths, info.inbox_growths)
    ]
    return f"the outbox was doubled {times[0]}, the inbox {times[1]}"


def _threads(count: int) -> str:
    return f"{count} thread{'s wait' if count != 1 else ' waits'}"


def explain_channel(
    info: ChannelInfo,
    stats: ChannelStats,
    opened: Explanation | None,
    fabric: Fabric | None = None,
) -> Explanation:
    """Return why a channel is on its path, and what it is made of.

    Args:
        opened: the verdicts of the connect; None for a channel that was accepted.
        fabric: the context's; None: of another process, unknown.
    """
    path = info.path or "tcp"
    chosen = opened.chosen if opened else None
    rejected = opened.rejected if opened else ()
    if chosen is None:
        chosen = Verdict(path, info.peer_address, True, "accepted", "the peer chose this path")
        if path != "dpdk" and fabric is not None and fabric.state != "up":  # else: its choice
            rejected = (absent(fabric),)
    if stats.changes:
        path_now = Verdict(path, info.peer_address, True, "moved", str(stats.changes[-1]))
        rejected = tuple(each for each in (chosen, *rejected) if each.path != path)
        chosen = path_now
    if info.end:
        chosen = Verdict(path, chosen.address, False, "ended", info.end)
    facts = {
        "pages": info.pages,
        "wait": info.wait,
        "peer_pid": info.peer_pid,
        "peer_uid": info.peer_uid,
        "death_watch": info.death_watch,
        "fabric": str(fabric) if fabric is not None else "",
        "generation": info.generation,
        "instance": info.instance,
        "channel": info.channel_id,
        "protocol": info.protocol,
        "opener": "this end" if info.opener else "the peer",
        "message_bytes_max": info.message_bytes_max,
        "outbox_bytes": info.outbox_bytes,
        "peer_outbox_bytes": info.peer_outbox_bytes,
        "inbox_bytes": info.inbox_bytes or "",
        "grown": grown(info),
        "without_a_link": f"for {info.lost_seconds:.3f} s" if info.lost_seconds else "",
        "draining": "the peer asks to go elsewhere" if info.draining else "",
        "blocked": blocked(info, stats),
        "end": info.end,
    }
    changes = tuple(str(each) for each in stats.changes)
    return Explanation(info.service, chosen, rejected, changes, facts)


def explain_listener(
    service: str,
    info: ListenerInfo,
    off: Sequence[Verdict],
    protocol: str,
    fabric: Fabric | None = None,
    published: Sequence[str] = (),
) -> Explanation:
    """Return where a listener is reached, and why not elsewhere.

    Args:
        off: verdicts of the paths that it does not offer.
        fabric: the context's.
        published: a sentence for each registry that it is published to.
    """
    open_at = []
    if info.local_address:
        detail = "peers on this host that share the directory connect here"
        open_at.append(Verdict("shm", info.local_address, True, "listening", detail))
    is_up = fabric is None or fabric.state == "up"
    if info.fabric_address and is_up:
        network = network_of(info.fabric_address)
        detail = f"peers with a port on {network} connect here, and kernel TCP that has a route"
        open_at.append(Verdict("dpdk", info.fabric_address, True, "listening", detail))
    if info.tcp_address:
        detail = "peers on other hosts connect here"
        open_at.append(Verdict("tcp", info.tcp_address, True, "listening", detail))
    facts = {"instance": info.instance, "protocol": protocol, **info.stats.to_dict()}
    facts["published"] = tuple(published)
    chosen = open_at[0] if open_at else None
    if fabric is not None and not is_up:
        off = (*off, replace(absent(fabric), address=info.fabric_address))
    if fabric is not None:
        facts["fabric"] = str(fabric)
    return Explanation(service, chosen, (*open_at[1:], *off), facts=facts)


def off_paths(
    paths: Sequence[str], directory: str | None, problems: Sequence[str], bind: str | None
) -> tuple[Verdict, ...]:
    """Return the verdicts of the paths that a listener will not offer."""
    off = []
    if directory is None:
        if "shm" in paths:
            detail = "; ".join(problems) or "there is no runtime directory"
            fix = "set EASTWEST_RUNTIME_DIR to a directory of your own (mode 0700)"
            off.append(Verdict("shm", "", False, "directory", detail, fix))
        else:
            off.append(_not_allowed("shm", paths))
    if bind is None:
        if "tcp" in paths:
            fix = "set EASTWEST_BIND=ADDR:PORT, or give listen() bind="
            off.append(Verdict("tcp", "", False, "bind", "no address to bind is configured", fix))
        else:
            off.append(_not_allowed("tcp", paths))
    return tuple(off)


def _not_allowed(path: str, paths: Sequence[str]) -> Verdict:
    detail = f"paths = {list(paths)} leaves {path} out"
    fix = f"add '{path}' to paths in the configuration"
    return Verdict("shm" if path == "shm" else "tcp", "", False, "paths", detail, fix)
