"""Samples on their way: sent as one request, which is halved when it is rejected until only the bad ones are left.

A receiver that finds one bad sample in a request stores none of it (docs/facts.md 4.3). A rejected piece of several
series is halved by series; its halves go behind all other pieces, so that what is good is stored soon. A piece of
one series is halved by time, and its halves go next, so that its samples stay in order. The bad one of 5000 samples
is found in two dozen requests.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain

from sonnen_agent.outputs.remote_write.client import WriteError
from sonnen_agent.outputs.remote_write.wire import Sample, Series

_HOPELESS = 16
"""After so many rejections in a row a series is not halved by time any more: it is dropped whole."""

_Rejected = Callable[[Sequence[Sample], WriteError], None]


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
    def next(self) -> Sequence[Sample]:
        """The samples to send next; empty when the last of them is stored or dropped."""
        return self._pieces[0] if self._pieces else ()

    def tell(self, error: WriteError | None) -> None:
        """Say why the samples that were to be sent next were not stored, None if they were."""
        if error is not None and error.later:
            return
        piece = self._pieces.popleft()
        self.whole = False
        if error is None:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        series = list(dict.fromkeys(sample[0] for sample in piece))
        if self._apart.issuperset(series):
            self._rejected(piece, error)
        elif error.too_old:
            self._split_by_age(piece, error)
        elif len(series) > 1:
            first = frozenset(series[: len(series) // 2])
            self._pieces.append([sample for sample in piece if sample[0] in first])
            self._pieces.append([sample for sample in piece if sample[0] not in first])
        elif len(halves := _halves_by_time(piece)) > 1 and self._in_a_row < _HOPELESS:
            self._pieces.extendleft(reversed(halves))
        else:
            self._rejected(piece, error)

    def _split_by_age(self, piece: Sequence[Sample], error: WriteError) -> None:
        """Let one of the newest samples go ahead: when even that is too old, so is all that is not newer."""
        newest = max(piece, key=lambda sample: sample[1])
        if newest[1] > min(unix_ms for _, unix_ms, _ in piece):
            rest = _halves_by_time([sample for sample in piece if sample is not newest])
            self._pieces.extendleft(reversed([[newest], *rest]))
            return
        left = [*piece, *chain.from_iterable(self._pieces)]
        self._rejected([sample for sample in left if sample[1] <= newest[1]], error)
        younger = ([sample for sample in piece if sample[1] > newest[1]] for piece in self._pieces)
        self._pieces = deque(piece for piece in younger if piece)


def _halves_by_time(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return the older and the newer half, or all of them where they are of one moment."""
    moments = sorted({sample[1] for sample in samples})
    middle = moments[len(moments) // 2]
    halves = [s for s in samples if s[1] < middle], [s for s in samples if s[1] >= middle]
    return [half for half in halves if half]
