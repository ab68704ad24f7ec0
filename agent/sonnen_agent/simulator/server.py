"""A simulated battery on a port of this machine."""

import socket
import socketserver
import sys
import threading
from contextlib import suppress
from email.utils import formatdate
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import Protocol, Self
from weakref import WeakSet

from sonnen_agent.errors import StartError
from sonnen_agent.simulator.battery import Answer, refused_order

_HOST = "127.0.0.1"
_LARGEST_REQUEST_BODY = 65_536
_POLL_SECONDS = 0.05


def rendered(answer: Answer, *, close: bool) -> bytes:
    """Return a whole HTTP answer."""
    lines = [
        f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Unknown')}",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.payload)}",
        *([f"Location: {answer.location}"] if answer.location else []),
        *(["Connection: close"] if close else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + answer.payload


class Answering(Protocol):
    """A battery of whatever kind."""

    def answer(self, path: str, token: str | None) -> Answer:
        """Return the answer to a GET."""


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, and lets the battery answer."""

    protocol_version = "HTTP/1.1"
    server: "Simulator"

    def respond(self) -> None:
        """Answer a request that has been read, whatever its method; tests put faults here."""
        if self.command == "GET":
            path = self.path.partition("?")[0]
            self.send(self.server.battery.answer(path, self.headers.get("Auth-Token")))
        else:
            self.send(refused_order())

    def send(self, answer: Answer) -> None:
        """Send an answer as it is."""
        self.connection.sendall(rendered(answer, close=self.close_connection))

    def do_GET(self) -> None:
        """Read the rest of a request, and answer it."""
        length = self.headers.get("Content-Length", "0")
        if length.isdecimal() and int(length) <= _LARGEST_REQUEST_BODY:
            self.rfile.read(int(length))
        else:
            self.close_connection = True
        self.respond()

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - http.server has these names

    def log_message(self, *_: object) -> None:
        """Keep stderr for what matters."""


class Simulator(socketserver.ThreadingTCPServer):
    """Serves a battery from `with` to the end of the block, each connection in a thread of its own."""

    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, battery: Answering, *, host: str = _HOST, port: int = 0, handler: type[Handler] = Handler
    ) -> None:
        """Listen on a port, 0 for any free one, or raise StartError."""
        self.battery = battery
        self._connections: WeakSet[object] = WeakSet()
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        try:
            super().__init__((host, port), handler)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "there is no such port"
            raise StartError(
                f"cannot listen on {host}:{port}: {reason}; "
                "choose another port with --port, or --port 0 for any free one"
            ) from error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The address to read the battery at, without a slash at its end."""
        return f"http://{self.server_address[0]!s}:{self.port}"

    def verify_request(self, request: object, client_address: object) -> bool:  # noqa: ARG002 - socketserver's
        """Note a connection that opens, so that it can be ended, and take it."""
        self._connections.add(request)
        return True

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
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
