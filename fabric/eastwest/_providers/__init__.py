"""Where names are looked up: one interface, one module for each kind of registry.

_base.py     Provider and Answer, the interface
_local.py    the runtime directories of this host; always asked
_static.py   a TOML file, "static:FILE"
_remote.py   registries that are asked over the network, by the package eastwest_discovery
"""

from ._base import Answer as Answer
from ._base import Provider as Provider
from ._local import Local as Local
from ._remote import Remote as Remote
from ._remote import open_remote as open_remote
from ._static import Static as Static
