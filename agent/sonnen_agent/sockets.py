"""What a request goes over: a socket whose answers keep the request's deadline and bound, and a proxy's tunnel."""

import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from sonnen_agent.clock import Deadline
from sonnen_agent.errors import ExchangeError, Outcome

PROXY_LOGIN: tuple[Outcome, str] = (
    "unauthorized",
    "the proxy answered 407: it asks for a login; mend proxy_username and the password for it",
)
SPEAKS_TLS: tuple[Outcome, str] = ("refused", "the port speaks TLS: write https:// instead of http://")
_TLS_ALERT = b"\x15\x03"
_STATUS = re.compile(r"HTTP/1\.(\d) ([1-9]\d\d)(?!\S)", re.ASCII)
_CHUNK = re.compile(r"[0-9A-Fa-f]+(?![^ \t;])")
_PIECE_BYTES = 16 * 1024
_EXCERPT_BYTES = 100
_MOST_HEADERS = 100
"""In memory a header takes many times the bytes of its shortest text."""


class AnswerError(ValueError):
    """What a peer says is no answer in HTTP, or not all of one."""


class Limits:
    """What the request under way may take, shared by a connection and all that reads from its socket."""

    def __init__(self) -> None:
        self.deadline = Deadline(0)
        self.bytes_left = 0

    def arm(self, sock: socket.socket) -> None:
        """Give a socket the time that is left for its next operation, or raise TimeoutError when there is none."""
        if (seconds := self.deadline.remaining) <= 0:
            raise TimeoutError("the request's deadline has passed")
        # Never zero, which would mean a socket that does not wait at all.
        sock.settimeout(max(seconds, 0.001))


class AnswerReader:
    """Reads one answer from a socket: the head when it is made, then the body.

    It waits no longer each time, and takes no more, than the request has left.
    """

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        """Read the head, or raise: ConnectionError where nothing comes, AnswerError where it is none."""
        self._sock, self._limits = sock, limits
        self._ahead = bytearray()
        """What was received, and not read yet."""
        if not self._receive():
            raise ConnectionError
        if self._ahead.startswith(_TLS_ALERT):
            raise ExchangeError(*SPEAKS_TLS)
        self.status = HTTPStatus.CONTINUE.value
        while self.status == HTTPStatus.CONTINUE:
            line = self._line()
            if (found := _STATUS.match(line)) is None:
                raise AnswerError(line)
            version, self.status = found[1], int(found[2])
            self.headers = self._headers()
        connection, length = self.headers.get("Connection", "").lower(), self.headers.get("Content-Length", "")
        self._chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        self._length = int(length) if length.isdecimal() else None
        if self.status < 200 or self.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            self._chunked, self._length = False, 0
        stays = "keep-alive" in connection if version == "0" else "close" not in connection
        self._stays = stays and self.status >= 200 and (self._chunked or self._length is not None)

    @property
    def stays(self) -> bool:
        """Whether the connection is good for another request when the body was read.

        Behind an interim answer the one that counts may still come, and what is there already belongs to no request.
        """
        return self._stays and not self._ahead

    def body(self, limit: int) -> bytes:
        """Return the whole body, or raise ExchangeError where it is larger."""
        self._limits.bytes_left += limit
        if self._chunked:
            content = b"".join(self._chunks(limit))
            while self._line():
                pass  # trailers
            return content
        length = self._length
        if length is None:
            while len(self._ahead) <= limit and self._receive():
                pass
            length = len(self._ahead)
        if length > limit:
            raise _too_large(limit)
        return self._read(length)

    def _chunks(self, limit: int) -> Iterator[bytes]:
        left = limit
        while True:
            line = self._line()
            if (found := _CHUNK.match(line)) is None:
                raise AnswerError(f"a chunk of {line[:_EXCERPT_BYTES]!r} bytes")
            if (size := int(found[0], 16)) == 0:
                return
            if size > left:
                raise _too_large(limit)
            left -= size
            yield self._read(size)
            self._line()

    def _headers(self) -> dict[str, str]:
        """Return the headers; all names are written like Content-Length, and the first of each counts."""
        headers: dict[str, str] = {}
        name = ""
        for _ in range(_MOST_HEADERS + 1):
            if not (line := self._line()):
                return headers
            if line[0] in " \t":
                headers[name] = (
                    f"{headers.get(name, '')} {line.strip()}".strip()
                )  # the old way to go on with the one before
                continue
            name, _, value = line.partition(":")
            name = name.title()
            headers.setdefault(name, value.strip())
        raise AnswerError(f"more than {_MOST_HEADERS} headers")

    def _line(self) -> str:
        """Return the next line without its end."""
        searched = 0
        while (end := self._ahead.find(b"\n", searched)) < 0:
            searched = len(self._ahead)
            if not self._receive():
                raise AnswerError(f"{self._ahead[:_EXCERPT_BYTES].decode('latin-1')!r}, and nothing more")
        return self._take(end + 1).decode("latin-1").rstrip("\r\n")

    def _read(self, size: int) -> bytes:
        while len(self._ahead) < size:
            if not self._receive():
                raise AnswerError(f"the answer ended {size - len(self._ahead)} bytes too early")
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._ahead[:size])
        del self._ahead[:size]
        return taken

    def _receive(self) -> int:
        """Wait for more, and return how many bytes came, 0 at the end; or raise TimeoutError or ExchangeError."""
        self._limits.arm(self._sock)
        if self._limits.bytes_left <= 0:
            raise ExchangeError("invalid", "the answer is larger than any")
        piece = self._sock.recv(min(_PIECE_BYTES, self._limits.bytes_left))
        self._limits.bytes_left -= len(piece)
        self._ahead += piece
        return len(piece)


def _too_large(limit: int) -> ExchangeError:
    return ExchangeError("invalid", f"the answer is larger than {limit} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy: requests to http are passed on by it, to https it opens a tunnel."""

    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those that let us in."""

    def __str__(self) -> str:
        return f"the proxy {self.host} port {self.port}"

    def open_tunnel(self, sock: socket.socket, authority: str, limits: Limits) -> None:
        """Let the proxy connect the socket with a host and port, or raise."""
        lines = [f"CONNECT {authority} HTTP/1.1"]
        lines += (f"{name}: {value}" for name, value in {"Host": authority, **self.headers}.items())
        limits.arm(sock)
        sock.sendall("\r\n".join((*lines, "", "")).encode())
        # Nobody speaks behind the answer's head before we do, so that its reader takes nothing of TLS.
        status = AnswerReader(sock, limits).status
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise ExchangeError(*PROXY_LOGIN)
        if not 200 <= status < 300:
            raise ExchangeError("refused", f"the proxy answered {status}: it does not let us through")
