"""A simulated battery without its network: a clock, a house, and the answers of its generation."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from sonnen_agent.simulator.generations import FirmwareState, Generation
from sonnen_agent.simulator.house import House
from sonnen_agent.simulator.profiles import battery_zone

CONFIGURATIONS = "/api/v2/configurations"
START_HTML = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>sonnenBatterie</title></head>
<body><h1>Welcome</h1><p>{"Production_W": 1234} is what this page would say if it were a reading.</p></body>
</html>
"""
"""A page that is no reading (docs/battery-api.md 3)."""


def simulated_clock(
    start: datetime | None, speed: float, monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], datetime]:
    """Return a clock that goes on from `start`, or from now, `speed` times as fast as that of the machine, in UTC."""
    begin = (start or datetime.now(UTC)).astimezone(UTC)
    started = monotonic()
    return lambda: begin + timedelta(seconds=(monotonic() - started) * speed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer before it meets the network."""

    status: int
    content_type: str
    payload: bytes
    location: str | None = None


class SimulatedBattery:
    """Answers from several threads at once."""

    def __init__(self, *, generation: Generation, seed: int, clock: Callable[[], datetime], token: str | None) -> None:
        self.generation = generation
        self.clock = clock
        self._house = House(generation.house, seed, clock())
        self._token = token
        self._lock = threading.Lock()

    def firmware_state(self) -> FirmwareState:
        """Return what the battery's firmware knows now."""
        with self._lock:
            now = self.clock()
            state = self._house.at(now)
        return FirmwareState(
            house=self.generation.house, state=state, clock=now.astimezone(battery_zone(self.generation.house))
        )

    def answer(self, path: str, token: str | None) -> Answer:
        """Return the answer to a GET."""
        return answer(self.generation, path, self.firmware_state(), granted=self.grants(token))

    def grants(self, token: str | None) -> bool:
        """Return whether a token opens what is protected; without one of its own, any that is not empty does."""
        return bool(token) if self._token is None else token == self._token


def answer(generation: Generation, path: str, firmware: FirmwareState, *, granted: bool = True) -> Answer:
    """Return what a battery says; `granted` tells whether the request brought a right token."""
    if path == "/":
        return page_answer(HTTPStatus.MOVED_PERMANENTLY, START_HTML, location="/dash")
    key = configuration_key(generation, path)
    asked = path if key is None else CONFIGURATIONS
    if path in generation.session or (asked in generation.protected and not granted):
        return error_answer(HTTPStatus.UNAUTHORIZED, generation.unauthorized_error)
    if asked not in generation.routes:
        return page_answer(HTTPStatus.NOT_FOUND, generation.not_found_page)
    body = generation.filled(generation.routes[asked], firmware.values())
    if not isinstance(body, dict | list):
        return Answer(status=HTTPStatus.OK, content_type="text/plain", payload=f"{body}\n".encode())
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
    return Answer(status=status, content_type="application/json", payload=payload)


def error_answer(status: HTTPStatus, text: str) -> Answer:
    """Return a refusal in the words of a battery."""
    return json_answer({"error": text}, status)


def page_answer(status: HTTPStatus, page: str, location: str | None = None) -> Answer:
    """Return a page for a browser."""
    return Answer(status=status, content_type="text/html; charset=utf-8", payload=page.encode(), location=location)
