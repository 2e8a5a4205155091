"""The address of an etcd cluster: ``etcd://h1:2379,h2,h3/prefix?user=NAME&password-file=FILE``.

Query parameters, none of them needed:

ca=FILE             certificates that may sign a server's; turns TLS on
cert=FILE key=FILE  our certificate and its key, for clusters that ask for one
user=NAME           with password-file=FILE, whose first line is the password
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from ._errors import BadAddress

PORT_DEFAULT = 2379
ENDPOINTS_MAX = 32
PREFIX_BYTES_MAX = 255
_FILES = {"ca": "ca_file", "cert": "certificate_file", "key": "key_file", "user": "user"}


@dataclass(frozen=True, slots=True)
class EtcdAddress:
    """Where a cluster is, what of it is ours, and who we are.

    Raises:
        BadAddress: no endpoint, or parameters that do not fit together.
    """

    endpoints: tuple[tuple[str, int], ...]  # host or IP address, port
    prefix: str = ""  # "" or "/..." : all our keys begin with it
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""  # set: TLS
    certificate_file: str = ""
    key_file: str = ""

    def __post_init__(self) -> None:
        if not 0 < len(self.endpoints) <= ENDPOINTS_MAX:
            raise BadAddress(f"{len(self.endpoints)} endpoints of etcd, want 1..{ENDPOINTS_MAX}")
        if self.certificate_file and not (self.ca_file and self.key_file):
            raise BadAddress(f"cert={self.certificate_file!r} needs ca=FILE and key=FILE as well")
        if bool(self.user) != bool(self.password):
            raise BadAddress(
                f"user={self.user!r} needs password-file=FILE, and the other way round"
            )

    def __str__(self) -> str:
        return f"etcd://{','.join(map(shown, self.endpoints))}{self.prefix}"


def shown(endpoint: tuple[str, int]) -> str:
    """Return ``host:port``, with brackets around an IPv6 address."""
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_etcd_url(url: str) -> None:
    """Check a URL without reading the password file that it names.

    Raises:
        BadAddress: not such a URL.
    """
    _parse(url, lambda _: "unread")


def parse_etcd_url(url: str) -> EtcdAddress:
    """Return the address that *url* tells.

    Raises:
        BadAddress: not such a URL, or its password file cannot be read.
    """
    return _parse(url, _first_line)


def _parse(url: str, password_in: Callable[[str], str]) -> EtcdAddress:
    parts = urlsplit(url)
    if parts.scheme != "etcd" or "@" in parts.netloc or parts.fragment:
        raise BadAddress(f"{url!r}: want etcd://h1:2379,h2/prefix, the user in ?user=NAME")
    prefix = parts.path.rstrip("/")
    if len(prefix) > PREFIX_BYTES_MAX or not (prefix.isascii() and prefix.isprintable()):
        raise BadAddress(f"{url!r}: want a prefix of at most {PREFIX_BYTES_MAX} ASCII characters")
    known: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "password-file":
            known["password"] = password_in(value)
        elif name in _FILES:
            known[_FILES[name]] = value
        else:
            raise BadAddress(f"{url!r}: no parameter {name!r}; there are {', '.join(_FILES)}")
    endpoints = tuple(_endpoint(each, url) for each in parts.netloc.split(","))
    return EtcdAddress(endpoints, prefix, **known)


def _endpoint(text: str, url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0:
        raise BadAddress(f"{url!r}: {text!r} is no HOST or HOST:PORT, port 1..65535")
    return host, PORT_DEFAULT if port is None else port


def _first_line(file: str) -> str:
    try:
        return Path(file).read_text().partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise BadAddress(f"password-file={file!r}: {error}") from None
