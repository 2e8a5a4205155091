"""What a channel keeps for who looks in (a note), and what is logged."""

import logging
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import eastwest
from eastwest import Context, Explanation, Verdict, _log, _note
from eastwest._values import PathChange
from tests.python.control_sockets import by_role, ends, look_at

# ------------------------------------------------------------------ notes


def verdict(n: int, size: int = 10) -> Verdict:
    return Verdict("tcp", f"tcp://h:{n}", False, "connect", "x" * size, "do it", 0.5)


def test_note_goes_there_and_back() -> None:
    why = Explanation("s", verdict(0), (verdict(1), verdict(2)), ("moved",), {"asked": 1})
    back = _note.parse(_note.compose(why))
    assert back is not None
    assert (back.service, back.chosen, back.rejected) == ("s", why.chosen, why.rejected)
    assert back.changes == ("moved",)


def test_note_that_is_too_long_loses_whole_verdicts() -> None:
    """catches: text[:4096]."""
    why = Explanation("s", verdict(0), tuple(verdict(n, 500) for n in range(1, 30)))
    note = _note.compose(why)
    assert len(note) <= _note.NOTE_BYTES_MAX
    back = _note.parse(note)
    assert back is not None and 3 < len(back.rejected) < 29
    assert back.rejected == why.rejected[: len(back.rejected)]
    huge = _note.compose(Explanation("s", None, (), (), {"x": "\x7f\0é" * 9000}))
    assert _note.parse(huge) == Explanation("s", None)
    assert all(" " <= each < "\x7f" for each in _note.compose(Explanation("\x7f\0é", None)))


@pytest.mark.parametrize(
    "note", ["", "x", "[]", "null", '{"chosen":5,"rejected":"no"}', "[" * 9000, '{"chosen":{}}']
)
def test_note_of_a_stranger_is_taken_as_far_as_it_is_in_order(note: str) -> None:
    parsed = _note.parse(note)
    assert parsed is None or parsed == Explanation("", None)


# ------------------------------------------------------------------ logging


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    found = [(each.levelname, vars(each).get("eastwest")) for each in caplog.records]
    return [(level, fields) for level, fields in found if fields is not None]


def test_events_of_a_channel_are_logged(
    runtime_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """catches: an event that is missing, twice, or at another level."""
    with caplog.at_level(logging.INFO, "eastwest"), ends("shm", runtime_dir) as (a, b):
        number = by_role(look_at(runtime_dir).channels)[True]["id"][:8]
        a.send(b"12345")
        b.recv(timeout=10)
        a.abort()
        with pytest.raises(eastwest.PeerLost):
            b.recv(timeout=10)
        b.close()
        b.close()
    events = [(level, fields["event"]) for level, fields in logged(caplog)]
    assert events == [
        ("INFO", "listen"),
        ("INFO", "connect"),
        ("INFO", "accept"),
        ("INFO", "channel_end"),
        ("WARNING", "channel_end"),
        ("INFO", "unlisten"),
    ]
    fields = logged(caplog)[4][1]
    assert (fields["channel"], fields["messages_received"], fields["bytes_received"]) == (
        number,
        1,
        5,
    )
    assert "aborted" in fields["reason"]
    assert caplog.records[0].getMessage().startswith(f"listen service={a.service} inst")


def test_refusals_are_logged(runtime_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """catches: _log_refused left out of Listener.close."""
    with ExitStack() as stack:
        context = stack.enter_context(Context())
        stack.enter_context(context.listen("pricing", protocol="a"))
        with pytest.raises(eastwest.Refused):
            context.connect("pricing", protocol="b", timeout=1)
    names = [fields["event"] for level, fields in logged(caplog) if level == "WARNING"]
    assert names == ["connect_fail", "refuse"]


def test_path_change_and_odd_values_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """catches: a value with a line end or a quote that makes two events of one."""
    with caplog.at_level(logging.INFO, "eastwest"):
        change = PathChange(2, "tcp", "shm", False, 'it "said"\nlisten x', 0.0, 0.25)
        _log.path_change("s", "0123456789abcdef", change)
        _log.info("x", empty="", many=("a", "b"), number=0.5)
    first, second = (each.getMessage() for each in caplog.records)
    assert first == (
        "path_change service=s channel=01234567 from=tcp to=shm "
        'reason="it \\"said\\"\\nlisten x" seconds=0.25'
    )
    assert second == 'x empty="" many=a,b number=0.5'


def test_nothing_is_written_without_a_handler(runtime_dir: Path) -> None:
    """catches: no NullHandler: warnings on standard error of every program."""
    assert any(
        isinstance(each, logging.NullHandler) for each in logging.getLogger("eastwest").handlers
    )


FAILS = """
import eastwest, threading
listener = eastwest.listen("fails")
def handle(channel):
    raise ZeroDivisionError("of the handler")
threading.Thread(target=listener.serve, args=(handle,), daemon=True).start()
with eastwest.connect("fails") as channel:
    try:
        channel.recv(timeout=10)
    except eastwest.PeerLost:
        pass
listener.close()
"""


@pytest.mark.parametrize("set_up", [False, True])
def test_the_error_of_a_handler_is_seen_without_logging(set_up: bool, runtime_dir: Path) -> None:
    # catches: a service that swallows its own errors because the program has no handlers
    before = "import logging; logging.basicConfig(format='logged %(message)s')\n" if set_up else ""
    done = subprocess.run(
        [sys.executable, "-c", before + FAILS],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "EASTWEST_RUNTIME_DIR": str(runtime_dir)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("ZeroDivisionError: of the handler") == 1
    assert ("logged handler_failed" in done.stderr) == set_up
    assert ("eastwest: handler_failed service=fails" in done.stderr) == (not set_up)
