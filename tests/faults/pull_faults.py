"""The table of what somebody can do to the pull page. Each row is one client, or many of its kind."""

import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import NamedTuple

from peers import reset
from programs import HOST

SECONDS = 10.0
"""After which a client gives up that nobody answers."""

Client = Callable[[int, ExitStack], object]
"""Does it to the page on a port; what it leaves on the stack stays open until the fault is over."""


class PullFault(NamedTuple):
    """A row."""

    name: str
    client: Client


def connected(port: int, data: bytes = b"") -> socket.socket:
    """Return a connection on which this was sent."""
    connection = socket.create_connection((HOST, port), SECONDS)
    # The page may hang up on what it does not like.
    with suppress(OSError):
        connection.sendall(data)
    return connection


def sends(data: bytes, *, times: int = 1) -> Client:
    """Send this on so many connections, and leave them open without reading."""
    return lambda port, opened: [opened.enter_context(connected(port, data)) for _ in range(times)]


def asks(data: bytes) -> Client:
    """Send this, read whatever is answered, and close."""

    def client(port: int, opened: ExitStack) -> None:
        del opened
        with ExitStack() as closed:
            connection = closed.enter_context(connected(port, data))
            closed.enter_context(suppress(OSError))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass

    return client


def resets(data: bytes, *, times: int) -> Client:
    """Send this on one connection after the other, and reset each."""

    def client(port: int, opened: ExitStack) -> None:
        del opened
        for _ in range(times):
            reset(connected(port, data))

    return client


def _floods(port: int, opened: ExitStack, data: bytes) -> None:
    del opened
    with suppress(OSError), connected(port) as connection:
        for _ in range(32 * 1024 * 1024 // len(data)):
            connection.sendall(data)


GET = b"GET /metrics HTTP/1.1\r\nHost: a\r\n"
PULL_FAULTS = (
    PullFault("connects and says nothing", sends(b"")),
    PullFault("connects two hundred times", sends(b"", times=200)),
    PullFault("asks fifty times half", sends(GET, times=50)),
    PullFault("asks and never reads", sends(GET + b"\r\n", times=20)),
    PullFault("asks a thousand times at once", sends((GET + b"\r\n") * 1000)),
    PullFault("resets thirty times", resets(GET + b"\r\n", times=30)),
    PullFault("resets thirty times before asking", resets(b"", times=30)),
    PullFault("speaks TLS", asks(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)) * 4)),
    PullFault("speaks garbage", asks(b"\x00\xff\x1b[2J\r\n\r\n")),
    PullFault("speaks HTTP 0.9", asks(b"GET /metrics\r\n")),
    PullFault("speaks HTTP 9.9", asks(b"GET /metrics HTTP/9.9\r\n\r\n")),
    PullFault("never ends the request line", partial(_floods, data=b"G" * 65_536)),
    PullFault("never ends a header", partial(_floods, data=GET + b"X: " + b"y" * 65_536)),
    PullFault("never ends the headers", partial(_floods, data=GET + b"X: y\r\n" * 9999)),
    PullFault(
        "posts without end",
        partial(_floods, data=b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 65_536),
    ),
    PullFault("posts minus five bytes", asks(b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n")),
    PullFault("asks by a method of its own", asks(b"\x1b[2J /metrics HTTP/1.1\r\n\r\n")),
    PullFault("asks for a file", asks(b"GET /../../../../etc/passwd HTTP/1.1\r\n\r\n")),
    PullFault("asks for a long path", asks(b"GET /" + b"%00" * 20_000 + b" HTTP/1.1\r\n\r\n")),
    PullFault("asks for bad escapes", asks(b"GET /%zz%ff%u1234?%=&&& HTTP/1.1\r\n\r\n")),
    PullFault("forges a line of the log", asks(b"GET /\nWARNING forged HTTP/1.1\r\n\r\n")),
)
