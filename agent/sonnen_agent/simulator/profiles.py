"""What a simulated house is built from, and so what the sun gives and what the family uses.

Both are functions of the house, a seed and the time, and of nothing else.
"""

import math
import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal, TypeAlias, get_args
from zlib import crc32
from zoneinfo import ZoneInfo

STEP_SECONDS = 5
"""The grid of simulated time; within a step every power stands still."""
_SECONDS_PER_DAY = 86_400
_SLOW_SECONDS = 900
_FAST_SECONDS = 60
_SKIES = ((0.97, 0.06),) * 3 + ((0.96, 0.75),) * 4 + ((0.45, 0.33),) * 2
"""Clear, mixed, overcast, as often: the brightest the sky gets, and how much of that a cloud can take."""
_SMALLEST_WATTS = 8.0
"""Below this, a PV inverter does not start."""
_FRIDGE_WATTS = 95.0
_FRIDGE_PERIOD_SECONDS = 2700
_FRIDGE_ON_SECONDS = 960
_NOISE_WATTS = 5.0


Burst: TypeAlias = tuple[range, float]
"""A device that runs for a while: in which Unix seconds, and its watts."""


GridName = Literal["eu", "us", "au"]
GRID_NAMES: tuple[GridName, ...] = get_args(GridName)


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseParameters:
    """A house in the middle of Germany with a roof, a family, sometimes a car, and a battery."""

    latitude_degrees: float = 51.2
    longitude_degrees: float = 10.4
    time_zone: str = "Europe/Berlin"
    """In which the house lives and its battery shows the time."""
    roof_tilt_degrees: float = 30.0
    """Of panels that face the equator."""
    pv_peak_watts: float = 9800.0
    """AC power under full sun at right angles."""

    base_load_watts: float = 210.0
    """What the house draws when nobody does anything, the fridge excepted."""
    car_watts: float = 7400.0
    """What a car draws on the evenings it charges."""
    phases: int = 3
    """Phases of the house connection: 1 or 3, or the 2 legs of an American one."""
    mains_volts: float = 230.0
    """From phase to neutral, by name."""
    mains_hertz: float = 50.0

    capacity_watt_hours: float = 11800.0
    """Of the whole pack, the deep-discharge reserve included."""
    marketing_capacity_watt_hours: int = 5500
    """Per module, as the type plate says."""
    modules: int = 2
    cells_in_series: int = 64
    max_charge_watts: float = 4600.0
    """AC limit of the battery inverter, charging."""
    max_discharge_watts: float = 4600.0
    """AC limit of the battery inverter, discharging."""
    efficiency: float = 0.95
    """One way, AC to cells or cells to AC."""
    own_use_watts: float = 5.0
    """What the battery's electronics draw, always."""
    deep_discharge_reserve_percent: float = 7.0
    """Of the whole pack; hidden from the owner, whose 0 % starts above it."""
    backup_buffer_percent: int = 10
    """Reserve for a power cut, on the owner's scale."""

    initial_state_of_charge_percent: float = 50.0
    initial_seconds_since_full_charge: int = 93_600
    earlier_production_watt_hours: float = 14_213_400.0
    """Lifetime energy on the meters before the simulation starts; the same for those below."""
    earlier_consumption_watt_hours: float = 11_874_900.0
    earlier_grid_import_watt_hours: float = 3_951_200.0
    earlier_charge_watt_hours: float = 4_402_700.0
    earlier_cycles: float = 371.6

    @property
    def stored_minimum_watt_hours(self) -> float:
        """The energy below which the battery does not discharge for the house."""
        deep = self.deep_discharge_reserve_percent
        percent = deep + self.backup_buffer_percent * (100.0 - deep) / 100.0
        return self.capacity_watt_hours * percent / 100.0

    @property
    def nominal_volts(self) -> float:
        """Of the whole stack of iron-phosphate cells."""
        return self.cells_in_series * 3.2


_GRIDS: Mapping[GridName, Mapping[str, Any]] = {
    "eu": {},
    "us": {
        "latitude_degrees": 37.3, "longitude_degrees": -121.9, "time_zone": "America/Los_Angeles",
        "phases": 2, "mains_volts": 120.0, "mains_hertz": 60.0,
    },
    "au": {"latitude_degrees": -33.9, "longitude_degrees": 151.2, "time_zone": "Australia/Sydney"},
}  # fmt: skip


def house_on(grid: GridName, house: HouseParameters) -> HouseParameters:
    """Return a house as it would stand in Germany, California or New South Wales."""
    return replace(house, **_GRIDS[grid])


def battery_zone(house: HouseParameters | None = None) -> ZoneInfo:
    """Return the time zone of a house, or of the usual one."""
    return ZoneInfo((house or HouseParameters()).time_zone)


