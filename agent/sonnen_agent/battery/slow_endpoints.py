"""The slow endpoints of a battery: which are due, where each is, and which of their values are still true."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sonnen_agent.battery.client import Client, refusal_pause_seconds
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
_MISSING_SECONDS = 3600
"""The longest pause of an endpoint that is not there: a start may bring it in minutes, a firmware update some day."""


@dataclass(slots=True, kw_only=True)
class EndpointState:
    """When one slow endpoint is asked, what it said last, and for how long that may be shown.

    Pure: all times are monotonic seconds that come in.
    """

    period_seconds: float
    locations: tuple[Location, ...]
    """Where it may be, best first."""
    up: bool | None = None
    """Whether the last request brought an answer; None before the first."""
    skipped: int = 0
    """How many of the locations come before the one that worked last."""
    _detail: Detail | None = field(default=None, init=False)
    _detail_at: float = field(default=0, init=False)
    _due_at: float = field(default=float("-inf"), init=False)
    _refused: bool = field(default=False, init=False)
    _denials: int = field(default=0, init=False)
    """How often in a row it was refused, or was not there."""

    def due(self, now: float) -> bool:
        """Return whether to ask now."""
        return now >= self._due_at

    def hurry(self) -> None:
        """Make it due at once: the present answer says that it will change soon."""
        self._due_at = float("-inf")

    def forgive(self) -> None:
        """Ask again at once where the token was refused."""
        if self._refused:
            self._denials = 0
            self.hurry()

    def answered(self, location: Location, detail: Detail, now: float) -> None:
        """Keep what was said, and where."""
        self.up, self.skipped, self._refused = True, self.locations.index(location), False
        self._detail, self._detail_at = detail, now
        self._due_at, self._denials = now + self.period_seconds - _EARLY_SECONDS, 0

    def failed(self, outcome: Outcome, now: float) -> None:
        """Keep showing what was said last while it is young enough, and wait as long as the failure suggests."""
        self.up, self.skipped, self._refused = False, 0, outcome == "unauthorized"
        self._denials = self._denials + 1 if outcome in ("unauthorized", "not_found") else 0
        pauses = {
            "unauthorized": refusal_pause_seconds(self._denials),
            "not_found": min(self.period_seconds * 2 ** min(self._denials - 1, 9), _MISSING_SECONDS),
        }
        self._due_at = now + max(pauses.get(outcome, 0), self.period_seconds) - _EARLY_SECONDS

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

    def forgive(self) -> None:
        """Ask those again that have refused the token: it is another one now."""
        for state in self._states.values():
            state.forgive()

    def expect_change(self, endpoint: Endpoint) -> None:
        """Ask an endpoint in the next beat already."""
        if endpoint in self._states:
            self._states[endpoint].hurry()

    def up(self) -> Mapping[Endpoint, bool]:
        """Return which of the endpoints that were asked have answered the last time."""
        return {endpoint: state.up for endpoint, state in self._states.items() if state.up is not None}

    def fresh(self) -> dict[str, Any]:
        """Return what the endpoints said last, as far as it is young enough to be true, by the field of a Reading."""
        now = time.monotonic()
        known = {SLOW_ENDPOINTS[endpoint].part: state.detail(now) for endpoint, state in self._states.items()}
        return {part: detail for part, detail in known.items() if detail is not None}

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
        name, parse = self._client.options.name, SLOW_ENDPOINTS[endpoint].parse
        first: tuple[Outcome, str] | None = None
        for location in state.locations[state.skipped :]:
            # A slow 404 may have used up the time; the next location still gets a moment.
            patience = deadline if deadline.remaining >= _SHORTEST_SECONDS else Deadline(_SHORTEST_SECONDS)
            try:
                detail = self._client.get(endpoint, location, parse, patience)
            except BatteryError as error:
                first = first or (error.outcome, str(error))
                if error.outcome not in ("not_found", "unauthorized"):
                    break
            else:
                self._changes.over(endpoint, "%s: %s answers again", name, endpoint)
                state.answered(location, detail, time.monotonic())
                return
        outcome, message = first or ("timeout", "no time was left for it")
        refused = outcome == "unauthorized"
        self._changes.trouble(
            endpoint,
            outcome,
            *("%s: no %s: %s", name, endpoint, message),
            level=logging.WARNING if refused else logging.INFO,
            # A refused token is refused everywhere: say once what to do, not once per endpoint.
            known=refused and "unauthorized" in self._changes.kinds(),
        )
        state.failed(outcome, time.monotonic())
