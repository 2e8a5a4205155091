"""What a TCP/IP told, as people read it. Pure: rows in, lines out."""

from collections.abc import Mapping, Sequence
from typing import Any

from ._control import text, whole
from ._measure import size, span
from ._top import short

Row = Mapping[str, Any]
NS = 1_000_000_000
NEVER_SLOW = 1 << 30  # ssthresh before the first loss
NO_ROUND_TRIP = (1 << 64) - 1  # before the first one
SHOWN_NS = 1000

PORT_HEAD = ("PORT", "NAME", "DRIVER", "MAC", "MTU", "CARRIER", "OFFLOADS", "SLEEPS")
ADDR_HEAD = ("ADDRESS", "PORT", "STATE", "")
ROUTE_HEAD = ("TO", "VIA", "PORT")
PATH_HEAD = ("PATH TO", "MTU", "LEARNED")
NEIGH_HEAD = ("ADDRESS", "PORT", "MAC", "STATE", "")
LISTEN_HEAD = ("LOCAL", "WAITING", "BACKLOG", "HALF-OPEN")
LIMIT_HEAD = ("NAME", "USED", "OF", "", "MOST", "REFUSED", "WHAT")
STATS_HEAD = ("NAME", "VALUE", "MEANING")
RATES_HEAD = ("NAME", "VALUE", "EACH s", "MEANING")


def _seconds(row: Row, name: str) -> str:
    return span(whole(row, name) / NS)


# ------------------------------------------------------------------ ports, addresses, routes


def port_cells(row: Row) -> tuple[str, ...]:
    """Return one port."""
    offloads = [name for name in ("tx_sum", "tx_tso", "rx_trust") if row.get(name) is True]
    return (
        str(whole(row, "port")),
        text(row, "name"),
        text(row, "driver"),
        text(row, "mac"),
        str(whole(row, "mtu")),
        "up" if row.get("carrier") is True else "LOST",
        ",".join(offloads) or "none",
        "yes" if row.get("can_sleep") is True else "no",
    )


def port_lines(row: Row) -> list[str]:
    """Return the counters of a port, and what there is to say about it."""
    lines = []
    for way, names in (
        ("received", ("rx_missed", "rx_errors", "rx_no_buffer")),
        ("sent", ("tx_dropped",)),
    ):
        prefix = names[0][:2]
        lost = [f"{name[3:]} {whole(row, name)}" for name in names if whole(row, name)]
        told = f"{whole(row, f'{prefix}_packets')} packets, {whole(row, f'{prefix}_bytes')} B"
        lines.append(f"  {way}: {told}{''.join(f'; {each}' for each in lost)}")
    return lines + ([f"  {text(row, 'why')}"] if text(row, "why") else [])


def addr_cells(row: Row) -> tuple[str, ...]:
    """Return one address, and whose it is, too."""
    other = text(row, "other_mac")
    said = ""
    if text(row, "state") == "duplicate":
        said = f"{other} has it: not used here; give this port another address"
    elif other:
        said = f"{other} wanted it, too"
    elif text(row, "state") == "tentative":
        said = "being looked for on the link; used when nobody has it"
    shown = f"{text(row, 'address')}/{whole(row, 'prefix')}"
    return shown, str(whole(row, "port")), text(row, "state"), said


def route_cells(row: Row) -> tuple[str, ...]:
    """Return one route."""
    prefix = whole(row, "prefix")
    to = f"{text(row, 'to')}/{prefix}" if prefix else "default"
    if not prefix and ":" in text(row, "to"):
        to = "default (IPv6)"
    return to, text(row, "via") or "on the link", str(whole(row, "port"))


def path_cells(row: Row) -> tuple[str, ...]:
    """Return one path MTU."""
    return text(row, "to"), str(whole(row, "mtu")), f"{_seconds(row, 'age_ns')} ago"


def neigh_cells(row: Row) -> tuple[str, ...]:
    """Return one neighbour."""
    waiting = whole(row, "waiting")
    said = f"{waiting} packets wait for it" if waiting else ""
    if text(row, "state") == "failed":
        said = "nobody answers for this address"
    port = str(whole(row, "port"))
    return text(row, "address"), port, text(row, "mac") or "-", text(row, "state"), said


def limit_cells(row: Row) -> tuple[str, ...]:
    """Return how full one pool is."""
    used, most = whole(row, "used"), whole(row, "max")
    return (
        text(row, "name"),
        str(used),
        str(most),
        f"{100 * used / most:.0f}%" if most else "-",
        str(whole(row, "used_max")) if whole(row, "used_max") else "-",
        str(whole(row, "refused")) if "refused" in row else "-",
        text(row, "text"),
    )


# ------------------------------------------------------------------ connections


