"""Whether samples get through, and what the receiver rejects for good: each told once, when it changes."""

import logging
import re
from collections.abc import Callable, Sequence

from sonnen_agent.changes import ChangeLog
from sonnen_agent.outputs.remote_write.client import WriteResult
from sonnen_agent.outputs.remote_write.wire import Sample, series_name

_RETRY_SECONDS = 30
"""With a long interval, a dead link is tried that often."""
_APART_SECONDS = 60
_QUIET_SECONDS = 3600
"""After as long without it, the same rejection is news again."""
_VARIABLE = re.compile(r'"[^"]*"|\{[^}]*\}|\d[\d.:TZ-]*')
_GIST_CHARACTERS = 80

_log = logging.getLogger(__name__)


class ConnectionState:
    """The way to the receiver; up at first."""

    def __init__(self, interval_seconds: float, monotonic: Callable[[], float], place: str) -> None:
        """`place` is where samples wait while it is down."""
        self._retry_seconds = min(interval_seconds, _RETRY_SECONDS)
        self._monotonic = monotonic
        self._place = place
        self._changes = ChangeLog(_log)
        self._last_attempt = float("-inf")
        self._left_alone_until = float("-inf")
        self.up = True
        """Whether the last attempt got through."""

    @property
    def open_at(self) -> float:
        """When the present may be tried, in seconds of the monotonic clock: once per beat while the link is down."""
        retry = float("-inf") if self.up else self._last_attempt + self._retry_seconds / 2
        return max(retry, self._left_alone_until)

    @property
    def idle_at(self) -> float:
        """When to try without a new beat: while the link is down, only if none comes for a while."""
        retry = float("-inf") if self.up else self._last_attempt + self._retry_seconds * 1.5
        return max(retry, self._left_alone_until)

    def attempted(self, result: WriteResult, began: float, waiting_samples: int) -> None:
        """Take note of an attempt that began then. What was rejected got through, but it is no success to tell."""
        self._last_attempt = began
        self.up = result.kind != "later"
        if result.kind == "written":
            self._changes.over("link", "remote write works again; %d samples are sent late", waiting_samples)
        elif result.kind == "later":
            if result.wait_seconds:
                self._left_alone_until = self._monotonic() + result.wait_seconds
            kind = "away" if result.away else result.outcome
            message = "remote write fails, samples wait in %s: %s"
            self._changes.trouble("link", kind, message, self._place, result.words)


class RejectedSamples:
    """Counts the samples that were rejected, and knows which series they were of, to keep them away from the rest."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._told: dict[str, float] = {}
        self._apart: dict[bytes, float] = {}
        self.count = 0
        """Dropped so far because the receiver rejected them."""

    def note(self, samples: Sequence[Sample], result: WriteResult) -> None:
        """Count samples that the receiver rejects, and tell the first time why, in its words."""
        self.count += len(samples)
        gist = _VARIABLE.sub("", result.words)[-_GIST_CHARACTERS:]
        now = self._monotonic()
        known = now - self._told.get(gist, float("-inf")) < _QUIET_SECONDS
        self._told = {told: when for told, when in self._told.items() if now - when < _QUIET_SECONDS} | {gist: now}
        _log.log(
            logging.DEBUG if known else logging.WARNING,
            "%d samples are dropped, the first of them of %s: %s",
            len(samples),
            series_name(samples[0][0]),
            result.words,
        )

    def note_present(self, samples: Sequence[Sample], result: WriteResult) -> None:
        """Count them, and remember the series: what is rejected now will be rejected at the next beat."""
        self.note(samples, result)
        if not result.too_old:
            self._apart.update(dict.fromkeys((sample[0] for sample in samples), self._monotonic() + _APART_SECONDS))

    def apart(self) -> frozenset[bytes]:
        """Return the series of which a sample was rejected within the last minute."""
        now = self._monotonic()
        self._apart = {series: until for series, until in self._apart.items() if until > now}
        return frozenset(self._apart)
