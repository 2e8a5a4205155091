"""A client process of ``chaos.py``: many instances, one provider; told what to do in JSON lines.

``python -m tests.discovery.chaos_client URL [PUBLIC SECRET SERVER]``. One answer for each line.
"""

import json
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from eastwest_discovery._errors import Unavailable
from eastwest_discovery._record import Key, Record
from eastwest_discovery._union import Entry
from eastwest_discovery._zmq import Zmq
from eastwest_discovery._zmq_thread import Curve

NAMESPACE, SERVICE = "default", "chaos"
LOOK_SECONDS = 0.01


class Client:
    """What it publishes, what it sees, and what it has seen going."""

    def __init__(self, provider: Zmq, ttl: int) -> None:
        self.provider = provider
        self.ttl = ttl
        self.gone: list[str] = []
        self.news = threading.Condition()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        known: set[str] = set()
        cursor = b""
        while True:
            try:
                update = self.provider.poll(NAMESPACE, SERVICE, cursor, 5.0)
            except Unavailable:
                continue
            there = {each.instance for each in update.records}
            gone = {each.instance for each in update.gone}
            gone |= known - there if update.snapshot else set()
            known = there if update.snapshot else (known | there) - gone
            cursor = update.cursor
            with self.news:
                self.gone += gone
                self.news.notify_all()

    def publish(self, versions: dict[str, int]) -> dict[str, object]:
        """Publish all at once: each waits a second for a server that hangs."""
        records = [
            Record(service=SERVICE, instance=instance, version=version, ttl=self.ttl)
            for instance, version in versions.items()
        ]
        with ThreadPoolExecutor(max_workers=max(1, len(records))) as pool:
            list(pool.map(self.provider.publish, records))
        return {}

    def withdraw(self, instances: Sequence[str]) -> dict[str, object]:
        for each in instances:
            self.provider.withdraw(Key(NAMESPACE, SERVICE, each))
        return {}

    def expect(
        self,
        must: dict[str, list[Any]],
        never: Sequence[str],
        kept: Sequence[str],
        since: float,
        seconds: float,
    ) -> dict[str, object]:
        """Wait until what *must* be there is confirmed, and what may *never* be there is not.

        Args:
            must: version and servers that confirm it, by instance.
            kept: instances that are known, if only as stale.
            since: when it began, of the clock of this machine.
        """
        while wrong := self._wrong(must, never, kept):
            if time.monotonic() - since > seconds:
                return {"failed": wrong[:5]}
            with self.news:
                self.news.wait(LOOK_SECONDS)
        return {"seconds": time.monotonic() - since}

    def events(self) -> dict[str, object]:
        """Return what has gone since the last time."""
        with self.news:
            gone, self.gone = self.gone, []
        return {"gone": sorted(set(gone))}

    def _wrong(
        self, must: dict[str, list[Any]], never: Sequence[str], kept: Sequence[str]
    ) -> list[str]:
        view = self.provider.view(NAMESPACE, SERVICE)
        known: dict[str, Entry] = {e.record.instance: e for e in view.entries} if view else {}
        wrong = [f"{each} lives" for each in never if each in known]
        wrong += [f"{each} was lost" for each in kept if each not in known]
        for instance, (version, sources) in must.items():
            entry = known.get(instance)
            if entry is None or entry.record.version != version:
                wrong.append(f"{instance}: {entry and entry.record.version}, not {version}")
            elif not set(sources) <= set(entry.sources):
                wrong.append(f"{instance}: {entry.sources} only, not {sources}")
        return wrong


def main() -> None:
    url, ttl, *keys = sys.argv[1:]
    curve = Curve(keys[0], keys[1], (keys[2],)) if keys else None
    client = Client(Zmq(url, keys=curve), int(ttl))
    for line in sys.stdin:
        asked = json.loads(line)
        answer = getattr(client, asked.pop("do"))(**asked)
        print(json.dumps(answer), flush=True)
    client.provider.close()


if __name__ == "__main__":
    main()