def listen_cells(row: Row) -> tuple[str, ...]:
    """Return one listener."""
    counts = (str(whole(row, name)) for name in ("waiting", "backlog", "half_open"))
    return (text(row, "local"), *counts)


def conn_lines(row: Row) -> list[str]:
    """Return one connection, as ``ss -ti`` shows it."""
    ends = f"{text(row, 'local')} {'<-' if row.get('passive') is True else '->'} "
    words = [f"{text(row, 'state'):12} {ends}{text(row, 'remote')}"]
    if row.get("pending") is True:
        words.append("not accepted yet")
    elif row.get("finished") is True:
        words.append("its user is gone")
    else:
        words.append(f"age {_seconds(row, 'age_ns')}")
    if text(row, "recovery") not in ("", "open"):
        words.append(text(row, "recovery"))
    if text(row, "soft_error"):
        words.append(f"the network says: {text(row, 'soft_error')}")
    return ["  ".join(words), f"    {_path_of(row)}", f"    {_flow_of(row)}"]


def _path_of(row: Row) -> str:
    agreed = [name for name in ("timestamps", "sack", "ecn") if row.get(name) is True]
    if row.get("scaled") is True:
        agreed.append(f"wscale:{whole(row, 'send_scale')},{whole(row, 'receive_scale')}")
    ssthresh = whole(row, "ssthresh")
    shown = [
        text(row, "congestion"),
        f"cwnd:{whole(row, 'cwnd')}",
        f"ssthresh:{ssthresh if ssthresh < NEVER_SLOW else '-'}",
        f"rtt:{_ms(row, 'srtt_ns')}/{_ms(row, 'rttvar_ns')}ms",
        f"minrtt:{_least(row)}",
        f"rto:{_ms(row, 'rto_ns')}ms",
        f"mss:{whole(row, 'send_mss')}",
        f"pmtu:{whole(row, 'path_mtu')}",
        *agreed,
    ]
    if whole(row, "backoff"):
        shown.append(f"backoff:{whole(row, 'backoff')}")
    if whole(row, "probes"):
        shown.append(f"unanswered:{whole(row, 'probes')}")
    return " ".join(shown)


def _ms(row: Row, name: str) -> str:
    return f"{whole(row, name) / 1e6:.3f}".rstrip("0").rstrip(".")


def _least(row: Row) -> str:
    """Return the shortest round trip; the clock is read once a drive: it may be almost nothing."""
    least = whole(row, "min_rtt_ns")
    if least in (0, NO_ROUND_TRIP):
        return "-"
    return "<0.001ms" if least < SHOWN_NS else f"{_ms(row, 'min_rtt_ns')}ms"


def _flow_of(row: Row) -> str:
    shown = [
        f"send_window:{whole(row, 'send_window')}",
        f"receive_window:{whole(row, 'receive_window')}",
        f"in_flight:{whole(row, 'in_flight')}",
        f"unsent:{whole(row, 'unsent')}",
        f"readable:{whole(row, 'readable')}",
        f"sent:{whole(row, 'bytes_sent')}",
        f"acked:{whole(row, 'bytes_acked')}",
        f"received:{whole(row, 'bytes_received')}",
    ]
    rare = {
        "segments_resent": "retrans",
        "timeouts": "timeouts",
        "lost": "lost",
        "sacked": "sacked",
        "undone": "undone",
    }
    shown += [f"{word}:{whole(row, name)}" for name, word in rare.items() if whole(row, name)]
    return " ".join([*shown, f"heard:{_seconds(row, 'since_heard_ns')} ago"])


def conn_summary(limits: Sequence[Row]) -> str:
    """Return how many connections there are, of which kind."""
    used = {text(row, "name"): whole(row, "used") for row in limits}
    names = (("connections", "connections"), ("half_open", "half-open"), ("time_wait", "TIME-WAIT"))
    return ", ".join(f"{used.get(name, 0)} {shown}" for name, shown in names)


# ------------------------------------------------------------------ counters


def rates(now: Row, before: Row | None, seconds: float) -> float:
    """Return how fast a counter moved; 0 of one that is new."""
    if before is None or seconds <= 0:
        return 0.0
    return max(0, whole(now, "value") - whole(before, "value")) / seconds


def stats_cells(row: Row) -> tuple[str, ...]:
    """Return one counter."""
    return text(row, "name"), str(whole(row, "value")), text(row, "text")


def rate_cells(row: Row, rate: float) -> tuple[str, ...]:
    """Return one counter and how fast it moves."""
    return text(row, "name"), str(whole(row, "value")), short(rate), text(row, "text")


def captured(row: Row) -> str:
    """Return what a capture has come to."""
    return f"{whole(row, 'packets')} packets, {size(whole(row, 'bytes'))}"
