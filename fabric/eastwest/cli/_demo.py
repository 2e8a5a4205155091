"""``eastwest demo``: a local peer, a remote one, one that changes paths, and a killed one.

The servers and clients are ``eastwest serve`` and ``eastwest ping``: the same programs on every
path. Two hosts are two network namespaces with two runtime directories. Each claim is checked;
one that does not hold makes the exit code 1.
"""

import argparse
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from .. import __version__
from . import _demo_fabric, _netns
from ._arguments import Commands, add_command, number
from ._children import ChildError, Host, Server, ping
from ._demo_kill import Killed, kill_and_count
from ._demo_switch import switch_and_count
from ._exits import Exit
from ._measure import size, span
from ._netns import Namespace, NamespaceError
from ._output import Output
from ._residue import inventory

SCHEMA = "eastwest.demo/1"
SMALL_BYTES, LARGE_BYTES = 64, 1 << 20
COUNT_MAX = 50_000


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "demo",
        run,
        "show a local channel, a remote one, a switch under load, and a killed peer",
        "Takes a few seconds, in directories and network namespaces of its own that are gone\n"
        "afterwards. Without root it leaves the remote part out. Exits with 1 if a claim fails.",
        ["eastwest demo", "eastwest demo --json | jq .claims"],
    )
    parser.add_argument(
        "--seconds", type=number(0.01, 60), default=1.0, help="for each measurement; default: 1"
    )
    parser.add_argument(
        "--wait",
        choices=["adaptive", "block", "spin"],
        help="default: spin where each process can have a CPU, else adaptive",
    )
    parser.add_argument("--local", action="store_true", help="leave the remote part out")


@dataclass
class Demo:
    """What was found so far, and where it is said."""

    out: Output
    seconds: float
    wait: str
    service: str
    facts: dict[str, Any] = field(default_factory=dict)
    claims: list[dict[str, Any]] = field(default_factory=list)

    def claim(self, what: str, is_true: bool, detail: str) -> None:
        """Note whether something that we promise is so."""
        self.claims.append({"claim": what, "ok": is_true, "detail": detail})
        self.out.text(f"   {'ok    ' if is_true else 'FAILED'} {what}: {detail}")

    def measure(self, host: Host) -> dict[str, Any]:
        """Ping small and large messages and say what came of it."""
        results = []
        said: dict[str, Any] = {}
        for message_bytes in (SMALL_BYTES, LARGE_BYTES):
            said = ping(host, self.service, message_bytes, COUNT_MAX, self.seconds)
            times = {"bytes": message_bytes, "wait": said["wait"], **said["round_trip"]}
            results.append(times)
            p50, p99 = span(times["p50_seconds"]), span(times["p99_seconds"])
            self.out.text(
                f"   {size(message_bytes):>6} round trip  p50 {p50:>8}  p99 {p99:>8}  "
                f"({times['count']} times, {said['wait']})"
            )
        explanation = said["explanation"]
        self._say_why(explanation)
        return {"path": said["path"], "round_trips": results, "explanation": explanation}

    def _say_why(self, why: dict[str, Any]) -> None:
        for word, verdict in (
            ("chosen", why["chosen"]),
            *(("rejected", v) for v in why["rejected"]),
        ):
            self.out.text(f"   {word:9}{verdict['path']:5}{verdict['check']}: {verdict['detail']}")
            if verdict["fix"] and word == "rejected":
                self.out.text(f"   {'':14}fix: {verdict['fix']}")


def run(args: argparse.Namespace, out: Output) -> int:
    """Set the stage, show everything, clear the stage in every case."""
    wait = args.wait or ("spin" if len(os.sched_getaffinity(0)) > 1 else "adaptive")
    demo = Demo(out, args.seconds, wait, f"demo-{os.getpid()}")
    out.text(f"eastwest {__version__} demo on kernel {os.uname().release}, {os.cpu_count()} CPUs")
    stage = ExitStack()
    try:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
        _play(demo, stage, is_local=args.local)
    except ChildError as error:
        demo.claim("the servers and clients of the demo run", False, str(error))
    finally:
        with _undisturbed():
            stage.close()
    return _judge(demo)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no signal but SIGKILL stop the clearing of the stage."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _play(demo: Demo, stage: ExitStack, *, is_local: bool) -> None:
    before = inventory()
    folder = stage.enter_context(tempfile.TemporaryDirectory(prefix=f"ew-demo-{os.getpid()}-"))
    near_dir, far_dir = (_directory(folder, name) for name in ("near", "far"))
    spaces, why_not = _namespaces(stage, is_local=is_local)
    near = Host(near_dir, demo.wait, spaces[0].command if spaces else ())
    bind = ["--bind", f"{spaces[0].address}:0", "--security", "none"] if spaces else []
    cable, why_no_cable = _cable(stage, spaces, why_not)
    served = replace(near, settings=cable.settings[0]) if cable else near
    server = stage.enter_context(Server(served, demo.service, *bind))

    _show_local(demo, near, server, spaces)
    far = None
    if spaces:
        address = next(each for each in server.facts["addresses"] if each.startswith("tcp:"))
        far = Host(far_dir, demo.wait, spaces[1].command, _registry(folder, demo.service, address))
        _show_remote(demo, far, address)
    else:
        demo.facts["remote"] = {"left_out": why_not}
        demo.out.text(f"\n2. A remote peer: left out, because {why_not}")
    if cable and far:
        _show_fabric(demo, cable, replace(far, settings=cable.settings[1]), folder, _wires(server))
    else:
        demo.facts["fabric"] = {"left_out": why_no_cable}
        demo.out.text(
            f"\n3. A peer on a fabric network, over DPDK: left out, because {why_no_cable}"
        )
    _show_moving(demo, Host(near_dir, demo.wait))
    _show_killed(demo, Killed(demo.service, near, server, before, far))


