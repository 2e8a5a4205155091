"""Which names and texts are allowed in records, and so in all of Eastwest.

A service is one or more DNS labels with dots between them, at most 200 bytes: ``pricing``,
``eu.pricing-2``. Lower case only, so that two spellings never mean two services by accident.

Each function returns what is wrong, with the value, the limit and the way out, or None. Imports
neither zmq nor protobuf: ``eastwest`` uses it without the extra ``discovery``.
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

_SHOWN_MAX = 60  # characters of a value in an error
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_INSTANCE = re.compile(r"[A-Za-z0-9._-]+")
_PATH = re.compile(r"[a-z][a-z0-9-]*")
_GRAPHIC = re.compile(r"[!-~]*")
_LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?")


def namespace_problem(name: object) -> str | None:
    """A namespace is one DNS label."""
    if not isinstance(name, str):
        return _type_problem("namespace", name)
    if problem := _dns_label_problem(name):
        return f"namespace {_shown(name)}: {problem}; want one label, as in 'default'"
    return None


def service_problem(name: object, what: str = "service name") -> str | None:
    """A service is one or more DNS labels with dots between them."""
    if not isinstance(name, str):
        return _type_problem(what, name)
    size = len(name.encode(errors="surrogatepass"))
    if size > SERVICE_BYTES_MAX:
        return f"{what} {_shown(name)} has {size} bytes, limit {SERVICE_BYTES_MAX}; shorten it"
    if not name:
        return f"{what} '' is empty; want DNS labels, for example 'pricing'"
    for label in name.split("."):
        if problem := _dns_label_problem(label):
            return f"{what} {_shown(name)}: {problem}{_suggestion(name)}"
    return None


def zone_problem(name: object) -> str | None:
    """A zone is "" or looks like a service."""
    return None if name == "" else service_problem(name, "zone")


def instance_problem(name: str) -> str | None:
    """An instance is 32 hexadecimal digits, or a short name."""
    if len(name) > INSTANCE_BYTES_MAX or not _INSTANCE.fullmatch(name):
        return (
            f"instance {_shown(name)}: want 1..{INSTANCE_BYTES_MAX} letters, digits, "
            "'.', '_', '-', or 32 hexadecimal digits"
        )
    return None


def protocol_problem(name: object) -> str | None:
    """An application protocol is printable ASCII without spaces; "" means none."""
    if not isinstance(name, str):
        return _type_problem("protocol name", name)
    if len(name) > PROTOCOL_BYTES_MAX:
        return (
            f"protocol name {_shown(name)} has {len(name)} characters, "
            f"limit {PROTOCOL_BYTES_MAX}; shorten it"
        )
    if not _GRAPHIC.fullmatch(name):
        return (
            f"protocol name {_shown(name)}: want printable ASCII without spaces, as in 'orders/2'"
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
        if problem := label_problem(key, value):
            return problem
    return None


def label_problem(key: object, value: object) -> str | None:
    """One label: its key is like a file name, its value printable text."""
    if not isinstance(key, str):
        return _type_problem("label", key)
    if len(key) > LABEL_BYTES_MAX or not _LABEL_KEY.fullmatch(key):
        return (
            f"label {_shown(key)}: want 1..{LABEL_BYTES_MAX} letters, digits, "
            "'-', '_', '.', '/' as the key, a letter or digit at both ends"
        )
    if problem := _text_problem(value, LABEL_VALUE_BYTES_MAX):
        return f"label {key!r}: value {problem}"
    return None


def host_problem(host: object) -> str | None:
    """A host is text for people."""
    problem = _text_problem(host, HOST_BYTES_MAX)
    return f"host {problem}" if problem else None


def _text_problem(text: object, limit: int) -> str | None:
    if not isinstance(text, str):
        return _type_problem("", text).lstrip()
    if not text.isprintable():  # a lone surrogate is not printable either
        return f"{_shown(text)}: want printable characters"
    size = len(text.encode())
    return f"{_shown(text)} has {size} bytes, limit {limit}; shorten it" if size > limit else None


def _dns_label_problem(label: str) -> str | None:
    if not label:
        return "a label is empty"
    if len(label) > LABEL_BYTES_MAX:
        return f"a label has {len(label)} characters, limit {LABEL_BYTES_MAX}"
    if not _DNS_LABEL.fullmatch(label):
        return (
            f"label {label!r} is not a DNS label (a-z, 0-9 and '-', "
            "which neither begins nor ends it)"
        )
    return None


def _suggestion(name: str) -> str:
    """Return '; try ...' when a small change makes the name a good one."""
    dotted = re.sub(r"[^a-z0-9.-]+", "-", name.lower())
    better = ".".join(part for each in dotted.split(".") if (part := each.strip("-")))
    good = better and better != name and not any(map(_dns_label_problem, better.split(".")))
    return f"; try {better!r}" if good else ""


def _type_problem(what: str, value: object) -> str:
    return f"{what} {value!r:.{_SHOWN_MAX}}: want a str, got {type(value).__name__}"


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]!r}..."
