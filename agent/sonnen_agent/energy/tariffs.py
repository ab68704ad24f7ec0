"""What a kilowatt-hour costs at which time, and what is wrong with such a list of prices."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import combinations, product
from typing import Final, Literal

from sonnen_agent.energy.counters import TariffCounts

Direction = Literal["import", "export"]
"""The values of the `direction` label of prices."""

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Their places are the numbers of `date.weekday`."""
EVERY_DAY: Final = frozenset(range(7))
EVERY_MONTH: Final = frozenset(range(1, 13))
_SUNDAY: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffPeriod:
    """A price and its time; without hours it is the rest of its days."""

    name: str
    """The `tariff` label. Two periods of one direction may share a name, and then the price."""
    price_per_kilowatt_hour: float
    """Below zero where one is paid for what is taken, or pays for what is fed in."""
    start: time | None = None
    """Local time; the first moment that belongs to it."""
    end: time | None = None
    """Local time; the first moment that does not. Before `start`, it is that of the next day."""
    days: frozenset[int] = EVERY_DAY
    """0 is Monday. The day is that of the moment itself: after midnight a night is in the new day."""
    months: frozenset[int] = EVERY_MONTH
    """1 to 12, of the moment itself, too."""

    @property
    def is_always(self) -> bool:
        """Whether it covers every moment."""
        return self.start is None and self.days == EVERY_DAY and self.months == EVERY_MONTH

    def covers_time(self, local_time: time) -> bool:
        """Return whether a time of its days belongs to this period."""
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
    holidays: frozenset[date] = frozenset()
    """Local dates that count as Sundays."""
    standing_price_per_day: float | None = None
    """What is owed for a calendar day, however little was bought; never below zero."""

    @property
    def periods(self) -> Mapping[Direction, tuple[TariffPeriod, ...]]:
        """The periods by direction."""
        return {"import": self.import_periods, "export": self.export_periods}

    @property
    def boundaries(self) -> frozenset[time]:
        """The local times at which a price may change; midnight is one, as days and months change there."""
        periods = (*self.import_periods, *self.export_periods)
        times = (moment for period in periods for moment in (period.start, period.end) if moment is not None)
        return frozenset((time(), *times))

    @property
    def prices(self) -> Mapping[tuple[str, Direction, str], float]:
        """The price of a kilowatt-hour by name, direction and currency; periods that share a name share the price."""
        return {
            (period.name, direction, self.currency): period.price_per_kilowatt_hour
            for direction, periods in self.periods.items()
            for period in periods
        }

    @property
    def standing_prices(self) -> Mapping[str, float]:
        """The standing charge of a day by currency, where there is one."""
        return {} if self.standing_price_per_day is None else {self.currency: self.standing_price_per_day}

    @property
    def zero(self) -> TariffCounts:
        """What is counted from 0 on, so that already the first watt-hour is an increase."""
        bought, sold = {self.currency: 0.0}, {self.currency: 0.0}
        pays_for_import, pays_for_export = (
            any(period.price_per_kilowatt_hour < 0 for period in periods) for periods in self.periods.values()
        )
        by_name = {period.name: 0.0 for period in self.import_periods}
        return TariffCounts(
            import_watt_hours=by_name,
            export_watt_hours={period.name: 0.0 for period in self.export_periods},
            cost=bought if self.import_periods else {},
            revenue=sold if self.export_periods else {},
            consumption_watt_hours=by_name,
            consumption_cost=bought if self.import_periods else {},
            cost_credit=bought if pays_for_import else {},
            revenue_credit=sold if pays_for_export else {},
            consumption_cost_credit=bought if pays_for_import else {},
            standing_charge={} if self.standing_price_per_day is None else {self.currency: 0.0},
        )

    def period_at(self, direction: Direction, local: datetime) -> TariffPeriod | None:
        """Return the period in force at a local date and time."""
        weekday = _SUNDAY if local.date() in self.holidays else local.weekday()
        fitting = (one for one in self.periods[direction] if weekday in one.days and local.month in one.months)
        return next((one for one in fitting if one.covers_time(local.time())), None)

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong, each with its path in the config's words, the value and the fix."""
        problems = [one for way, periods in self.periods.items() for one in _problems(way, periods, self.boundaries)]
        if not self.import_periods and not self.export_periods:
            problems.append("import: is missing, and so is export: give at least one of them a name and a price")
        return tuple(problems)


def _problems(direction: Direction, periods: tuple[TariffPeriod, ...], moments: Iterable[time]) -> Iterator[str]:
    found = [*_wrong_alone(direction, periods)]
    # Of a period that is wrong in itself, its place among the others means nothing.
    yield from found or _wrong_together(direction, periods, sorted(moments))


def _wrong_alone(direction: Direction, periods: tuple[TariffPeriod, ...]) -> Iterator[str]:
    prices: dict[str, float] = {}
    for index, period in enumerate(periods):
        path, price = f"{direction}[{index}]", period.price_per_kilowatt_hour
        if not math.isfinite(price):
            yield f"{path}.price: should be a number per kilowatt-hour, got {price!r}"
        elif prices.setdefault(period.name, price) != price:
            yield (
                f"{path}.price: {period.name!r} costs {prices[period.name]!r} in an earlier period, got {price!r};"
                " give it the same price or another name"
            )
        if (period.start is None) != (period.end is None):
            yield f"{path}: has only one of from and to; give both, or neither for the rest of the day"
        elif period.start is not None and period.start == period.end:
            yield f"{path}: from and to are both {period.start:%H:%M}; leave both out for the whole day"
        elif period.is_always and index < len(periods) - 1:
            yield f"{path}: has no from and to, but others follow, which would never count; make it the last"


_Slot = tuple[int, int, time]
"""A month, a weekday, and a stretch of that day by its beginning."""


def _wrong_together(direction: Direction, periods: tuple[TariffPeriod, ...], moments: list[time]) -> Iterator[str]:
    slots = [set(product(period.months, period.days, filter(period.covers_time, moments))) for period in periods]
    taken: set[_Slot] = set()
    for index, own in enumerate(slots):
        if own <= taken:
            yield (
                f"{direction}[{index}]: never counts, as earlier periods have all of its time; remove it, or put it"
                " before them"
            )
        taken |= own
    for (first, earlier), (second, later) in combinations(enumerate(periods), 2):
        shared = slots[first] & slots[second]
        # A period without times is the rest of its days, and one that is a part of a later one is an exception to it.
        is_meant = earlier.start is None or later.start is None or slots[first] < slots[second]
        if shared and not is_meant and earlier.name != later.name and not slots[second] <= slots[first]:
            yield (
                f"{direction}[{second}]: overlaps with {direction}[{first}] {_when(min(shared))}; let one end where the"
                " other begins, or give them different days or months"
            )
    free = set(product(EVERY_MONTH, EVERY_DAY, moments)) - taken
    if periods and free:
        dated = any((period.days, period.months) != (EVERY_DAY, EVERY_MONTH) for period in periods)
        where = _when(min(free)) if dated else f"from {min(free)[2]:%H:%M} on"
        yield f"{direction}: has no price {where}; add a last period without from and to"


def _when(slot: _Slot) -> str:
    month, weekday, moment = slot
    return f"from {moment:%H:%M} on, on {DAYS[weekday]} in month {month}"
