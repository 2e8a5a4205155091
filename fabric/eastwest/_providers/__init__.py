"""Where names are looked up: one interface, one module for each kind of registry.

_base.py     Provider and Answer, the interface
_local.py    the runtime directories of this host; always asked
_static.py   a TOML file, "static:FILE"
"""

from ._base import Answer as Answer
from ._base import Provider as Provider
from ._local import Local as Local
from ._static import Static as Static
