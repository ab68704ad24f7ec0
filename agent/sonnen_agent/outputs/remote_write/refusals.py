"""What a receiver refuses for good: counted, told once, and kept away from the rest for a while."""

import logging
import re
from collections.abc import Callable, Sequence

from sonnen_agent.outputs.remote_write.beat import Sample
from sonnen_agent.outputs.remote_write.receiver import Verdict
from sonnen_agent.outputs.remote_write.wire import series_name

_APART_SECONDS = 60
_QUIET_SECONDS = 3600
"""After as long without it, the same refusal is news again."""
_VARIABLE = re.compile(r'"[^"]*"|\{[^}]*\}|\d[\d.:TZ-]*')
_GIST_CHARACTERS = 80

_log = logging.getLogger(__name__)


class Refusals:
    """Counts the samples that were refused, and knows which series they were of."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._told: dict[str, float] = {}
        self._apart: dict[bytes, float] = {}
        self.samples = 0
        """Dropped so far because the receiver refused them."""

    def note(self, samples: Sequence[Sample], verdict: Verdict) -> None:
        """Count samples that the receiver refuses, and tell the first time why, in its words."""
        self.samples += len(samples)
        gist = _VARIABLE.sub("", verdict.words)[-_GIST_CHARACTERS:]
        now = self._monotonic()
        known = now - self._told.get(gist, float("-inf")) < _QUIET_SECONDS
        self._told = {told: when for told, when in self._told.items() if now - when < _QUIET_SECONDS} | {gist: now}
        _log.log(
            logging.DEBUG if known else logging.WARNING,
            "%d samples are dropped, the first of them of %s: %s",
            len(samples),
            series_name(samples[0][0]),
            verdict.words,
        )

    def note_present(self, samples: Sequence[Sample], verdict: Verdict) -> None:
        """Do the same, and remember the series: what is refused now will be refused at the next beat."""
        self.note(samples, verdict)
        if not verdict.too_old:
            self._apart.update(dict.fromkeys((sample[0] for sample in samples), self._monotonic() + _APART_SECONDS))

    def apart(self) -> frozenset[bytes]:
        """Return the series of which a sample was refused within the last minute."""
        now = self._monotonic()
        self._apart = {series: until for series, until in self._apart.items() if until > now}
        return frozenset(self._apart)
