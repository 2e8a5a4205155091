"""Measurements. ``python -m bench.report`` runs them all and prints one table."""
