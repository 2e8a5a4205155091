"""Settings: argument, then EASTWEST_* variable, then TOML file, then default.

Config          every setting, checked, frozen; ``Config.load()`` reads environment and file
Config.origins  where each value came from
Access          ``allow`` as numbers

The file is the argument of ``load``, else $EASTWEST_CONFIG, else the first that exists of
$XDG_CONFIG_HOME/eastwest/config.toml and /etc/eastwest/config.toml. Its keys are the fields of
``Config``. What is misspelt is an error, in the file and in the environment alike. Imports no
native module; reads nothing at import. The file itself is read in ``_config_file.py``.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from . import _config_checks as checks
from . import _config_fabric as fabric_checks
from . import _config_registry as registry_checks
from ._config_checks import Access
from ._config_file import Setting, read_environment, read_file
from ._errors import ConfigurationError
from ._values import PATHS, Path

WaitPolicy = Literal["adaptive", "block", "spin"]
Pages = Literal["auto", "huge", "small"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting, its unit and its limit.

    Attributes:
        runtime_dirs: directories of local sockets, searched in order; a listener binds in the
            first it may write. Empty: $RUNTIME_DIRECTORY, /run/eastwest,
            $XDG_RUNTIME_DIR/eastwest. What is named here must exist.
        namespace: one DNS label; names of other namespaces are never found.
        registry: where names are looked up besides this host, and published where that can be:
            "local:" (only here), "static:FILE", "dns:PATTERN", "zmq://HOST:PORT,...",
            "etcd://HOST,.../PREFIX"; docs/guide/discovery.md. At most 16.
        registry_key: file of our pair of keys for registry servers that have keys, by "eastwest
            discovery keygen"; nobody else may be allowed to read it.
        registry_server_keys: the public key of each server of "zmq://", in the order of registry,
            or one that all have; needed with registry_key.
        registry_cache: folder where what registries said is kept for a restart while none of them
            answers; "none" keeps nothing. None: $XDG_CACHE_HOME/eastwest or ~/.cache/eastwest.
        bind: "ADDR:PORT" or "[ADDR]:PORT" for peers on other hosts, port 0 for any; None opens
            no port.
        security: of TCP paths; "none" must be written down to bind beyond loopback.
        allow: who may connect over shared memory: "uid:self", "uid:N", "uid:NAME", "gid:N",
            "gid:NAME", "any".
        paths: which paths may be used.
        wait: "adaptive" spins at most as long as a wake-up costs, "block" never, "spin" always.
        pages: "auto" takes huge pages while the budget allows, "huge" and "small" insist.
        zone: like a service name; instances of the same zone are preferred. "" has none.
        outbox_bytes: memory of one end of a channel, 16 KiB..1 GiB.
        inbox_bytes: receive buffer of a channel over a stream, 64 KiB..1 GiB.
        stream_bytes_max: to what outbox and inbox of a stream may grow when its round trip asks for
            it; not less than either, at most 1 GiB. What they begin with: no growth. None: 4 MiB,
            or what they begin with if that is more.
        message_bytes_max: longest message that we accept, 1..2^40.
        memory_bytes_max: budget of the context, 1 MiB..2^46; more raises OutOfMemory.
        peer_bytes_max: what the peers of one user may make us map; None: a quarter of the budget.
        huge_bytes_max: huge pages that the context may use, at least one of 2 MiB; for none at all
            there is pages = "small".
        hello: seconds that a new connection may take to say hello, 0.001..60.
        grace: seconds to try to resume a channel whose remote peer is lost, 0..86400.
        fabric_network: name of the network on which this process has a port of its own, driven by
            our TCP/IP; peers with a port on the same one reach each other there. 1 to 63 of a-z,
            0-9, "-", "_", "."; None has no port. It counts as beyond loopback: security.
        fabric_device: the port, as the plug-in names it; needed with fabric_network.
        fabric_addresses: the port's own, "A.B.C.D/PREFIX" or "A::B/PREFIX", 1 to 8.
        fabric_gateway: where what is not on the network goes; None: nowhere.
        fabric_mtu: None: the device's.
        fabric_mac: "02:00:00:00:00:01"; None: the device's.
        fabric_port: TCP port that the listeners of a context share there; 0: any.
        fabric_plugin: path of the plug-in; None: the one of the package eastwest-dpdk.

    Raises:
        ConfigurationError: a value is not allowed; the text has the value, where it came from,
            the limit and the fix.
    """

    runtime_dirs: tuple[str, ...] = ()
    namespace: str = "default"
    registry: tuple[str, ...] = ("local:",)
    registry_key: str | None = None
    registry_server_keys: tuple[str, ...] = ()
    registry_cache: str | None = None
    bind: str | None = None
    security: Literal["none"] | None = None
    allow: tuple[str, ...] = ("uid:self",)
    paths: tuple[Path, ...] = PATHS
    wait: WaitPolicy = "adaptive"
    pages: Pages = "auto"
    zone: str = ""
    outbox_bytes: int = 256 * 1024
    inbox_bytes: int = 256 * 1024
    stream_bytes_max: int | None = None
    message_bytes_max: int = 64 * 1024 * 1024
    memory_bytes_max: int = 1 << 30
    peer_bytes_max: int | None = None
    huge_bytes_max: int = 64 * 1024 * 1024
    hello: float = 1.0
    grace: float = 10.0
    fabric_network: str | None = None
    fabric_device: str = ""
    fabric_addresses: tuple[str, ...] = ()
    fabric_gateway: str | None = None
    fabric_mtu: int | None = None
    fabric_mac: str | None = None
    fabric_port: int = 0
    fabric_plugin: str | None = None
    loaded: Mapping[str, Setting] = field(default_factory=dict, repr=False, compare=False)
    """What ``load`` found, by field; for ``origins``. Not a setting."""

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            try:
                object.__setattr__(self, name, check(getattr(self, name)))
            except ConfigurationError as error:
                raise ConfigurationError(f"{self._where(name)}: {error}") from None
        try:
            checks.check_exposure(self.bind, self.security)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._where('bind')}: {error}") from None
        self._check_fabric()
        self._check_registry()
        try:
            checks.check_cap(self.stream_bytes_max, self.outbox_bytes, self.inbox_bytes)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._where('stream_bytes_max')}: {error}") from None

    def _check_registry(self) -> None:
        file, keys = self.registry_key, self.registry_server_keys
        try:
            registry_checks.check_keys(self.registry, file, keys)
        except ConfigurationError as error:
            name = "registry_server_keys" if keys else "registry_key"
            raise ConfigurationError(f"{self._where(name)}: {error}") from None

    def _check_fabric(self) -> None:
        rest = {name: getattr(self, name) for name in _CHECKS if name.startswith("fabric_")}
        network = rest.pop("fabric_network")
        given = [name for name in rest if self._origin(name) != "default"]
        try:
            fabric_checks.check_fabric(network, rest, given, self.security)
        except ConfigurationError as error:
            name = "fabric_network" if network is not None or not given else given[0]
            raise ConfigurationError(f"{self._where(name)}: {error}") from None

    @classmethod
    def load(
        cls,
        file: str | os.PathLike[str] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> Self:
        """Return the settings of arguments, environment and file, in this precedence.

        Args:
            file: TOML file that must exist; None looks in the usual places.
            environ: instead of ``os.environ``.
            arguments: fields of ``Config``; they win.

        Raises:
            ConfigurationError: an unknown key, variable or argument, a bad value, an unreadable
                file.
        """
        environ = os.environ if environ is None else environ
        for name in arguments:
            if name not in _CHECKS:
                raise ConfigurationError(checks.unknown("setting", name, _CHECKS))
        found = {**read_file(file, environ, _CHECKS.keys()), **read_environment(environ)}
        loaded = {name: setting for name, setting in found.items() if name not in arguments}
        values = {name: setting.value for name, setting in loaded.items()}
        return cls(**values, **arguments, loaded=loaded)

    def origins(self) -> Mapping[str, str]:
        """Say where each value came from: 'EASTWEST_BIND', 'FILE:LINE', 'argument' or 'default'."""
        return {name: self._origin(name) for name in _CHECKS}

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name, as ``json.dumps`` takes them."""
        values = {name: getattr(self, name) for name in _CHECKS}
        return {n: list(v) if isinstance(v, tuple) else v for n, v in values.items()}

    def access(self) -> Access:
        """Return ``allow`` as user and group numbers.

        Raises:
            ConfigurationError: no such user or group on this machine.
        """
        try:
            return checks.resolve_allow(self.allow)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._where('allow')}: {error}") from None

    def _origin(self, name: str) -> str:
        value = getattr(self, name)
        setting = self.loaded.get(name)
        if setting is not None and _CHECKS[name](setting.value) == value:
            return setting.origin
        return "default" if value == type(self).__dataclass_fields__[name].default else "argument"

    def _where(self, name: str) -> str:
        setting = self.loaded.get(name)
        return f"{name} ({setting.origin})" if setting else name


_CHECKS: dict[str, Callable[[Any], object]] = {
    "runtime_dirs": checks.directories,
    "namespace": checks.namespace,
    "registry": registry_checks.registry,
    "registry_key": checks.optional(registry_checks.key_file),
    "registry_server_keys": registry_checks.server_keys,
    "registry_cache": checks.optional(registry_checks.cache),
    "bind": checks.bind,
    "security": checks.security,
    "allow": checks.allow,
    "paths": checks.paths,
    "wait": checks.one_of("adaptive", "block", "spin"),
    "pages": checks.one_of("auto", "huge", "small"),
    "zone": checks.zone,
    "outbox_bytes": checks.whole(16 << 10, 1 << 30),
    "inbox_bytes": checks.whole(64 << 10, 1 << 30),
    "stream_bytes_max": checks.optional(checks.whole(64 << 10, 1 << 30)),
    "message_bytes_max": checks.whole(1, 1 << 40),
    "memory_bytes_max": checks.whole(1 << 20, 1 << 46),
    "peer_bytes_max": checks.optional(checks.whole(1 << 16, 1 << 46)),
    "huge_bytes_max": checks.whole(2 << 20, 1 << 46),
    "hello": checks.seconds(0.001, 60.0),
    "grace": checks.seconds(0.0, 86400.0),
    "fabric_network": checks.optional(fabric_checks.network),
    "fabric_device": fabric_checks.device,
    "fabric_addresses": fabric_checks.addresses,
    "fabric_gateway": checks.optional(fabric_checks.gateway),
    "fabric_mtu": checks.optional(checks.whole(576, 65535)),
    "fabric_mac": checks.optional(fabric_checks.mac),
    "fabric_port": checks.whole(0, 65535),
    "fabric_plugin": checks.optional(fabric_checks.plugin),
}
