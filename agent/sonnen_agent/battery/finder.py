"""Which of a battery's faces answers: found by trying, remembered, and tried again after failures."""

import logging
import time
from collections.abc import Iterator

from sonnen_agent.battery.client import Client
from sonnen_agent.battery.eco6 import CODES, parse_codes
from sonnen_agent.battery.faces import Face, candidates
from sonnen_agent.battery.parsers import parse_status
from sonnen_agent.errors import BatteryError, Outcome
from sonnen_agent.reading import Status

_log = logging.getLogger(__name__)

_TRY_SECONDS = 2
"""What a face gets to answer while it is only tried (SONNEN_API 1)."""
_PAUSE_SECONDS = 30
"""Between two rounds of trying: a small box that is starting has other things to do."""
_UNAUTHORIZED_PAUSE_SECONDS = 300
"""A refusal does not get better by itself, and some firmware locks out who insists (SONNEN_API 2.2)."""
_FAILURES_TO_DOUBT = 3
_FROZEN_SECONDS = 30
"""A battery's clock that stands still for longer, with all values, has hung (SONNEN_API 9, rule 6)."""
_TELLING: tuple[Outcome, ...] = ("unauthorized", "http_error", "invalid", "timeout", "refused", "not_found")
"""Of several failures, the one that says most about what to do comes first."""


class Finder:
    """Reads the status wherever it is.

    A face that worked is asked every beat. Without one, or after it failed three times, all the
    others are tried too: as many as a beat has time for, the rest in the next beat, then a pause.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._face: Face | None = None
        self._failures = 0
        self._errors: dict[Face, BatteryError] = {}
        """What each face said last."""
        self._round: Iterator[Face] = iter(())
        self._next_round_at = float("-inf")
        self._blocked_until = float("-inf")
        self._codes: tuple[str, ...] | None = None
        """The codes of an eco 6 that answers only code by code."""
        self._last_status: Status | None = None
        self._last_change_at = 0.0

    def read_status(self, timeout_seconds: float) -> tuple[Face, Status]:
        """Return a face and its status, or raise the BatteryError that tells most."""
        now = time.monotonic()
        if now < self._blocked_until:
            raise self._verdict()
        if self._face is not None:
            try:
                return self._face, self._ask(self._face, timeout_seconds)
            except BatteryError as error:
                self._failures += 1
                if self._failures < _FAILURES_TO_DOUBT and error.outcome != "unauthorized":
                    raise
        return self._search(now + timeout_seconds)

    def _search(self, deadline: float) -> tuple[Face, Status]:
        if time.monotonic() >= self._next_round_at:
            self._round = (face for face in candidates(self._client.address) if face != self._face)
            self._next_round_at = float("inf")
        while (left := deadline - time.monotonic()) > 0:
            face = next(self._round, None)
            if face is None:
                self._end_round()
                break
            try:
                status = self._ask(face, min(_TRY_SECONDS, left))
            except BatteryError as error:
                _log.debug("%s: %s", self._client.name, error)
                continue
            _log.info("%s: the battery answers %s on port %d", self._client.name, face.path, face.port)
            self._face, self._errors, self._next_round_at = face, {}, float("-inf")
            return face, status
        raise self._verdict()

    def _end_round(self) -> None:
        now = time.monotonic()
        if self._next_round_at == float("inf"):
            self._next_round_at = now + _PAUSE_SECONDS
        if any(error.outcome == "unauthorized" for error in self._errors.values()):
            self._blocked_until = now + _UNAUTHORIZED_PAUSE_SECONDS

    def _verdict(self) -> BatteryError:
        if not self._errors:
            return BatteryError("timeout", "no time was left to look for the battery")
        error = min(self._errors.values(), key=lambda error: _TELLING.index(error.outcome))
        return BatteryError(error.outcome, str(error))

    def _ask(self, face: Face, timeout_seconds: float) -> Status:
        try:
            status = (self._ask_eco6 if face.generation == "eco6" else self._ask_by_name)(face, timeout_seconds)
        except BatteryError as error:
            self._errors[face] = error
            raise
        self._failures = 0
        return status

    def _ask_by_name(self, face: Face, timeout_seconds: float) -> Status:
        return self._client.get(
            "status",
            face.port,
            face.path,
            parse=lambda document: self._checked(parse_status(document)),
            timeout_seconds=timeout_seconds,
        )

    def _ask_eco6(self, face: Face, timeout_seconds: float) -> Status:
        """Return the status from the whole object, or code by code where the unit knows no other way."""
        deadline = time.monotonic() + timeout_seconds
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
        found: dict[str, object] = {}
        for code in self._codes or CODES:
            try:
                found[code] = self._client.get(
                    "status",
                    face.port,
                    f"{face.path}/{code}",
                    parse=lambda document: document,
                    timeout_seconds=max(deadline - time.monotonic(), 0.001),
                )
            except BatteryError as error:
                if error.outcome not in ("not_found", "invalid"):
                    raise
        if not found:
            raise BatteryError("not_found", f"{face.path} on port {face.port} knows none of the codes")
        status = self._checked(parse_codes(found))
        self._codes = tuple(found)
        return status

    def _checked(self, status: Status) -> Status:
        """Return the status if it can be the truth of this moment."""
        if not status.has_power and not status.booting:
            raise BatteryError("invalid", "the status holds no usable power value")
        now = time.monotonic()
        if status != self._last_status:
            self._last_status, self._last_change_at = status, now
        elif status.local_time is not None and now - self._last_change_at > _FROZEN_SECONDS:
            raise BatteryError("invalid", f"the battery repeats its answer of {status.local_time}: it hangs")
        return status
