"""Which names are allowed: services, protocols, namespaces, labels.

A service is one or more DNS labels with dots between them, at most 200 bytes: ``pricing``,
``eu.pricing-2``. Lower case only, so that two spellings never mean two services by accident.
Imports no native module.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

from ._errors import ConfigurationError

SERVICE_BYTES_MAX = 200
LABEL_BYTES_MAX = 63  # RFC 1035 section 2.3.4
PROTOCOL_BYTES_MAX = 63
LABELS_MAX = 32
LABEL_VALUE_BYTES_MAX = 255

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_PROTOCOL = re.compile(r"[!-~]*")
_LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?")


def check_service(name: str) -> str:
    """Return *name* if it may name a service.

    Raises:
        ConfigurationError: it may not; the text says which rule and, if easy, what would do.
    """
    if not isinstance(name, str):
        raise ConfigurationError(f"service name {name!r}: want a str, got {type(name).__name__}")
    size = len(name.encode(errors="surrogatepass"))
    if size > SERVICE_BYTES_MAX:
        shown = f"{name[:40]}..."
        raise ConfigurationError(
            f"service name {shown!r} has {size} bytes, limit {SERVICE_BYTES_MAX}; shorten it"
        )
    if not name:
        raise ConfigurationError("service name '' is empty; want DNS labels, for example 'pricing'")
    for label in name.split("."):
        if problem := _label_problem(label):
            raise ConfigurationError(f"service name {name!r}: {problem}{_suggestion(name)}")
    return name


def check_namespace(name: str) -> str:
    """Return *name* if it may name a namespace: one DNS label.

    Raises:
        ConfigurationError: it may not.
    """
    if problem := _label_problem(name):
        raise ConfigurationError(f"namespace {name!r}: {problem}; want one label, as in 'default'")
    return name


def check_zone(name: str) -> str:
    """Return *name* if it may name a zone: "" or like a service.

    Raises:
        ConfigurationError: it may not.
    """
    try:
        return check_service(name) if name else name
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace("service name", "zone", 1)) from None


def check_protocol(name: str) -> str:
    """Return *name* if it may name an application protocol; "" means none.

    Raises:
        ConfigurationError: longer than 63 bytes, or not printable ASCII without spaces.
    """
    if len(name) > PROTOCOL_BYTES_MAX:
        raise ConfigurationError(
            f"protocol name {name[:40]!r}... has {len(name)} characters, "
            f"limit {PROTOCOL_BYTES_MAX}; shorten it"
        )
    if not _PROTOCOL.fullmatch(name):
        raise ConfigurationError(
            f"protocol name {name!r}: want printable ASCII without spaces, as in 'orders/2'"
        )
    return name


def check_labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of *labels* if all keys and values are allowed; None means none.

    Raises:
        ConfigurationError: too many, a bad key, or a value too long or not printable.
    """
    if not labels:
        return {}
    if len(labels) > LABELS_MAX:
        raise ConfigurationError(f"{len(labels)} labels, limit {LABELS_MAX}; drop some")
    for key, value in labels.items():
        if problem := label_problem(key, value):
            raise ConfigurationError(f"label {key!r}: {problem}")
    return dict(labels)


def label_problem(key: object, value: object) -> str | None:
    """Return what is wrong with one label, or None."""
    if not isinstance(key, str) or not _LABEL_KEY.fullmatch(key) or len(key) > LABEL_BYTES_MAX:
        return f"want 1..{LABEL_BYTES_MAX} letters, digits, '-', '_', '.', '/' as the key"
    if not isinstance(value, str):
        return f"value {value!r}: want a str, got {type(value).__name__}"
    size = len(value.encode(errors="replace"))
    if size > LABEL_VALUE_BYTES_MAX:
        return f"the value has {size} bytes, limit {LABEL_VALUE_BYTES_MAX}"
    if not value.isprintable():
        return f"value {value!r}: want printable characters"
    return None


def near(name: str, known: Iterable[str]) -> str | None:
    """Return the name among *known* that *name* was probably meant to be, or None."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def _label_problem(label: str) -> str | None:
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
    good = better and better != name and not any(map(_label_problem, better.split(".")))
    return f"; try {better!r}" if good else ""
