"""Logging."""

import logging

log = logging.getLogger("eastwest.discovery")
