"""Which values a record may have: the rules of ``eastwest`` for names, and a few more.

Each function returns what is wrong, with the value, the limit and the way out, or None.
"""

import re
from collections.abc import Mapping

SERVICE_BYTES_MAX = 200
LABEL_BYTES_MAX = 63  # RFC 1035 section 2.3.4
PROTOCOL_BYTES_MAX = 63
INSTANCE_BYTES_MAX = 64
LABELS_MAX = 32
LABEL_VALUE_BYTES_MAX = 255
ADDRESSES_MAX = 16
ADDRESS_BYTES_MAX = 255
PATH_BYTES_MAX = 16
HOST_BYTES_MAX = 255

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_INSTANCE = re.compile(r"[A-Za-z0-9._-]+")
_PATH = re.compile(r"[a-z][a-z0-9-]*")
_GRAPHIC = re.compile(r"[!-~]*")
_LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?")


def namespace_problem(name: str) -> str | None:
    """A namespace is one DNS label."""
    if problem := _dns_label_problem(name):
        return f"namespace {_shown(name)}: {problem}; want one label, as in 'default'"
    return None


def service_problem(name: str, what: str = "service") -> str | None:
    """A service is one or more DNS labels with dots between them."""
    if len(name) > SERVICE_BYTES_MAX:
        return (
            f"{what} {_shown(name)} has {len(name)} characters, limit {SERVICE_BYTES_MAX}; "
            "shorten it"
        )
    for label in name.split("."):
        if problem := _dns_label_problem(label):
            return f"{what} {_shown(name)}: {problem}; want DNS labels, as in 'eu.pricing'"
    return None


def instance_problem(name: str) -> str | None:
    """An instance is 32 hexadecimal digits, or a short name."""
    if len(name) > INSTANCE_BYTES_MAX or not _INSTANCE.fullmatch(name):
        return (
            f"instance {_shown(name)}: want 1..{INSTANCE_BYTES_MAX} letters, digits, "
            "'.', '_', '-', or 32 hexadecimal digits"
        )
    return None


def zone_problem(name: str) -> str | None:
    """A zone is "" or looks like a service."""
    return service_problem(name, "zone") if name else None


def protocol_problem(name: str) -> str | None:
    """An application protocol is printable ASCII without spaces; "" means none."""
    if len(name) > PROTOCOL_BYTES_MAX or not _GRAPHIC.fullmatch(name):
        return (
            f"protocol {_shown(name)}: want at most {PROTOCOL_BYTES_MAX} printable ASCII "
            "characters without spaces, as in 'orders/2'"
        )
    return None


def addresses_problem(addresses: Mapping[str, tuple[str, ...]]) -> str | None:
    """Paths are short names; an address is printable ASCII without spaces."""
    count = sum(map(len, addresses.values()))
    if count > ADDRESSES_MAX:
        return f"{count} addresses, limit {ADDRESSES_MAX}; drop some"
    for path, several in addresses.items():
        if len(path) > PATH_BYTES_MAX or not _PATH.fullmatch(path):
            return (
                f"path {_shown(path)}: want 1..{PATH_BYTES_MAX} of a-z, 0-9, '-', "
                "as in 'tcp', 'dpdk', 'shm'"
            )
        for each in several:
            if not 0 < len(each) <= ADDRESS_BYTES_MAX or not _GRAPHIC.fullmatch(each):
                return (
                    f"address {_shown(each)} of path {path!r}: want 1..{ADDRESS_BYTES_MAX} "
                    "printable ASCII characters without spaces"
                )
    return None


def labels_problem(labels: Mapping[str, str]) -> str | None:
    """Label keys are like file names; values are printable text."""
    if len(labels) > LABELS_MAX:
        return f"{len(labels)} labels, limit {LABELS_MAX}; drop some"
    for key, value in labels.items():
        if len(key) > LABEL_BYTES_MAX or not _LABEL_KEY.fullmatch(key):
            return (
                f"label {_shown(key)}: want 1..{LABEL_BYTES_MAX} letters, digits, "
                "'-', '_', '.', '/' as the key, a letter or digit at both ends"
            )
        if problem := _text_problem(value, LABEL_VALUE_BYTES_MAX):
            return f"label {key!r}: value {_shown(value)}: {problem}"
    return None


def host_problem(host: str) -> str | None:
    """A host is text for people."""
    if problem := _text_problem(host, HOST_BYTES_MAX):
        return f"host {_shown(host)}: {problem}"
    return None


def _text_problem(text: str, limit: int) -> str | None:
    if not text.isprintable():  # a lone surrogate is not printable either
        return "want printable characters"
    size = len(text.encode())
    return f"{size} bytes, limit {limit}; shorten it" if size > limit else None


def _dns_label_problem(label: str) -> str | None:
    if not label:
        return "a label is empty"
    if len(label) > LABEL_BYTES_MAX:
        return f"a label has {len(label)} characters, limit {LABEL_BYTES_MAX}"
    if not _DNS_LABEL.fullmatch(label):
        return "not a DNS label (a-z, 0-9 and '-', which neither begins nor ends it)"
    return None


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}..."
