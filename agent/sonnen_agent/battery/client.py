"""One request to a battery: the answer as JSON, understood by a parser, or a BatteryError with its outcome."""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import TypeVar

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.values import fields
from sonnen_agent.battery.variants import Location
from sonnen_agent.clock import Deadline
from sonnen_agent.destination import expect_success
from sonnen_agent.errors import BatteryError, ExchangeError, Outcome
from sonnen_agent.reading import Endpoint
from sonnen_agent.transport import Answer, Connection

BODY_LIMIT_BYTES = 64 * 1024
"""The largest real answer is 4 KB. A JSON document may take forty times as much memory as its text."""
_DEPTH_LIMIT = 32
"""Real answers nest four deep."""
_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[][{}]', re.DOTALL)
"""What tells how deep a document nests; brackets in a text do not, also not in one that never ends."""
_LONG_NUMBER = re.compile("[0-9]{65}")

WEB_PAGE = "the battery's web page (Software-Integration, JSON API)"
"""Where a token is."""
_HINT_IF_REFUSED = f"the API token is wrong or its read access is switched off; look it up in {WEB_PAGE} and "
_HINT_IF_MISSING = f"it needs an API token; switch the read API on in {WEB_PAGE}, "
_HINT_IF_MISSING += "put the token into a file and name that as token_file"

_Understood = TypeVar("_Understood")

RecordRequest = Callable[[Endpoint, Outcome, float], None]
"""Told of every request: endpoint, outcome, duration in seconds."""


class Client:
    """Asks one battery, one request at a time, and keeps the connection of each port."""

    def __init__(self, options: BatteryOptions, record: RecordRequest) -> None:
        self.options = options
        self._record = record
        self._connections: dict[int, Connection] = {}
        token = options.token
        self._token = "" if token is None else token.reveal()
        refused = _HINT_IF_MISSING if token is None else _HINT_IF_REFUSED + (token.renewal or "update token_file")
        self._hints: Mapping[Outcome, str] = {"unauthorized": refused, "not_found": "no such page"}

    def get(
        self, endpoint: Endpoint, location: Location, parse: Callable[[object], _Understood], deadline: Deadline
    ) -> _Understood:
        """Return what `parse` makes of the JSON value at a location, or raise BatteryError.

        An answer that says of itself that the battery is booting is returned, and counted as `not_ready`.
        """
        if location.keys:
            return parse(self._by_key(endpoint, location, deadline))
        begin = time.monotonic()
        outcome: Outcome = "invalid"
        try:
            understood = parse(parse_json(self._body(location, deadline)))
        except ExchangeError as error:
            # A battery that hangs up and one that does not listen are the same to its owner.
            outcome = "refused" if error.outcome == "closed" else error.outcome
            waited = f" (waited {time.monotonic() - begin:.1f} s)" if outcome == "timeout" else ""
            own = "CERTIFICATE_VERIFY" in str(error) and self.options.destination.ca_file is None
            hint = "; name the battery's own certificate (PEM) as its ca_file" if own else waited
            words, status = f"{self._url(location)}: {error}{hint}", error.status
        else:
            outcome = "not_ready" if getattr(understood, "booting", False) else "ok"
            return understood
        finally:
            self._record(endpoint, outcome, time.monotonic() - begin)
        # Not from the other one, which has the body and the document in its frames (docs/facts.md 9).
        raise BatteryError(outcome, words, status=status)

    def _by_key(self, endpoint: Endpoint, location: Location, deadline: Deadline) -> Mapping[str, object]:
        """Return an object of those keys that are known, one request for each, or raise BatteryError."""
        found: dict[str, object] = {}
        refused = ""
        for key in location.keys:
            one = replace(location, path=f"{location.path}/{key}", keys=())
            try:
                found.update(self.get(endpoint, one, fields, deadline))
            except BatteryError as error:
                if error.outcome != "unauthorized":
                    raise
                refused = str(error)  # so is a key that it does not know (docs/battery-api.md 5.6)
        if not found:
            raise BatteryError("unauthorized" if refused else "invalid", refused or "told nothing of any key")
        return found

    def renew_token(self) -> bool:
        """Take the token as its file has it now, and return whether it is another one than before."""
        token = "" if self.options.token is None else self.options.token.reveal()
        if token == self._token:
            return False
        self._token = token
        self.close()  # each connection knows what no message may have
        return True

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def ask(self, location: Location, deadline: Deadline) -> Answer:
        """Return whatever is answered at a location, or raise ExchangeError."""
        destination, token = self.options.destination, self._token
        headers = {"Accept": "application/json", **destination.headers()}
        if location.with_token and token:
            headers["Auth-Token"] = token
        if location.port not in self._connections:
            self._connections[location.port] = destination.connect(location.port, secrets=[token] if token else ())
        return self._connections[location.port].request(
            "GET", destination.path + location.path, headers=headers, deadline=deadline, body_limit=BODY_LIMIT_BYTES
        )

    def _body(self, location: Location, deadline: Deadline) -> bytes:
        answer, token = self.ask(location, deadline), self._token
        expect_success(answer, self._hints)
        # Its texts become labels and words of the log. What is shorter than a real token may be there by chance.
        return answer.body.replace(token.encode(), b"***") if len(token) >= 16 else answer.body

    def _url(self, location: Location) -> str:
        destination = self.options.destination
        host = destination.parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        return f"{destination.parts.scheme}://{host}:{location.port}{destination.path}{location.path}"


def refusal_pause_seconds(refusals: int) -> float:
    """Return how long to leave alone who refused so often in a row; some lock us out then (docs/battery-api.md 2.2)."""
    return 0 if refusals < 2 else min(15 * 2 ** min(refusals, 9), 300)


def parse_json(body: bytes) -> object:
    """Return the JSON value of a body, or raise BatteryError `invalid` saying what came instead."""
    try:
        text = body.decode("utf-8-sig")
        if _nests_too_deeply(text):
            raise BatteryError("invalid", "answered JSON that nests too deeply")
        if _LONG_NUMBER.search(text):
            raise BatteryError("invalid", "answered a number of more than 64 digits")
        value: object = json.loads(text)
    except ValueError as error:  # bad JSON, bad UTF-8
        if body.lstrip()[:1] == b"<":
            raise BatteryError("invalid", "answered a web page instead of JSON") from error
        raise BatteryError("invalid", f"answered something that is not JSON: {error}") from error
    return value


def _nests_too_deeply(text: str) -> bool:
    steps = ({"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0) for token in _BRACKETS.finditer(text))
    return text.count("[") + text.count("{") > _DEPTH_LIMIT and max(accumulate(steps)) > _DEPTH_LIMIT
