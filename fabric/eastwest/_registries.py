"""The registries of a context, by its settings. Imports no native module.

What ``eastwest_discovery`` remembers is kept in a folder of the user, so that a program that starts
while no registry answers finds its peers as they were: $XDG_CACHE_HOME/eastwest, or
~/.cache/eastwest; without a home, and with registry_cache = "none", nothing is kept.
"""

import os
from collections.abc import Mapping

from ._config import Config
from ._config_registry import NO_CACHE, REMOTE, servers
from ._errors import EastwestError
from ._providers import Provider, Static, open_remote


def open_all(config: Config, environ: Mapping[str, str]) -> tuple[Provider, ...]:
    """Return the registries besides this host, in the order of the setting; nobody is asked yet.

    Raises:
        ConfigurationError: a package is not installed, or a URL or a file cannot be used.
    """
    found: list[Provider] = []
    try:
        for url in config.registry:
            scheme, _, rest = url.partition(":")
            if scheme == "static":
                found.append(Static(rest))
            elif scheme in REMOTE:
                found.append(open_one(config, url, environ))
    except EastwestError:
        for each in found:
            each.close()
        raise
    return tuple(found)


def open_one(config: Config, url: str, environ: Mapping[str, str]) -> Provider:
    """Return the registry at one URL beyond this host.

    Raises:
        ConfigurationError: as ``open_all``.
    """
    cache, why = cache_folder(config, environ)
    is_zmq = url.startswith("zmq:")
    return open_remote(
        url,
        config.namespace,
        key_file=config.registry_key if is_zmq else None,
        server_keys=keys_of(config, url) if is_zmq else (),
        cache=cache,
        not_kept=why,
    )


def keys_of(config: Config, url: str) -> tuple[str, ...]:
    """Return the public keys of the servers of one URL, or the one that all have."""
    keys = config.registry_server_keys
    if len(keys) < 2:
        return keys
    before = 0
    for each in config.registry:
        if each == url:
            return keys[before : before + servers(url)]
        before += servers(each) if each.startswith("zmq:") else 0
    return ()


def cache_folder(config: Config, environ: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the folder for what registries said, or None, and why."""
    if config.registry_cache == NO_CACHE:
        return None, f"registry_cache = {NO_CACHE!r}"
    if config.registry_cache is not None:
        return _usable(config.registry_cache, "registry_cache")
    if os.path.isabs(environ.get("XDG_CACHE_HOME", "")):
        return _usable(os.path.join(environ["XDG_CACHE_HOME"], "eastwest"), "XDG_CACHE_HOME")
    if os.path.isabs(environ.get("HOME", "")):
        return _usable(os.path.join(environ["HOME"], ".cache", "eastwest"), "HOME")
    return None, "neither XDG_CACHE_HOME nor HOME is set; set EASTWEST_REGISTRY_CACHE=DIRECTORY"


def _usable(folder: str, origin: str) -> tuple[str | None, str]:
    """Return the folder unless another user owns it or others may write to it."""
    try:
        status = os.lstat(folder)
    except FileNotFoundError:
        return folder, f"{folder} ({origin}), made at need"
    except OSError as error:
        return None, f"{folder} ({origin}): {error.strerror}"
    if status.st_uid != os.geteuid() or status.st_mode & 0o022 or not os.path.isdir(folder):
        fix = "want a directory of our own that nobody else may write to; registry_cache names one"
        return None, f"{folder} ({origin}) is not used: {fix}"
    return folder, f"{folder} ({origin})"
