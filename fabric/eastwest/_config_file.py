"""Where settings come from: the EASTWEST_* variables and the TOML file, each with its origin.

Values are returned as found; ``Config`` checks them. Imports no native module.
"""

import os
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ._config_checks import unknown
from ._config_registry import split
from ._errors import ConfigurationError

FILE_BYTES_MAX = 1 << 20
PREFIX = "EASTWEST_"
CONFIG_VARIABLE = "EASTWEST_CONFIG"

VARIABLES = {  # variable -> field of Config, and whether it is a comma-separated list
    "EASTWEST_RUNTIME_DIR": ("runtime_dirs", False),
    "EASTWEST_BIND": ("bind", False),
    "EASTWEST_SECURITY": ("security", False),
    "EASTWEST_REGISTRY": ("registry", True),
    "EASTWEST_REGISTRY_KEY": ("registry_key", False),
    "EASTWEST_REGISTRY_SERVER_KEYS": ("registry_server_keys", True),
    "EASTWEST_REGISTRY_CACHE": ("registry_cache", False),
    "EASTWEST_WAIT": ("wait", False),
    "EASTWEST_NAMESPACE": ("namespace", False),
    "EASTWEST_PAGES": ("pages", False),
    "EASTWEST_ZONE": ("zone", False),
    "EASTWEST_STREAM_BYTES_MAX": ("stream_bytes_max", False),
    "EASTWEST_FABRIC_NETWORK": ("fabric_network", False),
    "EASTWEST_FABRIC_DEVICE": ("fabric_device", False),
    "EASTWEST_FABRIC_ADDRESSES": ("fabric_addresses", True),
    "EASTWEST_FABRIC_GATEWAY": ("fabric_gateway", False),
    "EASTWEST_FABRIC_MTU": ("fabric_mtu", False),
    "EASTWEST_FABRIC_MAC": ("fabric_mac", False),
    "EASTWEST_FABRIC_PORT": ("fabric_port", False),
    "EASTWEST_FABRIC_PLUGIN": ("fabric_plugin", False),
}
NUMBERS = ("stream_bytes_max", "fabric_mtu", "fabric_port")  # of those
PLUGIN_VARIABLES = ("EASTWEST_DPDK_LOG", "EASTWEST_DPDK_PAGES")  # of a process: C reads them


@dataclass(frozen=True, slots=True)
class Setting:
    """One value as found, and where: "EASTWEST_BIND" or "FILE:LINE"."""

    value: Any
    origin: str


def read_environment(environ: Mapping[str, str]) -> dict[str, Setting]:
    """Return the settings among the variables; an empty variable is as good as none.

    Raises:
        ConfigurationError: a variable that begins with EASTWEST_ and means nothing.
    """
    found = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable in (CONFIG_VARIABLE, *PLUGIN_VARIABLES):
            continue
        if variable not in VARIABLES:
            known = [*VARIABLES, CONFIG_VARIABLE, *PLUGIN_VARIABLES]
            raise ConfigurationError(unknown("environment variable", variable, known))
        name, is_list = VARIABLES[variable]
        if text:
            found[name] = Setting(_value(name, text, is_list), variable)
    return found


def _value(name: str, text: str, is_list: bool) -> Any:
    if name == "registry":
        return split(text)
    if name == "runtime_dirs":  # one directory, whatever is in its name
        return (text,)
    if name in NUMBERS and text.isascii() and text.isdecimal():
        return int(text)  # else the check says what it wants
    return tuple(part.strip() for part in text.split(",") if part.strip()) if is_list else text


def read_file(
    file: str | os.PathLike[str] | None, environ: Mapping[str, str], known: Collection[str]
) -> dict[str, Setting]:
    """Return the settings of the TOML file, none if there is no file in the usual places.

    Raises:
        ConfigurationError: the file that was named does not exist, or is no good TOML, or has
            a key that is not in *known*.
    """
    named = file or environ.get(CONFIG_VARIABLE)
    path = os.fspath(named) if named else _usual_file(environ)
    if path is None:
        return {}
    text = _text(path, "the argument" if file else CONFIG_VARIABLE if named else "the search path")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from None
    found = {}
    for key, value in table.items():
        origin = f"{path}:{line_of(text, key)}"
        if key not in known:
            raise ConfigurationError(f"{origin}: {unknown('key', key, known)}")
        found[key] = Setting(tuple(value) if isinstance(value, list) else value, origin)
    return found


def line_of(text: str, key: str) -> int:
    """Return the line, from 1, where TOML *text* first names the top-level *key*; 1 if unseen."""
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    for number, line in enumerate(text.splitlines(), 1):
        if pattern.match(line):
            return number
    return 1


def usual_files(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return where a file is looked for when none was named, best first."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or "/", ".config")
    return tuple(os.path.join(folder, "eastwest", "config.toml") for folder in (home, "/etc"))


def _usual_file(environ: Mapping[str, str]) -> str | None:
    return next(filter(os.path.isfile, usual_files(environ)), None)


def _text(path: str, named_by: str) -> str:
    try:
        with open(path, "rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} (named by {named_by}): {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigurationError(f"{path}: more than {FILE_BYTES_MAX} bytes; is that the file?")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 at byte {error.start}") from None
