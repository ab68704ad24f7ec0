"""The answer to one request: a function of the generation, the path, the token and what the firmware knows. No I/O."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from sonnen_agent.simulator.firmware import START_HTML, FirmwareState
from sonnen_agent.simulator.parameters import HouseParameters

CONFIGURATIONS = "/api/v2/configurations"
_JSON = "application/json"
_HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path a battery answers."""

    body: Callable[[FirmwareState], object]
    """The answer's JSON value; a string is sent as plain text."""
    protected: bool = False
    """Whether it asks for the `Auth-Token`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A kind of battery."""

    house: HouseParameters
    routes: Mapping[str, Route]
    session_paths: frozenset[str] = frozenset()
    """Dashboard paths, which want a login that is not simulated: always 401."""
    not_found_page: str
    unauthorized_error: str = "401 Unauthorized"
    """The `error` of a 401 (docs/battery-api.md 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer before it meets the network."""

    status: HTTPStatus
    content_type: str
    payload: bytes
    location: str | None = None


def answer(generation: Generation, path: str, firmware: FirmwareState, *, granted: bool = True) -> Answer:
    """Return what a battery says; `granted` tells whether the request brought a right token."""
    if path == "/":
        return page_answer(HTTPStatus.MOVED_PERMANENTLY, START_HTML, location="/dash")
    key = configuration_key(generation, path)
    route = generation.routes.get(path if key is None else CONFIGURATIONS)
    if path in generation.session_paths or (route is not None and route.protected and not granted):
        return error_answer(HTTPStatus.UNAUTHORIZED, generation.unauthorized_error)
    if route is None:
        return page_answer(HTTPStatus.NOT_FOUND, generation.not_found_page)
    body = route.body(firmware)
    if isinstance(body, str):
        return Answer(status=HTTPStatus.OK, content_type="text/plain", payload=body.encode())
    if key is not None:
        if not isinstance(body, dict) or key not in body:
            return error_answer(HTTPStatus.FORBIDDEN, "403 Forbidden")
        body = {key: body[key]}
    return json_answer(body)


def configuration_key(generation: Generation, path: str) -> str | None:
    """Return the key that a path asks for alone, where the generation has configurations."""
    prefix = f"{CONFIGURATIONS}/"
    key = path.removeprefix(prefix)
    return key if CONFIGURATIONS in generation.routes and key and key != path else None


def refused_order() -> Answer:
    """Return the answer to a request that would change something: here, a power plant operator always rules."""
    return error_answer(HTTPStatus.FORBIDDEN, "VPP has priority")


def json_answer(body: object, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Return a JSON value as an answer; a battery sorts its keys and wastes no spaces."""
    payload = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return Answer(status=status, content_type=_JSON, payload=payload)


def error_answer(status: HTTPStatus, text: str) -> Answer:
    """Return a refusal in the words of a battery."""
    return json_answer({"error": text}, status)


def page_answer(status: HTTPStatus, page: str, location: str | None = None) -> Answer:
    """Return a page for a browser."""
    return Answer(status=status, content_type=_HTML, payload=page.encode(), location=location)
