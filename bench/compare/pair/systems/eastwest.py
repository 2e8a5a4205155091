"""Eastwest: channels over shared memory, or over the path that the options name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import eastwest
from bench.compare.pair.ends import Cannot, Ends, Missing, Setup, Side
from bench.compare.pair.loops import Recv, Send

SERVICE = "bench"
PATIENCE_S = 20.0
RECORD_BYTES = 64  # a header, and what an end keeps free


class Channels(Ends):
    """Channels of one path.

    Options: ``bind=HOST`` of the server for TCP; every other one is a setting of a context, as
    ``outbox_bytes=65536`` or ``fabric_device=...``: "CLIENT|SERVER", or one for both.
    """

    def __init__(self, setup: Setup, path: str) -> None:
        if path == "dpdk" and "fabric_device" not in setup.options:
            raise Missing("no device: options fabric_device=CLIENT|SERVER and more")
        self.version = eastwest.__version__
        if path == "dpdk" and not setup.duo.is_peer:
            setup.duo.meet()  # a device has to be there before its other end
        self._context = eastwest.Context(config_of(setup, path))
        if path == "dpdk" and setup.duo.is_peer:
            setup.duo.meet()
        self._channels = open_channels(setup, self._context, path)
        self.detail = f"{setup.wait}, path {path}"

    def send_of(self, link: int) -> Send:
        """See ``Ends``."""
        return self._channels[link].send

    def recv_of(self, link: int) -> Recv:
        """See ``Ends``."""
        return self._channels[link].recv

    def hold(self, in_flight: int) -> None:
        """See ``Side``."""
        wanted, have = in_flight * (self.size + RECORD_BYTES), self._context.config.outbox_bytes
        if wanted > have:
            raise Cannot(f"{in_flight} answers need {wanted} B, an outbox has {have}")

    def close(self) -> None:
        """See ``Ends``."""
        for each in self._channels:
            each.abort()
        self._context.close()


def config_of(setup: Setup, path: str) -> eastwest.Config:
    """Return the settings of this side."""
    settings: dict[str, Any] = {"wait": setup.wait, "runtime_dirs": (setup.folder,)}
    settings["paths"] = (path,)
    for name, value in setup.options.items():
        if name not in ("bind", "loop"):
            own = value.split("|")[-1 if setup.duo.is_peer else 0]
            settings[name] = int(own) if own.isdecimal() else own
    if path != "shm":
        settings["security"] = "none"  # what is compared encrypts nothing either
    if addresses := settings.get("fabric_addresses"):
        settings["fabric_addresses"] = addresses.split(",")
    if path == "tcp" and setup.duo.is_peer:
        settings["bind"] = f"{setup.host}:0"
    if path != "shm" and not setup.duo.is_peer:
        settings["registry"] = (f"static:{setup.folder}/services.toml",)
    return eastwest.Config(**settings)


def open_channels(setup: Setup, context: eastwest.Context, path: str) -> list[eastwest.Channel]:
    """Return a channel for each link, over this path."""
    channels = _channels(setup, context, path)
    found = {each.path for each in channels}
    if found != {path}:
        raise RuntimeError(f"the channels go over {found}, not over {path}")
    return channels


def _channels(setup: Setup, context: eastwest.Context, path: str) -> list[eastwest.Channel]:
    duo = setup.duo
    if duo.is_peer:
        with context.listen(SERVICE, max_channels=setup.links) as listener:
            addresses = [each for each in listener.instance.addresses if each.startswith(path)]
            file = Path(setup.folder) / "services.toml"
            file.write_text(f'[[service]]\nname = "{SERVICE}"\naddresses = {addresses}\n')
            duo.meet()
            return [listener.accept(timeout=PATIENCE_S) for _ in range(setup.links)]
    duo.meet()
    return [context.connect(SERVICE, timeout=PATIENCE_S) for _ in range(setup.links)]


def _of(path: str) -> Callable[[Setup], Side]:
    return lambda setup: Channels(setup, path)


SYSTEMS = {f"eastwest-{path}": _of(path) for path in ("shm", "tcp", "dpdk")}
