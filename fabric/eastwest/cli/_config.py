"""``eastwest config``: every setting, and where its value came from."""

import argparse
import os
from typing import Any

from .._config_file import CONFIG_VARIABLE, usual_files
from ._arguments import Commands, add_command, load_config
from ._exits import Exit
from ._output import Output

SCHEMA = "eastwest.config/1"


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "config",
        run,
        "show every setting and where its value came from",
        "An argument wins over the environment (EASTWEST_*), that over the file, that over the\n"
        "default. --paths shows which files are looked at.",
        [
            "eastwest config",
            "eastwest config --paths",
            "EASTWEST_WAIT=block eastwest config --json",
        ],
    )
    parser.add_argument("--paths", action="store_true", help="show the files instead")


def run(args: argparse.Namespace, out: Output) -> int:
    """Print the settings or the files."""
    if args.paths:
        return _files(args, out)
    config = load_config(args)
    values, origins = config.to_dict(), config.origins()
    facts = {name: {"value": values[name], "origin": origins[name]} for name in values}
    out.document(SCHEMA, {"settings": facts})
    rows = [(name, _shown(values[name]), origins[name]) for name in values]
    out.table(("SETTING", "VALUE", "FROM"), rows)
    return Exit.YES


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None or value == "" else str(value)


def _files(args: argparse.Namespace, out: Output) -> int:
    """Print the files in the order in which they are looked at; the first one is read."""
    named = getattr(args, "config", None), os.environ.get(CONFIG_VARIABLE)
    found: list[dict[str, str]] = []
    for path, origin in zip(named, ("--config", CONFIG_VARIABLE), strict=True):
        if path:
            found.append({"file": path, "from": origin})
    found += [{"file": path, "from": "search path"} for path in usual_files(os.environ)]
    is_read = False
    for each in found:
        is_named = each["from"] != "search path"
        each["state"] = _state(each["file"], is_named, is_read)
        is_read = is_read or is_named or each["state"] == "read"
    out.document(SCHEMA, {"files": found})
    out.table(("FILE", "FROM", "STATE"), [(f["file"], f["from"], f["state"]) for f in found])
    return Exit.YES


def _state(path: str, is_named: bool, is_read: bool) -> str:
    if is_read:
        return "not looked at: the one before it is used"
    if is_named and not os.path.exists(path):
        return "missing, which is an error"
    return "read" if is_named or os.path.isfile(path) else "not there"
