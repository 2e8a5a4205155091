"""The command line tool ``eastwest``: one module for each command.

__main__.py     main(): arguments -> command -> exit code
_arguments.py   the parser, what every command takes, and the settings from it
_output.py      the only module that prints
_exits.py       exit codes, and which error means which
_measure.py     round trips: percentiles, and times as a reader wants them

_serve.py  _ping.py  _ls.py  _explain.py  _config.py
_top.py         with _ls.py --channels and _explain.py PID, which are in _processes.py, it looks
                into other processes through _control.py
_net.py         _net_run.py pings and captures; they ask by _net_ask.py, _net_show.py formats
_doctor.py      its checks of the machine are in _machine.py, _limits.py and _cgroup.py, of the
                fabric's device in _fabric_checks.py and _fabric_facts.py
_demo.py        _demo_kill.py is its third part; _children.py, _netns.py and _residue.py set its
                stage
"""
