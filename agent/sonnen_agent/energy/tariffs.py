"""What a kilowatt-hour costs at which time of the day."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time
from typing import Literal

from sonnen_agent.energy.counters import Energies, TariffCounts

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
    def boundaries(self) -> frozenset[time]:
        """The local times at which a price may change."""
        return _boundaries((*self.import_periods, *self.export_periods))

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong, each with its path in the config's words, the value and the fix."""
        directions = (("import", self.import_periods), ("export", self.export_periods))
        problems = [problem for direction, periods in directions for problem in _problems(direction, periods)]
        if not self.currency.strip():
            problems.append(f"currency: should be a code such as EUR, got {self.currency!r}")
        if not self.import_periods and not self.export_periods:
            problems.append("import: is missing, and so is export: give at least one of them a name and a price")
        return tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The periods in force at one moment."""

    currency: str = ""
    import_period: TariffPeriod | None = None
    export_period: TariffPeriod | None = None

    def counts(self, energies: Energies) -> TariffCounts:
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


def rates_at(tariffs: Tariffs | None, local_time: time) -> Rates:
    """Return what is in force at a local time of the day."""
    if tariffs is None:
        return Rates()
    return Rates(
        currency=tariffs.currency,
        import_period=_first(tariffs.import_periods, local_time),
        export_period=_first(tariffs.export_periods, local_time),
    )


def _boundaries(periods: tuple[TariffPeriod, ...]) -> frozenset[time]:
    pairs = ((period.start, period.end) for period in periods)
    return frozenset(moment for pair in pairs for moment in pair if moment is not None)


def _first(periods: tuple[TariffPeriod, ...], local_time: time) -> TariffPeriod | None:
    return next((period for period in periods if period.covers(local_time)), None)


def _problems(direction: str, periods: tuple[TariffPeriod, ...]) -> Iterator[str]:
    prices: dict[str, float] = {}
    for index, period in enumerate(periods):
        path, price = f"{direction}[{index}]", period.price_per_kilowatt_hour
        if not period.name.strip():
            yield f"{path}.name: should be a word such as night, got {period.name!r}"
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
    uncovered = sorted(moment for moment in {time(), *_boundaries(periods)} if _first(periods, moment) is None)
    if periods and uncovered:
        yield f"{direction}: has no price from {uncovered[0]:%H:%M} on; add a last period without from and to"
