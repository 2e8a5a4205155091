"""Benchmarks of discovery: ``./dev bench discovery``. What is measured: ``__main__.py``."""
