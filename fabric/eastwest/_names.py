"""Names that the caller gives: checked with the rules of ``eastwest_discovery.names``.

Imports no native module.
"""

import difflib
from collections.abc import Iterable, Mapping

from eastwest_discovery import names

from ._errors import ConfigurationError


def check_service(name: str) -> str:
    """Return *name* if it may name a service.

    Raises:
        ConfigurationError: it may not; the text says which rule and, if easy, what would do.
    """
    return _checked(name, names.service_problem(name))


def check_namespace(name: str) -> str:
    """Return *name* if it may name a namespace: one DNS label.

    Raises:
        ConfigurationError: it may not.
    """
    return _checked(name, names.namespace_problem(name))


def check_zone(name: str) -> str:
    """Return *name* if it may name a zone: "" or like a service.

    Raises:
        ConfigurationError: it may not.
    """
    return _checked(name, names.zone_problem(name))


def check_protocol(name: str) -> str:
    """Return *name* if it may name an application protocol; "" means none.

    Raises:
        ConfigurationError: longer than 63 bytes, or not printable ASCII without spaces.
    """
    return _checked(name, names.protocol_problem(name))


def check_labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of *labels* if all keys and values are allowed; None means none.

    Raises:
        ConfigurationError: too many, a bad key, or a value too long or not printable.
    """
    copy = dict(labels or {})
    _checked("", names.labels_problem(copy))
    return copy


def near(name: str, known: Iterable[str]) -> str | None:
    """Return the name among *known* that *name* was probably meant to be, or None."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def _checked(name: str, problem: str | None) -> str:
    if problem:
        raise ConfigurationError(problem)
    return name
