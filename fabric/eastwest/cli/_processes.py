"""``eastwest explain PID[/CHANNEL]`` and ``eastwest ls --channels``: what processes tell."""

import argparse
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path as File
from typing import Any

from .. import _note
from .._explain import explain_channel
from .._names import near
from .._native_values import ChannelInfo
from .._values import PATHS, ChannelStats, Path
from ._arguments import UsageError, load_config
from ._control import Looked, LookError, Problem, View, look_around, look_at_channel, text, whole
from ._exits import Exit
from ._output import Output, complain

PROCESS_SCHEMA = "eastwest.explain.process/1"
CHANNEL_SCHEMA = "eastwest.explain.channel/1"
LIST_SCHEMA = "eastwest.ls.channels/1"
HEAD = ("PID", "CHANNEL", "SERVICE", "PATH", "PEER", "SENT", "RECEIVED", "UNREAD", "STATE")
ID_DIGITS_SHOWN = 8
SHOWN_MAX = 8
TARGET = re.compile(r"([0-9]{1,10})(?:/([0-9a-fA-F]{0,32}))?")
BUSY_TRIES = 50
NS = 1_000_000_000


def is_process(target: str) -> bool:
    """Whether the argument of ``explain`` means a process: "123" or "123/CHANNEL"."""
    return "/" in target or TARGET.fullmatch(target) is not None


# ------------------------------------------------------------------ rows


def peer_of(row: Mapping[str, Any]) -> str:
    """Return who is at the other end, in a few words."""
    pid = whole(row, "peer_pid")
    if pid:
        return f"pid {pid}"
    address = text(row, "peer_address")
    return address.removeprefix("tcp://").removeprefix("dpdk://") or "-"


def state_of(row: Mapping[str, Any]) -> str:
    """Return what there is to say about a channel now, "" if it is as it should be."""
    if row.get("busy"):
        return "being closed"
    words = [text(row, "end")] if text(row, "end") else []
    if whole(row, "send_waiting"):
        words.append(f"{whole(row, 'send_waiting')} blocked in send")
    return "; ".join(words)


