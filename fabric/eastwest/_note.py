"""An explanation as a note: what a channel keeps for tools that look in, at most 4096 bytes.

The reading side gets it from another process: what is not in order is left out. Pure; imports no
native module.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ._values import PATHS, Explanation, Path, Verdict

NOTE_BYTES_MAX = 4096
TEXT_MAX = 1024  # characters of a text from a note
VERDICTS_MAX = 64


def compose(why: Explanation) -> str:
    """Return the note, ASCII without control characters; what does not fit is left out whole.

    The last of the rejected candidates go first, then all facts.
    """
    smaller = [why]
    smaller += [replace(why, rejected=why.rejected[:n]) for n in range(len(why.rejected))[::-1]]
    smaller += [replace(why, rejected=(), changes=(), facts={})]
    for each in smaller:
        text = json.dumps(each.to_dict(), separators=(",", ":"), default=str)
        text = text.replace("\x7f", "\\u007f")
        if len(text) <= NOTE_BYTES_MAX:
            return text
    return ""


def parse(text: str) -> Explanation | None:
    """Return what is in order in *text*, None if it is no note; never raises."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    rejected, changes = fields.get("rejected"), fields.get("changes")
    listed = rejected[:VERDICTS_MAX] if isinstance(rejected, list) else []
    verdicts = (_verdict(each) for each in listed)
    return Explanation(
        service=_text(fields, "service"),
        chosen=_verdict(fields.get("chosen")),
        rejected=tuple(each for each in verdicts if each is not None),
        changes=tuple(map(str, changes[:VERDICTS_MAX])) if isinstance(changes, list) else (),
    )


def _verdict(fields: object) -> Verdict | None:
    if not isinstance(fields, dict):
        return None
    path: Path | None = next((each for each in PATHS if each == fields.get("path")), None)
    if path is None:
        return None
    seconds = fields.get("seconds")
    return Verdict(
        path=path,
        address=_text(fields, "address"),
        ok=fields.get("ok") is True,
        check=_text(fields, "check"),
        detail=_text(fields, "detail"),
        fix=_text(fields, "fix") or None,
        seconds=float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < 1e9 else 0.0,
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value[:TEXT_MAX] if isinstance(value, str) else ""
