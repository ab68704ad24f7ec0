"""What a kilowatt-hour costs at which time, and the time line cut where a day ends or a price may change."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import partial
from itertools import pairwise
from typing import Literal

from sonnen_agent.energy.counters import EnergyCounters, TariffCounts
from sonnen_agent.energy.days import Calendar

_DAY = timedelta(days=1)
_SECONDS_PER_HOUR = 3600

Direction = Literal["import", "export"]
"""The values of the `direction` label of prices."""

_WATT_HOURS_PER_KILOWATT_HOUR = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffPeriod:
    """A price and its hours; without hours it is the rest of the day."""

    name: str
    """The `tariff` label. Two periods of one direction may share a name, and then the price."""
    price_per_kilowatt_hour: float
    start: time | None = None
    """Local time; the first moment that belongs to it."""
    end: time | None = None
    """Local time; the first moment that does not. Before `start`, it is that of the next day."""

    def covers(self, local_time: time) -> bool:
        """Return whether a time of the day belongs to this period."""
        if self.start is None or self.end is None:
            return True
        if self.start < self.end:
            return self.start <= local_time < self.end
        return local_time >= self.start or local_time < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariffs:
    """The periods of both directions; of several that cover a moment the first counts."""

    currency: str
    import_periods: tuple[TariffPeriod, ...] = ()
    export_periods: tuple[TariffPeriod, ...] = ()

    @property
    def periods(self) -> Mapping[Direction, tuple[TariffPeriod, ...]]:
        """The periods by direction."""
        return {"import": self.import_periods, "export": self.export_periods}

    @property
    def boundaries(self) -> frozenset[time]:
        """The local times at which a price may change."""
        periods = (*self.import_periods, *self.export_periods)
        return frozenset(moment for period in periods for moment in (period.start, period.end) if moment is not None)

    @property
    def prices(self) -> Mapping[tuple[str, Direction, str], float]:
        """The price of a kilowatt-hour by name, direction and currency; periods that share a name share the price."""
        return {
            (period.name, direction, self.currency): period.price_per_kilowatt_hour
            for direction, periods in self.periods.items()
            for period in periods
        }

    @property
    def zero(self) -> TariffCounts:
        """What is counted from 0 on, so that already the first watt-hour is an increase."""
        return TariffCounts(
            import_watt_hours={period.name: 0.0 for period in self.import_periods},
            export_watt_hours={period.name: 0.0 for period in self.export_periods},
            cost={self.currency: 0.0} if self.import_periods else {},
            revenue={self.currency: 0.0} if self.export_periods else {},
        )

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong, each with its path in the config's words, the value and the fix."""
        moments = {time(), *self.boundaries}
        problems = [one for way, periods in self.periods.items() for one in _problems(way, periods, moments)]
        if not self.import_periods and not self.export_periods:
            problems.append("import: is missing, and so is export: give at least one of them a name and a price")
        return tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The periods in force at one moment."""

    currency: str = ""
    import_period: TariffPeriod | None = None
    export_period: TariffPeriod | None = None

    @classmethod
    def at(cls, tariffs: Tariffs | None, local_time: time) -> "Rates":
        """Return what is in force at a local time of the day."""
        tariffs = tariffs or Tariffs(currency="")
        return cls(
            currency=tariffs.currency,
            import_period=_first(tariffs.import_periods, local_time),
            export_period=_first(tariffs.export_periods, local_time),
        )

    def counts(self, energies: EnergyCounters) -> TariffCounts:
        """Return what grid energy of this moment adds to the tariffs and the money."""
        bought, cost = self._priced(self.import_period, energies.totals_watt_hours.get("grid_import"))
        sold, revenue = self._priced(self.export_period, energies.totals_watt_hours.get("grid_export"))
        return TariffCounts(import_watt_hours=bought, export_watt_hours=sold, cost=cost, revenue=revenue)

    def _priced(
        self, period: TariffPeriod | None, watt_hours: float | None
    ) -> tuple[dict[str, float], dict[str, float]]:
        if period is None or watt_hours is None:
            return {}, {}
        money = watt_hours / _WATT_HOURS_PER_KILOWATT_HOUR * period.price_per_kilowatt_hour
        return {period.name: watt_hours}, {self.currency: money}


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
        while share < 1.0:
            span = self.span_at(moment)
            next_share = 1.0 if span.end >= end else (span.end - start) / (end - start)
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
            yield Span(start=left, end=right, day=day, rates=Rates.at(tariffs, calendar.local(left).time()))

    def _clock_changes(self, start: float, end: float) -> Iterator[float]:
        for before, after in pairwise((*range(int(start), int(end), _SECONDS_PER_HOUR), int(end))):
            has_changed = partial(self._has_changed, before)
            if has_changed(after):
                yield float(before + bisect_left(range(before, after), True, key=has_changed))

    def _has_changed(self, since: int, moment: int) -> bool:
        return self._calendar.local(since).utcoffset() != self._calendar.local(moment).utcoffset()


def _first(periods: tuple[TariffPeriod, ...], local_time: time) -> TariffPeriod | None:
    return next((period for period in periods if period.covers(local_time)), None)


def _problems(direction: Direction, periods: tuple[TariffPeriod, ...], moments: Iterable[time]) -> Iterator[str]:
    prices: dict[str, float] = {}
    for index, period in enumerate(periods):
        path, price = f"{direction}[{index}]", period.price_per_kilowatt_hour
        if not math.isfinite(price) or price < 0:
            # A counter never goes backwards, and so money cannot be counted at a price below zero.
            yield f"{path}.price: should be 0 or more per kilowatt-hour, got {price!r}"
        elif prices.setdefault(period.name, price) != price:
            yield (
                f"{path}.price: {period.name!r} costs {prices[period.name]!r} in an earlier period, got {price!r};"
                " give it the same price or another name"
            )
        if (period.start is None) != (period.end is None):
            yield f"{path}: has only one of from and to; give both, or neither for the rest of the day"
        elif period.start is None and index < len(periods) - 1:
            yield f"{path}: has no from and to, but others follow, which would never count; make it the last"
        elif period.start is not None and period.start == period.end:
            yield f"{path}: from and to are both {period.start:%H:%M}; leave both out for the whole day"
    uncovered = [moment for moment in moments if _first(periods, moment) is None]
    if periods and uncovered:
        yield f"{direction}: has no price from {min(uncovered):%H:%M} on; add a last period without from and to"