def production_watts(parameters: HouseParameters, seed: int, time: int) -> float:
    """Return what the roof produces at a Unix time; exactly 0 in the dark."""
    day, second = divmod(time, _SECONDS_PER_DAY)
    declination = math.radians(-23.44) * math.cos(math.tau * (day + 10.0) / 365.25)
    hour = math.cos(math.tau * (second / _SECONDS_PER_DAY + parameters.longitude_degrees / 360.0 - 0.5))
    latitude = math.radians(parameters.latitude_degrees)
    panel = latitude - math.copysign(math.radians(parameters.roof_tilt_degrees), latitude)
    height, facing = (
        math.sin(plane) * math.sin(declination) + math.cos(plane) * math.cos(declination) * hour
        for plane in (latitude, panel)
    )
    if height <= 0.0:
        return 0.0
    # Meinel's rule for the light that is left after its way through the air.
    direct = 1.353 * 0.7 ** ((1.0 / (height + 0.02)) ** 0.678)
    brightness = direct * max(0.0, facing) + 0.09 * height
    watts = parameters.pv_peak_watts * 0.92 * brightness * _clearness(parameters, seed, time)
    return min(watts, parameters.pv_peak_watts) if watts >= _SMALLEST_WATTS else 0.0


def _clearness(parameters: HouseParameters, seed: int, time: int) -> float:
    """Return how much of the clear-sky light comes through, 0 to 1."""
    # One of the skies for a day from one midnight by the sun to the next.
    solar_day = int(time / _SECONDS_PER_DAY + parameters.longitude_degrees / 360.0)
    brightest, depth = _SKIES[crc32(f"{seed}/sky/{solar_day}".encode()) % len(_SKIES)]
    cover = 0.7 * _drift(f"{seed}/slow", time / _SLOW_SECONDS) + 0.3 * _drift(f"{seed}/fast", time / _FAST_SECONDS)
    return brightest - depth * min(1.0, cover * cover * 1.6)


def _drift(key: str, position: float) -> float:
    """Return a number from 0 to 1: one that depends on the key at each whole position, and a line in between."""
    index = int(position)
    here, there = ((1.0 + jitter(f"{key}/{number}")[0]) / 2.0 for number in (index, index + 1))
    return here + (there - here) * (position - index)


def cellar_celsius(parameters: HouseParameters, time: int) -> float:
    """Return the temperature where the battery stands."""
    return 16.0 - math.copysign(4.0, parameters.latitude_degrees) * math.cos(
        math.tau * (time / _SECONDS_PER_DAY - 30.0) / 365.25
    )


def consumption_watts(parameters: HouseParameters, seed: int, time: int) -> float:
    """Return what the house draws at a Unix time."""
    # The restlessness of many small devices is a bell curve, or nearly.
    watts = parameters.base_load_watts + _NOISE_WATTS * sum(jitter(f"{seed}/noise/{time}"))
    if (time + 997 * seed) % _FRIDGE_PERIOD_SECONDS < _FRIDGE_ON_SECONDS:
        watts += _FRIDGE_WATTS
    today = datetime.fromtimestamp(time, battery_zone(parameters)).date()
    return watts + sum(burst for seconds, burst in _bursts(parameters, seed, today) if time in seconds)


@lru_cache(maxsize=8)
def _bursts(parameters: HouseParameters, seed: int, today: date) -> tuple[Burst, ...]:
    """Return what may run on a local day; what began the evening before may run on."""
    days = (today - timedelta(days=1), today)
    return tuple(burst for day in days for burst in day_plan(parameters, seed, day))


def day_plan(parameters: HouseParameters, seed: int, day: date) -> Iterator[Burst]:
    """Yield everything that is switched on during one local day."""
    draw = random.Random(f"{seed}/loads/{day.isoformat()}")
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=battery_zone(parameters)).timestamp())

    def burst(hour: float, minutes: float, watts: float) -> Burst:
        begin = midnight + round(hour * 3600)
        return range(begin, begin + round(minutes * 60)), watts

    yield burst(draw.uniform(6.0, 6.8), draw.uniform(60, 110), draw.uniform(90, 150))
    evening = draw.uniform(17.0, 18.5)
    yield burst(evening, 60 * (draw.uniform(22.0, 23.6) - evening), draw.uniform(180, 320))
    for _ in range(draw.randint(4, 7)):
        yield burst(draw.uniform(6.3, 22.3), draw.uniform(2.5, 4.5), draw.uniform(1950, 2150))
    for meal, likelihood in ((12.0, 0.5), (18.2, 0.9)):
        begin, likely = draw.uniform(meal, meal + 1.2), draw.random() < likelihood
        for cycle in range(draw.randint(4, 8) if likely else 0):
            yield burst(begin + cycle * 0.1, 3.0, 2200.0)
    if draw.random() < 0.35:
        begin = draw.uniform(9.0, 15.0)
        yield burst(begin, 18.0, 2000.0)
        yield burst(begin + 0.3, 62.0, 180.0)
    if draw.random() < 0.4:
        yield burst(draw.uniform(17.5, 21.5), draw.uniform(60, 210), parameters.car_watts)


def jitter(key: str) -> tuple[float, ...]:
    """Return six numbers from -1 to 1 that depend on the key only; far quicker than seeding a random.Random."""
    digest = blake2b(key.encode(), digest_size=12).digest()
    return tuple(number / 32_767.5 - 1.0 for number in struct.unpack("<6H", digest))
