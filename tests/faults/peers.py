"""What an agent talks to: a server on a socket of its own whose behaviour can be changed while it runs.

A peer has a usual behaviour, and between `begin` and `end` another: a fault. Behaviours are in behaviours.py.
"""

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from types import TracebackType
from typing import Literal, Self

from programs import HOST, free_port, wait_until

_HEAD_LIMIT_BYTES = 65_536
_PATIENCE_SECONDS = 30
_LOOK_SECONDS = 0.05
_OF_THE_WAY = ("connection", "transfer-encoding", "content-length")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked, as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    head: bytes
    """The request line and the headers."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a peer does when it is its turn."""

    act: Callable[["Call"], None]
    at: Literal["request", "connection", "port"] = "request"
    """When it acts: once a request is read, as soon as somebody connects, or never, since the port is closed."""


class HungUpError(Exception):
    """The other side has closed the connection, or the fault is over and nobody waits for the rest."""


class Call:
    """One connection, and the request on it that is to be answered."""

    def __init__(self, peer: "Peer", connection: socket.socket) -> None:
        self.peer = peer
        self.request = Request(method="", path="", headers={}, body=b"", head=b"")
        self.keep = True
        """Whether another request may follow on this connection."""
        self.number = 0
        """Of the requests during the present fault, from 1."""
        self._connection = connection
        self._serial = peer.serial
        self._unread = b""

    @property
    def over(self) -> bool:
        """Whether the fault during which this began has ended."""
        return self.peer.serial != self._serial

    def usual(self) -> bytes:
        """Return the whole usual answer, sent or not."""
        return self.peer.usual(self.request)

    def tell(self) -> None:
        """Give the usual answer, and remember that the truth was told."""
        self.send(self.usual())
        self.told()

    def told(self) -> None:
        """Remember that the truth was told just now."""
        self.peer.note(self.request)

    def send(self, data: bytes) -> None:
        """Send, or raise HungUpError."""
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise HungUpError from error

    def pause(self, seconds: float) -> None:
        """Wait, but raise HungUpError as soon as the other side hangs up or the fault is over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))
            if self.over or self._hung_up():
                raise HungUpError

    def _hung_up(self) -> bool:
        try:
            return not self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def hold(self) -> None:
        """Say nothing until the fault is over or the other side hangs up."""
        self.pause(3600)

    def reset(self) -> None:
        """Close so that the other side gets RST instead of FIN."""
        self.keep = False
        reset(self._connection)

    def read_request(self) -> bool:
        """Read the next request; return whether there was one."""
        while b"\r\n\r\n" not in self._unread:
            if not self._read() or len(self._unread) > _HEAD_LIMIT_BYTES:
                return False
        head, _, rest = self._unread.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._unread = rest
        length = int(headers.get("content-length", "0"))
        while len(self._unread) < length:
            if not self._read():
                return False
        body, self._unread = self._unread[:length], self._unread[length:]
        self._serial = self.peer.serial
        self.request = Request(method=method, path=path, headers=headers, body=body, head=head)
        return True

    def _read(self) -> bool:
        try:
            received = self._connection.recv(65_536)
        except OSError:
            return False
        self._unread += received
        return bool(received)


def reset(connection: socket.socket) -> None:
    """Close a socket so that the other side gets RST."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.detach())


def _usually(call: Call) -> None:
    call.tell()


class Peer:
    """Listens on a free loopback port from `with` to the end of the block."""

    def __init__(self, usual: Callable[[Request], bytes]) -> None:
        """`usual` returns the whole usual answer to a request, as bytes of HTTP."""
        self.usual = usual
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.serial = 0
        """Counts the beginnings and ends of faults."""
        self._usual = self._behaviour = Behaviour(_usually)
        self._number = 0
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.serial += 1
        self._close_port()

    def begin(self, fault: Behaviour) -> None:
        """Behave like this from now on."""
        self._number = 0
        self._change(fault)

    def end(self) -> None:
        """Behave as usual again; what a fault still holds is closed."""
        self._change(self._usual)

    def note(self, request: Request) -> None:
        """Be told that the truth was told to a request."""

    def hear(self, request: Request) -> None:
        """Be told of a request, before it is answered."""

    def _change(self, behaviour: Behaviour) -> None:
        before, self._behaviour = self._behaviour, behaviour
        self.serial += 1
        if behaviour.at == "port":
            self._close_port()
            return
        if behaviour.at == "connection":
            self._hang_up()
        if before.at == "port":
            self._listen()

    def _listen(self) -> None:
        def bound() -> bool:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, self.port))
            except OSError:
                listener.close()
                return False
            listener.listen(64)
            self._listener = listener
            return True

        wait_until(bound, f"listening on port {self.port}", seconds=_PATIENCE_SECONDS, pause_seconds=0.01)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _close_port(self) -> None:
        if self._listener is not None:
            # What waits in accept is woken by this, and by nothing else.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self._hang_up()

    def _hang_up(self) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)
        call = Call(self, connection)
        try:
            while call.keep:
                if self._behaviour.at != "connection":
                    if not call.read_request():
                        return
                    self.hear(call.request)
                self._number += 1
                call.number = self._number
                self._behaviour.act(call)
                if self._behaviour.at == "connection":
                    return
        except HungUpError:
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()


class Gate(Peer):
    """Hands each request on to a real server on this machine, as long as it is well."""

    def __init__(self, port: int) -> None:
        """`port` is that of the real server."""
        self._behind = port
        self._passed: list[float] = []
        super().__init__(self._forward)

    def note(self, request: Request) -> None:
        del request
        self._passed.append(time.time())

    def first_passed(self, unix_seconds: float) -> float | None:
        """Return when the first request from that time on had passed; None if none has."""
        return next((moment for moment in self._passed if moment >= unix_seconds), None)

    def _forward(self, request: Request) -> bytes:
        server = HTTPConnection(HOST, self._behind, timeout=_PATIENCE_SECONDS)
        kept = {name: value for name, value in request.headers.items() if name not in ("connection", "host")}
        try:
            server.request(request.method, request.path, request.body or None, kept)
            response = server.getresponse()
            body = response.read()
        finally:
            server.close()
        lines = [f"{name}: {value}" for name, value in response.getheaders() if name.lower() not in _OF_THE_WAY]
        head = [f"HTTP/1.1 {response.status} {response.reason}", *lines, f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(head).encode("latin-1") + body
