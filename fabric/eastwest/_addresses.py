"""Addresses: "shm:DIRECTORY/SOCKET", "tcp://A.B.C.D:PORT", "tcp://[A::B]:PORT", and for who has a
port on a fabric network "dpdk://NETWORK/A.B.C.D:PORT", "dpdk://NETWORK/[A::B]:PORT".

Numbers only: what a name means is discovery's business. Imports no native module.
"""

import ipaddress
import re

from ._errors import ConfigurationError
from ._values import Path

SHM = "shm:"
TCP = "tcp://"
DPDK = "dpdk://"
_NETWORK = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
SHM_BYTES_MAX = 4096  # PATH_MAX, linux/limits.h
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_endpoint(text: str, *, port_min: int = 0) -> tuple[Address, int]:
    """Return address and port of "ADDR:PORT"; an IPv6 address stands in brackets.

    Raises:
        ConfigurationError: it is something else; the text says what is wrong with it.
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ConfigurationError(f"address {text!r} has no port; write ADDR:PORT or [ADDR]:PORT")
    if not (port.isascii() and port.isdigit()) or not port_min <= int(port[:6]) <= 65535:
        raise ConfigurationError(f"address {text!r}: port {port!r} is not {port_min}..65535")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        fix = "127.0.0.1" if host in ("localhost", "") else "its number"
        raise ConfigurationError(
            f"address {text!r}: {host!r} is not an IP address; write {fix}"
        ) from None
    if bracketed != (address.version == 6):
        wanted = f"[{address}]" if address.version == 6 else str(address)
        raise ConfigurationError(f"address {text!r}: write {wanted}:{port}")
    return address, int(port)


def tcp_url(text: str, *, port_min: int = 0) -> str:
    """Return "tcp://..." for "ADDR:PORT" or for what is such a URL already.

    Raises:
        ConfigurationError: it is neither.
    """
    address, port = parse_endpoint(text.removeprefix(TCP), port_min=port_min)
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"{TCP}{host}:{port}"


def is_loopback(text: str) -> bool:
    """Whether "ADDR:PORT" or its URL is reached from this host's network namespace only."""
    return parse_endpoint(text.removeprefix(TCP))[0].is_loopback


def is_unspecified(text: str) -> bool:
    """Whether "ADDR:PORT" or its URL means every address: good to bind, useless to dial."""
    return parse_endpoint(text.removeprefix(TCP))[0].is_unspecified


def path_of(address: str) -> Path | None:
    """Return the path that an address leads to, or None for a scheme unknown here."""
    if address.startswith(SHM):
        return "shm"
    if address.startswith(TCP):
        return "tcp"
    if address.startswith(DPDK):
        return "dpdk"
    return None


def network_of(address: str) -> str:
    """Return the network of a "dpdk://NETWORK/ADDR:PORT", "" for another address."""
    return address.removeprefix(DPDK).partition("/")[0] if address.startswith(DPDK) else ""


def as_tcp(address: str) -> str:
    """Return where kernel TCP reaches a "dpdk://NETWORK/ADDR:PORT", if there is a route."""
    return TCP + address.removeprefix(DPDK).partition("/")[2]


def _check_dpdk(address: str) -> str:
    network = network_of(address)
    if not _NETWORK.fullmatch(network):
        raise ConfigurationError(f"address {address[:80]!r}: write dpdk://NETWORK/ADDR:PORT")
    return f"{DPDK}{network}/{check_dialled(as_tcp(address)).removeprefix(TCP)}"


def check_dialled(address: str) -> str:
    """Return *address*, normalised, if a connect can be tried there.

    Raises:
        ConfigurationError: unknown scheme, bad number, port 0, or an address that means any.
    """
    path = path_of(address)
    if path == "shm":
        size = len(address.encode(errors="replace"))
        if size > SHM_BYTES_MAX or not address.startswith(f"{SHM}/") or "\0" in address:
            raise ConfigurationError(
                f"address {address[:80]!r}: want shm:/DIRECTORY/SOCKET, "
                f"at most {SHM_BYTES_MAX} bytes"
            )
        return address
    if path == "dpdk":
        return _check_dpdk(address)
    if path != "tcp":
        raise ConfigurationError(f"address {address[:80]!r}: unknown scheme; write tcp://ADDR:PORT")
    if is_unspecified(address):
        raise ConfigurationError(
            f"address {address!r} means every address; write the one to connect to"
        )
    return tcp_url(address, port_min=1)
