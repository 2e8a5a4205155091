"""What a listener tells whoever asks: compact JSON, at most 1024 bytes.

``{"labels": {"color": "blue"}, "zone": "eu-1", "weight": 2, "tcp": "tcp://10.0.0.1:7411",
"dpdk": "dpdk://rack/10.7.0.1:7411"}``; what is at its default is left out. The reading side gets it
from a stranger: each field is taken if it is in order and dropped if not, unknown ones are skipped.
Imports no native module.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from eastwest_discovery.names import LABELS_MAX, label_problem, zone_problem

from ._addresses import check_dialled, path_of
from ._errors import ConfigurationError

FACTS_BYTES_MAX = 1024
WEIGHT_MAX = 65535
WEIGHT = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """What one instance says about itself: a hint, proved by nothing."""

    labels: Mapping[str, str] = field(default_factory=dict)
    zone: str = ""
    weight: int = WEIGHT
    tcp: str = ""
    dpdk: str = ""


def compose(facts: Facts) -> str:
    """Return the text of *facts*, ASCII.

    Raises:
        ConfigurationError: longer than 1024 bytes.
    """
    fields: dict[str, object] = {}
    if facts.labels:
        fields["labels"] = dict(facts.labels)
    if facts.zone:
        fields["zone"] = facts.zone
    if facts.weight != WEIGHT:
        fields["weight"] = facts.weight
    if facts.tcp:
        fields["tcp"] = facts.tcp
    if facts.dpdk:
        fields["dpdk"] = facts.dpdk
    text = json.dumps(fields, separators=(",", ":"))
    if len(text) > FACTS_BYTES_MAX:
        raise ConfigurationError(
            f"labels, zone and address take {len(text)} bytes, limit {FACTS_BYTES_MAX}; "
            "shorten the labels"
        )
    return text


def parse(text: str) -> Facts:
    """Return what is in order in *text*; never raises."""
    if len(text) > FACTS_BYTES_MAX:
        return Facts()
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return Facts()
    if not isinstance(fields, dict):
        return Facts()
    return Facts(
        _labels(fields.get("labels")),
        _zone(fields.get("zone")),
        _weight(fields.get("weight", WEIGHT)),
        _address(fields.get("tcp"), "tcp"),
        _address(fields.get("dpdk"), "dpdk"),
    )


def check_weight(value: object) -> int:
    """Return *value* if it is a weight.

    Raises:
        ConfigurationError: it is not an int in 0..65535.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= WEIGHT_MAX:
        raise ConfigurationError(f"weight {value!r}: want an int in 0..{WEIGHT_MAX}; 0 drains")
    return value


def _labels(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > LABELS_MAX:
        return {}
    return {key: each for key, each in value.items() if label_problem(key, each) is None}


def _zone(value: object) -> str:
    return value if isinstance(value, str) and not zone_problem(value) else ""


def _weight(value: object) -> int:
    try:
        return check_weight(value)
    except ConfigurationError:
        return WEIGHT


def _address(value: object, path: str) -> str:
    if not isinstance(value, str) or path_of(value) != path:
        return ""
    try:
        return check_dialled(value)
    except ConfigurationError:
        return ""