def facts_of(each: Looked, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return one channel for programs: what the process told, and which process it is."""
    return {"pid": each.pid, "uid": each.uid, **row}


def cells(each: Looked, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a line of the table shows."""
    return (
        str(each.pid),
        text(row, "id")[:ID_DIGITS_SHOWN],
        text(row, "service"),
        text(row, "path") or "?",
        peer_of(row),
        str(whole(row, "messages_sent")),
        str(whole(row, "messages_received")),
        str(whole(row, "send_unread_bytes")),
        state_of(row) or "ok",
    )


def say_problems(command: str, problems: Sequence[Problem]) -> None:
    """Complain about each process that could not be looked into."""
    for each in problems:
        complain(command, each.text)


def code_of(problems: Sequence[Problem]) -> Exit:
    """Return the exit code for processes that are there and tell nothing."""
    is_silent = all(each.kind == "silent" for each in problems)
    return Exit.TIMEOUT if is_silent else Exit.UNREACHABLE


# ------------------------------------------------------------------ ls --channels


def list_channels(args: argparse.Namespace, out: Output) -> int:
    """Print the channels of every process whose service matches the pattern."""
    view = look_around(load_config(args), details=False)
    pattern = args.pattern or "*"
    found = list(view.channels())
    rows = [(each, row) for each, row in found if fnmatchcase(text(row, "service"), pattern)]
    facts = {
        "pattern": args.pattern,
        "channels": [facts_of(each, row) for each, row in rows],
        "problems": [each.to_dict() for each in view.problems],
    }
    out.document(LIST_SCHEMA, facts)
    if rows:
        out.table(HEAD, [cells(each, row) for each, row in rows])
    say_problems("eastwest ls", view.problems)
    if rows:
        return Exit.YES
    if view.problems and not view.looked:
        return code_of(view.problems)
    if args.pattern is None:
        out.text("no process here has a channel that it shows")
        return Exit.YES
    names = sorted({text(row, "service") for _, row in found})
    meant = near(pattern, names)
    known = f"known: {', '.join(names[:SHOWN_MAX])}" if names else "there is no channel"
    hint = f"; did you mean {meant!r}?" if meant else ""
    complain("eastwest ls", f"no channel of a service that matches {pattern!r}; {known}{hint}")
    return Exit.NOT_FOUND


# ------------------------------------------------------------------ explain PID


def explain(args: argparse.Namespace, out: Output) -> int:
    """Print what a process, or one of its channels, tells."""
    match = TARGET.fullmatch(args.name)
    if match is None or match[2] == "":
        raise UsageError(f"{args.name!r}: want NAME, PID or PID/CHANNEL, as in 1234/3f2a")
    pid = int(match[1])
    view = look_around(load_config(args))
    mine = [each for each in view.looked if each.pid == pid]
    if not mine:
        return _no_process(pid, view)
    if match[2] is None:
        _explain_process(pid, mine, out)
        return Exit.YES
    return _explain_channel(pid, match[2].lower(), mine, out)


def _no_process(pid: int, view: View) -> Exit:
    problems = [each for each in view.problems if each.pid == pid]
    if problems:
        say_problems("eastwest explain", problems)
        return code_of(problems)
    pids = sorted({each.pid for each in view.looked})
    shown = ", ".join(map(str, pids[:SHOWN_MAX])) + (", ..." if len(pids) > SHOWN_MAX else "")
    meant = near(str(pid), map(str, pids))
    words = [f"process {pid} shows no control socket here"]
    words.append(f"those that do: {shown}" if pids else "no process does")
    words += [f"did you mean {meant}?"] if meant else []
    if not pids:
        words.append("is EASTWEST_RUNTIME_DIR the same there? ('eastwest doctor')")
    complain("eastwest explain", "; ".join(words))
    return Exit.NOT_FOUND


def _explain_process(pid: int, mine: Sequence[Looked], out: Output) -> None:
    channels = [(each, row) for each in mine for row in reversed(each.channels)]
    listeners = [row for each in mine for row in reversed(each.listeners)]
    command = _command(pid)
    facts = {
        "pid": pid,
        "uid": mine[0].uid,
        "command": command,
        "version": mine[0].version,
        "contexts": [each.context for each in mine],
        "listeners": listeners,
        "channels": [facts_of(each, row) for each, row in channels],
    }
    out.document(PROCESS_SCHEMA, facts)
    named = f" ({command})" if command else ""
    out.text(f"process {pid}{named}, uid {mine[0].uid}, eastwest {mine[0].version}")
    for each in mine:
        row = each.context
        used, limit = whole(row, "memory_bytes") >> 10, whole(row, "memory_bytes_max") >> 10
        counts = ", ".join(f"{whole(row, name)} {name}" for name in ("accepted", "refused"))
        out.text(
            f"  context of namespace {text(row, 'namespace')}: {whole(row, 'channels')} channels, "
            f"{whole(row, 'listeners')} listeners; {counts}, {whole(row, 'dropped')} dropped; "
            f"memory {used} of {limit} KiB"
        )
    for row in listeners:
        kinds = ("local_address", "fabric_address", "tcp_address")
        at = " ".join(filter(None, (text(row, each) for each in kinds)))
        out.text(
            f"  listens {text(row, 'service')}: {whole(row, 'channels')} of "
            f"{whole(row, 'max_channels')} channels, {whole(row, 'waiting')} waiting; {at}"
        )
    if channels:
        out.text()
        out.table(HEAD[1:], [cells(each, row)[1:] for each, row in channels])


def _command(pid: int) -> str:
    try:
        said = File(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""
    return "".join(each if each.isprintable() else "?" for each in said)


# ------------------------------------------------------------------ explain PID/CHANNEL


def _explain_channel(pid: int, prefix: str, mine: Sequence[Looked], out: Output) -> Exit:
    rows = [(each, row) for each in mine for row in each.channels]
    found = [(each, row) for each, row in rows if text(row, "id").startswith(prefix)]
    ids = sorted({text(row, "id") for _, row in found})
    if len(ids) != 1:
        known = ids or sorted({text(row, "id") for _, row in rows})
        complain("eastwest explain", _which(pid, prefix, known, is_ambiguous=bool(ids)))
        return Exit.USAGE if ids else Exit.NOT_FOUND
    ends = [each for each in (_whole_row(one, row) for one, row in found) if each is not None]
    if not ends:
        complain("eastwest explain", f"channel {ids[0][:ID_DIGITS_SHOWN]} was closed meanwhile")
        return Exit.NOT_FOUND
    told = [_explained(row) for row in ends]
    out.document(CHANNEL_SCHEMA, {"pid": pid, "id": ids[0], "ends": told})
    for row, facts in zip(ends, told, strict=True):
        out.text(facts["text"])
        out.text(f"  {'counters':18} {_counters(row)}")
    is_over = all(text(row, "end") for row in ends)
    return Exit.NO if is_over else Exit.YES


def _which(pid: int, prefix: str, known: Sequence[str], *, is_ambiguous: bool) -> str:
    shown = ", ".join(each[:ID_DIGITS_SHOWN] for each in known[:SHOWN_MAX])
    shown += ", ..." if len(known) > SHOWN_MAX else ""
    if is_ambiguous:
        return f"{len(known)} channels of process {pid} begin with {prefix!r}: {shown}; give more"
    heads = [each[: max(len(prefix), 2)] for each in known]
    meant = near(prefix, heads)
    hint = f"; did you mean {meant!r}?" if meant else ""
    has = f"it has: {shown}" if known else "it has none"
    return f"process {pid} has no channel {prefix!r}; {has}{hint}"


def _whole_row(each: Looked, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Ask for all about a channel; again when somebody else looks at the same moment."""
    for _ in range(BUSY_TRIES):
        try:
            told = look_at_channel(each.place, whole(row, "number"))
        except LookError:
            return None
        if told is not None:
            return told
    return None


def _explained(row: Mapping[str, Any]) -> dict[str, Any]:
    note = row.get("note")
    opened = _note.parse(note) if isinstance(note, str) and note else None
    why = explain_channel(_info(row), _stats(row), opened)
    stats = _stats(row).to_dict()
    return {**why.to_dict(), "stats": stats, "text": _printable(str(why))}


def _printable(words: str) -> str:
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in words)


def _info(row: Mapping[str, Any]) -> ChannelInfo:
    path: Path | None = next((each for each in PATHS if each == row.get("path")), None)
    return ChannelInfo(
        path=path,
        wait=text(row, "wait"),
        opener=row.get("opener") is True,
        peer_pid=whole(row, "peer_pid") or None,
        peer_uid=whole(row, "peer_uid") if path == "shm" else None,
        generation=whole(row, "generation"),
        instance=text(row, "instance"),
        channel_id=text(row, "id"),
        service=text(row, "service"),
        protocol=text(row, "protocol"),
        peer_address=text(row, "peer_address"),
        message_bytes_max=whole(row, "message_bytes_max"),
        outbox_bytes=whole(row, "outbox_bytes"),
        peer_outbox_bytes=whole(row, "peer_outbox_bytes"),
        record_bytes_max=whole(row, "record_bytes_max"),
        pages=text(row, "pages"),
        death_watch=text(row, "death_watch"),
        end=text(row, "end"),
        end_code=whole(row, "end_code"),
        inbox_bytes=whole(row, "inbox_bytes"),
        outbox_growths=whole(row, "outbox_growths"),
        inbox_growths=whole(row, "inbox_growths"),
    )


def _stats(row: Mapping[str, Any]) -> ChannelStats:
    names = [each for each in ChannelStats.__slots__ if each not in _OTHERS]
    numbers: dict[str, Any] = {name: whole(row, name) for name in names}
    return ChannelStats(
        **numbers,
        changes=(),  # how many is in path_changes; the socket does not tell the last ones
        unread_bytes=whole(row, "recv_unread_bytes"),
        send_blocked_seconds=whole(row, "send_blocked_ns") / NS,
    )


_OTHERS = ("unread_bytes", "send_blocked_seconds", "changes")


def _counters(row: Mapping[str, Any]) -> str:
    return (
        f"sent {whole(row, 'messages_sent')} messages ({whole(row, 'bytes_sent')} B), "
        f"received {whole(row, 'messages_received')} ({whole(row, 'bytes_received')} B); "
        f"unread there {whole(row, 'send_unread_bytes')} B, here "
        f"{whole(row, 'recv_unread_bytes')} B"
    )
