"""What each setting of a fabric may be; as ``_config_checks.py``. Imports no native module.

What a device is, and what an address must not be on its network, is the plug-in's to judge.
"""

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence

from ._config_checks import distinct, text
from ._errors import ConfigurationError

ADDRESSES_MAX = 8  # FABRIC_ADDRESSES_MAX, transport/fabric.h
DEVICE_BYTES_MAX = 1024
_NETWORK = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def network(value: object) -> str:
    name = text(value)
    if not _NETWORK.fullmatch(name):
        raise ConfigurationError(
            f"{name!r}: want 1 to 63 of a-z, 0-9, '-', '_' and '.', a letter or digit first"
        )
    return name


def device(value: object) -> str:
    name = text(value)
    if not name.isprintable() or len(name.encode()) > DEVICE_BYTES_MAX:
        raise ConfigurationError(f"{name[:80]!r}: want at most {DEVICE_BYTES_MAX} printable bytes")
    return name


def addresses(value: object) -> tuple[str, ...]:
    return distinct(value, _interface, ADDRESSES_MAX, "addresses")


def _interface(value: str) -> str:
    try:
        found = ipaddress.ip_interface(value if "/" in value and "%" not in value else "")
    except ValueError:
        raise ConfigurationError(
            f"{value!r}: want an address with its prefix, as 10.7.0.2/24 or fd00:7::2/64"
        ) from None
    if found.ip.is_unspecified or found.ip.is_multicast:
        raise ConfigurationError(f"{value!r} is not the address of one port")
    return str(found)


def gateway(value: object) -> str:
    given = text(value)
    try:
        return str(ipaddress.ip_address(given if "%" not in given else ""))
    except ValueError:
        raise ConfigurationError(f"{value!r}: want an address, as 10.7.0.1") from None


def mac(value: object) -> str:
    found = text(value).lower()
    if not _MAC.fullmatch(found) or int(found[:2], 16) & 1 or found == "00:00:00:00:00:00":
        raise ConfigurationError(
            f"{value!r}: want the address of one port, as 02:00:00:00:00:01 (first byte even)"
        )
    return found


def plugin(value: object) -> str:
    path = text(value)
    if not os.path.isabs(path):
        raise ConfigurationError(f"{path!r} is not an absolute path")
    return path


def check_fabric(
    network: str | None, rest: Mapping[str, object], given: Sequence[str], security: str | None
) -> None:
    """Refuse half of a fabric, and one beyond loopback that nobody has said may be open.

    Args:
        rest: the other settings by name.
        given: the names of those that are not at their default.

    Raises:
        ConfigurationError: something is missing.
    """
    if network is None:
        if given:
            raise ConfigurationError("it means nothing without fabric_network, which is not set")
        return
    for name in ("fabric_device", "fabric_addresses"):
        if not rest[name]:
            raise ConfigurationError(f"{network!r} needs {name} as well")
    if security != "none":
        raise ConfigurationError(
            f"{network!r} leads to other hosts, and TCP is neither encrypted nor authenticated "
            'yet: write security = "none" (EASTWEST_SECURITY=none) if that network is trusted'
        )
