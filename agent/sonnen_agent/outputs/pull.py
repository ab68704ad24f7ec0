"""The pull page: `/metrics` for a Prometheus that can reach the device, as benalexau/sonnen-exporter serves it."""

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from socketserver import ThreadingTCPServer
from typing import Any, Self

from prometheus_client.core import Metric

from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.errors import StartError
from sonnen_agent.group import Group, GroupKey
from sonnen_agent.metrics.battery import offline
from sonnen_agent.metrics.exposition import CONTENT_TYPE, render
from sonnen_agent.outputs import Retain, Surroundings
from sonnen_agent.scheduler import Threads
from sonnen_agent.telemetry import Waiting

_MOST_CONNECTIONS, _HEAD_BYTES = 16, 16 * 1024
"""Served at a time, and read of a request."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The config's `pull`: where `/metrics` is served."""

    host: str
    port: int

    @classmethod
    def read(cls, section: Section, _: Secrets) -> Self:
        """Return what a section says; what is wrong with it is noted there."""
        listen = section.required_text("listen", "127.0.0.1:9422")
        host, _colon, port = listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if listen and not (host and port.isdecimal() and 0 < int(port) < 65536):
            section.problem("listen", f"should be an address and a port, such as 127.0.0.1:9422, got {listen!r}")
            return cls(host="", port=0)
        return cls(host=host, port=int(port or 0))

    @property
    def summary(self) -> str:
        """What it does, in words."""
        return f"serving /metrics on {self.host} port {self.port}"

    def open(self, surroundings: Surroundings) -> "PullOutput":
        """Return the output, which listens from now on, or raise StartError."""
        return PullOutput(self, surroundings)


class PullOutput:
    """Keeps the latest group of each key, and serves them all as one page, in threads of its own."""

    verb = None

    def __init__(self, options: Options, surroundings: Surroundings) -> None:
        """Listen, so that a port in use is known at once, or raise StartError; port 0 takes a free one."""
        # In the order of the config; several batteries are told apart by an `instance` label.
        self._latest: dict[GroupKey, Group | None] = dict.fromkeys(surroundings.meters)
        self._told_apart = frozenset(surroundings.meters if len(surroundings.meters) > 1 else ())
        self._lock = threading.Lock()
        host, port = options.host, options.port
        try:
            self._server = _Server(host, port, self.page)
        except OSError as error:
            raise StartError(
                f"pull.listen: cannot listen on {host}:{port}: {error.strerror}; "
                "choose another address or port, or stop what uses it"
            ) from error
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="pull", daemon=True).start()
        _log.info("serving /metrics on %s port %d", host, self.port)

    def start(self, threads: Threads) -> None:
        """Do nothing: the server has threads of its own."""

    def put(self, group: Group) -> None:
        """Replace what is shown of a group; the pages of others go to a gateway alone."""
        if group.page is None:
            with self._lock:
                self._latest[group.key] = group

    def waiting(self) -> Waiting | None:
        """Return None: a page is always of now."""
        return None

    def stop(self, retain: Retain) -> None:  # noqa: ARG002 - it leaves nothing with anybody
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def page(self) -> bytes:
        """Return the whole page; of a battery whose loop is late, nothing measured."""
        with self._lock:
            groups = tuple(group for group in self._latest.values() if group is not None)
        now = time.monotonic()
        merged: dict[str, Metric] = {}
        for group in groups:
            shown = group if group.is_current(now) else offline(group)
            labels = {"instance": group.key.instance} if group.key in self._told_apart else {}
            for family in (*shown.families, *shown.certain_counters):
                whole = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    whole.add_sample(sample.name, {**labels, **sample.labels}, sample.value)
        return render(merged.values())


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 16

    def __init__(self, host: str, port: int, page: Callable[[], bytes]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.page = page
        self._open: dict[socket.socket, bool] = {}
        """The connections in the order in which they came, and whether each has asked."""
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Give a connection a thread; of sixteen others the oldest has had its time, first of those yet to ask."""
        with self._lock:
            if len(self._open) >= _MOST_CONNECTIONS:
                oldest = min(self._open, key=self._open.__getitem__)
                del self._open[oldest]
                with suppress(OSError):  # it has ended
                    oldest.shutdown(socket.SHUT_RDWR)
            self._open[request] = False
        super().process_request(request, client_address)

    def asked(self, request: Any) -> None:  # noqa: ANN401 - socketserver's
        """Note that a connection has asked: its answer is on its way."""
        with self._lock:
            if request in self._open:
                self._open[request] = True

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - socketserver's
        """End a connection: from now on it takes nobody's place."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's
        """Note quietly that a scraper went away in the middle; anything else is an error of ours."""
        level = logging.DEBUG if isinstance(sys.exception(), OSError) else logging.ERROR
        _log.log(level, "no page for %s", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10  # a client that says nothing does not keep its thread

    def handle(self) -> None:
        """Read the head of a request up to a bound, and answer it."""
        head = line = self.rfile.readline(_HEAD_BYTES)
        while line.strip() and len(head) < _HEAD_BYTES:
            head += (line := self.rfile.readline(_HEAD_BYTES))
        self.server.asked(self.connection)
        self.rfile = BytesIO(head)
        self.raw_requestline = self.rfile.readline()
        if not self.parse_request():
            return
        path = self.path.partition("?")[0]
        status, kind, body = 404, "text/plain", b"see /metrics\n"
        if self.command not in ("GET", "HEAD"):
            status, body = 405, b"only GET and HEAD\n"
        elif path == "/metrics":
            status, kind, body = 200, CONTENT_TYPE, self.server.page()
        elif path == "/":
            status, kind, body = 200, "text/html", b'<p>sonnen-agent: <a href="metrics">metrics</a></p>\n'
        self.send_response(status)
        for name, value in (("Allow", "GET, HEAD"), ("Content-Type", kind), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing per request."""
