"""Samples on their way: sent as one, and halved when they are rejected, until only the bad ones are left.

A receiver that finds one bad sample in a request stores none of it (docs/facts.md 4.3). It is halved by
series first, so that the samples of each stay in order; the bad one of 5000 samples is found in two dozen
requests. What is rejected for its age is halved by time: one of the newest samples goes ahead, because if
even that is too old, the rest is as well.

Large pieces go before small ones, so that what is good is stored soon. Where nothing at all is taken, it is
searched in depth for anything that is, and given up when there is nothing. Series that were rejected alone
come last; each is halved by time, until four in a row had nothing good in them.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence

from sonnen_agent.outputs.remote_write.client import WriteResult
from sonnen_agent.outputs.remote_write.wire import Sample

_HOPELESS = 32
"""Rejections in a row after which to go on like this is of no use."""
_BARREN_SERIES = 4

Rejected = Callable[[Sequence[Sample], WriteResult], None]
"""Told of the samples that are dropped, and why."""
_Search = Generator[Sequence[Sample], WriteResult, None]
"""Yields what to send next, and is told what became of it."""


class Batch:
    """Samples that are sent together, until the last of them is stored or dropped."""

    def __init__(self, samples: Sequence[Sample], rejected: Rejected, apart: frozenset[bytes] = frozenset()) -> None:
        """Send the series `apart` in one request of their own, after the others, which is not halved."""
        self._rejected = rejected
        self._left = dict.fromkeys(samples)
        """A set that keeps its order."""
        self._in_a_row = 0
        self._in_depth = False
        self._giving_up = False
        self._search = self._whole(samples, apart)
        self.next: Sequence[Sample] = next(self._search, ())
        """The samples to send next; empty when nothing is left to send."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to send."""
        return not self.next

    @property
    def hopeless(self) -> bool:
        """Whether it looks as if everything is rejected, whatever it is."""
        return self._in_a_row >= _HOPELESS

    def left(self) -> list[Sample]:
        """Return what is neither stored nor dropped."""
        return list(self._left)

    def tell(self, result: WriteResult) -> None:
        """Say what became of the samples that were to be sent next; those of a `later` are still to be sent."""
        if result.kind == "later":
            return
        if result.kind == "written":
            self._in_a_row = 0
            self._giving_up = False
            self._settle(self.next)
        else:
            self._in_a_row += 1
        try:
            self.next = self._search.send(result)
        except StopIteration:
            self.next = ()

    def give_up(self) -> None:
        """Do not go on like this: search in depth; if that was of no use either, drop all but the largest piece."""
        self._in_a_row = 0
        self._giving_up = self._in_depth
        self._in_depth = True

    def _settle(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            self._left.pop(sample, None)

    def _drop(self, samples: Sequence[Sample], result: WriteResult) -> None:
        if samples:
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
            piece = pile.pop() if self._in_depth else pile.popleft()
            result = yield piece
            if result.kind == "written":
                continue
            if result.too_old:
                yield from self._by_age(piece, result)
            elif any(sample[0] != piece[0][0] for sample in piece):
                pile.extend(_halves_by_series(piece))
            else:
                alone.append((piece, result))
            if self._giving_up and pile:
                self._giving_up = False
                largest = max(pile, key=len)
                for hopeless in pile:
                    self._drop(hopeless if hopeless is not largest else (), result)
                pile = deque([largest])
        barren = 0
        for piece, result in alone:
            if len(piece) == 1 or barren >= _BARREN_SERIES:
                self._drop(piece, result)
                continue
            before = len(self._left)
            dropped = yield from self._by_time(piece)
            barren = barren + 1 if before - len(self._left) == dropped else 0

    def _by_time(self, samples: Sequence[Sample]) -> Generator[Sequence[Sample], WriteResult, int]:
        """Find the bad samples of one series, and return how many were dropped."""
        dropped = 0
        pile = [*reversed(_halves_by_time(samples))]
        self._giving_up = False
        self._in_a_row = 0
        while pile:
            piece = pile.pop()
            result = yield piece
            if result.kind == "written":
                continue
            halves = _halves_by_time(piece)
            if len(halves) > 1:
                pile.extend(reversed(halves))
            for hopeless in pile if self._giving_up else [piece] if len(halves) == 1 else []:
                self._drop(hopeless, result)
                dropped += len(hopeless)
            if self._giving_up:
                break
        return dropped

    def _by_age(self, samples: Sequence[Sample], result: WriteResult) -> _Search:
        """Let one of the newest samples show whether any of them is young enough."""
        newest = max(samples, key=lambda sample: sample[1])
        if newest[1] == min(unix_ms for _, unix_ms, _ in samples):
            self._drop(samples, result)
            return
        result = yield [newest]
        if result.too_old:
            self._drop(samples, result)
            return
        if result.kind == "rejected":
            self._drop([newest], result)
        for half in _halves_by_time([sample for sample in samples if sample is not newest]):
            yield from self._by_series(half)


def _halves_by_series(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    series = list(dict.fromkeys(sample[0] for sample in samples))
    first = frozenset(series[: len(series) // 2])
    return [s for s in samples if s[0] in first], [s for s in samples if s[0] not in first]


def _halves_by_time(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return the older and the newer half, or one of them alone."""
    moments = sorted({sample[1] for sample in samples})
    middle = moments[len(moments) // 2] if len(moments) > 1 else moments[0]
    halves = [s for s in samples if s[1] < middle], [s for s in samples if s[1] >= middle]
    return [half for half in halves if half]
