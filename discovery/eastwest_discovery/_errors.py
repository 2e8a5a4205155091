"""Errors, one class per thing a caller can do about it.

DiscoveryError
├── Unavailable              nobody could be asked; the text says who was tried; try again
├── NotAllowed               the registry knows us and says no; the text names the right we lack
├── LimitReached             the registry is full, or our share of it; the text names the limit
├── BadRecord   ValueError   a value of a record is not allowed; the text has value, limit, fix
├── BadAddress  ValueError   the URL of a source, or an address to listen at, is not usable
└── BadFile     ValueError   a key or a permission file is not usable; the text has file and fix
"""


class DiscoveryError(Exception):
    """Anything that this package raises on purpose."""


class Unavailable(DiscoveryError):
    """Nobody could be asked. What was known before may still be used."""


class NotAllowed(DiscoveryError):
    """A registry refused: the key is unknown to it, or may not do this."""


class LimitReached(DiscoveryError):
    """A registry has no room for this: withdraw something, or raise the limit there."""


class BadRecord(DiscoveryError, ValueError):
    """A record, or bytes that should be one, breaks a rule."""


class BadAddress(DiscoveryError, ValueError):
    """A URL of a source, or an address of a server, cannot be used."""


class BadFile(DiscoveryError, ValueError):
    """A file of keys or of permissions cannot be used."""
