"""Measurements of the Python package: two-process drivers, and pytest-benchmark cases."""
