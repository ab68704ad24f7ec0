"""Reads the status from whichever variant of the API answers: found by trying, remembered, tried again after failures.

StatusReader asks one variant and holds the answer against what can be true; Probe decides which one it asks.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile

from sonnen_agent.battery.client import Client, refusal_pause_seconds
from sonnen_agent.battery.parsers import ECO6_CODES, parse_eco6_status, parse_status
from sonnen_agent.battery.values import number
from sonnen_agent.battery.variants import ApiVariant, variants
from sonnen_agent.clock import Deadline
from sonnen_agent.errors import BatteryError, Outcome
from sonnen_agent.reading import Status

_log = logging.getLogger(__name__)

_FROZEN_SECONDS = 30
"""A battery's clock that stands still for longer, with all values, has hung (docs/battery-api.md 9, rule 6)."""
_TRY_SHARE = 0.75
"""Of the time left, what a variant gets to answer while it is only tried: a busy battery needs seconds."""
_PAUSE_SECONDS = 30
"""Between two rounds of trying the others while a known variant fails, and between two of asking code by code."""
_FAILURES_TO_DOUBT = 3
_NEWER_SECONDS = 30, 300
"""Between two looks at the variants newer than the one in use, at first and for good: they may be late at a start."""
_TELLING: tuple[Outcome, ...] = ("unauthorized", "http_error", "invalid", "timeout", "refused", "not_found")
"""Of several failures, the one that says most about what to do comes first."""


