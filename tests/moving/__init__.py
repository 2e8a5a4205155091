"""Channels that change their link: switched on purpose, or because the link was cut."""
