"""The pull page: `/metrics` for a Prometheus that can reach the device, as benalexau/sonnen-exporter serves it."""

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

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

    name = "pull"
    verb = None

    def __init__(self, options: Options, surroundings: Surroundings) -> None:
        """Listen, so that a port in use is known at once, or raise StartError; port 0 takes a free one."""
        # In the order of the config; several batteries are told apart by an `instance` label.
        self._latest: dict[GroupKey, Group | None] = dict.fromkeys(surroundings.meters)
        self._batteries = frozenset(surroundings.meters)
        self._lock = threading.Lock()
        host, port = options.host, options.port
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
        return render(_merged(self._labelled(group if group.is_current(now) else offline(group)) for group in groups))

    def _labelled(self, group: Group) -> tuple[Group, dict[str, str]]:
        several = len(self._batteries) > 1 and group.key in self._batteries
        return group, {"instance": group.key.instance} if several else {}

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return ()
        status, kind, body = "404 Not Found", "text/plain", b"see /metrics\n"
        if environ["PATH_INFO"] == "/metrics":
            status, kind, body = "200 OK", CONTENT_TYPE, self.page()
        elif environ["PATH_INFO"] == "/":
            status, kind, body = "200 OK", "text/html", b'<p>sonnen-agent: <a href="metrics">metrics</a></p>\n'
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return (body,)


def _merged(groups: Iterable[tuple[Group, dict[str, str]]]) -> Iterable[Metric]:
    """Return one family per name with the samples of all groups, each with the labels of its group."""
    merged: dict[str, Metric] = {}
    for group, labels in groups:
        for family in (*group.families, *group.certain_counters):
            whole = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                whole.add_sample(sample.name, {**labels, **sample.labels}, sample.value)
    return merged.values()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 16

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Give a connection a thread; the one before the latest sixteen has had its time."""
        self._latest.append(request)
        if len(self._latest) > _MOST_CONNECTIONS:
            with suppress(OSError):  # it has ended
                self._latest.popleft().shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def server_bind(self) -> None:
        """Bind without asking the name service for our own name, which takes long without a network."""
        self._latest = deque[socket.socket]()
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

    def setup(self) -> None:
        """Read the head of the request up to a bound."""
        super().setup()
        head = line = self.rfile.readline(_HEAD_BYTES)
        while line.strip() and len(head) < _HEAD_BYTES:
            head += (line := self.rfile.readline(_HEAD_BYTES))
        self.rfile = BytesIO(head)

    def log_message(self, *_: object) -> None:
        """Log nothing per request."""

    def address_string(self) -> str:
        """Return the address without asking the name service."""
        return str(self.client_address[0])
