"""The golden house: what its roof, its people, its battery and its street do, minute by minute for a year.

Powers are straight lines between whole minutes. That makes the house a function of time that can be
sampled at any moment and integrated at any step. It knows nothing of the agent.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

import numpy as np
from golden_events import FROZEN, GRID_CHARGING_MONTHS, INVERTER_TRIP, NOW, OFF_GRID, START, ZONE, Window
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MINUTES: Final = int((NOW - START) // 60) + 1
"""The number of whole minutes, the first and the last included."""

CAPACITY_WATT_HOURS: Final = 11_000.0
DEEP_RESERVE_PERCENT: Final = 7.0
"""Of the whole pack; the owner's 0 % is here."""
BACKUP_BUFFER_PERCENT: Final = 10.0
"""On the owner's scale."""
_EFFICIENCY: Final = 0.95
_GREATEST_WATTS: Final = 4600.0
_PEAK_WATTS: Final = 5600.0
_LATITUDE, _LONGITUDE, _TILT = np.radians(51.2), 10.4, np.radians(30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """One value for each whole minute since START."""

    seconds: Floats
    """Unix time."""
    production: Floats
    consumption: Floats
    discharge: Floats
    """> 0 out of the battery, < 0 into it."""
    feed_in: Floats
    """> 0 to the grid, < 0 from it: production + discharge - consumption."""
    stored_watt_hours: Floats
    on_grid: Flags

    @property
    def state_of_charge_percent(self) -> Floats:
        """Of the whole pack."""
        return 100.0 * self.stored_watt_hours / CAPACITY_WATT_HOURS

    @property
    def usable_percent(self) -> Floats:
        """As the owner sees it."""
        deep = DEEP_RESERVE_PERCENT
        return np.asarray(np.clip((self.state_of_charge_percent - deep) / (100.0 - deep) * 100.0, 0.0, 100.0))


def minute_of(moment: float) -> int:
    """Return the index of the whole minute at or before a moment."""
    return int((moment - START) // 60)


def minutes_in(window: Window) -> slice:
    """Return the whole minutes in a window."""
    return slice(int(np.ceil((window.begin - START) / 60)), minute_of(window.end) + 1)


def local_days() -> list[tuple[date, int]]:
    """Return each calendar day with the index of its first minute."""
    first = datetime.fromtimestamp(START, ZONE).date()
    last = datetime.fromtimestamp(NOW, ZONE).date()
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [(day, minute_of(datetime.combine(day, time(), ZONE).timestamp())) for day in days]


def local_minutes(seconds: Floats) -> Floats:
    """Return the minutes since local midnight by the clock on the wall."""
    offsets = np.array([_utc_offset(hour) for hour in np.arange(seconds[0] // 3600, seconds[-1] // 3600 + 1) * 3600])
    offset = offsets[(seconds // 3600 - seconds[0] // 3600).astype(int)]
    return np.asarray((seconds + offset) % 86_400 // 60)


def _utc_offset(moment: float) -> float:
    offset = datetime.fromtimestamp(moment, ZONE).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


def golden_house() -> House:
    """Return the house; the same one at each call."""
    draw = np.random.default_rng(20240710)
    seconds: Floats = np.asarray(START + 60.0 * np.arange(MINUTES), dtype=np.float64)
    on_grid = np.ones(MINUTES, dtype=np.bool_)
    for window in OFF_GRID:
        on_grid[minutes_in(window)] = False
    production = _tenths(_production(seconds, draw))
    consumption = _tenths(_consumption(draw))
    consumption[~on_grid] = np.minimum(consumption[~on_grid], 2600.0)
    discharge, stored = _battery(seconds, production, consumption, on_grid)
    return House(
        seconds=seconds,
        production=production,
        consumption=consumption,
        discharge=discharge,
        feed_in=production + discharge - consumption,
        stored_watt_hours=stored,
        on_grid=on_grid,
    )


def _tenths(watts: Floats) -> Floats:
    return np.asarray(np.round(watts, 1), dtype=np.float64)


def _production(seconds: Floats, draw: np.random.Generator) -> Floats:
    """Return the sun on the roof, behind the clouds of the day, of the hour and of the minute."""
    days = seconds / 86_400.0
    year = 2.0 * np.pi * (days - 19_723.0 - 81.0) / 365.25
    declination = np.radians(23.44) * np.sin(year)
    hour_angle = 2.0 * np.pi * ((days + _LONGITUDE / 360.0) % 1.0 - 0.5)
    height = np.sin(_LATITUDE) * np.sin(declination) + np.cos(_LATITUDE) * np.cos(declination) * np.cos(hour_angle)
    on_roof = np.sin(_LATITUDE - _TILT) * np.sin(declination) + np.cos(_LATITUDE - _TILT) * np.cos(
        declination
    ) * np.cos(hour_angle)
    clear = np.where(height > 0, np.clip(on_roof, 0.0, 1.0) * np.clip(height * 6.0, 0.0, 1.0), 0.0)
    by_day = np.clip(draw.beta(1.3, 0.9, 400), 0.12, 1.0)
    by_hour = np.clip(draw.normal(0.0, 0.12, 24 * 400), -0.3, 0.3)
    by_minute = np.clip(draw.normal(0.0, 0.05, seconds.size), -0.15, 0.15)
    elapsed = (seconds - START) / 3600.0
    sky = by_day[(elapsed / 24.0).astype(int)] + np.interp(elapsed, np.arange(by_hour.size), by_hour) + by_minute
    # Winters are grey: weeks without a full battery.
    sky -= 0.5 * np.clip(-np.sin(year), 0.0, 1.0)
    watts = _PEAK_WATTS * clear * np.clip(sky, 0.05, 1.0)
    watts[watts < 4.0] = 0.0
    watts[minutes_in(INVERTER_TRIP)] = 0.0
    return np.asarray(watts)


def _consumption(draw: np.random.Generator) -> Floats:
    """Return base load, fridge, and what the people of the house switch on."""
    watts = 210.0 + draw.normal(0.0, 9.0, MINUTES).clip(-40.0, 40.0)
    watts[np.arange(MINUTES) % 47 < 15] += 85.0

    def burst(begin: int, minutes: float, power: float) -> None:
        watts[begin : begin + round(minutes)] += power

    for day, midnight in local_days():
        burst(midnight + int(draw.uniform(360, 410)), draw.uniform(60, 110), draw.uniform(90, 150))
        evening = draw.uniform(1020, 1110)
        burst(midnight + int(evening), draw.uniform(1320, 1415) - evening, draw.uniform(180, 320))
        for _ in range(int(draw.integers(4, 8))):
            burst(midnight + int(draw.uniform(380, 1340)), draw.uniform(2, 5), 2050.0)
        for meal in (720, 1090):
            begin = midnight + int(draw.uniform(meal, meal + 70))
            for cycle in range(int(draw.integers(0, 7))):
                burst(begin + 6 * cycle, 3, 2200.0)
        if draw.random() < 0.35:
            burst(midnight + int(draw.uniform(540, 900)), 80, 650.0)
        if draw.random() < 0.3:
            burst(midnight + int(draw.uniform(1050, 1200)), draw.uniform(60, 150), 3700.0)
        # Heating: more in winter, and at night as by day.
        cold = max(0.0, np.cos(2.0 * np.pi * (day.timetuple().tm_yday - 20) / 365.0))
        watts[midnight : midnight + 1440] += 420.0 * cold
    watts[minutes_in(FROZEN)] = 287.0
    return np.asarray(np.maximum(watts, 90.0))


def _battery(seconds: Floats, production: Floats, consumption: Floats, on_grid: Flags) -> tuple[Floats, Floats]:
    """Return what the battery gives and what is stored in it, at each minute."""
    lowest = CAPACITY_WATT_HOURS * (
        DEEP_RESERVE_PERCENT + BACKUP_BUFFER_PERCENT * (100.0 - DEEP_RESERVE_PERCENT) / 100.0
    )
    lowest /= 100.0
    hour = local_minutes(seconds) // 60
    months = np.array([datetime.fromtimestamp(moment, ZONE).month for moment in seconds[::1440]])
    cold = np.isin(np.repeat(months, 1440)[: seconds.size], GRID_CHARGING_MONTHS)
    # On cold nights with an even number the cheap hours are used.
    even = (np.arange(seconds.size) // 1440) % 2 == 0
    buying = (cold & even & (hour >= 2) & (hour < 4)).tolist()
    wanted = (consumption - production).tolist()
    connected = on_grid.tolist()
    stored = 0.55 * CAPACITY_WATT_HOURS
    discharge, level = [], []
    per_minute, full = 1.0 / 60.0, CAPACITY_WATT_HOURS
    previous = 0.0
    for need, buys, on in zip(wanted, buying, connected, strict=True):
        # The line from the last minute's power to this one's.
        if not on:
            watts = need
        elif buys and stored < 0.9 * full:
            watts = -2500.0
        elif need > 0.0:
            watts = min(need, _GREATEST_WATTS, max(0.0, (stored - lowest) * 30.0))
        else:
            watts = -min(-need, _GREATEST_WATTS, max(0.0, (full - stored) * 30.0))
        watts = round(watts, 1)
        mean = (previous + watts) / 2.0
        stored -= (mean / _EFFICIENCY if mean > 0.0 else mean * _EFFICIENCY) * per_minute
        stored = min(full, max(0.0, stored))
        previous = watts
        discharge.append(watts)
        level.append(stored)
    return np.array(discharge), np.array(level)
