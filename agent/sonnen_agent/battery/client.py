"""One request to a battery: the answer as JSON, understood by a parser, or a BatteryError with its outcome."""

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.clock import Deadline
from sonnen_agent.destination import problem_of
from sonnen_agent.errors import BatteryError, ExchangeError, Outcome
from sonnen_agent.reading import Endpoint
from sonnen_agent.transport import Connection

BODY_LIMIT_BYTES = 256 * 1024
"""The largest real answer is 4 KB."""
DEPTH_LIMIT = 32
"""Real answers nest four deep; a hundred thousand brackets are an attack on the parser."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
"""Also without its end: a search for one that begins at every quotation mark would take minutes."""
_BRACKET = re.compile(rb"[\[\]{}]")

_HINT_IF_REFUSED = (
    "the API token is wrong or its read access is switched off; "
    "look it up in the battery's web page (Software-Integration, JSON API) and update token_file"
)
_HINT_IF_MISSING = (
    "it needs an API token; switch the read API on in the battery's web page "
    "(Software-Integration, JSON API), put the token into a file and name that as token_file"
)

_Understood = TypeVar("_Understood")

RecordRequest = Callable[[Endpoint, Outcome, float], None]
"""Told of every request: endpoint, outcome, duration in seconds."""


class Client:
    """Asks one battery, one request at a time, and keeps the connection of each port."""

    def __init__(self, options: BatteryOptions, record: RecordRequest) -> None:
        self.options = options
        self._record = record
        self._connections: dict[int, Connection] = {}
        self._hints: Mapping[Outcome, str] = {
            "unauthorized": _HINT_IF_MISSING if options.token is None else _HINT_IF_REFUSED,
            "not_found": "this firmware does not have it",
        }

    def get(  # noqa: PLR0913 - a request has these parts
        self,
        endpoint: Endpoint,
        port: int,
        path: str,
        *,
        parse: Callable[[object], _Understood],
        deadline: Deadline,
        with_token: bool = False,
    ) -> _Understood:
        """Return what `parse` makes of the JSON value at a path, or raise BatteryError.

        The token goes along only where it is asked for. An answer that says of itself that the
        battery is booting is returned, and counted as `not_ready`.
        """
        begin = time.monotonic()
        outcome: Outcome = "invalid"
        try:
            understood = parse(parse_json(self._body(port, path, deadline, with_token=with_token)))
        except ExchangeError as error:
            # A battery that hangs up and one that does not listen are the same to its owner.
            outcome = "refused" if error.outcome == "closed" else error.outcome
            raise BatteryError(outcome, f"{self._url(port, path)}: {error}", status=error.status) from error
        else:
            outcome = "not_ready" if getattr(understood, "booting", False) else "ok"
            return understood
        finally:
            self._record(endpoint, outcome, time.monotonic() - begin)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _body(self, port: int, path: str, deadline: Deadline, *, with_token: bool) -> bytes:
        destination = self.options.destination
        headers = {"Accept": "application/json", **destination.headers()}
        if with_token and self.options.token is not None:
            headers["Auth-Token"] = self.options.token.reveal()
        if port not in self._connections:
            self._connections[port] = destination.connect(port)
        answer = self._connections[port].request(
            "GET", destination.path + path, headers=headers, deadline=deadline, body_limit=BODY_LIMIT_BYTES
        )
        problem = problem_of(answer, self._hints)
        if problem is not None:
            raise problem
        return answer.body

    def _url(self, port: int, path: str) -> str:
        destination = self.options.destination
        host = destination.parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        return f"{destination.parts.scheme}://{host}:{port}{destination.path}{path}"


def parse_json(body: bytes) -> object:
    """Return the JSON value of a body, or raise BatteryError `invalid` saying what came instead; bounded in depth."""
    _check_depth(body)
    try:
        # Bytes in other encodings, which json would take too, can hide brackets from the check above.
        value: object = json.loads(body.decode("utf-8-sig"))
    except ValueError as error:  # bad JSON, bad UTF-8, a number of thousands of digits
        if body.lstrip()[:1] == b"<":
            raise BatteryError("invalid", "answered a web page instead of JSON") from error
        raise BatteryError("invalid", f"answered something that is not JSON: {error}") from error
    return value


def _check_depth(body: bytes) -> None:
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_LIMIT:
            raise BatteryError("invalid", f"answered JSON nested deeper than {DEPTH_LIMIT} levels")
