"""The comparison: everything that people would pick instead, measured in one run, on one page.

plan.py       what is measured: sections of cases
sweep.py      round trips over sizes, on every path; scale.py: what grows with what
programs.py   numbers of benchmarks that are programs of their own
harness.py    rounds: interleaved, gated by an idle machine, those with foreign load dropped
pairs.py      the pair programs: two pinned processes that do one work on request
pair/         the pair program in Python, a file for each system; in C: bench/c/pair/
still.py      a pair that is stopped while others are measured
networks.py   namespaces, veth pairs, bridges: made, and always removed
remote.py     section "remote": pairs on networks and on pairs of devices
vswitch.py    Open vSwitch in a folder and a namespace of its own
ovs.py        section "ovs": through Open vSwitch and without; one thread is both ends
machine.py    what the machine is and does: environment, idle gate, CPU time of all cores
results.py    results.json: what a run found
page/         report.html, the ratios, README's table
"""
