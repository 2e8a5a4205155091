"""A port on a fabric network is lost under load, and comes back: channels leave and return."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import eastwest
from eastwest import Channel, Config, Context, Listener
from tests.conformance.pairs import LONG, PLUGIN, numbered, wait_until

BETTER = "a better path appeared"
PORT = {
    "security": "none",
    "fabric_network": "rack",
    "fabric_device": "test",
    "fabric_addresses": ("127.0.0.1/8",),
    "fabric_plugin": str(PLUGIN),
    "grace": LONG,
}


@dataclass
class Ends:
    """Two contexts with a port each, a listener and a channel."""

    here: Context
    there: Context
    listener: Listener
    opened: Channel
    accepted: Channel

    def lose(self, which: str) -> Context:
        victim = self.here if which == "dialling" else self.there
        victim.ask_fabric("test lost")
        return victim


@contextmanager
def on_fabric(folder: Path, **settings: Any) -> Iterator[Ends]:
    """A channel over dpdk; both ends have another way as well: *settings* of both."""
    with ExitStack() as stack:
        file = folder / "services.toml"
        more = {**PORT, **settings}
        there = stack.enter_context(Context(Config(**more)))
        listener = stack.enter_context(there.listen("ways"))
        far = [each for each in listener.instance.addresses if not each.startswith("shm:")]
        file.write_text(f'[[service]]\nname = "ways"\naddresses = {far}\n')
        here = stack.enter_context(Context(Config(**more, registry=(f"static:{file}",))))
        opened = here.connect("ways", timeout=LONG)
        stack.callback(opened.abort)
        accepted = listener.accept(timeout=LONG)
        stack.callback(accepted.abort)
        yield Ends(here, there, listener, opened, accepted)


class Flow:
    """Numbered messages one way, as fast as they go, until ``end``."""

    def __init__(self, sender: Channel, receiver: Channel) -> None:
        self.sender, self.receiver = sender, receiver
        self.stop = threading.Event()
        self.sent = self.received = 0
        self.wrong: list[str] = []
        self.threads = [threading.Thread(target=each) for each in (self._send, self._receive)]
        for each in self.threads:
            each.start()

    def _send(self) -> None:
        while not self.stop.is_set():
            self.sender.send(numbered(self.sent, 300), timeout=LONG)
            self.sent += 1
        self.sender.send_eof()

    def _receive(self) -> None:
        try:
            for message in self.receiver:
                if message != numbered(self.received, 300):
                    self.wrong.append(f"message {self.received}")
                self.received += 1
        except eastwest.EastwestError as error:
            self.wrong.append(repr(error))

    def goes_on(self) -> None:
        until = self.received + 100
        wait_until(lambda: self.received >= until or self.wrong, "messages pass", LONG)

    def end(self) -> None:
        self.stop.set()
        for each in self.threads:
            each.join(LONG)
        assert (self.wrong, self.received) == ([], self.sent)


@pytest.mark.parametrize("victim", ["dialling", "listening"])
def test_a_port_that_is_lost_is_left_and_taken_again(tmp_path: Path, victim: str) -> None:
    # catches: a keeper that finds no other way; one that stays on tcp; messages under way
    with on_fabric(tmp_path, paths=("dpdk", "tcp"), bind="127.0.0.1:0") as ends:
        assert ends.opened.path == ends.accepted.path == "dpdk"
        flows = [Flow(ends.opened, ends.accepted), Flow(ends.accepted, ends.opened)]
        for _ in range(2):
            for each in flows:
                each.goes_on()
            lost = ends.lose(victim)
            wait_until(lambda: ends.opened.path == "tcp", "it goes elsewhere", LONG)
            wait_until(lambda at=lost: at.fabric().state == "lost", "it is known", LONG)  # type: ignore[misc]
            for each in flows:
                each.goes_on()
            lost.ask_fabric("test back")
            wait_until(lambda: ends.opened.path == "dpdk", "it returns", LONG)
        for each in flows:
            each.end()
        changes = ends.opened.stats().changes
        assert [(each.before, each.after) for each in changes] == [
            ("dpdk", "tcp"),
            ("tcp", "dpdk"),
        ] * 2
        assert [each.lost for each in changes] == [True, False] * 2
        assert [each.reason for each in changes if not each.lost] == [BETTER] * 2


def test_a_port_that_is_lost_is_left_for_shared_memory(tmp_path: Path) -> None:
    # catches: kernel TCP as the only other way; a switch that the loss does not undo
    (tmp_path / "run").mkdir(mode=0o700)
    with on_fabric(tmp_path, runtime_dirs=(str(tmp_path / "run"),)) as ends:
        assert ends.opened.path == "shm"
        ends.opened.switch("dpdk", timeout=LONG)
        assert ends.opened.path == ends.accepted.path == "dpdk"
        flow = Flow(ends.opened, ends.accepted)
        flow.goes_on()
        ends.lose("listening")
        wait_until(lambda: ends.opened.path == "shm", "it goes elsewhere", LONG)
        flow.goes_on()
        flow.end()


def test_who_has_no_port_dials_it_as_tcp_at_last(tmp_path: Path) -> None:
    # catches: an address that only its own kind may dial; a verdict that does not say why
    with on_fabric(tmp_path, paths=("dpdk",)) as ends:
        plain = Config(registry=(f"static:{tmp_path / 'services.toml'}",), grace=LONG)
        with (
            Context(plain) as stranger,
            stranger.connect("ways", timeout=LONG) as channel,
            ends.listener.accept(timeout=LONG) as accepted,
        ):
            assert (channel.path, accepted.path) == ("tcp", "dpdk")
            verdict = next(e for e in channel.explain().rejected if e.path == "dpdk")
            assert (verdict.check, verdict.ok) == ("network", False)
            assert "no fabric_network" in verdict.detail
            channel.send(b"hello")
            assert accepted.recv(timeout=LONG) == b"hello"


def test_a_device_that_comes_later_is_published(tmp_path: Path) -> None:
    # catches: a listener that is never reached there because its port was not known at first
    away = tmp_path / "away"
    away.write_text("nobody has made it yet")
    settings = {**PORT, "fabric_device": f"test\nfails_while={away}"}
    with pytest.raises(eastwest.ConfigurationError, match="printable"):
        Config(**settings)
    settings["fabric_device"] = f"test,fails_while={away}"
    (tmp_path / "run").mkdir(mode=0o700)
    config = Config(**settings, runtime_dirs=(str(tmp_path / "run"),))
    with Context(config) as there, there.listen("late") as listener:
        assert there.fabric().state == "closed"
        assert "nobody has made it yet" in str(listener.explain())
        assert not [each for each in listener.instance.addresses if each.startswith("dpdk:")]
        away.unlink()
        wait_until(lambda: there.fabric().state == "up", "it is opened", LONG)
        wait_until(
            lambda: [each for each in listener.instance.addresses if each.startswith("dpdk:")],
            "it is published",
            LONG,
        )
        (found,) = there.instances("late")
        assert set(listener.instance.addresses) <= set(found.addresses)


def test_tools_see_the_fabric_of_another_process(tmp_path: Path) -> None:
    # catches: a state that only its own process is told; a channel on dpdk that is shown as another
    (tmp_path / "run").mkdir(mode=0o700)
    run = {"EASTWEST_RUNTIME_DIR": str(tmp_path / "run"), "EASTWEST_CONFIG": "/dev/null"}
    with on_fabric(tmp_path, runtime_dirs=(run["EASTWEST_RUNTIME_DIR"],)) as ends:
        ends.opened.switch("dpdk", timeout=LONG)

        def tool(*words: str) -> str:
            command = [sys.executable, "-m", "eastwest.cli", *words]
            done = subprocess.run(command, env=os.environ | run, capture_output=True, timeout=LONG)
            return done.stdout.decode()

        pid = str(os.getpid())
        assert "fabric rack by test, up" in tool("explain", pid)
        rows = [line.split() for line in tool("ls", "--channels").splitlines()]
        assert [row[3] for row in rows if row[0] == pid] == ["dpdk", "dpdk"]
        told = tool("explain", f"{pid}/{ends.opened.explain().facts['channel'][:8]}")
        assert "ways: dpdk" in told and "rack by test, up" in told
        ends.lose("listening")
        wait_until(lambda: "lost: the port was lost" in tool("explain", pid), "it is told", LONG)


def at(folder: Path) -> dict[str, Any]:
    """Return the settings of a port, and of a runtime directory in that folder."""
    (folder / "run").mkdir(mode=0o700)
    return PORT | {"runtime_dirs": (str(folder / "run"),)}


def test_an_accepted_channel_is_where_its_peer_chose_to_be(tmp_path: Path) -> None:
    # catches: a server whose port works, told to give the server a port; no word after the end
    with Context(Config(**at(tmp_path))) as context, context.listen("chosen") as listener:
        opened = context.connect("chosen", timeout=LONG)
        accepted = listener.accept(timeout=LONG)
        assert accepted.path == "shm"
        assert "publishes none" not in str(accepted.explain())
    for ended in (opened, accepted):
        assert "closed" in str(ended.explain())


def test_without_a_plug_in_nothing_is_published_there_or_waited_for(tmp_path: Path) -> None:
    # catches: an address where nobody ever listens; a thread that looks for ever
    settings = at(tmp_path) | {"fabric_plugin": "/none/\udcff.so", "fabric_port": 7411}
    with Context(Config(**settings)) as context, context.listen("alone") as listener:
        assert [each[:4] for each in listener.instance.addresses] == ["shm:"]
        assert "eastwest-fabric" not in {each.name for each in threading.enumerate()}
        (verdict,) = (each for each in listener.explain().rejected if each.path == "dpdk")
        assert "no plug-in for rack" in verdict.detail
