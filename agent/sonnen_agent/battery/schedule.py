"""When a slow endpoint is asked, what it said last, and for how long that may be shown. Pure: time comes in."""

from dataclasses import dataclass, field

from sonnen_agent.battery.faces import Detail, Source
from sonnen_agent.errors import Outcome

_EARLY_SECONDS = 0.5
"""A beat comes a few milliseconds early or late; do not wait a whole one for them."""
_UNAUTHORIZED_SECONDS = 300
"""A refused token does not get better by itself, and some firmware locks out who insists (SONNEN_API 2.2)."""
_MISSING_SECONDS = 3600
"""A firmware update may bring the endpoint."""
_KEPT_PERIODS = 3


@dataclass(slots=True, kw_only=True)
class Schedule:
    """The state of one slow endpoint; all times are monotonic seconds."""

    period_seconds: float
    sources: tuple[Source, ...]
    up: bool = False
    """Whether the last request brought an answer."""
    last_outcome: Outcome | None = None
    _detail: Detail | None = field(default=None, init=False)
    _detail_at: float = field(default=0, init=False)
    _due_at: float = field(default=float("-inf"), init=False)
    _first_source: int = field(default=0, init=False)

    def due(self, now: float) -> bool:
        """Whether to ask now."""
        return bool(self.sources) and now >= self._due_at

    def remaining_sources(self) -> tuple[Source, ...]:
        """Return the sources from the one that worked last."""
        return self.sources[self._first_source :]

    def hurry(self) -> None:
        """Make it due at once: the present answer says that it will change soon."""
        self._due_at = float("-inf")

    def answered(self, source: Source, detail: Detail, now: float) -> None:
        """Keep what was said, and where."""
        self.up, self.last_outcome = True, "ok"
        self._detail, self._detail_at = detail, now
        self._first_source = self.sources.index(source)
        self._due_at = now + self.period_seconds - _EARLY_SECONDS

    def failed(self, outcome: Outcome, now: float) -> None:
        """Keep showing what was said last while it is young enough, and wait as long as the failure suggests."""
        self.up, self.last_outcome = False, outcome
        self._first_source = 0
        pause = {"unauthorized": _UNAUTHORIZED_SECONDS, "not_found": _MISSING_SECONDS}.get(outcome, self.period_seconds)
        self._due_at = now + max(pause, self.period_seconds) - _EARLY_SECONDS

    def detail(self, now: float) -> Detail | None:
        """Return what was said last, unless that was more than three periods ago."""
        if now - self._detail_at > _KEPT_PERIODS * self.period_seconds:
            self._detail = None
        return self._detail
