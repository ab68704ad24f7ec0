"""What a kilowatt-hour costs at a moment, and the time line cut where a day ends or a price may change."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from sonnen_agent.energy.counters import NO_TARIFFS, EnergyCounters, TariffCounts
from sonnen_agent.energy.days import Calendar

if TYPE_CHECKING:
    from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs

_DAY = timedelta(days=1)
_SECONDS_PER_HOUR = 3600
_WATT_HOURS_PER_KILOWATT_HOUR = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The periods in force at one moment."""

    currency: str = ""
    import_period: "TariffPeriod | None" = None
    export_period: "TariffPeriod | None" = None

    @classmethod
    def at(cls, tariffs: "Tariffs | None", local: datetime) -> "Rates":
        """Return what is in force at a local date and time."""
        if tariffs is None:
            return cls()
        return cls(
            currency=tariffs.currency,
            import_period=tariffs.period_at("import", local),
            export_period=tariffs.period_at("export", local),
        )

    def counts(self, energies: EnergyCounters) -> TariffCounts:
        """Return what energy of this moment adds to the tariffs and the money."""
        if self.import_period is None and self.export_period is None:
            return NO_TARIFFS
        watt_hours = energies.totals_watt_hours
        bought, cost, cost_credit = self._priced(self.import_period, watt_hours.get("grid_import"))
        sold, revenue, revenue_credit = self._priced(self.export_period, watt_hours.get("grid_export"))
        used, use, use_credit = self._priced(self.import_period, watt_hours.get("consumption"))
        return TariffCounts(
            import_watt_hours=bought,
            export_watt_hours=sold,
            cost=cost,
            revenue=revenue,
            consumption_watt_hours=used,
            consumption_cost=use,
            cost_credit=cost_credit,
            revenue_credit=revenue_credit,
            consumption_cost_credit=use_credit,
        )

    def _priced(
        self, period: "TariffPeriod | None", watt_hours: float | None
    ) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
        """Return the energy by tariff, its money, and what is owed the other way round at a price below zero."""
        if period is None or watt_hours is None:
            return {}, {}, {}
        money = watt_hours / _WATT_HOURS_PER_KILOWATT_HOUR * period.price_per_kilowatt_hour
        # A counter never goes backwards: money at a price below zero is in a counter of its own.
        credit = {self.currency: -money} if period.price_per_kilowatt_hour < 0 else {}
        return {period.name: watt_hours}, {self.currency: max(money, 0.0)}, credit


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

    def __init__(self, calendar: Calendar, tariffs: "Tariffs | None") -> None:
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
            yield Span(start=left, end=right, day=day, rates=Rates.at(tariffs, calendar.local(left)))

    def _clock_changes(self, start: float, end: float) -> Iterator[float]:
        for before, after in pairwise((*range(int(start), int(end), _SECONDS_PER_HOUR), int(end))):
            has_changed = partial(self._has_changed, before)
            if has_changed(after):
                yield float(before + bisect_left(range(before, after), True, key=has_changed))

    def _has_changed(self, since: int, moment: int) -> bool:
        return self._calendar.local(since).utcoffset() != self._calendar.local(moment).utcoffset()
