"""HTTP to one host over one kept-alive connection, where each request has one deadline for everything.

urllib3's time-outs bound a single socket operation: a server that drips a byte now and then holds
a request for ever, `Timeout(total=...)` included (docs/facts.md 2.1). Here the connection itself knows the
deadline: connecting, the TLS handshake, sending, the head and the body all share it. Only the
resolver's own time-out is out of our hands.
"""

import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Any

import urllib3
from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection

from sonnen_agent.errors import ExchangeError

_CHUNK_BYTES = 16 * 1024
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
        self._deadline = _Deadline()
        if scheme == "https":
            self._pool: urllib3.HTTPConnectionPool = _HttpsPool(
                host,
                port,
                ca_certs=ca_file,
                cert_reqs="CERT_REQUIRED",  # urllib3 1.26 verifies nothing unless told
                deadline=self._deadline,
            )
        else:
            self._pool = _HttpPool(host, port, deadline=self._deadline)

    def request(  # noqa: PLR0913 - a request has these parts
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        timeout_seconds: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer, or raise ExchangeError; a redirect is an answer and is not followed.

        A connection that was closed without an answer is tried once more on a fresh one, within
        the same deadline: a server may close a kept-alive connection at the very moment it is
        used. All requests of ours may be repeated without harm.
        """
        self._deadline.start(timeout_seconds)
        attempt = partial(self._exchange, method, path, headers, body, body_limit)
        try:
            return attempt()
        except ExchangeError as error:
            if error.outcome != "closed" or self._deadline.expired:
                raise
        return attempt()

    def close(self) -> None:
        """Close the kept-alive connection for good."""
        self._pool.close()

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, body_limit: int
    ) -> Answer:
        remaining = self._deadline.remaining_or_tiny
        try:
            response = self._pool.urlopen(
                method,
                path,
                body=body,
                headers=dict(headers),
                timeout=urllib3.Timeout(connect=remaining, read=remaining),
                retries=False,
                redirect=False,
                preload_content=False,
                assert_same_host=False,
                enforce_content_length=True,  # urllib3 1.26 takes a truncated body for a whole one unless told
            )
        except exceptions.HTTPError as error:
            raise _translated(error) from error
        except (ValueError, OSError, HTTPException) as error:
            # A header line of 64 KiB or a status line of Latin-1 rubbish is not an HTTPError everywhere.
            raise ExchangeError("invalid", f"not an HTTP answer: {error}") from error
        whole = False
        try:
            content = _read_bounded(response, body_limit)
            whole = True
        finally:
            if not whole:
                # What is left of the body must not be taken for the next answer.
                response.close()
            response.release_conn()
        return Answer(status=response.status, headers=response.headers, body=content)


def _read_bounded(response: Any, body_limit: int) -> bytes:  # noqa: ANN401 - named differently in urllib3 1 and 2
    content = bytearray()
    while True:
        try:
            chunk = response.read(_CHUNK_BYTES, decode_content=False)
        except exceptions.HTTPError as error:
            raise _translated(error) from error
        if not chunk:
            return bytes(content)
        content += chunk
        if len(content) > body_limit:
            raise ExchangeError("invalid", f"the answer is larger than {body_limit} bytes")


def _translated(error: exceptions.HTTPError) -> ExchangeError:
    """Return our error for one of urllib3's, by what it means for the operator."""
    cause = _root(error)
    if isinstance(error, exceptions.SSLError) or isinstance(cause, ssl.SSLError):
        return ExchangeError("refused", f"TLS failed: {cause}")
    if isinstance(error, exceptions.NewConnectionError):  # in urllib3 1.26 a TimeoutError by descent
        return ExchangeError("refused", f"cannot connect: {_reason(cause)}")
    if isinstance(error, exceptions.TimeoutError) or isinstance(cause, TimeoutError):
        return ExchangeError("timeout", "no answer in time")
    if isinstance(cause, ConnectionError):
        return ExchangeError("closed", "the connection was closed without an answer")
    return ExchangeError("invalid", f"a broken HTTP answer: {cause}")


def _root(error: BaseException) -> BaseException:
    """Return the exception that started it all; urllib3 carries it as an argument or a cause."""
    for nested in (*error.args, error.__cause__):
        if isinstance(nested, BaseException):
            return _root(nested)
    return error


def _reason(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class _Deadline:
    """The moment by which the request under way must be over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock()

    def start(self, seconds: float) -> None:
        self._end = self._clock() + seconds

    @property
    def expired(self) -> bool:
        return self._clock() >= self._end

    @property
    def remaining_or_tiny(self) -> float:
        """Seconds left; never zero, which would mean a non-blocking socket."""
        return max(self._end - self._clock(), 0.001)


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket's file, each time waiting no longer than the request has left."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: _Deadline) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - as io.RawIOBase types it
        if self._deadline.expired:
            raise TimeoutError("the request's deadline has passed")
        self._sock.settimeout(self._deadline.remaining_or_tiny)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _DeadlineResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, deadline: _Deadline, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_DeadlineReader(self.fp.detach(), sock, deadline))


class _DeadlineMixin:
    """A urllib3 connection that keeps a deadline; `_new_conn` and `response_class` are the same in 1.26 and 2."""

    def __init__(self, *args: Any, deadline: _Deadline, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._deadline = deadline
        self.response_class = partial(_DeadlineResponse, deadline=deadline)

    def _new_conn(self) -> socket.socket:
        """Return a connected socket; the addresses of a name share the deadline instead of having one each."""
        host, port = self.host, self.port  # type: ignore[attr-defined]  # of HTTPConnection
        try:
            addresses = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise exceptions.NewConnectionError(self, f"{host}: {error.strerror}") from error  # type: ignore[arg-type]
        problem: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self._deadline.remaining_or_tiny)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                sock.close()
                problem = error
                continue
            return sock
        if isinstance(problem, TimeoutError):
            raise exceptions.ConnectTimeoutError(self, "no answer in time") from problem
        raise exceptions.NewConnectionError(self, str(problem)) from problem  # type: ignore[arg-type]


class _HttpConnection(_DeadlineMixin, HTTPConnection):  # type: ignore[misc]  # a partial instead of a class
    pass


class _HttpsConnection(_DeadlineMixin, HTTPSConnection):  # type: ignore[misc]  # the same
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
