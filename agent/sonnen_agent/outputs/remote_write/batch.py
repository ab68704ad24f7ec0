"""Samples on their way: sent as one, and halved when they are rejected, until only the bad ones are left.

A receiver that finds one bad sample in a request stores none of it (docs/facts.md 4.3). It is halved by
series first, so that the samples of each stay in order, and large pieces go before small ones, so that what is
good is stored soon; the bad one of 5000 samples is found in two dozen requests. Series that were rejected alone
come last; each is halved by time, until four in a row had nothing good in them. What is rejected for its age is
halved by time: one of the newest samples goes ahead, because if even that is too old, the rest is as well.
"""

import logging
import re
from collections import deque
from collections.abc import Callable, Generator, Sequence

from sonnen_agent.outputs.remote_write.client import WriteResult
from sonnen_agent.outputs.remote_write.wire import Sample, series_name

_HOPELESS = 32
"""Rejections in a row after which it looks as if everything is rejected."""
_BARREN_SERIES = 4
_APART_SECONDS = 60
_QUIET_SECONDS = 3600
"""After as long without it, the same rejection is news again."""
_VARIABLE = re.compile(r'"[^"]*"|\{[^}]*\}|\d[\d.:TZ-]*')
_GIST_CHARACTERS = 80

_Rejected = Callable[[Sequence[Sample], WriteResult], None]
_Search = Generator[Sequence[Sample], WriteResult, None]
"""Yields what to send next, and is told what became of it."""

_log = logging.getLogger(__name__)


class Batch:
    """Samples that are sent together, until the last of them is stored or dropped."""

    def __init__(self, samples: Sequence[Sample], rejected: _Rejected, apart: frozenset[bytes] = frozenset()) -> None:
        """Tell `rejected` of what is dropped. The series `apart` go last, in one request that is not halved."""
        self._rejected = rejected
        self._left = dict.fromkeys(samples)
        """A set that keeps its order."""
        self._in_a_row = 0
        self._written = 0
        self._search = self._whole(samples, apart)
        self.next: Sequence[Sample] = next(self._search, ())
        """The samples to send next; empty when nothing is left to send."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to send."""
        return not self.next

    @property
    def hopeless(self) -> bool:
        """Whether now is the time to doubt that it is for the samples that they are rejected."""
        return self._in_a_row > 0 and self._in_a_row % _HOPELESS == 0

    def left(self) -> list[Sample]:
        """Return what is neither stored nor dropped."""
        return list(self._left)

    def tell(self, result: WriteResult) -> None:
        """Say what became of the samples that were to be sent next; those of a `later` are still to be sent."""
        if result.kind == "later":
            return
        if result.kind == "written":
            self._in_a_row = 0
            self._written += 1
            self._settle(self.next)
        else:
            self._in_a_row += 1
        try:
            self.next = self._search.send(result)
        except StopIteration:
            self.next = ()

    def _settle(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            self._left.pop(sample, None)

    def _drop(self, samples: Sequence[Sample], result: WriteResult) -> None:
        self._settle(samples)
        self._rejected(samples, result)

    def _whole(self, samples: Sequence[Sample], apart: frozenset[bytes]) -> _Search:
        doubtful = [sample for sample in samples if sample[0] in apart]
        yield from self._by_series([sample for sample in samples if sample[0] not in apart] if doubtful else samples)
        if doubtful:
            result = yield doubtful
            if result.kind == "rejected":
                self._drop(doubtful, result)

    def _by_series(self, samples: Sequence[Sample]) -> _Search:
        pile = deque([samples] if samples else [])
        alone: list[tuple[Sequence[Sample], WriteResult]] = []
        while pile:
            piece = pile.popleft()
            result = yield piece
            if result.kind == "written":
                continue
            series = list(dict.fromkeys(sample[0] for sample in piece))
            if result.too_old:
                yield from self._by_age(piece, result)
            elif len(series) > 1:
                first = frozenset(series[: len(series) // 2])
                pile.append([sample for sample in piece if sample[0] in first])
                pile.append([sample for sample in piece if sample[0] not in first])
            else:
                alone.append((piece, result))
        barren = 0 if self._written or len(alone) <= _BARREN_SERIES else _BARREN_SERIES
        for piece, result in alone:
            if barren < _BARREN_SERIES:
                before = self._written
                yield from self._by_time(piece, result)
                barren = 0 if self._written > before else barren + 1
            else:
                self._drop(piece, result)

    def _by_time(self, samples: Sequence[Sample], result: WriteResult) -> _Search:
        """Find the bad samples of one series that was rejected."""
        halves = _halves_by_time(samples)
        if len(halves) < 2:
            self._drop(samples, result)
            return
        for half in halves:
            result = yield half
            if result.kind == "rejected":
                yield from self._by_time(half, result)

    def _by_age(self, samples: Sequence[Sample], result: WriteResult) -> _Search:
        """Let one of the newest samples show whether any of them is young enough."""
        newest = max(samples, key=lambda sample: sample[1])
        one_moment = newest[1] == min(unix_ms for _, unix_ms, _ in samples)
        if not one_moment:
            result = yield [newest]
        if one_moment or result.too_old:
            self._drop(samples, result)
            return
        if result.kind == "rejected":
            self._drop([newest], result)
        for half in _halves_by_time([sample for sample in samples if sample is not newest]):
            yield from self._by_series(half)


def _halves_by_time(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return the older and the newer half, or all of them where they are of one moment."""
    moments = sorted({sample[1] for sample in samples})
    middle = moments[len(moments) // 2]
    halves = [s for s in samples if s[1] < middle], [s for s in samples if s[1] >= middle]
    return [half for half in halves if half]


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
        self._told = {told: when for told, when in self._told.items() if now - when < _QUIET_SECONDS}
        _log.log(
            logging.DEBUG if gist in self._told else logging.WARNING,
            "%d samples are dropped, the first of them of %s: %s",
            len(samples),
            series_name(samples[0][0]),
            result.words,
        )
        self._told[gist] = now

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
