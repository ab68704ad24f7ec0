"""Samples on their way: sent as one, and split when they are refused, until only the bad ones are left.

A receiver that finds one bad sample in a request stores none of it (EDGE 4.3). It is split by series
first, so that the samples of each stay in order; the bad one of 5000 samples is found in two dozen
requests. What is refused for its age is split by time: one of the newest samples goes ahead, because if
even that is too old, the rest is as well.

Large pieces go before small ones, so that what is good is stored soon. Where nothing at all is taken,
it is searched in depth for anything that is, and given up when there is nothing. Series that were
refused alone come last; each is split by time.
"""

from collections.abc import Callable, Iterable, Sequence

from sonnen_agent.outputs.remote_write.beat import Sample
from sonnen_agent.outputs.remote_write.receiver import Verdict

_HOPELESS = 32
"""Refusals in a row after which to go on like this is of no use."""
_BARREN_SERIES = 4
"""Series in a row of which nothing was taken, after which the others that were refused are not split any more."""

Refused = Callable[[Sequence[Sample], Verdict], None]
"""Told of the samples that are dropped, and why."""


class Parcel:
    """The samples of one batch, until the last of them is stored or dropped."""

    def __init__(self, samples: Sequence[Sample], refused: Refused, apart: frozenset[bytes] = frozenset()) -> None:
        """Send the series `apart` in one request of their own, which is not split."""
        self._refused = refused
        self._pieces: list[_Piece] = []
        doubtful = [sample for sample in samples if sample[0] in apart]
        clean = [sample for sample in samples if sample[0] not in apart] if doubtful else samples
        if doubtful:
            self._pieces.append(_Piece(doubtful, whole=True))
        if clean:
            self._pieces.append(_Piece(clean))
        self._alone: list[Sequence[Sample]] = []
        """Series that were refused without any other."""
        self._splitting_one = False
        """Whether all pieces are of one of them."""
        self._barren_series = 0
        self._in_a_row = 0
        self._in_depth = False

    @property
    def done(self) -> bool:
        """Whether nothing is left to send."""
        return not self._pieces

    @property
    def hopeless(self) -> bool:
        """Whether it looks as if everything is refused, whatever it is."""
        return self._in_a_row >= _HOPELESS

    def left(self) -> list[Sample]:
        """Return what is left to send."""
        pieces = [sample for piece in self._pieces for sample in (*piece.samples, *piece.older)]
        return pieces + [sample for samples in self._alone for sample in samples]

    def next(self) -> Sequence[Sample]:
        """Return the samples to send next."""
        return self._pieces[-1].samples

    def judged(self, verdict: Verdict) -> None:
        """Learn what became of them."""
        if verdict.kind == "later":
            return
        piece = self._pieces.pop()
        if verdict.kind == "taken":
            self._in_a_row = self._barren_series = 0
            self._add(_halves_by_time(piece.older))
        else:
            self._in_a_row += 1
            self._take_apart(piece, verdict)
        self._go_on(verdict)

    def give_up(self, verdict: Verdict) -> None:
        """Do not go on like this: drop the rest of a series; else search in depth, or else drop all but the most."""
        self._in_a_row = 0
        hopeless: list[_Piece] = []
        if self._splitting_one:
            hopeless, self._pieces = self._pieces, []
        elif self._in_depth:
            self._pieces.sort(key=lambda piece: len(piece.samples))
            hopeless, self._pieces = self._pieces[:-1], self._pieces[-1:]
        self._in_depth = True
        for piece in hopeless:
            self._drop((*piece.older, *piece.samples), verdict)
        self._go_on(verdict)

    def _take_apart(self, piece: "_Piece", verdict: Verdict) -> None:
        """Put what is in a refused piece onto the pile in parts, or drop it."""
        samples = piece.samples
        if piece.older and verdict.too_old:
            self._drop((*piece.older, *samples), verdict)
        elif piece.whole or len(samples) == 1:
            self._drop(samples, verdict)
            self._add(_halves_by_time(piece.older))
        elif verdict.too_old:
            self._send_ahead(samples, verdict)
        elif any(sample[0] != samples[0][0] for sample in samples):
            first, second = map(_Piece, _halves_by_series(samples))
            self._pieces = [*self._pieces, second, first] if self._in_depth else [second, first, *self._pieces]
        elif self._splitting_one:
            self._add((samples[: len(samples) // 2], samples[len(samples) // 2 :]))
        else:
            self._alone.append(samples)

    def _send_ahead(self, samples: Sequence[Sample], verdict: Verdict) -> None:
        """Let one of the newest samples show whether any of them is young enough."""
        newest = max(samples, key=lambda sample: sample[1])
        if newest[1] == min(unix_ms for _, unix_ms, _ in samples):
            self._drop(samples, verdict)
        else:
            self._pieces.append(_Piece([newest], older=[sample for sample in samples if sample is not newest]))

    def _go_on(self, verdict: Verdict) -> None:
        """Begin with the next series that was refused alone, when nothing else is left."""
        if self._pieces or not self._alone:
            return
        if self._barren_series >= _BARREN_SERIES:
            for samples in self._alone:
                self._drop(samples, verdict)
            self._alone.clear()
            return
        samples = self._alone.pop(0)
        self._splitting_one = True
        self._barren_series += 1
        self._in_a_row = 0
        self._add((samples[: len(samples) // 2], samples[len(samples) // 2 :]))

    def _add(self, parts: Iterable[Sequence[Sample]]) -> None:
        """Put parts on the pile so that the first of them is sent next."""
        self._pieces.extend(_Piece(part) for part in reversed(tuple(parts)) if part)

    def _drop(self, samples: Sequence[Sample], verdict: Verdict) -> None:
        if samples:
            self._refused(samples, verdict)


class _Piece:
    __slots__ = ("older", "samples", "whole")

    def __init__(self, samples: Sequence[Sample], *, older: Sequence[Sample] = (), whole: bool = False) -> None:
        self.samples = samples
        self.older = older
        """What is too old if even these are."""
        self.whole = whole


def _halves_by_series(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    series = list(dict.fromkeys(sample[0] for sample in samples))
    first = frozenset(series[: len(series) // 2])
    return [s for s in samples if s[0] in first], [s for s in samples if s[0] not in first]


def _halves_by_time(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    moments = sorted({sample[1] for sample in samples})
    if len(moments) < 2:
        return list(samples), []
    middle = moments[len(moments) // 2]
    return [s for s in samples if s[1] < middle], [s for s in samples if s[1] >= middle]
