"""Where the DPDK plug-in of Eastwest is. ``eastwest`` looks here; nothing is loaded by the import."""

from pathlib import Path

PLUGIN = "eastwest_dpdk_plugin.so"


def plugin_path() -> str:
    """Return the path of the plug-in; it is not there where this is a source tree without DPDK."""
    return str(Path(__file__).resolve().parent / PLUGIN)
