"""Open vSwitch with its userspace datapath, in a folder and a network namespace of its own.

Its database, sockets, logs and DPDK's files are in the folder; its interfaces in the namespace. No
service manager starts it; it dies with this process, and is stopped by its process id; the folder
of a killed run is removed by the next. An Open vSwitch that the machine may run is not touched.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

from bench.python.duo import die_with_parent

from .networks import Unavailable, sweep, until
from .pairs import cpu_clock_of

DAEMONS = ("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk", "ovs-vswitchd")
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
FIX = "apt install openvswitch-switch-dpdk"
BRIDGE = "br0"
MAIN_CORE, PMD_CORE = 0, 1
HUGE_MIB = 256
START_S, END_S, CALL_S = 20.0, 5.0, 20
PREFIX = "eastwest-ovs-"
FOLDER = re.compile(rf"{PREFIX}(\d+)-.*")


class Vswitch:
    """One bridge, a learning switch.

    Attributes:
        version: of Open vSwitch, and of its DPDK and pages where it has one.
    """

    def __init__(self, space: str, *, has_dpdk: bool) -> None:
        """Start it in a network namespace.

        Args:
            has_dpdk: its ports are vhost-user; a thread on PMD_CORE polls them without end.

        Raises:
            Unavailable: it is not installed, or does not start.
        """
        daemon = _found(has_dpdk=has_dpdk)
        sweep_folders()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self._space = space
        self._processes: list[subprocess.Popen[bytes]] = []
        self._cpu: dict[int, int] = {}
        try:
            self._start(daemon, has_dpdk=has_dpdk)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            why = f"{error}; {self._last_words()}"
            self.close()
            raise Unavailable("Open vSwitch", why) from error
        except BaseException:
            self.close()
            raise

    def add_vhost(self, name: str) -> Path:
        """Add a vhost-user port; return the socket that it listens at."""
        kind = ("set", "interface", name, "type=dpdkvhostuser")
        self._vsctl("add-port", BRIDGE, name, "--", *kind)
        until(f"socket of port {name}", (self.folder / name).exists, START_S)
        return self.folder / name

    def add_interface(self, name: str) -> None:
        """Add an interface of the namespace as a port."""
        self._vsctl("add-port", BRIDGE, name)

    def pause(self) -> None:
        """Stop all of its threads where they are, so that it uses no processor."""
        self._processes[-1].send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._processes[-1].send_signal(signal.SIGCONT)

    def cpu_ns(self) -> int:
        """Return the CPU time of its processes."""
        for each in self._processes:
            with suppress(OSError):
                self._cpu[each.pid] = time.clock_gettime_ns(cpu_clock_of(each.pid))
        return sum(self._cpu.values())

    def close(self) -> None:
        """Stop it and remove its files."""
        try:
            for process in reversed(self._processes):
                process.terminate()
                process.send_signal(signal.SIGCONT)
                try:
                    process.wait(END_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ inside

    @property
    def _environment(self) -> dict[str, str]:
        names = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR", "RUNTIME_DIRECTORY")
        return os.environ | dict.fromkeys(names, str(self.folder))

    def _start(self, daemon: str, *, has_dpdk: bool) -> None:
        database, remote = self.folder / "conf.db", self.folder / "db.sock"
        self._call("ovsdb-tool", "create", str(database), str(SCHEMA))
        self._begin("ovsdb-server", str(database), f"--remote=punix:{remote}")
        until("socket of ovsdb-server", remote.exists, START_S)
        pages = self._configure_dpdk() if has_dpdk else ""
        self._begin("ip", "netns", "exec", self._space, daemon, f"unix:{remote}")
        self._vsctl("add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev")
        said = self._call(daemon, "--version").splitlines()
        self.version = ", ".join([each.strip() for each in said[:2]] + [pages] * bool(pages))

    def _configure_dpdk(self) -> str:
        """Set what it reads before it starts; return which pages it gets."""
        is_huge = _huge_mib_free() >= 2 * HUGE_MIB  # the ends need some, too
        pages = "" if is_huge else f"--no-huge --legacy-mem -m {2 * HUGE_MIB}"
        settings = {
            "dpdk-init": "true",
            "dpdk-lcore-mask": hex(1 << MAIN_CORE),
            "pmd-cpu-mask": hex(1 << PMD_CORE),
            "per-port-memory": "true",  # as much as two ports need, not 700 MiB
            "dpdk-extra": f"--no-pci --no-telemetry --file-prefix=ew {pages}".strip(),
            **({"dpdk-socket-mem": str(HUGE_MIB)} if is_huge else {}),
        }
        options = [f'other_config:{name}="{value}"' for name, value in settings.items()]
        self._vsctl("--no-wait", "init", "--", "set", "Open_vSwitch", ".", *options)
        return "huge pages" if is_huge else "pages of 4 KiB"

    def _begin(self, *command: str) -> None:
        own = ("--unixctl", str(self.folder / f"{len(self._processes)}.ctl"),
               "--log-file=" + str(self.folder / "log"), "-vconsole:off")  # fmt: skip
        self._processes.append(
            subprocess.Popen(
                [*command, *own],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=partial(die_with_parent, os.getpid()),
            )
        )

    def _vsctl(self, *arguments: str) -> None:
        """Change something, and wait until the switch has done it."""
        at = (f"--db=unix:{self.folder / 'db.sock'}", f"--timeout={CALL_S}")
        self._call("ovs-vsctl", *at, *arguments)
        for process in self._processes:
            if process.poll() is not None:
                raise RuntimeError(f"it ended with {process.returncode}")

    def _call(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=2 * CALL_S
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
        return done.stdout

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = (self.folder / "log").read_text().splitlines()
            bad = [each for each in lines if re.search(r"\|(ERR|EMER|WARN)\|", each)]
            return (bad or lines or [""])[-1].split("|", 1)[-1]
        return "without a word"


def sweep_folders() -> None:
    """Remove the folders of runs that are no more; their switches died with them."""
    for each in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        found = FOLDER.fullmatch(each.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            shutil.rmtree(each, ignore_errors=True)


def _found(*, has_dpdk: bool) -> str:
    """Return the daemon's path.

    Raises:
        Unavailable: not here.
    """
    sweep("Open vSwitch")
    daemon = shutil.which(DAEMONS[0]) or (None if has_dpdk else shutil.which(DAEMONS[1]))
    tools = all(map(shutil.which, ("ovsdb-server", "ovsdb-tool", "ovs-vsctl")))
    if daemon is None or not tools or not SCHEMA.exists():
        raise Unavailable("Open vSwitch", "it is not installed", FIX)
    if (os.cpu_count() or 1) < 2:
        raise Unavailable("Open vSwitch", "one processor: the switch and its ends need two")
    return daemon


def _huge_mib_free() -> int:
    found = {"HugePages_Free": 0, "Hugepagesize": 0}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0])
    return found["HugePages_Free"] * found["Hugepagesize"] // 1024
