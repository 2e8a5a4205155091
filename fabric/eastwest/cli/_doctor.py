"""``eastwest doctor``: is this machine as it should be, and what would make it so."""

import argparse
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from .. import __version__, _native_rundir, _rundir
from .._config import Config
from .._context import Context
from .._errors import EastwestError
from .._fabric import given, installed
from . import _control, _doctor_registries, _fabric_checks, _fabric_facts, _limits, _machine
from ._arguments import Commands, add_command, load_config
from ._exits import Exit
from ._machine import Finding
from ._measure import span, summarise
from ._output import Output

SCHEMA = "eastwest.doctor/1"
TRIES = 200
TRY_SECONDS = 1.0


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "doctor",
        run,
        "check this machine and say what would help",
        "Each finding is ok, a note (works, and could be better) or a problem. Exits with 1 if\n"
        "there is a problem. Changes nothing.",
        [
            "eastwest doctor",
            "eastwest doctor --json | jq '.findings[] | select(.state != \"ok\")'",
            "eastwest doctor --device af_xdp:iface=eth1",
        ],
    )
    parser.add_argument(
        "--device",
        metavar="KIND:KEY=VALUE,...",
        help="check what our own TCP/IP needs for this device; default: fabric_device",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Look at everything, print the findings."""
    findings = [
        _machine.kernel(),
        _machine.seals(),
        *_of_library(),
        _machine.huge_pages(),
        _limits.thp_shmem(),
        _limits.dev_shm(),
        _machine.peer_pidfd(),
        _limits.pidfd(),
        _limits.membarrier(),
        _machine.memlock(),
        _machine.nofile(),
        _limits.open_files(),
        _limits.mappings(),
        _limits.epoll_watches(),
        _machine.user(),
        _limits.namespace_of_users(),
        _limits.security(),
        *_of_settings(args),
    ]
    problems = sum(each.state == "problem" for each in findings)
    facts = {"ok": problems == 0, "findings": [each.to_dict() for each in findings]}
    out.document(SCHEMA, facts)
    width = max(len(each.name) for each in findings)
    for each in findings:
        out.text(f"{each.state:7}  {each.name:{width}}  {each.detail}")
        if each.fix and each.state != "ok":
            out.text(f"{'':7}  {'':{width}}  fix: {each.fix}")
    notes = sum(each.state == "note" for each in findings)
    out.text(f"problems: {problems}, notes: {notes}")
    return Exit.NO if problems else Exit.YES


# ------------------------------------------------------------------ the library


def _of_library() -> list[Finding]:
    """Ask the library what it measured, and talk to ourselves in a directory of our own."""
    with tempfile.TemporaryDirectory(prefix="ew-doctor-") as directory:
        config = Config(runtime_dirs=(directory,), paths=("shm",))
        try:
            with Context(config) as context:
                stats = context.stats()
                found = [
                    _machine.huge_seals(stats.seal_huge),
                    _machine.cpus(stats.cpus),
                    _machine.spin_cap(stats.spin_seconds_max),
                ]
                return [*found, _to_ourselves(context)]
        except EastwestError as error:
            return [Finding("shared memory", "problem", str(error))]


def _to_ourselves(context: Context) -> Finding:
    """Open a channel to ourselves and time it."""
    with context.listen("eastwest-doctor") as listener:
        mine = context.connect("eastwest-doctor", timeout=TRY_SECONDS)
        theirs = listener.accept(timeout=TRY_SECONDS)
        times = []
        for _ in range(TRIES):
            began = time.perf_counter()
            mine.send(b"ping", timeout=TRY_SECONDS)
            theirs.recv(timeout=TRY_SECONDS)
            times.append(time.perf_counter() - began)
        pages = str(mine.explain().facts["pages"])
        path = mine.path
        with suppress(EastwestError):
            mine.close(linger=TRY_SECONDS)
            theirs.close(linger=TRY_SECONDS)
    typical = summarise(times)
    took = f", {span(typical.p50)} to send and receive" if typical else ""
    return Finding("a channel to ourselves", "ok", f"{path}{took}; {pages}")


# ------------------------------------------------------------------ settings and directories


def _of_settings(args: argparse.Namespace) -> list[Finding]:
    try:
        config = load_config(args)
    except EastwestError as error:
        return [Finding("settings", "problem", str(error), "correct it: 'eastwest config --paths'")]
    memory = _limits.memory_limit(config.memory_bytes_max)
    network = [*fabric(config), *_device(config, args.device)]
    known = _doctor_registries.registries(config)
    return [memory, *_directories(config), *network, _tcp(config), *known, _access(config)]


def _device(config: Config, asked: str | None) -> list[Finding]:
    """Judge what the device of our own TCP/IP needs, if there is one."""
    device = asked or config.fabric_device
    if not device:
        return []
    parsed = _fabric_checks.parse(device)
    if isinstance(parsed, str):
        fix = "correct it, unless the plug-in is one of your own"
        return [Finding("fabric device", "problem" if asked else "note", parsed, fix)]
    ours = tuple(each.partition("/")[0] for each in config.fabric_addresses)
    facts = _fabric_facts.look(parsed, config.fabric_plugin or installed(), ours)
    return _fabric_checks.judge(facts, __version__)


def _directories(config: Config) -> list[Finding]:
    """Judge each runtime directory as a client and as a server would."""
    found, is_one_good = [], False
    for place in _rundir.places(config.runtime_dirs, os.environ):
        finding, is_good = _directory(place, is_fixed=bool(config.runtime_dirs))
        found.append(finding)
        if is_good:
            found += _control_sockets(place.directory)
        is_one_good = is_one_good or is_good
    if not is_one_good and not config.runtime_dirs:
        detail = "there is no directory for local sockets: no peer is reached over shm"
        found.append(Finding("runtime directories", "problem", detail, _rundir.SET))
    return found


def _directory(place: _rundir.Place, *, is_fixed: bool) -> tuple[Finding, bool]:
    name = f"runtime directory {place.directory}"
    problem = _native_rundir.rundir_problem(place.directory, False)
    if problem is None and os.access(place.directory, os.W_OK | os.X_OK):
        return Finding(name, "ok", f"usable ({place.origin})"), True
    if problem is None:
        detail = f"uid {os.geteuid()} may look here, and not listen ({place.origin})"
        return Finding(name, "note", detail, _rundir.SET), True
    if is_fixed:
        return Finding(name, "problem", problem, _rundir.SET), False
    if not os.path.lexists(place.directory) and _can_make(place.directory):
        return Finding(name, "ok", f"not there; a server makes it ({place.origin})"), True
    return Finding(name, "note", f"{problem} ({place.origin})", _rundir.SET), False


def _control_sockets(directory: str) -> list[Finding]:
    """Judge the folder where processes answer ``eastwest top``; there is none before the first."""
    folder = os.path.join(directory, _control.FOLDER)
    if not os.path.lexists(folder):
        return []
    name = f"control sockets {folder}"
    problem = _native_rundir.rundir_problem(folder, False)
    if problem is None and not os.access(folder, os.W_OK | os.X_OK):
        problem = f"uid {os.geteuid()} may not make a socket there"
    if problem is not None:
        fix = "let root make it, group-writable, for users that share the directory; or remove it"
        detail = f"{problem}; 'eastwest top' will not see processes of this user"
        return [Finding(name, "note", detail, fix)]
    known = _control.sockets(directory)
    return [Finding(name, "ok", f"{len(known)} processes can be looked into")]


def _can_make(directory: str) -> bool:
    return os.access(Path(directory).parent, os.W_OK | os.X_OK)


def _tcp(config: Config) -> Finding:
    if config.bind is None:
        detail = "no address to bind is configured: servers are reached on this host only"
        return Finding("tcp", "ok", f"{detail} (EASTWEST_BIND=ADDR:PORT changes that)")
    return Finding("tcp", "ok", f"servers bind {config.bind}, security {config.security or '-'}")


def fabric(config: Config) -> list[Finding]:
    """Judge the plug-in and what is written; the device belongs to the processes that use it."""
    name = f"fabric {config.fabric_network}"
    if given(config) is None:
        return []
    path = config.fabric_plugin or installed()
    if path is None or not os.path.isfile(path):
        detail = f"{path} is not there" if path else "the plug-in is not installed"
        fix = "pip install eastwest-dpdk of the same version, or set fabric_plugin"
        return [Finding(name, "problem", detail, fix)]
    at = ", ".join(config.fabric_addresses)
    detail = f"{at} on {config.fabric_device} by {path}; each process needs a port of its own"
    return [Finding(name, "ok", detail)]


def _access(config: Config) -> Finding:
    try:
        config.access()
    except EastwestError as error:
        return Finding("access", "problem", str(error), "correct 'allow' in the configuration")
    return Finding("access", "ok", f"{', '.join(config.allow)} may connect over shm")
