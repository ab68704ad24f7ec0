"""One request to a battery: the answer as a JSON document, or a BatteryError with its outcome."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from sonnen_agent.battery.document import parse_document
from sonnen_agent.errors import BatteryError, ExchangeError, Outcome
from sonnen_agent.reading import Endpoint
from sonnen_agent.transport import Answer, Connection
from sonnen_agent.version import agent_version

BODY_LIMIT_BYTES = 256 * 1024
"""The largest real answer is 4 KB."""

_Understood = TypeVar("_Understood")

Record = Callable[[Endpoint, Outcome, float], None]
"""Told of every request: endpoint, outcome, duration in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a battery is, as the config says it."""

    scheme: str
    host: str
    port: int | None
    """The only port to try, or None to try the usual ones."""
    prefix: str
    """What stands before `/api/...`, for a reverse proxy; mostly empty."""

    @classmethod
    def from_url(cls, url: str) -> "Address":
        """Return the parts of a URL that the config has found good."""
        parts = urlsplit(url)
        return cls(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, prefix=parts.path.rstrip("/"))


@dataclass(slots=True)
class Client:
    """Asks one battery, one request at a time, and keeps the connection of each port."""

    name: str
    """The battery's name, for messages."""
    address: Address
    token: str | None = field(repr=False)
    record: Record
    _connections: dict[int, Connection] = field(default_factory=dict, init=False)

    def get(  # noqa: PLR0913 - a request has these parts
        self,
        endpoint: Endpoint,
        port: int,
        path: str,
        *,
        parse: Callable[[object], _Understood],
        timeout_seconds: float,
        with_token: bool = False,
    ) -> _Understood:
        """Return what `parse` makes of the JSON document at a path, or raise BatteryError.

        The token goes along only where it is asked for. An answer that says of itself that the
        battery is booting is returned, and counted as `not_ready`.
        """
        headers = {"Accept": "application/json", "User-Agent": f"sonnen-agent/{agent_version()}"}
        if with_token and self.token:
            headers["Auth-Token"] = self.token
        begin = time.monotonic()
        outcome: Outcome = "invalid"
        try:
            answer = self._connection(port).request(
                "GET",
                self.address.prefix + path,
                headers=headers,
                timeout_seconds=timeout_seconds,
                body_limit=BODY_LIMIT_BYTES,
            )
            _check_status(answer, has_token=self.token is not None)
            understood = parse(parse_document(answer.body))
        except ExchangeError as error:
            # A battery that hangs up and one that does not listen are the same to its owner.
            outcome = "refused" if error.outcome == "closed" else error.outcome
            raise BatteryError(outcome, f"{self._url(port, path)}: {error}") from error
        else:
            outcome = "not_ready" if getattr(understood, "booting", False) else "ok"
            return understood
        finally:
            self.record(endpoint, outcome, time.monotonic() - begin)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _connection(self, port: int) -> Connection:
        if port not in self._connections:
            self._connections[port] = Connection(self.address.scheme, self.address.host, port)
        return self._connections[port]

    def _url(self, port: int, path: str) -> str:
        host = f"[{self.address.host}]" if ":" in self.address.host else self.address.host
        return f"{self.address.scheme}://{host}:{port}{self.address.prefix}{path}"


def _check_status(answer: Answer, *, has_token: bool) -> None:
    if answer.status == 200:
        return
    said = f"answered {answer.status}"
    if answer.status in (401, 403):
        fix = (
            "the API token is wrong or its read access is switched off; "
            "look it up in the battery's web page (Software-Integration, JSON API) and update token_file"
            if has_token
            else "it needs an API token; switch the read API on in the battery's web page "
            "(Software-Integration, JSON API), put the token into a file and name that as token_file"
        )
        raise BatteryError("unauthorized", f"{said}: {fix}")
    if answer.status == 404:
        raise BatteryError("not_found", f"{said}: this firmware does not have it")
    if 300 <= answer.status < 400:
        raise BatteryError("http_error", f"{said}, a redirect, which is not followed: not a battery's API?")
    raise BatteryError("http_error", f"{said}: {answer.excerpt}")
