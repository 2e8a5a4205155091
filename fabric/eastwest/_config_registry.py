"""What each setting of discovery may be; as ``_config_checks.py``. Imports no native module.

How a list of registries is written on one line (``EASTWEST_REGISTRY``, ``--registry``): with
commas between the URLs. ``zmq://`` and ``etcd://`` have commas of their own, between servers; there
a comma begins another URL only if a scheme follows it that is not the name of a server: in
``zmq://a:7400,b:7400,static:/etc/e.toml`` there are two URLs, and ``zmq://dns:7400,local:7400`` is
one of two servers.
"""

import os
import re
from collections.abc import Callable, Sequence

from ._config_checks import distinct, text, texts, unknown
from ._errors import ConfigurationError

URLS_MAX = 16
REMOTE = ("dns", "zmq", "etcd")
"""Schemes that the package ``eastwest_discovery`` serves."""

NO_CACHE = "none"
_FORMS = ("local:", "static:FILE", "dns:PATTERN", "zmq://HOST:PORT,...", "etcd://HOST,.../PREFIX")
_SCHEME = re.compile(r"(local|static|dns|zmq|etcd):(?![0-9]+$)")
_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")  # Z85, ZeroMQ RFC 32


def split(line: str) -> tuple[str, ...]:
    """Return the URLs of a list that is written on one line."""
    found: list[str] = []
    for part in line.split(","):
        is_more = bool(found) and found[-1].startswith(("zmq:", "etcd:"))
        if is_more and not _SCHEME.match(part.strip()):
            found[-1] += f",{part.strip()}"
        elif part.strip():
            found.append(part.strip())
    return tuple(found)


def registry(value: object) -> tuple[str, ...]:
    """Return the URLs, those of files with the whole name."""
    return distinct(value, _checked, URLS_MAX, "registries")


def _checked(url: str) -> str:
    scheme, colon, rest = url.partition(":")
    if scheme in REMOTE and colon:
        _check_remote(scheme, url)
        return url
    if not colon or scheme not in ("local", "static"):
        raise ConfigurationError(f"{unknown('registry', url, _FORMS)}; write {' or '.join(_FORMS)}")
    if scheme == "local" and rest:
        raise ConfigurationError(f"{url!r}: write 'local:'; its directories are runtime_dirs")
    if scheme == "static" and not rest:
        raise ConfigurationError(f"{url!r}: want the name of a file, as in static:/etc/e.toml")
    return f"static:{os.path.abspath(rest)}" if scheme == "static" else url


def _check_remote(scheme: str, url: str) -> None:
    """Check the form of a URL; whether what it needs is installed is asked at first use."""
    try:
        _check_of(scheme)(url)
    except ValueError as error:  # BadAddress
        raise ConfigurationError(str(error)) from None


def _check_of(scheme: str) -> Callable[[str], object]:
    """Return the check of a scheme; imports neither protobuf nor zmq nor dnspython."""
    if scheme == "zmq":
        from eastwest_discovery._zmq_url import servers_of

        return servers_of
    if scheme == "etcd":
        from eastwest_discovery._etcd_address import check_etcd_url

        return check_etcd_url
    from eastwest_discovery._dns_pattern import parse_dns_url

    return parse_dns_url


def key_file(value: object) -> str:
    name = text(value)
    if not name:
        raise ConfigurationError("'' is no file; make one with 'eastwest discovery keygen FILE'")
    return os.path.abspath(name)


def server_keys(value: object) -> tuple[str, ...]:
    found = texts(value)
    for each in found:
        if not _KEY.fullmatch(each):
            raise ConfigurationError(
                f"{each!r} is no public key of a server: want the 40 characters that 'eastwest "
                "discovery keygen' shows"
            )
    return found


def cache(value: object) -> str:
    name = text(value)
    if name != NO_CACHE and not os.path.isabs(name):
        raise ConfigurationError(f"{name!r} is not an absolute path; {NO_CACHE!r} keeps nothing")
    return name


def servers(url: str) -> int:
    """Return how many servers a ``zmq://`` URL names."""
    return url.count(",") + 1


def check_keys(urls: Sequence[str], file: str | None, keys: Sequence[str]) -> None:
    """Refuse half of the settings of CURVE, and keys that cannot be told apart.

    Raises:
        ConfigurationError: something is missing, or the numbers differ.
    """
    if bool(file) != bool(keys):
        there, lacking = "registry_key", "registry_server_keys"
        if keys:
            there, lacking = lacking, there
        raise ConfigurationError(f"{there} needs {lacking} as well, which is not set")
    wanted = sum(servers(each) for each in urls if each.startswith("zmq:"))
    if wanted and len(keys) not in (0, 1, wanted):
        raise ConfigurationError(
            f"{len(keys)} keys for the {wanted} servers of registry; want one for each in their "
            "order, or one that all have"
        )
