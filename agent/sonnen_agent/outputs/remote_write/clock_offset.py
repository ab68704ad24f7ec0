"""From the monotonic clock to Unix time: one offset, and when to believe it (docs/facts.md 8).

A Pi has no clock of its own. What `clock` says (None while it does not know) is compared with the Date
of the receiver's answers, where they have one: a clock that is years off has samples stored where they
do harm for as long, because a Prometheus before 2.54 takes them and then refuses the present ones. Until
the two agree no sample is sent. Once an offset is known it stays, whatever the clock does, until a new
one is confirmed: the monotonic clock does not jump. Without a Date to compare with, `clock` is believed
at the start, and a later jump when it has lasted for a quarter of an hour.
"""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

_STICKY_MS = 250
"""Less than that is no reason for a new offset: a sample that is sent again should have the same time again."""
_JUMP_MS = 60 * 1000
_AGREEMENT_MS = 10 * 60 * 1000
"""Prometheus takes no sample that is further ahead, since 2.54."""
_LASTING_MS = 15 * 60 * 1000


class ClockOffset:
    """Unix time minus monotonic time, in milliseconds, and whether it may be used."""

    def __init__(self, clock: Callable[[], float | None], monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._offset_ms: int | None = None
        self._claimed_ms: int | None = None
        """What the clock says, whether it is believed or not."""
        self._claimed_since_ms = 0
        self._receiver_ms: int | None = None
        """The same by the receiver's clock."""
        self.asked = False
        """Whether the receiver has answered at all, with or without a Date."""

    @property
    def now_ms(self) -> int:
        """The monotonic clock, in milliseconds."""
        return round(self._monotonic() * 1000)

    @property
    def disagreement_seconds(self) -> float | None:
        """How far our clock is ahead of the receiver's, when that is why no offset is known."""
        if self._offset_ms is not None or self._claimed_ms is None or self._receiver_ms is None:
            return None
        return (self._claimed_ms - self._receiver_ms) / 1000

    @property
    def likely_ms(self) -> int | None:
        """The best offset there is, for samples that are kept: a later one will correct it."""
        return self._claimed_ms if self._offset_ms is None else self._offset_ms

    def heard(self, date: str | None) -> None:
        """Take note of the Date header of an answer that has just come."""
        self.asked = True
        try:
            moment = parsedate_to_datetime(date or "")
        except (TypeError, ValueError, OverflowError):
            return
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        self._receiver_ms = round(moment.timestamp() * 1000) - self.now_ms

    def offset_ms(self) -> int | None:
        """Return the offset for samples that are sent now, or None while it is not known."""
        unix = self._clock()
        if unix is not None:
            said = round((unix - self._monotonic()) * 1000)
            step = float("inf") if self._claimed_ms is None else abs(said - self._claimed_ms)
            if step > _JUMP_MS:
                self._claimed_since_ms = self.now_ms
            if step > _STICKY_MS:
                self._claimed_ms = said
        claimed = self._claimed_ms
        if claimed is None or not self.asked:
            return self._offset_ms
        if self._receiver_ms is not None:
            believable = abs(claimed - self._receiver_ms) <= _AGREEMENT_MS
        else:
            lasting = self.now_ms - self._claimed_since_ms >= _LASTING_MS
            believable = lasting or self._offset_ms is None or abs(claimed - self._offset_ms) <= _JUMP_MS
        if believable:
            self._offset_ms = claimed
        return self._offset_ms
