"""The answer to one request: a function of the path, the token, the view and the faults. No I/O."""

import json
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from http import HTTPStatus

from sonnen_agent.simulator.faces.view import View
from sonnen_agent.simulator.faults import FaultName, all_null, booting
from sonnen_agent.simulator.generations import Endpoint, Generation
from sonnen_agent.simulator.pages import START_HTML

_JSON = "application/json"
_HTML = "text/html; charset=utf-8"
_DEPTH = 20_000
_ELSEWHERE = "http://127.0.0.1:9/"
"""Where the redirect fault points to: a port on which nothing answers."""
_KEY_PREFIX = "/api/v2/configurations/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer before it meets the network."""

    status: HTTPStatus
    content_type: str
    payload: bytes
    location: str | None = None
    endpoint: Endpoint | None = None
    """Set for a reading only; the same for `body`."""
    body: object = None
    """The JSON value or the text that `payload` holds."""


def endpoint_of(generation: Generation, path: str) -> Endpoint | None:
    """Return which endpoint a path belongs to, or None."""
    route = generation.routes.get(path)
    if route is not None:
        return route.endpoint
    return "configurations" if _configuration_key(generation, path) else None


def answer(
    generation: Generation, path: str, view: View, faults: AbstractSet[FaultName] = frozenset(), *, granted: bool = True
) -> Answer:
    """Return what a battery says; `granted` tells whether the request brought a right token."""
    broken = _broken(generation, faults)
    if broken is not None:
        return broken
    if path == "/":
        return _page(HTTPStatus.MOVED_PERMANENTLY, START_HTML, location="/dash")
    key = _configuration_key(generation, path)
    route = generation.routes.get(path if key is None else _KEY_PREFIX[:-1])
    if path in generation.session_paths or (route is not None and route.protected and not granted):
        return _error(HTTPStatus.UNAUTHORIZED, generation.unauthorized_error)
    if route is None:
        return _page(HTTPStatus.NOT_FOUND, generation.not_found_page)
    body = route.body(view)
    if key is not None:
        if not isinstance(body, dict) or key not in body:
            return _error(HTTPStatus.FORBIDDEN, "403 Forbidden")
        body = {key: body[key]}
    return _reading(route.endpoint, body, faults)


def refused_order() -> Answer:
    """Return the answer to a request that would change something: here, a power plant operator always rules."""
    return _error(HTTPStatus.FORBIDDEN, "VPP has priority")


def json_answer(body: object, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Return a JSON value as an answer that is no reading; a battery sorts its keys and wastes no spaces."""
    payload = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return Answer(status=status, content_type=_JSON, payload=payload)


def _reading(endpoint: Endpoint, body: object, faults: AbstractSet[FaultName]) -> Answer:
    """Return a reading, after the faults that leave it its form."""
    if "boot" in faults:
        body = booting(endpoint, body)
    if "nulls" in faults:
        body = all_null(body)
    plain = json_answer(body)
    if isinstance(body, str):
        plain = Answer(status=HTTPStatus.OK, content_type="text/plain", payload=body.encode())
    return replace(plain, endpoint=endpoint, body=body)


def _broken(generation: Generation, faults: AbstractSet[FaultName]) -> Answer | None:
    """Return the answer of a fault that leaves nothing of the reading."""
    if "unauthorized" in faults:
        return _error(HTTPStatus.UNAUTHORIZED, generation.unauthorized_error)
    if "error" in faults:
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal server error")
    if "redirect" in faults:
        return _page(HTTPStatus.MOVED_PERMANENTLY, START_HTML, location=_ELSEWHERE)
    if "html" in faults:
        return _page(HTTPStatus.OK, START_HTML)
    if "deep" in faults:
        return Answer(status=HTTPStatus.OK, content_type=_JSON, payload=b"[" * _DEPTH + b"]" * _DEPTH)
    return None


def _configuration_key(generation: Generation, path: str) -> str | None:
    """Return the key that a path asks for alone, where the generation has configurations."""
    key = path.removeprefix(_KEY_PREFIX)
    return key if _KEY_PREFIX[:-1] in generation.routes and key and key != path else None


def _error(status: HTTPStatus, text: str) -> Answer:
    return json_answer({"error": text}, status)


def _page(status: HTTPStatus, page: str, location: str | None = None) -> Answer:
    return Answer(status=status, content_type=_HTML, payload=page.encode(), location=location)