def _directory(folder: str, name: str) -> str:
    path = os.path.join(folder, name)
    os.mkdir(path, 0o700)
    return path


def _namespaces(stage: ExitStack, *, is_local: bool) -> tuple[tuple[Namespace, ...], str]:
    """Return two namespaces, or none and why."""
    why = "it was not asked for (--local)" if is_local else _netns.obstacle()
    if why is None:
        try:
            return stage.enter_context(_netns.pair(str(os.getpid()))), ""
        except NamespaceError as error:
            why = str(error)
    return (), why


def _cable(
    stage: ExitStack, spaces: tuple[Namespace, ...], why_not: str
) -> tuple[_demo_fabric.Cable | None, str]:
    """Return the cable of the fabric network, or none and why."""
    why = _demo_fabric.obstacle() if spaces else why_not
    if why is None:
        try:
            return stage.enter_context(_demo_fabric.cable(spaces, str(os.getpid()))), ""
        except NamespaceError as error:
            why = str(error)
    return None, why


def _wires(server: Server) -> list[str]:
    """Return the addresses of the server that cross a network."""
    return [each for each in server.facts["addresses"] if not each.startswith("shm:")]


def _registry(folder: str, service: str, *addresses: str) -> str:
    """Write the file in which the far host finds the addresses; return its URL."""
    schemes = "-".join(each.partition(":")[0] for each in addresses)
    path = os.path.join(folder, f"services-{schemes}.toml")
    with open(path, "w") as stream:
        stream.write(f'[[service]]\nname = "{service}"\naddresses = {json.dumps(addresses)}\n')
    return f"static:{path}"


def _show_local(demo: Demo, near: Host, server: Server, spaces: tuple[Namespace, ...]) -> None:
    where = f" in network namespace {spaces[0].name}" if spaces else ""
    demo.out.text(f"\n1. A local peer: 'eastwest serve {demo.service}' and 'eastwest ping'{where}")
    found = demo.measure(near)
    demo.facts["local"] = {**found, "server_pid": server.process.pid}
    is_good = found["path"] == "shm"
    demo.claim("a local peer is reached over shm", is_good, f"path {found['path']}")


def _show_remote(demo: Demo, far: Host, address: str) -> None:
    demo.out.text(
        "\n2. A remote peer: the same two programs and the same server, from another network\n"
        f"   namespace with another runtime directory; the registry file says {address}"
    )
    found = demo.measure(far)
    demo.facts["remote"] = found
    is_good = found["path"] == "tcp"
    demo.claim("a remote peer is reached over tcp", is_good, f"path {found['path']}")
    shm = [each for each in found["explanation"]["rejected"] if each["path"] == "shm"]
    detail = shm[0]["detail"] if shm else "no verdict"
    demo.claim("it says why not over shm", bool(shm) and bool(detail), detail)


def _show_fabric(
    demo: Demo, cable: _demo_fabric.Cable, end: Host, folder: str, wires: list[str]
) -> None:
    demo.out.text(
        "\n3. The same peer with a port on a fabric network: our own TCP/IP on DPDK, over a\n"
        "   second cable of which the kernel knows no address"
    )
    only = [each for each in wires if each.startswith("dpdk:")]
    found = demo.measure(replace(end, registry=_registry(folder, demo.service, *only)))
    is_good = found["path"] == "dpdk"
    demo.claim(
        "a peer on the fabric network is reached over dpdk", is_good, f"path {found['path']}"
    )
    demo.out.text("   Now the cable is cut under a channel that is in use:")
    end = replace(end, registry=_registry(folder, demo.service, *wires))
    loss = _demo_fabric.lose_port(cable, end, demo.service, demo.claim)
    demo.facts["fabric"] = {**found, "loss": loss}


def _show_moving(demo: Demo, host: Host) -> None:
    demo.out.text("\n4. A channel that changes its path while it is in use: shm, tcp, shm, tcp ...")
    demo.facts["moving"] = switch_and_count(host, f"{demo.service}-moving", demo.claim)


def _show_killed(demo: Demo, killed: Killed) -> None:
    demo.out.text(f"\n5. A killed peer: kill -9 {killed.server.process.pid}, with a channel open")
    demo.facts["killed"] = kill_and_count(killed, demo.claim)


def _judge(demo: Demo) -> int:
    failed = [each["claim"] for each in demo.claims if not each["ok"]]
    demo.out.document(
        SCHEMA,
        {
            "ok": not failed,
            "version": __version__,
            "kernel": os.uname().release,
            "cpus": len(os.sched_getaffinity(0)),
            "wait": demo.wait,
            **demo.facts,
            "claims": demo.claims,
        },
    )
    good = len(demo.claims) - len(failed)
    demo.out.text(
        f"\n{good} of {len(demo.claims)} claims hold" + (f"; failed: {failed}" if failed else "")
    )
    return Exit.NO if failed else Exit.YES
