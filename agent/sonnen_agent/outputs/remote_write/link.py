"""Whether samples get through, told once when that changes."""

import logging
from collections.abc import Callable

from sonnen_agent.outputs.remote_write.receiver import Verdict

_AWAY = ("timeout", "refused", "closed", "http_error", "invalid")
_RETRY_SECONDS = 30
"""With a long interval, a dead link is tried that often."""

_log = logging.getLogger(__name__)


class Link:
    """The way to the receiver."""

    def __init__(self, interval_seconds: float, monotonic: Callable[[], float], place: str) -> None:
        """Be up at first; `place` is where samples wait while it is not."""
        self._retry_seconds = min(interval_seconds, _RETRY_SECONDS)
        self._monotonic = monotonic
        self._place = place
        self._trouble: str | None = None
        self._last_attempt = float("-inf")
        self._left_alone_until = float("-inf")

    @property
    def up(self) -> bool:
        """Whether the last attempt got through."""
        return self._trouble is None

    @property
    def open_at(self) -> float:
        """When the present may be tried, in seconds of the monotonic clock: once per beat while the link is down."""
        retry = float("-inf") if self.up else self._last_attempt + self._retry_seconds / 2
        return max(retry, self._left_alone_until)

    @property
    def idle_at(self) -> float:
        """The same for an attempt without a new beat: only if none comes for a while."""
        retry = float("-inf") if self.up else self._last_attempt + self._retry_seconds * 1.5
        return max(retry, self._left_alone_until)

    def attempted(self, verdict: Verdict, began: float, waiting_samples: int) -> None:
        """Take note of an attempt that began then; samples that were refused got through, too."""
        self._last_attempt = began
        if verdict.kind != "later":
            if not self.up:
                _log.info("remote write works again; %d samples are sent late", waiting_samples)
            self._trouble = None
            return
        if verdict.wait_seconds:
            self._left_alone_until = self._monotonic() + verdict.wait_seconds
        trouble = "away" if verdict.outcome in _AWAY else verdict.outcome
        level = logging.DEBUG if trouble == self._trouble else logging.WARNING
        _log.log(level, "remote write fails, samples wait in %s: %s", self._place, verdict.words)
        self._trouble = trouble
