"""HTTP to one host over one kept-alive connection, where each request has one deadline for everything.

Time-outs of sockets, and of the libraries above them, bound a single operation: a server that drips a byte now and
then holds a request for ever (docs/facts.md 2.1). Here the socket's reader itself knows the deadline, and how many
bytes an answer may take: connecting, the TLS handshake, sending, the head and the body share both. Only the resolver's
own time-out is out of our hands.

It is http.client of the standard library that speaks HTTP. With urllib3 on top a request takes twice the processor
time, and the process 2.7 MiB more memory (docs/facts.md 2.5).
"""

import io
import select
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from sonnen_agent.clock import Deadline
from sonnen_agent.errors import ExchangeError

_CHUNK_BYTES = 16 * 1024
_HEAD_BYTES = 128 * 1024
"""For status line, headers, the sizes of chunks and trailers together."""
_ERROR_EXCERPT_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def excerpt(self) -> str:
        """The start of the body as one printable line, for a message to a person."""
        text = " ".join(self.body[: 4 * _ERROR_EXCERPT_CHARACTERS].decode("utf-8", "replace").split())
        return "".join(c for c in text if c.isprintable())[:_ERROR_EXCERPT_CHARACTERS]


class Connection:
    """One scheme, host and port; not for use by two threads at once."""

    def __init__(self, scheme: str, host: str, port: int, *, ca_file: str | None = None) -> None:
        """Connect lazily; `ca_file` replaces the system's certificate authorities."""
        self._scheme, self._host, self._port, self._ca_file = scheme, host, port, ca_file
        self._tls: ssl.SSLContext | None = None
        self._under_way = _UnderWay()
        self._http: HTTPConnection | None = None

    def request(  # noqa: PLR0913 - a request has these parts
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        deadline: Deadline,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer, or raise ExchangeError; a redirect is an answer and is not followed.

        A connection that was closed without an answer is tried once more on a fresh one, within
        the same deadline: a server may close a kept-alive connection at the very moment it is
        used. All requests of ours may be repeated without harm.
        """
        self._under_way.deadline = deadline
        attempt = partial(self._exchange, method, path, headers, body, body_limit)
        try:
            return attempt()
        except ExchangeError as error:
            if error.outcome != "closed" or deadline.expired:
                raise
        return attempt()

    def close(self) -> None:
        """Close the kept-alive connection, if there is one."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, body_limit: int
    ) -> Answer:
        if self._http is not None and _has_something_to_say(self._http.sock):
            # The server has closed it, or says what belongs to no request of ours.
            self.close()
        self._under_way.bytes_left = body_limit + _HEAD_BYTES
        whole = False
        try:
            http = self._http = self._http or self._connected()
            self._send(http, method, path, headers, body)
            # An answer without a length is not closed with its connection, and would keep the socket open.
            with http.getresponse() as response:
                content = _read_bounded(response, body_limit)
            answer = Answer(status=response.status, headers=response.headers, body=content)  # type: ignore[arg-type]
            whole = not response.will_close
        except (OSError, ValueError, ArithmeticError, HTTPException) as error:
            raise _translated(error) from error
        finally:
            if not whole:
                # What is left of an answer must not be taken for the next one.
                self.close()
        return answer

    def _connected(self) -> HTTPConnection:
        http = HTTPConnection(self._host, self._port)
        sock = _connect(self._host, self._port, self._under_way)
        if self._scheme == "https":
            http.default_port = 443
            if self._tls is None:
                self._tls = ssl.create_default_context(cafile=self._ca_file)
            try:
                self._under_way.arm(sock)
                sock = self._tls.wrap_socket(sock, server_hostname=self._host)
            except BaseException:
                sock.close()
                raise
        http.sock = sock
        http.response_class = partial(_DeadlineResponse, under_way=self._under_way)  # type: ignore[assignment]
        return http

    def _send(
        self, http: HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> None:
        self._under_way.arm(http.sock)
        http.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            http.putheader(name, value)
        if body is not None:
            http.putheader("Content-Length", str(len(body)))
        http.endheaders(body)


class _UnderWay:
    """What the request under way may take, shared by a connection and all that reads from its socket."""

    def __init__(self) -> None:
        self.deadline = Deadline(0)
        self.bytes_left = 0

    def arm(self, sock: socket.socket) -> None:
        """Give a socket the time that is left for its next operation, or raise TimeoutError when there is none."""
        if self.deadline.expired:
            raise TimeoutError("the request's deadline has passed")
        # Never zero, which would mean a socket that does not wait at all.
        sock.settimeout(max(self.deadline.remaining, 0.001))


def _connect(host: str, port: int, under_way: _UnderWay) -> socket.socket:
    """Return a connected socket; the addresses of a name share the deadline instead of having one each."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no host has such a name"
        raise ExchangeError("refused", f"cannot connect: {host}: {reason}") from error
    problem = OSError("the name has no address")
    for family, kind, protocol, _, address in addresses:
        try:
            # A machine may lack a family of addresses that a name has.
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            problem = error
            continue
        try:
            under_way.arm(sock)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            problem = error
            continue
        return sock
    if isinstance(problem, TimeoutError):
        raise problem
    raise ExchangeError("refused", f"cannot connect: {problem.strerror or problem}") from problem


def _read_bounded(response: HTTPResponse, body_limit: int) -> bytes:
    content = bytearray()
    while chunk := response.read(_CHUNK_BYTES):
        content += chunk
        if len(content) > body_limit:
            raise ExchangeError("invalid", f"the answer is larger than {body_limit} bytes")
    if response.length:
        raise HTTPException(f"the answer ended {response.length} bytes too early")
    return bytes(content)


def _has_something_to_say(sock: socket.socket) -> bool:
    """Return whether a socket at rest can be read from, if only its end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _translated(error: Exception) -> ExchangeError:
    """Return our error for one of the socket's, TLS's or HTTP's, by what it means for the operator."""
    match error:
        case TimeoutError():
            return ExchangeError("timeout", "no answer in time")
        case ConnectionError() | ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return ExchangeError("closed", "the connection was closed without an answer")
        case ssl.SSLError():
            return ExchangeError("refused", f"TLS failed: {error}")
        case OSError():
            return ExchangeError("refused", f"the connection broke: {error.strerror or error}")
        case UnicodeError():
            return ExchangeError("invalid", "a header cannot be sent: it has characters that HTTP does not know")
        case _:
            return ExchangeError("invalid", f"not an HTTP answer: {error!r}"[:_ERROR_EXCERPT_CHARACTERS])


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket's file, each time waiting no longer, and taking no more, than the request has left."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, under_way: _UnderWay) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._under_way = under_way

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - as io.RawIOBase types it
        self._under_way.arm(self._sock)
        if self._under_way.bytes_left <= 0:
            raise ExchangeError("invalid", "the answer is larger than any")
        count = self._raw.readinto(buffer)
        self._under_way.bytes_left -= count or 0
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _DeadlineResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, under_way: _UnderWay, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_DeadlineReader(self.fp.detach(), sock, under_way))
