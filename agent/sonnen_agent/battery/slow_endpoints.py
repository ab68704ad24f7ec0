"""The slow endpoints of a battery: which are due, where each is, and which of their values are still true."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from sonnen_agent.battery.client import Client
from sonnen_agent.battery.variants import SLOW_ENDPOINTS, ApiVariant, Detail, Location, locations
from sonnen_agent.changes import ChangeLog
from sonnen_agent.clock import Deadline
from sonnen_agent.errors import BatteryError, Outcome
from sonnen_agent.group import SHOWN_BEATS
from sonnen_agent.reading import Endpoint

_log = logging.getLogger(__name__)

_LONGEST_SECONDS = 5
_SHORTEST_SECONDS = 0.2
"""With less left of the beat, an endpoint waits for the next one."""
_EARLY_SECONDS = 0.5
"""A beat comes a few milliseconds early or late; do not wait a whole one for them."""
_UNAUTHORIZED_SECONDS = 300
"""A refused token does not get better by itself, and some firmware locks out who insists (docs/battery-api.md 2.2)."""
_MISSING_SECONDS = 3600
"""A firmware update may bring the endpoint."""


@dataclass(slots=True, kw_only=True)
class EndpointState:
    """When one slow endpoint is asked, what it said last, and for how long that may be shown.

    Pure: all times are monotonic seconds that come in.
    """

    period_seconds: float
    locations: tuple[Location, ...]
    up: bool | None = None
    """Whether the last request brought an answer; None before the first."""
    _detail: Detail | None = field(default=None, init=False)
    _detail_at: float = field(default=0, init=False)
    _due_at: float = field(default=float("-inf"), init=False)
    _first_location: int = field(default=0, init=False)

    def due(self, now: float) -> bool:
        """Return whether to ask now."""
        return bool(self.locations) and now >= self._due_at

    def remaining_locations(self) -> tuple[Location, ...]:
        """Return the locations from the one that worked last."""
        return self.locations[self._first_location :]

    def hurry(self) -> None:
        """Make it due at once: the present answer says that it will change soon."""
        self._due_at = float("-inf")

    def answered(self, location: Location, detail: Detail, now: float) -> None:
        """Keep what was said, and where."""
        self.up = True
        self._detail, self._detail_at = detail, now
        self._first_location = self.locations.index(location)
        self._due_at = now + self.period_seconds - _EARLY_SECONDS

    def failed(self, outcome: Outcome, now: float) -> None:
        """Keep showing what was said last while it is young enough, and wait as long as the failure suggests."""
        self.up = False
        self._first_location = 0
        pause = {"unauthorized": _UNAUTHORIZED_SECONDS, "not_found": _MISSING_SECONDS}.get(outcome, self.period_seconds)
        self._due_at = now + max(pause, self.period_seconds) - _EARLY_SECONDS

    def detail(self, now: float) -> Detail | None:
        """Return what was said last, unless that was more than three periods ago."""
        if now - self._detail_at > SHOWN_BEATS * self.period_seconds:
            self._detail = None
        return self._detail


class SlowEndpoints:
    """Asks the slow endpoints, one at a time, and keeps what they said."""

    def __init__(self, client: Client, *, interval_seconds: float) -> None:
        self._client = client
        self._interval_seconds = interval_seconds
        self._variant: ApiVariant | None = None
        self._states: dict[Endpoint, EndpointState] = {}
        self._changes = ChangeLog(_log)

    def read_due(self, variant: ApiVariant, deadline: Deadline) -> None:
        """Ask those that are due, until the deadline; a failure changes nothing but that endpoint's health."""
        if variant != self._variant:
            self._variant, self._states = variant, self._plan(variant)
        for endpoint, state in self._states.items():
            if state.due(time.monotonic()) and deadline.remaining >= _SHORTEST_SECONDS:
                self._ask(endpoint, state, deadline.at_most(_LONGEST_SECONDS))

    def expect_change(self, endpoint: Endpoint) -> None:
        """Ask an endpoint in the next beat already."""
        if endpoint in self._states:
            self._states[endpoint].hurry()

    def up(self) -> Mapping[Endpoint, bool]:
        """Return which of the endpoints that were asked have answered the last time."""
        return {endpoint: state.up for endpoint, state in self._states.items() if state.up is not None}

    def fresh(self) -> tuple[Detail, ...]:
        """Return what the endpoints said last, as far as it is young enough to be true."""
        now = time.monotonic()
        known = (state.detail(now) for state in self._states.values())
        return tuple(detail for detail in known if detail is not None)

    def _plan(self, variant: ApiVariant) -> dict[Endpoint, EndpointState]:
        options = self._client.options
        plan: dict[Endpoint, EndpointState] = {}
        for endpoint, slow in SLOW_ENDPOINTS.items():
            places = locations(endpoint, variant, options.destination, has_token=options.token is not None)
            if places:
                period_seconds = max(slow.period_seconds, self._interval_seconds)
                plan[endpoint] = EndpointState(period_seconds=period_seconds, locations=places)
            else:
                self._changes.over(endpoint)
        return plan

    def _ask(self, endpoint: Endpoint, state: EndpointState, deadline: Deadline) -> None:
        first_error: BatteryError | None = None
        for location in state.remaining_locations():
            try:
                detail = self._client.get(
                    endpoint,
                    location.port,
                    location.path,
                    parse=SLOW_ENDPOINTS[endpoint].parse,
                    # A slow 404 may have used up the time; the next location still gets a moment.
                    deadline=deadline if deadline.remaining >= _SHORTEST_SECONDS else Deadline(_SHORTEST_SECONDS),
                    with_token=location.with_token,
                )
            except BatteryError as error:
                first_error = first_error or error
                if error.outcome not in ("not_found", "unauthorized"):
                    break
                continue
            self._changes.over(endpoint, "%s: %s answers again", self._client.options.name, endpoint)
            state.answered(location, detail, time.monotonic())
            return
        if first_error is not None:
            self._tell(endpoint, first_error)
            state.failed(first_error.outcome, time.monotonic())

    def _tell(self, endpoint: Endpoint, error: BatteryError) -> None:
        refused = error.outcome == "unauthorized"
        self._changes.trouble(
            endpoint,
            error.outcome,
            "%s: no %s: %s",
            self._client.options.name,
            endpoint,
            error,
            level=logging.WARNING if refused else logging.INFO,
            # A refused token is refused everywhere: say once what to do, not once per endpoint.
            known=True if refused and "unauthorized" in self._changes.kinds() else None,
        )
