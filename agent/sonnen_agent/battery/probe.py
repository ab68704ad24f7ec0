"""Reads the status from whichever variant of the API answers: found by trying, remembered, tried again after failures.

StatusReader asks one variant and holds the answer against what can be true; Probe decides which one it asks.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile

from sonnen_agent.battery.client import Client
from sonnen_agent.battery.parsers import ECO6_CODES, parse_eco6_status, parse_status
from sonnen_agent.battery.variants import ApiVariant, variants
from sonnen_agent.clock import Deadline
from sonnen_agent.errors import BatteryError, Outcome
from sonnen_agent.reading import Status

_log = logging.getLogger(__name__)

_FROZEN_SECONDS = 30
"""A battery's clock that stands still for longer, with all values, has hung (docs/battery-api.md 9, rule 6)."""
_TRY_SECONDS = 2
"""What a variant gets to answer while it is only tried (docs/battery-api.md 1)."""
_PAUSE_SECONDS = 30
"""Between two rounds of trying: a small box that is starting has other things to do."""
_UNAUTHORIZED_PAUSE_SECONDS = 300
"""A refusal does not get better by itself, and some firmware locks out who insists (docs/battery-api.md 2.2)."""
_FAILURES_TO_DOUBT = 3
_NEWER_SECONDS = 3600
"""Between two looks at the variants newer than the one in use: they may only have been late at a start."""
_TELLING: tuple[Outcome, ...] = ("unauthorized", "http_error", "invalid", "timeout", "refused", "not_found")
"""Of several failures, the one that says most about what to do comes first."""


class StatusReader:
    """Gets the status from the variant it is given."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._codes: tuple[str, ...] | None = None
        """The codes of an eco 6 that answers only code by code."""
        self._last_status: Status | None = None
        self._last_change_at = 0.0

    def read(self, variant: ApiVariant, deadline: Deadline) -> Status:
        """Return the status of this moment, or raise BatteryError."""
        if variant.generation != "eco6":
            return self._whole(variant, parse_status, deadline)
        if self._codes is None:
            try:
                return self._whole(variant, parse_eco6_status, deadline)
            except BatteryError as error:
                if error.outcome not in ("not_found", "invalid", "http_error"):
                    raise
        return self._by_code(variant, deadline)

    def _whole(self, variant: ApiVariant, parse: Callable[[object], Status], deadline: Deadline) -> Status:
        return self._client.get(
            "status", variant.port, variant.path, parse=lambda value: self._checked(parse(value)), deadline=deadline
        )

    def _by_code(self, variant: ApiVariant, deadline: Deadline) -> Status:
        found: dict[str, object] = {}
        known: list[str] = []
        for code in self._codes or ECO6_CODES:
            path = f"{variant.path}/{code}"
            try:
                found[code] = self._client.get(
                    "status", variant.port, path, parse=lambda value: value, deadline=deadline
                )
            except BatteryError as error:
                if error.outcome not in ("not_found", "invalid"):
                    raise
                if error.outcome == "not_found":
                    continue
            known.append(code)
        if not found:
            raise BatteryError("not_found", f"{variant.path} on port {variant.port} knows none of the codes")
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
            raise BatteryError("invalid", f"the battery repeats its answer of {status.local_time}: it hangs")
        return status


class Probe:
    """Reads the status wherever it is.

    A variant that worked is asked every beat. Without one, or after it failed three times, all the
    others are tried too: as many as a beat has time for, the rest in the next beat, then a pause.
    """

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._reader = StatusReader(client, clock)
        self._clock = clock
        self._variant: ApiVariant | None = None
        self._failures = 0
        """Of the variant in use, in a row."""
        self._last_errors: dict[ApiVariant, tuple[Outcome, str]] = {}
        """What each variant said last; not as exceptions, which would keep their tracebacks and bodies alive."""
        self._round: Iterator[ApiVariant] = iter(())
        self._next_round_at = float("-inf")
        self._blocked_until: dict[ApiVariant, float] = {}
        """When a variant that refused us may be asked again."""
        self._look_for_newer_at = float("inf")

    def read_status(self, deadline: Deadline) -> tuple[ApiVariant, Status]:
        """Return a variant and its status, or raise the BatteryError that tells most."""
        now = self._clock()
        if now >= self._look_for_newer_at and self._failures == 0:
            self._begin_round(takewhile(lambda variant: variant != self._variant, self._variants()))
            self._look_for_newer_at = now + _NEWER_SECONDS
            try:
                return self._search(deadline.share(0.5))
            except BatteryError:
                self._next_round_at = float("-inf")
        if self._variant is not None and not self._is_blocked(self._variant):
            # A variant that hangs must leave time to try the others.
            in_doubt = self._failures + 1 >= _FAILURES_TO_DOUBT and self._is_searching(now)
            try:
                return self._variant, self._ask(self._variant, deadline.share(0.5) if in_doubt else deadline)
            except BatteryError as error:
                self._failures += 1
                if self._failures < _FAILURES_TO_DOUBT and error.outcome != "unauthorized":
                    raise
        return self._search(deadline)

    def _variants(self) -> Iterable[ApiVariant]:
        return variants(self._client.options.destination)

    def _search(self, deadline: Deadline) -> tuple[ApiVariant, Status]:
        name = self._client.options.name
        if self._clock() >= self._next_round_at:
            self._begin_round(variant for variant in self._variants() if variant != self._variant)
        while not deadline.expired:
            variant = next(self._round, None)
            if variant is None:
                self._end_round()
                break
            try:
                status = self._ask(variant, deadline.at_most(_TRY_SECONDS))
            except BatteryError as error:
                _log.debug("%s: %s", name, error)
                continue
            _log.info("%s: the battery answers %s on port %d", name, variant.path, variant.port)
            self._variant, self._last_errors, self._next_round_at = variant, {}, float("-inf")
            self._look_for_newer_at = self._clock() + _NEWER_SECONDS
            return variant, status
        raise self._verdict()

    def _begin_round(self, candidates: Iterable[ApiVariant]) -> None:
        self._round = (variant for variant in candidates if not self._is_blocked(variant))
        self._next_round_at = float("inf")

    def _end_round(self) -> None:
        if self._next_round_at == float("inf"):
            self._next_round_at = self._clock() + _PAUSE_SECONDS

    def _is_searching(self, now: float) -> bool:
        return self._next_round_at == float("inf") or now >= self._next_round_at

    def _is_blocked(self, variant: ApiVariant) -> bool:
        return self._clock() < self._blocked_until.get(variant, float("-inf"))

    def _verdict(self) -> BatteryError:
        if not self._last_errors:
            return BatteryError("timeout", "no time was left to look for the battery")
        outcome, message = min(self._last_errors.values(), key=lambda error: _TELLING.index(error[0]))
        return BatteryError(outcome, message)

    def _ask(self, variant: ApiVariant, deadline: Deadline) -> Status:
        try:
            status = self._reader.read(variant, deadline)
        except BatteryError as error:
            self._last_errors[variant] = error.outcome, str(error)
            if error.outcome == "unauthorized":
                self._blocked_until[variant] = self._clock() + _UNAUTHORIZED_PAUSE_SECONDS
            raise
        self._failures = 0
        return status
