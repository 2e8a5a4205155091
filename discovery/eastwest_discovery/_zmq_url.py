"""Addresses of registry servers: zmq://h1:7400,h2:7400."""

from ._errors import BadAddress

SCHEME = "zmq://"
SERVERS_MAX = 16
PORT_MAX = 65535


def servers_of(url: str) -> tuple[str, ...]:
    """Return host:port of each server, an IPv6 address in brackets.

    Raises:
        BadAddress: the URL is none; the text says what is wrong with which part.
    """
    if not url.startswith(SCHEME):
        raise BadAddress(f"{url!r}: want {SCHEME}HOST:PORT,...")
    found = tuple(each.strip() for each in url[len(SCHEME) :].split(","))
    if len(found) > SERVERS_MAX:
        raise BadAddress(f"{url!r} has {len(found)} servers, limit {SERVERS_MAX}")
    for each in found:
        if problem := _problem(each):
            raise BadAddress(f"{url!r}: server {each!r} {problem}")
        if found.count(each) > 1:
            raise BadAddress(f"{url!r}: server {each!r} is there twice")
    return found


def _problem(server: str) -> str | None:
    host, colon, port = server.rpartition(":")
    if not colon or not host:
        return "is not HOST:PORT"
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return "has colons in its host: an IPv6 address is written [::1]:7400"
    if not all(each.isascii() and (each.isalnum() or each in ".-_:[]%") for each in host):
        return "has a host that is neither a name nor an address"
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= PORT_MAX):
        return f"has port {port!r}, want 1..{PORT_MAX}"
    return None
