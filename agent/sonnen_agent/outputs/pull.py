"""The pull page: `/metrics` for a Prometheus that can reach the device, as benalexau/sonnen-exporter serves it."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

from sonnen_agent.errors import StartError
from sonnen_agent.metrics.agent import agent_families
from sonnen_agent.metrics.battery import battery_families
from sonnen_agent.metrics.exposition import CONTENT_TYPE, render
from sonnen_agent.metrics.groups import Grouping
from sonnen_agent.snapshot import AgentReport, Snapshot

_log = logging.getLogger(__name__)


class PullPage:
    """Keeps the latest snapshot of each battery and serves them all as one page."""

    def __init__(
        self, batteries: tuple[str, ...], report: Callable[[], AgentReport], grouping: Grouping, interval_seconds: float
    ) -> None:
        """Serve `batteries` in this order; several are told apart by an `instance` label."""
        self._report = report
        self._grouping = grouping
        self._interval_seconds = interval_seconds
        self._lock = threading.Lock()
        self._latest: dict[str, Snapshot | None] = dict.fromkeys(batteries)

    def put(self, snapshot: Snapshot) -> None:
        """Replace what is shown of a battery."""
        with self._lock:
            self._latest[snapshot.battery] = snapshot

    def page(self) -> bytes:
        """Return the whole page; of a battery whose loop is late, nothing measured."""
        with self._lock:
            latest = tuple(snapshot for snapshot in self._latest.values() if snapshot is not None)
        now = time.monotonic()
        current = (s if s.is_current(now, self._interval_seconds) else replace(s, reading=None) for s in latest)
        families = battery_families(current, with_instance=len(self._latest) > 1)
        return render([*families, *agent_families(self._report(), self._grouping.process_families())])


class PullServer:
    """Serves a page in threads of its own, from construction to `close`."""

    def __init__(self, page: PullPage, host: str, port: int) -> None:
        """Listen, or raise StartError; port 0 takes a free one."""
        self._page = page
        try:
            self._server: _Server = (_Server6 if ":" in host else _Server)((host, port), _QuietHandler)
        except OSError as error:
            raise StartError(
                f"pull.listen: cannot listen on {host}:{port}: {error.strerror}; "
                "choose another address or port, or stop what uses it"
            ) from error
        self._server.set_app(self._answer)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="pull", daemon=True).start()
        _log.info("serving /metrics on %s port %d", host, self.port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return ()
        status, kind, body = "404 Not Found", "text/plain", b"see /metrics\n"
        if environ["PATH_INFO"] == "/metrics":
            status, kind, body = "200 OK", CONTENT_TYPE, self._page.page()
        elif environ["PATH_INFO"] == "/":
            status, kind, body = "200 OK", "text/html", b'<p>sonnen-agent: <a href="metrics">metrics</a></p>\n'
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return (body,)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 16

    def server_bind(self) -> None:
        """Bind without asking the name service for our own name, which takes long without a network."""
        TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's
        """Note at most quietly that a scraper went away in the middle."""
        _log.debug("a scraper went away: %s", client_address, exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _QuietHandler(WSGIRequestHandler):
    timeout = 10  # a client that says nothing does not keep its thread

    def log_message(self, *_: object) -> None:
        """Log nothing per request."""

    def address_string(self) -> str:
        """Return the address without asking the name service."""
        return str(self.client_address[0])
