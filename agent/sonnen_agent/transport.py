"""HTTP to one host over one kept-alive connection, where each request has one deadline for everything.

Time-outs of sockets, and of the libraries above them, bound a single operation: a server that drips a byte now and
then holds a request for ever (docs/facts.md 2.1). Here the socket's reader (sockets.py) itself knows the deadline, and
how many bytes an answer may take: connecting, the TLS handshake, sending, the head and the body share both. Errors are
raised anew, without the exception that was caught: in its frames the body would stay (docs/facts.md 9).

It is http.client of the standard library that speaks HTTP. With urllib3 on top a request takes twice the processor
time, and the process 2.7 MiB more memory (docs/facts.md 2.5).
"""

import re
import select
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path

from sonnen_agent.addresses import Addresses
from sonnen_agent.clock import Deadline
from sonnen_agent.errors import ExchangeError, Outcome, quoted
from sonnen_agent.sockets import PROXY_LOGIN, DeadlineReader, Limits, Proxy

_HEAD_BYTES = 128 * 1024
"""For status line, headers, the sizes of chunks and trailers together; and of a body what is looked at for words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    secrets: Sequence[str] = field(default=(), repr=False)
    """What the peer may repeat, but no message."""

    @property
    def excerpt(self) -> str:
        """The start of the body as one printable line, for a message to a person."""
        return quoted(self.body[:_HEAD_BYTES].decode("utf-8", "replace"), self.secrets)


class Connection:
    """One scheme, host and port; not for use by two threads at once."""

    def __init__(  # noqa: PLR0913 - a connection has these parts
        self,
        scheme: str,
        host: str,
        port: int,
        *,
        ca_file: str | None = None,
        secrets: Sequence[str] = (),
        only_connection_seconds: float | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        """Connect lazily; `ca_file` replaces the system's certificate authorities; no message has the `secrets`.

        With `only_connection_seconds` the port gets a single connection, which has to be there within that time.
        """
        self._only_connection_seconds, self._has_connected = only_connection_seconds, False
        self._scheme, self._port, self._ca_file, self._secrets = scheme, port, ca_file, secrets
        self._proxy = proxy
        self._addresses = Addresses(host if proxy is None else proxy.host)
        self._host = host.partition("%")[0]  # The zone of an address is this machine's own affair.
        self._authority = f"[{self._host}]:{port}" if ":" in self._host else f"{self._host}:{port}"
        self._plain = scheme == "https" or proxy is not None or only_connection_seconds is not None
        """Whether it is out of the question that the port is one for TLS."""
        self._tls: ssl.SSLContext | None = None
        self._limits = Limits()
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

        A connection that was closed without an answer is tried once more on a fresh one, within the same deadline: a
        server may close it at the very moment it is used. All requests of ours may be repeated without harm.
        """
        self._limits.deadline = deadline
        attempt = partial(self._exchange, method, path, headers, body, body_limit)
        answer = attempt()
        if answer == _CLOSED and not deadline.expired:
            answer = attempt()
        if not self._plain:
            # Who expects TLS hangs up on us or answers 400, now this, now that; asked in TLS it is sure.
            doubtful = answer == _CLOSED or (isinstance(answer, Answer) and answer.status == 400)
            if doubtful and self._speaks_tls():
                answer = _TLS
            self._plain = answer == _CLOSED or isinstance(answer, Answer)
        if isinstance(answer, Answer):
            return answer
        self._addresses.doubt()
        outcome, words = answer
        raise ExchangeError(outcome, words if self._proxy is None else f"{words} (by way of {self._proxy})")

    def close(self) -> None:
        """Close the kept-alive connection, if there is one."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, body_limit: int
    ) -> "Answer | _Failure":
        if self._http is not None and _has_something_to_say(self._http.sock):
            # The server has closed it, or says what belongs to no request of ours.
            self.close()
        self._limits.bytes_left = _HEAD_BYTES
        whole = False
        answer: Answer | _Failure
        try:
            http = self._http or self._connected()
            self._limits.arm(http.sock)
            if self._proxy is not None and self._scheme == "http":
                path, headers = f"http://{self._authority}{path}", {**headers, **self._proxy.headers}
            http.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                http.putheader(name, value)
            if body is not None:
                http.putheader("Content-Length", str(len(body)))
            # Head and body go out as one piece, and small ones in one packet.
            http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            # Who has heard enough to refuse the rest may have said why before hanging up.
            with suppress(ConnectionError):
                http.endheaders(body)
                http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            # An answer without a length is not closed with its connection, and would keep the socket open.
            with http.getresponse() as response:
                self._limits.bytes_left += body_limit
                content = _read_bounded(response, body_limit)
            answer = Answer(status=response.status, headers=response.headers, body=content, secrets=self._secrets)  # type: ignore[arg-type]
            if self._proxy is not None and response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                answer = PROXY_LOGIN
            # Behind an interim answer the one that counts may still come.
            whole = not response.will_close and response.status >= 200
        except ExchangeError as error:
            answer = error.outcome, str(error)
        except (OSError, ValueError, ArithmeticError, HTTPException) as error:
            answer = _failure(error, self._secrets)
        if not whole:
            # What is left of an answer must not be taken for the next one.
            self.close()
        return answer

    def _connected(self) -> HTTPConnection:
        http, limits = HTTPConnection(self._host, self._port), self._limits
        deadline = limits.deadline
        if self._only_connection_seconds is not None:
            if self._has_connected:
                raise ExchangeError(*_CLOSED)
            self._has_connected, deadline = True, deadline.at_most(self._only_connection_seconds)
        self._http = http
        port = self._port if self._proxy is None else self._proxy.port
        http.sock = self._addresses.connect(port, deadline)
        if self._scheme == "https":
            if self._proxy is not None:
                self._proxy.open_tunnel(http.sock, self._authority, self._limits)
            http.default_port = 443
            http.sock = self._secured(http.sock)
        http.response_class = lambda sock, method: HTTPResponse(DeadlineReader(sock, limits), method=method)  # type: ignore[assignment, arg-type]
        return http

    def _secured(self, sock: socket.socket) -> ssl.SSLSocket:
        """Return a socket that speaks TLS with whom the certificate says, or raise SSLCertVerificationError."""
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self._ca_file)
        self._limits.arm(sock)
        try:
            return self._tls.wrap_socket(sock, server_hostname=self._host)
        except ssl.SSLCertVerificationError:
            if self._ca_file is None or self._proxy is not None:
                raise
            # A device signs its certificate itself, for a name that nobody calls it by, and for years that are over.
            # Where the file holds that very certificate, that is proof enough.
            own = _certificates(self._ca_file)
            unverified = ssl.create_default_context()
            unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
            sock = self._addresses.connect(self._port, self._limits.deadline)
            self._limits.arm(sock)
            secured = unverified.wrap_socket(sock, server_hostname=self._host)
            if secured.getpeercert(binary_form=True) in own:
                return secured
            secured.close()
            raise

    def _speaks_tls(self) -> bool:
        """Return whether somebody speaks TLS at the port, of whatever certificate."""
        self.close()
        other = Connection("https", self._host, self._port)
        other._addresses, other._limits.deadline = self._addresses, self._limits.deadline.at_most(1)
        told = other._exchange("GET", "/", {}, None, _HEAD_BYTES)
        other.close()
        return isinstance(told, Answer) or "CERTIFICATE" in told[1] or "ALERT" in told[1]


_Failure = tuple[Outcome, str]
"""How a request ended without an answer: the outcome, and the words for it."""
_CLOSED: _Failure = ("closed", "the connection was closed without an answer")
_TLS: _Failure = ("refused", "the port speaks TLS: write https:// instead of http://")


def _certificates(file: str) -> frozenset[bytes]:
    """Return the certificates of a file in PEM form, as they travel."""
    pem = Path(file).read_text(encoding="ascii", errors="replace")
    found = re.findall("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", pem, re.DOTALL)
    return frozenset(map(ssl.PEM_cert_to_DER_cert, found))


def _read_bounded(response: HTTPResponse, body_limit: int) -> bytes:
    content = response.read(body_limit + 1)
    if len(content) > body_limit:
        raise ExchangeError("invalid", f"the answer is larger than {body_limit} bytes")
    if response.length:
        raise HTTPException(f"the answer ended {response.length} bytes too early")
    return content


def _has_something_to_say(sock: socket.socket) -> bool:
    """Return whether a socket at rest can be read from, if only its end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _failure(error: Exception, secrets: Sequence[str]) -> _Failure:
    """Return our words for an error of the socket's, TLS's or HTTP's, by what it means for the operator."""
    match error:
        case TimeoutError():
            return "timeout", "no answer in time"
        case ConnectionError() | ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return _CLOSED
        case ssl.SSLError():
            return "refused", f"TLS failed: {quoted(str(error), secrets)}"
        case OSError():
            return "refused", f"the connection broke: {error.strerror or quoted(str(error), secrets)}"
        case ValueError() if isinstance(error, UnicodeError) or str(error).startswith("Invalid header"):
            # Not in http.client's words, which hold the header: it may be a token.
            return "invalid", "a header cannot be sent: it has characters that HTTP does not know"
        case _:
            alert = str(error).startswith("\x15\x03")  # of TLS, where a status line should be
            return _TLS if alert else ("invalid", f"not an HTTP answer: {quoted(repr(error), secrets)}")
