"""The numbers of a server as Prometheus reads them, and the smallest server for that."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from ._errors import BadAddress

PREFIX = "eastwest_discovery_"
TIMEOUT_SECONDS = 5


def text(numbers: Mapping[str, float]) -> str:
    """Return *numbers* in the text format of Prometheus."""
    lines = []
    for name, value in sorted(numbers.items()):
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# TYPE {PREFIX}{name} {kind}", f"{PREFIX}{name} {value:.17g}"]
    return "\n".join(lines) + "\n"


@contextmanager
def serving(address: str, numbers: Callable[[], Mapping[str, float]]) -> Iterator[str]:
    """Answer GET /metrics in a thread; yield the URL.

    Args:
        address: "ADDRESS:PORT"; port 0 takes a free one. There is no access control.

    Raises:
        BadAddress: it cannot be listened at.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = TIMEOUT_SECONDS

        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            body = text(numbers()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: who asks is no event."""

    host, _, port = address.rpartition(":")
    try:
        server = ThreadingHTTPServer((host, int(port)), Handler)
    except (OSError, ValueError, OverflowError) as error:
        raise BadAddress(
            f"metrics at {address!r}: {error}; want ADDRESS:PORT, as in 127.0.0.1:9400"
        ) from None
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
