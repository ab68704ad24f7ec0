"""The calendar of one time zone: when days begin, and the time line cut where a day ends or a price may change."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import pairwise

from sonnen_agent.energy.tariffs import Rates, Tariffs, rates_at

_HOUR = 3600
_DAY = timedelta(days=1)


class Calendar:
    """Days from local midnight to local midnight: 23, 24 or 25 hours, and now and then none."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def local(self, unix_seconds: float) -> datetime:
        """Return the local date and time of a moment."""
        return datetime.fromtimestamp(unix_seconds, self._zone)

    def unix(self, day: date, local_time: time, *, second_time: bool = False) -> float:
        """Return the moment of a local time; `second_time` matters where the clocks go back."""
        return datetime.combine(day, local_time, self._zone).replace(fold=int(second_time)).timestamp()

    def start_of(self, day: date) -> float:
        """Return when a day begins. Where the clocks skip midnight, that is when they skip it."""
        return self.unix(day, time())

    def length_of(self, day: date) -> float:
        """Return a day's length in seconds; a day left out at the date line has 0."""
        return self.start_of(day + _DAY) - self.start_of(day)

    def day_of(self, unix_seconds: float) -> date:
        """Return the day that a moment belongs to, so that days follow one another without overlap."""
        day = self.local(unix_seconds).date()
        # The date by the clock is not enough where the clocks go back over midnight: it comes twice.
        while self.start_of(day) > unix_seconds:
            day -= _DAY
        while self.start_of(day + _DAY) <= unix_seconds:
            day += _DAY
        return day

    def day_before(self, day: date) -> date:
        """Return the last day that exists before a day."""
        return self.day_of(self.start_of(day) - 1.0)

    def day_after(self, day: date) -> date:
        """Return the first day that exists after a day."""
        return self.day_of(self.start_of(day + _DAY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of one day with the same prices all the time."""

    start: float
    """Unix time."""
    end: float
    day: date
    rates: Rates


class Schedule:
    """Finds the span of a moment; keeps the spans of the day it was asked for last."""

    def __init__(self, calendar: Calendar, tariffs: Tariffs | None) -> None:
        self._calendar = calendar
        self._tariffs = tariffs
        self._spans: tuple[Span, ...] = ()

    def pieces(self, start: float, end: float) -> Iterator[tuple[Span, float, float]]:
        """Yield the spans that an interval touches, each with the shares (0 to 1) where it enters and leaves."""
        moment, share = start, 0.0
        while True:
            span = self.span_at(moment)
            if span.end >= end:
                yield span, share, 1.0
                return
            next_share = (span.end - start) / (end - start)
            yield span, share, next_share
            moment, share = span.end, next_share

    def span_at(self, moment: float) -> Span:
        """Return the span that a moment is in."""
        for span in self._spans:
            if span.start <= moment < span.end:
                return span
        self._spans = tuple(self._spans_of(self._calendar.day_of(moment)))
        return next(span for span in self._spans if span.start <= moment < span.end)

    def _spans_of(self, day: date) -> Iterator[Span]:
        calendar, tariffs = self._calendar, self._tariffs
        start, end = calendar.start_of(day), calendar.start_of(day + _DAY)
        cuts = {start, end}
        if tariffs is not None:
            # Local times may come twice, or not at all: then the clock change itself is the boundary.
            cuts.update(self._clock_changes(start, end))
            # A day can hold some of its neighbours' local times, where the clocks go back over midnight.
            for local_day in (day - _DAY, day, day + _DAY):
                for boundary in tariffs.boundaries:
                    cuts.add(calendar.unix(local_day, boundary))
                    cuts.add(calendar.unix(local_day, boundary, second_time=True))
        for left, right in pairwise(sorted(cut for cut in cuts if start <= cut <= end)):
            local_time = calendar.local(left).time()
            yield Span(start=left, end=right, day=day, rates=rates_at(tariffs, local_time))

    def _clock_changes(self, start: float, end: float) -> Iterator[float]:
        hours = [*range(int(start), int(end), _HOUR), int(end)]
        for before, after in pairwise(hours):
            low, high = before, after
            if self._offset(low) == self._offset(high):
                continue
            while high - low > 1:
                middle = (low + high) // 2
                if self._offset(middle) == self._offset(low):
                    low = middle
                else:
                    high = middle
            yield float(high)

    def _offset(self, moment: int) -> timedelta | None:
        return self._calendar.local(moment).utcoffset()
