"""Which of a battery's faces answers: found by trying, remembered, and tried again after failures."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile

from sonnen_agent.battery.asker import StatusAsker
from sonnen_agent.battery.client import Client
from sonnen_agent.battery.faces import Face, candidates
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
_NEWER_SECONDS = 3600
"""Between two looks at the faces newer than the one in use: it may be in use only because they were late at a start."""
_TELLING: tuple[Outcome, ...] = ("unauthorized", "http_error", "invalid", "timeout", "refused", "not_found")
"""Of several failures, the one that says most about what to do comes first."""


class Finder:
    """Reads the status wherever it is.

    A face that worked is asked every beat. Without one, or after it failed three times, all the
    others are tried too: as many as a beat has time for, the rest in the next beat, then a pause.
    """

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._asker = StatusAsker(client, clock)
        self._clock = clock
        self._face: Face | None = None
        self._failures = 0
        self._errors: dict[Face, BatteryError] = {}
        """What each face said last."""
        self._round: Iterator[Face] = iter(())
        self._next_round_at = float("-inf")
        self._blocked_until: dict[Face, float] = {}
        """When a face that refused us may be asked again."""
        self._look_for_newer_at = float("inf")

    def read_status(self, timeout_seconds: float) -> tuple[Face, Status]:
        """Return a face and its status, or raise the BatteryError that tells most."""
        now = self._clock()
        if now >= self._look_for_newer_at and self._failures == 0:
            self._begin_round(takewhile(lambda face: face != self._face, candidates(self._client.address)))
            self._look_for_newer_at = now + _NEWER_SECONDS
            try:
                return self._search(now + timeout_seconds / 2)
            except BatteryError:
                self._next_round_at = float("-inf")
        if self._face is not None and not self._is_blocked(self._face):
            # A face that hangs must leave time to try the others.
            in_doubt = self._failures + 1 >= _FAILURES_TO_DOUBT and self._is_searching(now)
            try:
                return self._face, self._ask(self._face, timeout_seconds / 2 if in_doubt else timeout_seconds)
            except BatteryError as error:
                self._failures += 1
                if self._failures < _FAILURES_TO_DOUBT and error.outcome != "unauthorized":
                    raise
        return self._search(now + timeout_seconds)

    def _search(self, deadline: float) -> tuple[Face, Status]:
        if self._clock() >= self._next_round_at:
            self._begin_round(face for face in candidates(self._client.address) if face != self._face)
        while (left := deadline - self._clock()) > 0:
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
            self._look_for_newer_at = self._clock() + _NEWER_SECONDS
            return face, status
        raise self._verdict()

    def _begin_round(self, faces: Iterable[Face]) -> None:
        self._round = (face for face in faces if not self._is_blocked(face))
        self._next_round_at = float("inf")

    def _end_round(self) -> None:
        if self._next_round_at == float("inf"):
            self._next_round_at = self._clock() + _PAUSE_SECONDS

    def _is_searching(self, now: float) -> bool:
        return self._next_round_at == float("inf") or now >= self._next_round_at

    def _is_blocked(self, face: Face) -> bool:
        return self._clock() < self._blocked_until.get(face, float("-inf"))

    def _verdict(self) -> BatteryError:
        if not self._errors:
            return BatteryError("timeout", "no time was left to look for the battery")
        error = min(self._errors.values(), key=lambda error: _TELLING.index(error.outcome))
        return BatteryError(error.outcome, str(error))

    def _ask(self, face: Face, timeout_seconds: float) -> Status:
        try:
            status = self._asker.ask(face, timeout_seconds)
        except BatteryError as error:
            self._errors[face] = error
            if error.outcome == "unauthorized":
                self._blocked_until[face] = self._clock() + _UNAUTHORIZED_PAUSE_SECONDS
            raise
        self._failures = 0
        return status
