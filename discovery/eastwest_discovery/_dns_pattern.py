"""The URL of a DNS source: ``dns:{service}.apps.svc.cluster.local:7400``. Pure."""

import string
from dataclasses import dataclass

from ._errors import BadAddress


@dataclass(frozen=True, slots=True)
class Pattern:
    """How the name of a service is made: ``{service}.apps.svc.cluster.local:7400``.

    With a port, A and AAAA records are asked for; without, SRV records, which tell it.
    """

    name: str
    port: int  # 0: none

    def of(self, namespace: str, service: str) -> str:
        """Return the name to ask for."""
        return self.name.format(namespace=namespace, service=service)


def parse_dns_url(url: str) -> Pattern:
    """Return the pattern of ``dns:PATTERN``.

    Raises:
        BadAddress: it is none.
    """
    scheme, mark, pattern = url.partition(":")
    name, colon, port = pattern.partition(":")
    if scheme != "dns" or not mark or not name or not name.isascii() or "/" in name:
        raise BadAddress(f"{url!r}: want dns:NAME:PORT, as in dns:{{service}}.example.org:7400")
    if colon and not (port.isdecimal() and 0 < int(port[:6]) < 65536):
        raise BadAddress(f"{url!r}: port {port!r}, want 1..65535, or none for SRV records")
    try:
        fields = [each for _, each, form, how in string.Formatter().parse(name) if each is not None]
        is_plain = not any(form or how for _, _, form, how in string.Formatter().parse(name))
    except ValueError as error:
        raise BadAddress(f"{url!r}: {error}") from None
    if "service" not in fields or not set(fields) <= {"service", "namespace"} or not is_plain:
        raise BadAddress(
            f"{url!r}: want {{service}} in the name, and at most {{namespace}} besides"
        )
    return Pattern(name, int(port) if port else 0)
