"""The slow endpoints of a battery: which are due, where each is, and which of their values are still true."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sonnen_agent.battery.client import WEB_PAGE, Client, refusal_pause_seconds
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
_RESTART_SECONDS, _RESTART_FAILURES = 30, 20
"""How soon to ask again who has answered before, as after a restart, and for how many failures in a row."""
_SWITCHED_OFF = (
    "%s: no details: %s, and so do all the others: the read API is switched off, or this firmware has none; "
    f"switch it on in {WEB_PAGE}"
)
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
    known: bool = field(default=False, init=False)
    """Whether it has ever answered."""
    missing: str = field(default="", init=False)
    """What was said where it is not there, and never was."""
    _detail: Detail | None = field(default=None, init=False)
    _detail_at: float = field(default=0, init=False)
    _due_at: float = field(default=float("-inf"), init=False)
    _refused: bool = field(default=False, init=False)
    _failures: int = field(default=0, init=False)
    """In a row."""
    _denials: int = field(default=0, init=False)
    """How often in a row it was refused, or was not there."""

    def due(self, now: float) -> bool:
        """Return whether to ask now."""
        return now >= self._due_at

    def hurry(self, by: float = float("-inf")) -> None:
        """Make it due by then, or at once: the present answer says that it will change soon."""
        self._due_at = min(self._due_at, by)

    def forgive(self) -> None:
        """Ask again at once where the token was refused: it is another one now."""
        if self._refused:
            self._denials = 0
            self.hurry()

    def back(self) -> None:
        """Ask again at once, but where the token was refused: the battery is back."""
        if not self._refused:
            self.hurry()

    def answered(self, location: Location, detail: Detail, now: float) -> None:
        """Keep what was said, and where."""
        self.up, self.skipped, self._refused = True, self.locations.index(location), False
        self.known, self.missing, self._failures = True, "", 0
        self._detail, self._detail_at = detail, now
        self._due_at, self._denials = now + self.period_seconds - _EARLY_SECONDS, 0

    def failed(self, outcome: Outcome, now: float, *, passing: bool = False) -> None:
        """Keep showing what was said last while it is young enough, and wait as long as the failure suggests.

        One that is `passing`, as with who has answered before, may be over any moment.
        """
        self._failures += 1
        self.up, self.skipped, self._refused = False, 0, outcome == "unauthorized"
        self._denials = self._denials + 1 if outcome in ("unauthorized", "not_found") else 0
        pauses = {
            "unauthorized": refusal_pause_seconds(self._denials),
            "not_found": min(self.period_seconds * 2 ** min(self._denials - 1, 9), _MISSING_SECONDS),
        }
        pause = max(pauses.get(outcome, 0), self.period_seconds)
        if not self._refused and (passing or (self.known and self._failures <= _RESTART_FAILURES)):
            pause = min(self.period_seconds, _RESTART_SECONDS)
        self._due_at = now + pause - _EARLY_SECONDS

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

    def read_due(self, variant: ApiVariant, deadline: Deadline, *, settling: bool = False) -> None:
        """Ask those that are due, until the deadline; a failure changes nothing but that endpoint's health.

        Of a battery that is `settling` after an outage no failure is told: it passes, or is told later.
        """
        if variant != self._variant:
            self._variant, self._states = variant, self._plan(variant)
        longest = max(_LONGEST_SECONDS, self._client.options.timeout_seconds or 0)
        asked = False
        for endpoint, state in self._states.items():
            if state.due(time.monotonic()) and deadline.remaining >= _SHORTEST_SECONDS:
                self._ask(endpoint, state, deadline.at_most(longest), settling=settling)
                asked = True
        if asked and not settling:
            self._tell_missing()

    def forgive(self) -> None:
        """Ask those again that have refused the token: it is another one now."""
        for state in self._states.values():
            state.forgive()

    def expect_change(self, endpoint: Endpoint, *, within_seconds: float = 0) -> None:
        """Ask an endpoint in the next beat already; one that answers, if so wanted, only within so many seconds."""
        if endpoint in self._states and (not within_seconds or self._states[endpoint].up):
            self._states[endpoint].hurry(time.monotonic() + within_seconds - _EARLY_SECONDS)

    def up(self) -> Mapping[Endpoint, bool]:
        """Return which of the endpoints that were asked have answered the last time."""
        asked = ((endpoint, state) for endpoint, state in self._states.items() if state.up is not None)
        return {endpoint: bool(state.up) for endpoint, state in asked if not _is_off_chance(endpoint, state)}

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

    def _ask(self, endpoint: Endpoint, state: EndpointState, deadline: Deadline, *, settling: bool) -> None:
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
                self._hurry_others(state)
                state.answered(location, detail, time.monotonic())
                return
        outcome, message = first or ("timeout", "no time was left for it")
        refused = outcome == "unauthorized"
        first_of_all = state is next(iter(self._states.values())) and state.locations[0].with_token
        state.failed(outcome, time.monotonic(), passing=first_of_all and not any(self.up().values()))
        state.missing = message if outcome == "not_found" and not state.known else ""
        if state.missing or _is_off_chance(endpoint, state):
            return
        perhaps = "; the battery may be restarting" if state.known and not refused else ""
        # What concerns all of them, as a refused token does, is told once, and not once per endpoint.
        shared = outcome not in ("not_found", "invalid") or state.known
        self._changes.trouble(
            endpoint,
            outcome,
            *("%s: no %s: %s%s", name, endpoint, message, perhaps),
            level=logging.WARNING if refused else logging.INFO,
            known=(settling and not refused) or (shared and self._changes.told(outcome, but=endpoint)),
        )

    def _hurry_others(self, answered: EndpointState) -> None:
        """Ask those soon that may be back as well, now that one is."""
        if answered.up is False:
            none_was_up = not any(self.up().values())
            for state in self._states.values():
                if state.up is False and (none_was_up or state.known):
                    state.back()

    def _tell_missing(self) -> None:
        """Tell what is not there, once all were asked: where nothing is, that is a switch and not the firmware."""
        states, name = self._states, self._client.options.name
        if any(state.up is None for state in states.values()):
            return
        with_token = any(state.locations[0].with_token for state in states.values())
        missing = {
            endpoint: state.missing
            for endpoint, state in states.items()
            if state.missing and not _is_off_chance(endpoint, state)
        }
        denied = all(state.missing or state.up for state in states.values())
        let_in = any(state.up and state.locations[state.skipped].with_token for state in states.values())
        if with_token and missing and denied and not let_in:
            self._changes.trouble("details", "off", _SWITCHED_OFF, name, next(iter(missing.values())))
            return
        self._changes.over("details", "%s: the read API answers again", name)
        for endpoint, message in missing.items():
            why = "this firmware does not have it" if with_token else "it may need an API token"
            words = ("%s: no %s: %s; %s", name, endpoint, message, why)
            self._changes.trouble(endpoint, "not_found", *words, level=logging.INFO)


def _is_off_chance(endpoint: Endpoint, state: EndpointState) -> bool:
    """Return whether it is only looked for where it rarely is, and was not there."""
    return SLOW_ENDPOINTS[endpoint].rare and not state.known and not state.locations[0].with_token
