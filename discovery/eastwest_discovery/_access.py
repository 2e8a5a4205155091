"""Who may publish and read what on a registry server: one TOML file.

    [[client]]
    name = "pricing-1"                        # for the log; several clients may not share one
    key = "..."                               # its public key, Z85
    publish = ["default/pricing"]             # NAMESPACE/SERVICE; nothing by default
    read = ["default/*", "default/eu.*"]      # * at the end: whatever begins so

Who reads a whole namespace (``ls``) needs ``NAMESPACE/*``. Namespaces have no patterns: each is
named, so that nobody sees a new one by accident.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ._errors import BadFile
from ._keys import is_key, toml
from .names import namespace_problem, service_problem

CLIENTS_MAX = 10_000
_FIELDS = {"name", "key", "publish", "read"}


@dataclass(frozen=True, slots=True)
class Grant:
    """What one client may do."""

    name: str
    publish: tuple[str, ...] = ()
    read: tuple[str, ...] = ()

    def may_publish(self, namespace: str, service: str) -> bool:
        """Say whether records of this service may come from it."""
        return _matches(self.publish, namespace, service)

    def may_read(self, namespace: str, service: str) -> bool:
        """Say whether it may poll this service; "": all of the namespace."""
        return _matches(self.read, namespace, service)


class Everything(Grant):
    """Who reaches a server without keys, on a loopback address, may do anything."""

    __slots__ = ()

    def may_publish(self, namespace: str, service: str) -> bool:
        return True

    def may_read(self, namespace: str, service: str) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Access:
    """Clients by their public keys."""

    grants: Mapping[str, Grant] = field(default_factory=dict)

    def of(self, key: str) -> Grant | None:
        """Return what the client with this key may do; None: it is unknown."""
        return self.grants.get(key)


def load(path: str | Path) -> Access:
    """Return what a file allows.

    Raises:
        BadFile: it cannot be read, or says something that cannot be meant.
    """
    table = toml(path)
    clients = table.pop("client", [])
    if table:
        raise BadFile(f"file {path}: {sorted(table)[0]!r} is not known; want [[client]] only")
    if not isinstance(clients, list) or len(clients) > CLIENTS_MAX:
        raise BadFile(f"file {path}: want at most {CLIENTS_MAX} times [[client]]")
    grants: dict[str, Grant] = {}
    for number, entry in enumerate(clients, 1):
        key, grant = _client(f"file {path}, client {number}", entry)
        if key in grants or any(grant.name == each.name for each in grants.values()):
            raise BadFile(f"file {path}, client {number}: key or name {grant.name!r} came before")
        grants[key] = grant
    return Access(grants)


def _client(where: str, entry: object) -> tuple[str, Grant]:
    if not isinstance(entry, dict):
        raise BadFile(f"{where}: want a table, [[client]]")
    if odd := sorted(set(entry) - _FIELDS):
        raise BadFile(f"{where}: {odd[0]!r} is not known; want {', '.join(sorted(_FIELDS))}")
    name, key = entry.get("name"), entry.get("key")
    if not isinstance(name, str) or not 0 < len(name) <= 64 or not name.isprintable():
        raise BadFile(f"{where}: name {name!r}: want 1..64 printable characters")
    if not isinstance(key, str) or not is_key(key):
        raise BadFile(f"{where} ({name}): key {key!r}: want the public key of a key file, Z85")
    where = f"{where} ({name})"
    publish = _patterns(where, "publish", entry.get("publish", []))
    return key, Grant(name, publish, _patterns(where, "read", entry.get("read", [])))


def _patterns(where: str, what: str, several: object) -> tuple[str, ...]:
    if not isinstance(several, list):
        raise BadFile(f"{where}: {what} {several!r}: want a list, as in ['default/pricing']")
    for each in several:
        namespace, slash, service = each.partition("/") if isinstance(each, str) else ("", "", "")
        service = service.removesuffix("*").rstrip(".-") or "all"
        problem = namespace_problem(namespace) or service_problem(service)
        if not slash or problem or each.endswith("/"):
            why = f": {problem}" if slash and problem else ""
            raise BadFile(
                f"{where}: {what} {each!r}{why}; want 'NAMESPACE/SERVICE' or 'NAMESPACE/eu.*'"
            )
    return tuple(several)


def _matches(patterns: Sequence[str], namespace: str, service: str) -> bool:
    asked = f"{namespace}/{service}"
    return any(
        asked.startswith(each[:-1]) if each.endswith("*") else service and asked == each
        for each in patterns
    )
