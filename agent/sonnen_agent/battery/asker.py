"""Asks one face for the status, and holds the answer against what can be true."""

import time
from collections.abc import Callable

from sonnen_agent.battery.client import Client
from sonnen_agent.battery.eco6 import CODES, parse_codes
from sonnen_agent.battery.faces import Face
from sonnen_agent.battery.parsers import parse_status
from sonnen_agent.errors import BatteryError
from sonnen_agent.reading import Status

_FROZEN_SECONDS = 30
"""A battery's clock that stands still for longer, with all values, has hung (SONNEN_API 9, rule 6)."""


class StatusAsker:
    """Gets the status from whatever face it is sent to."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._codes: tuple[str, ...] | None = None
        """The codes of an eco 6 that answers only code by code."""
        self._last_status: Status | None = None
        self._last_change_at = 0.0

    def ask(self, face: Face, timeout_seconds: float) -> Status:
        """Return the status of this moment, or raise BatteryError."""
        return (self._eco6 if face.generation == "eco6" else self._by_name)(face, timeout_seconds)

    def _by_name(self, face: Face, timeout_seconds: float) -> Status:
        return self._client.get(
            "status",
            face.port,
            face.path,
            parse=lambda document: self._checked(parse_status(document)),
            timeout_seconds=timeout_seconds,
        )

    def _eco6(self, face: Face, timeout_seconds: float) -> Status:
        """Return the status from the whole object, or code by code where the unit knows no other way."""
        deadline = self._clock() + timeout_seconds
        if self._codes is None:
            try:
                return self._client.get(
                    "status",
                    face.port,
                    face.path,
                    parse=lambda document: self._checked(parse_codes(document)),
                    timeout_seconds=timeout_seconds,
                )
            except BatteryError as error:
                if error.outcome not in ("not_found", "invalid", "http_error"):
                    raise
        return self._by_code(face, deadline)

    def _by_code(self, face: Face, deadline: float) -> Status:
        found: dict[str, object] = {}
        known: list[str] = []
        for code in self._codes or CODES:
            try:
                found[code] = self._client.get(
                    "status",
                    face.port,
                    f"{face.path}/{code}",
                    parse=lambda document: document,
                    timeout_seconds=max(deadline - self._clock(), 0.001),
                )
            except BatteryError as error:
                if error.outcome not in ("not_found", "invalid"):
                    raise
                if error.outcome == "not_found":
                    continue
            known.append(code)
        if not found:
            raise BatteryError("not_found", f"{face.path} on port {face.port} knows none of the codes")
        status = self._checked(parse_codes(found))
        self._codes = tuple(known)
        return status

    def _checked(self, status: Status) -> Status:
        """Return the status if it can be the truth of this moment."""
        if not status.has_power and not status.booting:
            raise BatteryError("invalid", "the status holds no usable power value")
        now = self._clock()
        if status != self._last_status:
            self._last_status, self._last_change_at = status, now
        elif status.local_time is not None and now - self._last_change_at > _FROZEN_SECONDS:
            raise BatteryError("invalid", f"the battery repeats its answer of {status.local_time}: it hangs")
        return status
