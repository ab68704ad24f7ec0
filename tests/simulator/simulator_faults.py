"""The faults a simulated battery can be switched to, and what they make of an answer."""

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from http import HTTPStatus
from typing import Literal, get_args

from sonnen_agent.simulator.battery import (
    CONFIGURATIONS,
    START_HTML,
    Answer,
    configuration_key,
    error_answer,
    json_answer,
    page_answer,
)
from sonnen_agent.simulator.generations import Generation

Endpoint = Literal["status", "powermeter", "inverter", "battery", "latestdata", "configurations"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
"""The kinds of answers, whatever the path and the generation."""

FaultName = Literal[
    "timeout",
    "reset",
    "drip",
    "unauthorized",
    "error",
    "html",
    "truncated",
    "garbage",
    "huge",
    "deep",
    "redirect",
    "nulls",
    "boot",
    "frozen",
    "clock_jump",
]
FAULT_NAMES: tuple[FaultName, ...] = get_args(FaultName)

_ELSEWHERE = "http://127.0.0.1:9/"
"""Where the redirect fault points to: a port on which nothing answers."""
_DEPTH = 20_000
_NEVER_ZEROED = frozenset({"channel", "deviceid", "UTC_Offet", "IsSystemInstalled", "S15", "S65"})
"""What a booting battery knows already."""


class FaultSwitches:
    """Which faults are on, and for which endpoints."""

    def __init__(self) -> None:
        # Replaced, never changed: other threads read it meanwhile.
        self._on: dict[FaultName, frozenset[Endpoint] | None] = {}

    def switch_on(self, fault: FaultName, endpoint: Endpoint | None) -> None:
        """Switch a fault on, for one endpoint more or (None) for everything the battery serves."""
        before = self._on.get(fault, frozenset())
        where = None if endpoint is None or before is None else before | {endpoint}
        self._on = {**self._on, fault: where}

    def switch_off(self, fault: FaultName) -> None:
        """Switch a fault off everywhere."""
        self._on = {name: where for name, where in self._on.items() if name != fault}

    def clear(self) -> None:
        """Switch every fault off."""
        self._on = {}

    def at(self, endpoint: Endpoint | None) -> frozenset[FaultName]:
        """Return the faults in force for an endpoint, or (None) for a path that is none."""
        on = self._on.items()
        return frozenset(fault for fault, where in on if where is None or (endpoint is not None and endpoint in where))

    def listing(self) -> Mapping[str, tuple[Endpoint, ...]]:
        """Return each fault that is on with the endpoints it is on for."""
        return {
            fault: ENDPOINTS if where is None else tuple(name for name in ENDPOINTS if name in where)
            for fault, where in self._on.items()
        }


def endpoint_of(generation: Generation, path: str) -> Endpoint | None:
    """Return which endpoint a path belongs to, or None."""
    if configuration_key(generation, path) is not None:
        path = CONFIGURATIONS
    if path not in generation.routes:
        return None
    if path.startswith("/rest/"):
        return "status"
    return known_endpoint(path.rpartition("/")[2])


def body_of(answer: Answer) -> object:
    """Return the JSON value, or the text, that an answer holds."""
    text = answer.payload.decode()
    return text if answer.content_type == "text/plain" else json.loads(text)


def broken_answer(generation: Generation, faults: AbstractSet[FaultName]) -> Answer | None:
    """Return the answer of a fault that leaves nothing of the usual one, or None."""
    if "unauthorized" in faults:
        return error_answer(HTTPStatus.UNAUTHORIZED, generation.unauthorized_error)
    if "error" in faults:
        return error_answer(HTTPStatus.INTERNAL_SERVER_ERROR, "internal server error")
    if "redirect" in faults:
        return page_answer(HTTPStatus.MOVED_PERMANENTLY, START_HTML, location=_ELSEWHERE)
    if "html" in faults:
        return page_answer(HTTPStatus.OK, START_HTML)
    if "deep" in faults:
        return replace(json_answer(None), payload=b"[" * _DEPTH + b"]" * _DEPTH)
    return None


def altered_reading(endpoint: Endpoint, reading: Answer, faults: AbstractSet[FaultName]) -> Answer:
    """Return a reading after the faults that leave it its form."""
    if faults.isdisjoint({"boot", "nulls"}):
        return reading
    body = body_of(reading)
    if "boot" in faults:
        body = booting(endpoint, body)
    if "nulls" in faults:
        body = all_null(body)
    return replace(reading, payload=body.encode()) if isinstance(body, str) else json_answer(body)


def all_null(body: object) -> object:
    """Return a body of the same shape with every value null."""
    if isinstance(body, dict):
        return {name: all_null(value) for name, value in body.items()}
    if isinstance(body, list):
        return [all_null(value) for value in body]
    return "null\n" if isinstance(body, str) and body.endswith("\n") else None


def booting(endpoint: Endpoint, body: object) -> object:
    """Return what the same endpoint says while the battery boots (docs/battery-api.md 5.2 and 5.3)."""
    if isinstance(body, str):
        return "0\n"
    if endpoint == "configurations" or not isinstance(body, dict | list):
        return body
    if isinstance(body, list):
        return [_not_ready(meter) for meter in body]
    if endpoint == "powermeter":
        return {key: _not_ready(meter) for key, meter in body.items()}
    zeros = _zeroed(body)
    if endpoint == "status" and "SystemStatus" in zeros:
        zeros["SystemStatus"] = "Init"
    core = zeros.get("ic_status")
    if isinstance(core, dict):
        leds = core["Eclipse Led"]
        leds["Pulsing Orange"] = True
        if "Eclipse Status" in leds:
            # No recorded answer shows this text of a booting battery.
            leds["Eclipse Status"] = "0x00 - BOOT"
        core |= {
            "statebms": "not ready",
            "statecorecontrolmodule": "config",
            "stateinverter": "not ready",
            "timestamp": "Thu Jan 1 01:00:00 1970",
        }
    return zeros


def _not_ready(meter: dict[str, object]) -> dict[str, object]:
    """Return a power meter that has not answered yet: error -1, and zeros."""
    quoted = isinstance(meter["error"], str)
    return _zeroed(meter) | {"error": "-1" if quoted else -1}


def _zeroed(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value if name in _NEVER_ZEROED else _zero(value) for name, value in body.items()}


def _zero(value: object) -> object:
    if isinstance(value, dict):
        return _zeroed(value)
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return type(value)(0)
    if isinstance(value, str) and _is_number(value):
        return "0.00" if "." in value else "0"
    return value


def _is_number(text: str) -> bool:
    return all(part.isdigit() for part in text.lstrip("-").split(".", 1))


def known_fault(name: str) -> FaultName | None:
    """Return the fault of this name, or None."""
    return next((known for known in FAULT_NAMES if known == name), None)


def known_endpoint(name: str) -> Endpoint | None:
    """Return the endpoint of this name, or None."""
    return next((known for known in ENDPOINTS if known == name), None)
