"""What really went through the golden house, integrated second by second: what the dashboards are held against.

Nothing here comes from the agent's code. The flows are worked out anew, from what a person would say:
the sun feeds the home first, then the battery, then the grid; what charges the battery beyond that
comes from the grid, and what is sold beyond that from the battery.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final

import numpy as np
from golden_events import (
    DAY_PRICE,
    FEED_IN_PRICE,
    NIGHT_BEGINS,
    NIGHT_ENDS,
    NIGHT_PRICE,
    NOW,
    START,
    UNOBSERVED,
    ZONE,
)
from golden_house import (
    CAPACITY_WATT_HOURS,
    DEEP_RESERVE_PERCENT,
    Floats,
    House,
    local_minutes,
    minute_of,
    minutes_in,
)

Flow = tuple[str, str]
FLOWS: Final[tuple[Flow, ...]] = (
    ("solar", "home"),
    ("solar", "battery"),
    ("solar", "grid"),
    ("battery", "home"),
    ("battery", "grid"),
    ("grid", "home"),
    ("grid", "battery"),
)
TOTALS: Final = ("production", "consumption", "grid_import", "grid_export", "battery_charge", "battery_discharge")
_CHUNK_MINUTES = 30 * 1440
_SECONDS = (np.arange(60) + 0.5) / 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Energy and money between any two moments, as far as anybody could observe it.

    `golden_events.UNOBSERVED` is left out: then nobody could read the battery. `coverage` says how much that is.
    """

    house: House
    _minutes: Mapping[str, Floats] = field(repr=False)
    """Running sums of Wh (or seconds) at each whole minute, by quantity."""

    def watt_hours(self, quantity: str, begin: float, end: float) -> float:
        """Return one of TOTALS, or what flows, as in `solar_home`, between two Unix times, in Wh."""
        return self._between(quantity, begin, end)

    def flow(self, source: str, sink: str, begin: float, end: float) -> float:
        """Return a flow; `*` is any place, as in `flow("*", "home", …)`."""
        return sum(
            self._between(f"{one}_{other}", begin, end)
            for one, other in FLOWS
            if source in {one, "*"} and sink in {other, "*"}
        )

    def day(self, day: date) -> tuple[float, float]:
        """Return begin and end of a calendar day of the house: 23, 24 or 25 hours."""
        begin, end = (datetime.combine(one, time(), ZONE).timestamp() for one in (day, day + timedelta(days=1)))
        return max(begin, START), min(end, NOW)

    def days(self) -> Iterable[date]:
        """Yield every calendar day, the last one unfinished."""
        day, last = datetime.fromtimestamp(START, ZONE).date(), datetime.fromtimestamp(NOW, ZONE).date()
        while day <= last:
            yield day
            day += timedelta(days=1)

    def tariff_import(self, tariff: str, begin: float, end: float) -> float:
        """Return what was bought in the hours of the tariff `night` or `day`, in Wh."""
        return self._between(f"import_{tariff}", begin, end)

    def cost(self, begin: float, end: float, *, night: float = NIGHT_PRICE, day: float = DAY_PRICE) -> float:
        """Return what was paid, in EUR."""
        bought = night * self.tariff_import("night", begin, end) + day * self.tariff_import("day", begin, end)
        return bought / 1000.0

    def consumption_cost(self, begin: float, end: float) -> float:
        """Return what the house's consumption would have cost from the grid, in EUR."""
        night, day = (self._between(f"use_{tariff}", begin, end) for tariff in ("night", "day"))
        return (NIGHT_PRICE * night + DAY_PRICE * day) / 1000.0

    def revenue(self, begin: float, end: float, *, price: float = FEED_IN_PRICE) -> float:
        """Return what was earned, in EUR."""
        return price * self.watt_hours("grid_export", begin, end) / 1000.0

    def self_sufficiency(self, begin: float, end: float) -> float:
        """Return the share of the home's energy that was not bought, 0 to 1.

        What the battery gave was bought in the proportion in which what it took was.
        """
        taken = self.flow("*", "battery", begin, end)
        bought = self.flow("grid", "battery", begin, end) / taken if taken else 0.0
        given = self.flow("battery", "home", begin, end)
        return 1.0 - (self.flow("grid", "home", begin, end) + bought * given) / self.flow("*", "home", begin, end)

    def self_consumption(self, begin: float, end: float) -> float:
        """Return the share of the sun's energy that was not sold, 0 to 1."""
        return 1.0 - self.flow("solar", "grid", begin, end) / self.flow("solar", "*", begin, end)

    def observed_seconds(self, begin: float, end: float) -> float:
        """Return for how long the battery could be read."""
        return self._between("observed", begin, end)

    def coverage(self, begin: float, end: float) -> float:
        """Return the share of the time for which the battery could be read, 0 to 1."""
        return self.observed_seconds(begin, end) / (end - begin)

    def cycles(self, begin: float, end: float) -> float:
        """Return equivalent full cycles: what was discharged, over the capacity."""
        return self.watt_hours("battery_discharge", begin, end) / CAPACITY_WATT_HOURS

    def watts(self, quantity: str, moment: float) -> float:
        """Return `production`, `consumption`, `discharge` or `feed_in` at a moment."""
        values: Floats = getattr(self.house, quantity)
        return float(np.interp(moment, self.house.seconds, values))

    def state_of_charge_percent(self, moment: float) -> float:
        """Return the charge in percent of the whole pack."""
        return 100.0 * float(np.interp(moment, self.house.seconds, self.house.stored_watt_hours)) / CAPACITY_WATT_HOURS

    def usable_percent(self, moment: float) -> float:
        """Return the charge as the owner sees it."""
        deep = DEEP_RESERVE_PERCENT
        return max(0.0, (self.state_of_charge_percent(moment) - deep) / (100.0 - deep) * 100.0)

    def _between(self, quantity: str, begin: float, end: float) -> float:
        return self._until(quantity, end) - self._until(quantity, begin)

    def _until(self, quantity: str, moment: float) -> float:
        sums = self._minutes[quantity]
        minute = min(max(minute_of(moment), 0), sums.size - 1)
        seconds = moment - float(self.house.seconds[minute])
        if minute + 1 == sums.size or not 0.0 < seconds < 60.0:
            return float(sums[minute])
        # A tariff's minute is one of the grid's or of the house's, or it is empty.
        sources = {"import_night": "grid_import", "import_day": "grid_import"}
        source = {**sources, "use_night": "consumption", "use_day": "consumption"}.get(quantity, quantity)
        whole = float(sums[minute + 1] - sums[minute])
        if whole == 0.0 or quantity == "observed":
            return float(sums[minute]) + whole * seconds / 60.0
        watts = dict(_powers(self.house, slice(minute, minute + 1)))[source][0]
        passed = np.clip(seconds - np.arange(60.0), 0.0, 1.0)
        return float(sums[minute] + (watts * passed).sum() / 3600.0)


