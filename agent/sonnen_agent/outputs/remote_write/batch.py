"""Samples on their way: sent as one request, which is halved when it is rejected until only the bad ones are left.

A receiver that finds one bad sample in a request stores none of it (docs/facts.md 4.3). A rejected piece of several
series is halved by series; its halves go behind all other pieces, so that what is good is stored soon. A piece of
one series is halved by time, and its halves go next, so that its samples stay in order. The bad one of 5000 samples
is found in two dozen requests.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain

from sonnen_agent.outputs.remote_write.client import WriteResult
from sonnen_agent.outputs.remote_write.wire import Sample, Series, series_name

_HOPELESS = 16
"""After so many rejections in a row a series is not halved by time any more: it is dropped whole."""
_APART_SECONDS = 60
_QUIET_SECONDS = 3600
"""After as long, a rejection is news again."""

_Rejected = Callable[[Sequence[Sample], WriteResult], None]

_log = logging.getLogger(__name__)


class Batch:
    """Samples that are sent together, until the last of them is stored or dropped."""

    def __init__(self, samples: Sequence[Sample], rejected: _Rejected, apart: frozenset[Series] = frozenset()) -> None:
        """Tell `rejected` of what is dropped. The series `apart` go last, in one request that is not halved."""
        self._rejected = rejected
        self._apart = apart
        pieces = [s for s in samples if s[0] not in apart], [s for s in samples if s[0] in apart]
        self._pieces = deque[Sequence[Sample]](piece for piece in pieces if piece)
        self._in_a_row = 0
        self.whole = True
        """Whether nothing is known yet of any of its samples."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to send."""
        return not self._pieces

    @property
    def next(self) -> Sequence[Sample]:
        """The samples to send next; empty when nothing is left to send."""
        return self._pieces[0] if self._pieces else ()

    def left(self) -> list[Sample]:
        """Return what is neither stored nor dropped."""
        return list(chain.from_iterable(self._pieces))

    def tell(self, result: WriteResult) -> None:
        """Say what became of the samples that were to be sent next; those of a `later` are still to be sent."""
        if result.kind == "later":
            return
        piece = self._pieces.popleft()
        self.whole = False
        if result.kind == "written":
            self._in_a_row = 0
            return
        self._in_a_row += 1
        series = list(dict.fromkeys(sample[0] for sample in piece))
        if self._apart.issuperset(series):
            self._rejected(piece, result)
        elif result.too_old:
            self._split_by_age(piece, result)
        elif len(series) > 1:
            first = frozenset(series[: len(series) // 2])
            self._pieces.append([sample for sample in piece if sample[0] in first])
            self._pieces.append([sample for sample in piece if sample[0] not in first])
        elif len(halves := _halves_by_time(piece)) > 1 and self._in_a_row < _HOPELESS:
            self._pieces.extendleft(reversed(halves))
        else:
            self._rejected(piece, result)

    def _split_by_age(self, piece: Sequence[Sample], result: WriteResult) -> None:
        """Let one of the newest samples go ahead: when even that is too old, so is all that is not newer."""
        newest = max(piece, key=lambda sample: sample[1])
        if newest[1] > min(unix_ms for _, unix_ms, _ in piece):
            rest = _halves_by_time([sample for sample in piece if sample is not newest])
            self._pieces.extendleft(reversed([[newest], *rest]))
            return
        left = [*piece, *self.left()]
        self._rejected([sample for sample in left if sample[1] <= newest[1]], result)
        younger = ([sample for sample in piece if sample[1] > newest[1]] for piece in self._pieces)
        self._pieces = deque(piece for piece in younger if piece)


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
        self._told: dict[bool, float] = {}
        self._apart: dict[Series, float] = {}
        self.count = 0
        """Dropped so far because the receiver rejected them."""

    def note(self, samples: Sequence[Sample], result: WriteResult) -> None:
        """Count samples that the receiver rejects, and tell the first time why, in its words."""
        now = self._monotonic()
        news = now - self._told.get(result.too_old, float("-inf")) >= _QUIET_SECONDS
        _log.log(
            logging.WARNING if news else logging.DEBUG,
            "%d samples are dropped, the first of them of %s: %s",
            len(samples),
            series_name(samples[0][0]),
            result.words,
        )
        self._told[result.too_old] = now
        self.count += len(samples)

    def note_present(self, samples: Sequence[Sample], result: WriteResult) -> None:
        """Count them, and remember the series: what is rejected now will be rejected at the next beat."""
        self.note(samples, result)
        if not result.too_old:
            self._apart.update(dict.fromkeys((sample[0] for sample in samples), self._monotonic() + _APART_SECONDS))

    def apart(self) -> frozenset[Series]:
        """Return the series of which a sample was rejected within the last minute."""
        now = self._monotonic()
        self._apart = {series: until for series, until in self._apart.items() if until > now}
        return frozenset(self._apart)
