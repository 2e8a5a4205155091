"""Measurements: ``python -m bench`` compares with others, ``python -m bench NAME`` asks one thing.

aims.py, targets.py    one question a benchmark, ratios in one run, beside what the issues ask
compare/               the comparison with everything that people would pick instead, and its page
c/, net/, python/, discovery/   the benchmarks
"""
