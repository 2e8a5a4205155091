"""The page of a comparison: report.html, ratios for the terminal, tables for the documents.

    python -m bench.compare.page RESULTS.json [--html FILE] [--terminal] [--readme [--force]]

ratios.py     Eastwest / each other system, round by round
headlines.py  the handful of cases at the top
verdicts.py   who is fastest where, where Eastwest is not; reasons.py: why
terminal.py   the summary that is printed after a run
stored.py     docs/benchmarks.json, and the tables made from it in README and docs/benchmarks.md
document.py   report.html: sections.py, tables.py, words.py, page.css
drawing.py    what all drawings share; curves.py, spans.py, dots.py, quantiles.py; scales.py: axes
naming.py     what things are called; figures.py: numbers as people read them
markup.py     elements; every text is escaped there
"""

from bench.compare.page.document import report as report
from bench.compare.page.ratios import Ratio as Ratio
from bench.compare.page.ratios import ratios as ratios
from bench.compare.page.terminal import summary as summary