def golden_truth(house: House) -> Truth:
    """Return the truth of the whole year."""
    per_minute = {name: np.zeros(house.seconds.size - 1) for name in _quantities()}
    for begin in range(0, house.seconds.size - 1, _CHUNK_MINUTES):
        part = slice(begin, min(begin + _CHUNK_MINUTES, house.seconds.size - 1))
        for name, watts in _powers(house, part):
            per_minute[name][part] = watts.sum(axis=1) / 3600.0
    per_minute["observed"][:] = 60.0
    for window in UNOBSERVED:
        unseen = minutes_in(window)
        for values in per_minute.values():
            values[unseen.start : unseen.stop - 1] = 0.0
    minute = local_minutes(house.seconds[:-1])
    night = (minute >= 60 * NIGHT_BEGINS) | (minute < 60 * NIGHT_ENDS)
    per_minute["import_night"] = np.where(night, per_minute["grid_import"], 0.0)
    per_minute["import_day"] = np.where(night, 0.0, per_minute["grid_import"])
    per_minute["use_night"] = np.where(night, per_minute["consumption"], 0.0)
    per_minute["use_day"] = np.where(night, 0.0, per_minute["consumption"])
    sums = {name: np.concatenate(([0.0], np.cumsum(values))) for name, values in per_minute.items()}
    return Truth(house=house, _minutes=sums)


def _quantities() -> tuple[str, ...]:
    return (*TOTALS, *(f"{source}_{sink}" for source, sink in FLOWS), "observed")


def _powers(house: House, part: slice) -> Iterable[tuple[str, Floats]]:
    """Yield each quantity's power in the middle of every second, a row for each minute."""

    def line(values: Floats) -> Floats:
        begin, end = values[part], values[part.start + 1 : part.stop + 1]
        return np.asarray(begin[:, None] + (end - begin)[:, None] * _SECONDS)

    sun, home = line(house.production), line(house.consumption)
    battery = line(house.discharge)
    grid = home - sun - battery
    bought, sold = np.maximum(grid, 0.0), np.maximum(-grid, 0.0)
    drawn, charged = np.maximum(battery, 0.0), np.maximum(-battery, 0.0)
    yield from zip(TOTALS, (sun, home, bought, sold, charged, drawn), strict=True)
    sun_home = np.minimum(sun, home)
    left = sun - sun_home
    sun_battery = np.minimum(left, charged)
    sun_grid = left - sun_battery
    grid_battery = charged - sun_battery
    battery_grid = sold - sun_grid
    yield from zip(
        (f"{source}_{sink}" for source, sink in FLOWS),
        (sun_home, sun_battery, sun_grid, drawn - battery_grid, battery_grid, bought - grid_battery, grid_battery),
        strict=True,
    )
