"""The slow endpoints of a battery: who is due, where each is, and which of their values are still true."""

import logging
import time
from collections.abc import Mapping

from sonnen_agent.battery.client import Client
from sonnen_agent.battery.faces import SLOW, Detail, Face, Source, sources
from sonnen_agent.battery.schedule import Schedule
from sonnen_agent.errors import BatteryError
from sonnen_agent.reading import Endpoint

_log = logging.getLogger(__name__)

_LONGEST_SECONDS = 5
_SHORTEST_SECONDS = 0.2
"""With less left of the beat, an endpoint waits for the next one."""


class Details:
    """Asks the slow endpoints, one at a time, and keeps what they said."""

    def __init__(self, client: Client, *, interval_seconds: float) -> None:
        self._client = client
        self._interval_seconds = interval_seconds
        self._face: Face | None = None
        self._schedules: dict[Endpoint, Schedule] = {}
        self._refusal_told = False

    def read_due(self, face: Face, deadline: float) -> None:
        """Ask those that are due, until the deadline; a failure changes nothing but that endpoint's health."""
        if face != self._face:
            self._face, self._schedules = face, self._plan(face)
        for endpoint, schedule in self._schedules.items():
            left = deadline - time.monotonic()
            if schedule.due(time.monotonic()) and left >= _SHORTEST_SECONDS:
                self._ask(endpoint, schedule, min(left, _LONGEST_SECONDS))

    def expect_change(self, endpoint: Endpoint) -> None:
        """Ask an endpoint in the next beat already."""
        if endpoint in self._schedules:
            self._schedules[endpoint].hurry()

    def endpoints(self) -> Mapping[Endpoint, bool]:
        """Return which of the endpoints we ask have answered the last time."""
        return {endpoint: schedule.up for endpoint, schedule in self._schedules.items() if schedule.last_outcome}

    def fresh(self) -> tuple[Detail, ...]:
        """Return what the endpoints said last, as far as it is young enough to be true."""
        now = time.monotonic()
        known = (schedule.detail(now) for schedule in self._schedules.values())
        return tuple(detail for detail in known if detail is not None)

    def _plan(self, face: Face) -> dict[Endpoint, Schedule]:
        client = self._client
        plan: dict[Endpoint, Schedule] = {}
        for endpoint, slow in SLOW.items():
            places = sources(endpoint, face, client.address, has_token=client.token is not None)
            if places:
                period = max(slow.period_seconds, self._interval_seconds)
                plan[endpoint] = Schedule(period_seconds=period, sources=places)
        return plan

    def _ask(self, endpoint: Endpoint, schedule: Schedule, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        error: BatteryError | None = None
        for source in schedule.remaining_sources():
            left = max(deadline - time.monotonic(), _SHORTEST_SECONDS)
            try:
                detail = self._ask_source(endpoint, source, left)
            except BatteryError as caught:
                error = error or caught
                if caught.outcome not in ("not_found", "unauthorized"):
                    break
                continue
            self._tell_back(endpoint, schedule)
            schedule.answered(source, detail, time.monotonic())
            return
        if error is not None:
            self._tell_gone(endpoint, schedule, error)
            schedule.failed(error.outcome, time.monotonic())

    def _ask_source(self, endpoint: Endpoint, source: Source, timeout_seconds: float) -> Detail:
        return self._client.get(
            endpoint,
            source.port,
            source.path,
            parse=SLOW[endpoint].parse,
            timeout_seconds=timeout_seconds,
            with_token=source.with_token,
        )

    def _tell_gone(self, endpoint: Endpoint, schedule: Schedule, error: BatteryError) -> None:
        if schedule.last_outcome == error.outcome:
            return
        if error.outcome == "unauthorized":
            # A refused token is refused everywhere: say once what to do, not once per endpoint.
            level = logging.DEBUG if self._refusal_told else logging.WARNING
            self._refusal_told = True
        else:
            level = logging.INFO
        _log.log(level, "%s: no %s: %s", self._client.name, endpoint, error)

    def _tell_back(self, endpoint: Endpoint, schedule: Schedule) -> None:
        if schedule.last_outcome not in (None, "ok"):
            self._refusal_told = False
            _log.info("%s: %s answers again", self._client.name, endpoint)
