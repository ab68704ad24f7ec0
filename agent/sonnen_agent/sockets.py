"""What a request goes over: a socket that keeps the request's deadline and bound, and a proxy's tunnel to the host."""

import io
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Any

from sonnen_agent.clock import Deadline
from sonnen_agent.errors import ExchangeError, Outcome

PROXY_LOGIN: tuple[Outcome, str] = (
    "unauthorized",
    "the proxy answered 407: it asks for a login; mend proxy_username and the password for it",
)


class Limits:
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


class DeadlineReader(io.RawIOBase):
    """Reads from a socket, each time waiting no longer, and taking no more, than the request has left."""

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        super().__init__()
        self._sock, self._limits = sock, limits
        self._file = sock.makefile("rb", buffering=0)

    def makefile(self, _: str) -> io.BufferedReader:
        """Return what an HTTPResponse reads from, instead of the socket's own file."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - as io.RawIOBase types it
        """Read what there is, or raise TimeoutError or ExchangeError."""
        self._limits.arm(self._sock)
        if self._limits.bytes_left <= 0:
            raise ExchangeError("invalid", "the answer is larger than any")
        count = self._file.readinto(buffer)
        self._limits.bytes_left -= count or 0
        return count

    def close(self) -> None:
        """Let go of the socket."""
        self._file.close()
        super().close()


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
        with HTTPResponse(DeadlineReader(sock, limits), method="CONNECT") as response:  # type: ignore[arg-type]
            response.begin()
            if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                raise ExchangeError(*PROXY_LOGIN)
            if not 200 <= response.status < 300:
                raise ExchangeError("refused", f"the proxy answered {response.status}: it does not let us through")
