"""The port on a fabric network: how it is configured, what the C library tells of it. Pure.

Fabric     state, device and reason now
given      the settings as the text that the C library and its plug-in read
installed  where the plug-in is, by the package eastwest-dpdk
absent     the verdict about "dpdk" for an instance that cannot be reached there

Imports no native module; the package of the plug-in only when it is asked for.
"""

import importlib
from dataclasses import dataclass
from typing import Literal, get_args

from ._config import Config
from ._values import Verdict

FabricState = Literal["none", "absent", "closed", "up", "lost"]
STATES: tuple[FabricState, ...] = get_args(FabricState)
"""In the order of ``enum ew_fabric_state``."""

PACKAGE = "eastwest_dpdk"
_SET = "set fabric_network, fabric_device and fabric_addresses (docs/guide/configuration.md)"
_FIXES = {
    "none": _SET,
    "absent": "pip install eastwest-dpdk of the same version, or set fabric_plugin",
    "closed": "it is tried again, every 30 s at most; see 'eastwest doctor'",
    "lost": "it is looked for again every second; look at the device and what it is plugged into",
}


@dataclass(frozen=True, slots=True)
class Fabric:
    """The port of a context.

    Attributes:
        state: "none": not configured, or left out by ``paths``; "absent": there is no plug-in that
            fits; "closed": the device cannot be had now; "up"; "lost": it was there.
        network, device, plugin_version: "" while unknown.
        reason: why it is not up; while it is, why it cannot sleep.
        poll_seconds: a device that cannot sleep is looked at so often; 0: it sleeps.
        losses: how often it was lost.
    """

    state: FabricState = "none"
    network: str = ""
    device: str = ""
    plugin_version: str = ""
    reason: str = ""
    poll_seconds: float = 0.0
    losses: int = 0

    def __str__(self) -> str:
        if self.state == "none":
            return ""
        device = f" by {self.device}" if self.device else ""
        polled = f"; polled every {self.poll_seconds * 1e3:g} ms" if self.poll_seconds else ""
        why = f": {self.reason}" if self.reason else ""
        lost = f"; lost {self.losses} times before" if self.losses and self.state == "up" else ""
        return f"{self.network}{device}, {self.state}{why}{polled}{lost}"


def given(config: Config) -> str | None:
    """Return the settings of the fabric as lines "key=value", None for no fabric."""
    if config.fabric_network is None or "dpdk" not in config.paths:
        return None
    lines = [f"network={config.fabric_network}", f"device={config.fabric_device}"]
    lines += [f"address={each}" for each in config.fabric_addresses]
    rest = {
        "gateway": config.fabric_gateway,
        "mtu": config.fabric_mtu,
        "mac": config.fabric_mac,
        "port": config.fabric_port or None,
    }
    return "\n".join(lines + [f"{key}={value}" for key, value in rest.items() if value is not None])


def installed() -> str | None:
    """Return the path of the plug-in of the package ``eastwest-dpdk``, None without it."""
    try:
        module = importlib.import_module(PACKAGE)
    except ImportError:
        return None
    return str(module.plugin_path())


def absent(fabric: Fabric) -> Verdict:
    """Return the verdict about "dpdk" where there is no address to try."""
    if fabric.state == "up":
        detail = f"it publishes none on {fabric.network}"
        fix = f"give the server a port on {fabric.network}"
        return Verdict("dpdk", "", False, "address", detail, fix)
    details = {
        "none": "no fabric_network is configured here",
        "absent": f"no plug-in for {fabric.network}: {fabric.reason}",
        "closed": f"no port on {fabric.network}: {fabric.reason}",
        "lost": f"the port on {fabric.network} is lost: {fabric.reason}",
    }
    check = "stack" if fabric.state in ("none", "absent") else "device"
    return Verdict("dpdk", "", False, check, details[fabric.state], _FIXES[fabric.state])
