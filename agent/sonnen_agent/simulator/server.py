"""A simulated battery on a port of this machine."""

import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Self, TypeAlias

from sonnen_agent.errors import StartError
from sonnen_agent.simulator.battery import Answer, SimulatedBattery, refused_order

_HOST = "127.0.0.1"
_LARGEST_PORT = 65_535
_LARGEST_REQUEST_BODY = 65_536
_POLL_SECONDS = 0.05
_Connection: TypeAlias = socket.socket | tuple[bytes, socket.socket]
"""As socketserver has it, which also serves datagrams."""


def rendered(answer: Answer, *, close: bool) -> bytes:
    """Return a whole HTTP answer."""
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.payload)}",
        *([f"Location: {answer.location}"] if answer.location else []),
        *(["Connection: close"] if close else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + answer.payload


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, and lets the battery answer."""

    protocol_version = "HTTP/1.1"

    def __init__(
        self, battery: SimulatedBattery, *connection: *tuple[socket.socket, tuple[str, int], socketserver.BaseServer]
    ) -> None:
        self._battery = battery
        super().__init__(*connection)

    def respond(self) -> None:
        """Answer a request that has been read, whatever its method; tests put faults here."""
        if self.command == "GET":
            path = self.path.partition("?")[0]
            self.send(self._battery.answer(path, self.headers.get("Auth-Token")))
        else:
            self.send(refused_order())

    def send(self, answer: Answer) -> None:
        """Send an answer as it is."""
        self.connection.sendall(rendered(answer, close=self.close_connection))

    def do_GET(self) -> None:
        """Answer a reader."""
        self.respond()

    def do_PUT(self) -> None:
        """Read the rest of a request that is to change something, and answer it."""
        length = self.headers.get("Content-Length", "0")
        if length.isdecimal() and int(length) <= _LARGEST_REQUEST_BODY:
            self.rfile.read(int(length))
        else:
            self.close_connection = True
        self.respond()

    do_POST = do_PUT  # noqa: N815 - http.server has these names
    do_DELETE = do_PUT  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep stderr for what matters."""


class Simulator:
    """Serves a battery from `with` to the end of the block."""

    def __init__(
        self, battery: SimulatedBattery, *, port: int = 0, handler: Callable[..., BaseHTTPRequestHandler] = Handler
    ) -> None:
        self._port = port
        self._handler = partial(handler, battery)

    def __enter__(self) -> Self:
        if not 0 <= self._port <= _LARGEST_PORT:
            raise StartError(f"--port: should be 0 to {_LARGEST_PORT}, got {self._port!r}; 0 takes any free one")
        try:
            self._listener = _Listener((_HOST, self._port), self._handler)
        except OSError as error:
            raise StartError(
                f"cannot listen on {_HOST}:{self._port}: {error.strerror}; "
                "choose another port with --port, or --port 0 for any free one"
            ) from error
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.server_address[1])

    @property
    def url(self) -> str:
        """The address to read the battery at, without a slash at its end."""
        return f"http://{_HOST}:{self.port}"


class _Listener(socketserver.ThreadingTCPServer):
    """Answers each connection in a thread of its own, and knows them, so that it can end them."""

    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self._connections: set[_Connection] = set()
        super().__init__(address, handler)

    def process_request(self, request: _Connection, client_address: tuple[str, int]) -> None:
        """Note a connection that opens."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Connection) -> None:
        """Note a connection that ends."""
        super().shutdown_request(request)
        self._connections.discard(request)

    def handle_error(self, request: _Connection, client_address: tuple[str, int]) -> None:
        """Say nothing about a reader that hung up: that is its right."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """End what is still open, and wait until nobody answers any more."""
        for connection in tuple(self._connections):
            # The other side may be faster.
            with suppress(OSError):
                if isinstance(connection, socket.socket):
                    connection.shutdown(socket.SHUT_RDWR)
        super().server_close()