class StatusReader:
    """Gets the status from the variant it is given."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._codes: tuple[str, ...] | None = None
        """The codes of an eco 6 that answers only code by code."""
        self._look_for_codes_at = float("-inf")
        self._closed = False
        """Whether this firmware wants the token for the status, too (docs/battery-api.md 2.1)."""
        self.hangs = False
        """Whether the battery repeats an answer of long ago, its time of day included."""
        self._last_status: Status | None = None
        self._last_change_at = 0.0

    def read(self, variant: ApiVariant, deadline: Deadline) -> Status:
        """Return the status of this moment, or raise BatteryError."""
        by_code = variant.generation == "eco6"
        parse = parse_eco6_status if by_code else parse_status
        if not by_code or self._codes is None:
            try:
                return self._get(variant, lambda value: self._checked(parse(value)), deadline)
            except BatteryError as error:
                in_vain = error.outcome not in ("not_found", "invalid", "http_error")
                if not by_code or in_vain or self._clock() < self._look_for_codes_at:
                    raise
            self._look_for_codes_at = self._clock() + _PAUSE_SECONDS
        return self._by_code(variant, deadline)

    def _get(self, variant: ApiVariant, parse: Callable[[object], Status], deadline: Deadline) -> Status:
        """Return the status, asked for without the token as long as that is enough."""
        location, closed = variant.status, self._closed
        knows_tokens = variant.generation == "v2" and self._client.options.token is not None
        try:
            return self._client.get("status", replace(location, with_token=knows_tokens and closed), parse, deadline)
        except BatteryError as error:
            if error.outcome != "unauthorized" or not knows_tokens or closed:
                self._closed = closed and error.outcome != "unauthorized"
                raise
        status = self._client.get("status", replace(location, with_token=True), parse, deadline)
        self._closed = True
        return status

    def _by_code(self, variant: ApiVariant, deadline: Deadline) -> Status:
        found: dict[str, object] = {}
        known: list[str] = []
        failed = ""
        for code in self._codes or ECO6_CODES:
            location = replace(variant.status, path=f"{variant.status.path}/{code}")
            try:
                found[code] = self._client.get("status", location, number, deadline)
            except BatteryError as error:
                if error.outcome == "not_found":
                    continue
                if error.outcome not in ("invalid", "http_error"):
                    raise
                failed = str(error) if error.outcome == "http_error" else failed
            known.append(code)
        if not found and failed:
            raise BatteryError("http_error", failed)
        if not found:
            raise BatteryError("not_found", f"{variant.status.path} on port {variant.port} knows none of the codes")
        if len(found) > 1 and len({*found.values()}) == 1 and 0 not in found.values():
            raise BatteryError("invalid", f"{variant.status.path} on port {variant.port} says the same for every code")
        status = self._checked(parse_eco6_status(found))
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
            self.hangs = True
            raise BatteryError("invalid", f"the battery repeats its answer of {status.local_time}: it hangs")
        return status


class Probe:
    """Reads the status wherever it is.

    A variant that worked is asked every beat. Without one, or after it failed three times, all the
    others are tried too: as many as a beat has time for, and the rest in the next. A battery that
    was never found is looked for in every beat, one that is known has a pause between two rounds.
    """

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._reader = client, StatusReader(client, clock)
        self._variants = tuple(variants(client.options.destination))
        self._clock = clock
        self._variant: ApiVariant | None = None
        self._answered: set[ApiVariant] = set()
        """The variants that have ever answered."""
        self._failures = 0
        """Of the variant in use, in a row."""
        self._last_errors: dict[ApiVariant, tuple[Outcome, str]] = {}
        """What each variant said last; not as exceptions, which would keep their tracebacks and bodies alive."""
        self._untried: list[ApiVariant] = []
        """What is left of the round of trying that is under way."""
        self._next_round_at = float("-inf")
        """When another may begin."""
        self._refusals: dict[ApiVariant, tuple[int, float]] = {}
        """How often each has refused us in a row, and when it may be asked again."""
        self._well_since = self._look_for_newer_at = float("inf")

    @property
    def best(self) -> ApiVariant | None:
        """The newest variant that has ever answered."""
        return next((variant for variant in self._variants if variant in self._answered), None)

    @property
    def hangs(self) -> bool:
        """Whether the latest answer was one of long ago."""
        return self._reader.hangs

    def read_status(self, deadline: Deadline) -> tuple[ApiVariant, Status]:
        """Return a variant and its status, or raise the BatteryError that tells most."""
        self._reader.hangs = False
        now = self._clock()
        if now >= self._look_for_newer_at and self._failures == 0:
            soonest, latest = _NEWER_SECONDS
            # One that has answered before is only late: the battery has restarted.
            latest = soonest if self.best != self._variant else latest
            self._look_for_newer_at = now + min(max(soonest, (now - self._well_since) / 4), latest)
            newer = list(takewhile(lambda variant: variant != self._variant, self._variants))
            if (found := self._try(newer, deadline.share(0.5))) is not None:
                return found
        if self._variant is not None and not self._is_blocked(self._variant):
            # A variant that hangs must leave time to try the others.
            searching = bool(self._untried) or now >= self._next_round_at
            in_doubt = searching and self._failures + 1 >= _FAILURES_TO_DOUBT
            try:
                return self._variant, self._ask(self._variant, deadline.share(0.5) if in_doubt else deadline)
            except BatteryError:
                self._failures += 1
                if self._failures < _FAILURES_TO_DOUBT and not self._is_blocked(self._variant):
                    raise
        return self._search(deadline)

    def forgive(self) -> None:
        """Ask those again that have refused us: the token is another one now."""
        self._refusals.clear()
        self._next_round_at = float("-inf")

    def _search(self, deadline: Deadline) -> tuple[ApiVariant, Status]:
        """Go on with the round under way, or begin one when the pause after the one before is over."""
        if not self._untried and (self._variant is None or self._clock() >= self._next_round_at):
            self._untried = [variant for variant in self._variants if variant != self._variant]
        if self._untried:
            if (found := self._try(self._untried, deadline)) is not None:
                return found
            self._next_round_at = self._clock() + _PAUSE_SECONDS
        if not self._last_errors:
            raise BatteryError("timeout", "no time was left to look for the battery")
        outcome, message = min(self._last_errors.values(), key=lambda error: _TELLING.index(error[0]))
        raise BatteryError(outcome, message)

    def _try(self, untried: list[ApiVariant], deadline: Deadline) -> tuple[ApiVariant, Status] | None:
        """Return the first that answers, and use it from now on; those that were asked leave the list.

        None is asked in the second half of the time, when too little of it is left to answer.
        """
        first_half = deadline.share(0.5)
        while untried and not first_half.expired:
            variant = untried.pop(0)
            if self._is_blocked(variant):
                continue
            # The more of a beat, the less comes of the others; who needed longer the last time gets all of it.
            hurried = untried and self._last_errors.get(variant, ("ok", ""))[0] != "timeout"
            try:
                status = self._ask(variant, deadline.share(_TRY_SHARE) if hurried else deadline)
            except BatteryError as error:
                _log.debug("%s: %s", self._client.options.name, error)
                continue
            name, location = self._client.options.name, variant.status
            _log.info("%s: the battery answers %s on port %d", name, location.path, location.port)
            self._variant, self._last_errors, self._untried, self._next_round_at = variant, {}, [], float("-inf")
            return variant, status
        return None

    def _is_blocked(self, variant: ApiVariant) -> bool:
        return variant in self._refusals and self._clock() < self._refusals[variant][1]

    def _ask(self, variant: ApiVariant, deadline: Deadline) -> Status:
        try:
            status = self._reader.read(variant, deadline)
        except BatteryError as error:
            self._last_errors[variant] = error.outcome, str(error)
            if error.outcome == "unauthorized":
                times = self._refusals.get(variant, (0, 0))[0] + 1
                self._refusals[variant] = times, self._clock() + refusal_pause_seconds(times)
            raise
        if self._failures or variant != self._variant:
            self._well_since = self._clock()
            self._look_for_newer_at = self._well_since + _NEWER_SECONDS[0]
        self._failures = 0
        self._answered.add(variant)
        self._refusals.pop(variant, None)
        return status
