"""The HTTP listener between the network and a simulated battery."""

import socket
import socketserver
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import TypeAlias

from sonnen_agent.simulator.answers import refused_order
from sonnen_agent.simulator.battery import Request, SimulatedBattery
from sonnen_agent.simulator.control import PREFIX, control
from sonnen_agent.simulator.faults import FaultName
from sonnen_agent.simulator.wire import Line, rendered, send_faulty, wire_fault

_Connection: TypeAlias = socket.socket | tuple[bytes, socket.socket]
"""As socketserver has it, which also serves datagrams."""
_LARGEST_REQUEST_BODY = 65_536
_STOP_SECONDS = 5.0


class Listener(socketserver.ThreadingTCPServer):
    """Answers each connection in a thread of its own, and knows them, so that it can end them."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], battery: SimulatedBattery) -> None:
        self._connections: set[_Connection] = set()
        self._changed = threading.Condition()
        super().__init__(address, partial(_Handler, battery))

    def process_request(self, request: _Connection, client_address: tuple[str, int]) -> None:
        """Note a connection that opens."""
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Connection) -> None:
        """Note a connection that ends."""
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: _Connection, client_address: tuple[str, int]) -> None:
        """Say nothing about a reader that hung up: that is its right."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        """End what is still open, and wait until nobody answers any more."""
        with self._changed:
            for connection in self._connections:
                if isinstance(connection, socket.socket):
                    _hang_up(connection)
            self._changed.wait_for(lambda: not self._connections, _STOP_SECONDS)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other side was faster.
        return


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, and lets the battery or the control interface answer."""

    protocol_version = "HTTP/1.1"

    def __init__(
        self,
        battery: SimulatedBattery,
        *connection: *tuple[socket.socket, tuple[str, int], socketserver.BaseServer],
    ) -> None:
        self._battery = battery
        super().__init__(*connection)

    def do_GET(self) -> None:
        if self.path.startswith(PREFIX):
            self._control()
            return
        path = self.path.partition("?")[0]
        self._remember()
        faults = self._battery.faults_at(path)
        answer = self._battery.answer(path, self.headers.get("Auth-Token"), faults)
        fault = wire_fault(faults)
        if fault is None:
            # First the record, then the answer: a reader that looks right after its answer finds it there.
            self._battery.delivered(path, answer)
            self.connection.sendall(rendered(answer, close=self.close_connection))
            return
        self.close_connection = True
        line = Line(connection=self.connection, is_on=partial(self._is_on, path))
        whole = rendered(answer, close=True)
        send_faulty(line, fault, whole, lambda: self._battery.delivered(path, answer))

    def do_PUT(self) -> None:
        self._order()

    def do_DELETE(self) -> None:
        self._order()

    def do_POST(self) -> None:
        self._order()

    def log_message(self, *_: object) -> None:
        """Keep stderr for what matters."""

    def _order(self) -> None:
        """Answer a request that is to change something."""
        length = self.headers.get("Content-Length", "0")
        if length.isdecimal() and int(length) <= _LARGEST_REQUEST_BODY:
            self.rfile.read(int(length))
        else:
            self.close_connection = True
        if self.path.startswith(PREFIX):
            self._control()
            return
        self._remember()
        self.connection.sendall(rendered(refused_order(), close=self.close_connection))

    def _control(self) -> None:
        answer = control(self._battery, self.command, self.path)
        self.connection.sendall(rendered(answer, close=self.close_connection))

    def _remember(self) -> None:
        token = self.headers.get("Auth-Token")
        self._battery.asked(Request(method=self.command, path=self.path, auth_token=token))

    def _is_on(self, path: str, fault: FaultName) -> bool:
        return fault in self._battery.faults_at(path)
