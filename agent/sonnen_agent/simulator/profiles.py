"""What the sun gives and what the family uses: functions of the house, a seed and the time, and of nothing else."""

import math
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b

from sonnen_agent.simulator.parameters import HouseParameters, battery_zone

_SECONDS_PER_DAY = 86_400
_SLOW_SECONDS = 900
_FAST_SECONDS = 60
_SKIES = ((0.97, 0.06), (0.96, 0.75), (0.45, 0.33))
"""Clear, mixed, overcast: the brightest the sky gets, and how much of that a cloud can take."""
_SMALLEST_WATTS = 8.0
"""Below this, a PV inverter does not start."""
_FRIDGE_WATTS = 95.0
_FRIDGE_PERIOD_SECONDS = 2700
_FRIDGE_ON_SECONDS = 960
_NOISE_WATTS = 5.0


def production_watts(parameters: HouseParameters, seed: int, time: int) -> float:
    """Return what the roof produces at a Unix time; exactly 0 in the dark."""
    day, second = divmod(time, _SECONDS_PER_DAY)
    declination = math.radians(-23.44) * math.cos(math.tau * (day + 10.0) / 365.25)
    hour = math.cos(math.tau * (second / _SECONDS_PER_DAY + parameters.longitude_degrees / 360.0 - 0.5))
    latitude = math.radians(parameters.latitude_degrees)
    panel = latitude - math.radians(parameters.roof_tilt_degrees)
    height, facing = (
        math.sin(plane) * math.sin(declination) + math.cos(plane) * math.cos(declination) * hour
        for plane in (latitude, panel)
    )
    if height <= 0.0:
        return 0.0
    # Meinel's rule for the light that is left after its way through the air.
    direct = 1.353 * 0.7 ** ((1.0 / (height + 0.02)) ** 0.678)
    brightness = direct * max(0.0, facing) + 0.09 * height
    watts = parameters.pv_peak_watts * 0.92 * brightness * _clearness(seed, day, second)
    return min(watts, parameters.pv_peak_watts) if watts >= _SMALLEST_WATTS else 0.0


def _clearness(seed: int, day: int, second: int) -> float:
    """Return how much of the clear-sky light comes through, 0 to 1."""
    brightest, depth, slow, fast = _sky(seed, day)
    cover = 0.7 * _between(slow, second / _SLOW_SECONDS) + 0.3 * _between(fast, second / _FAST_SECONDS)
    return brightest - depth * min(1.0, cover * cover * 1.6)


@lru_cache(maxsize=8)
def _sky(seed: int, day: int) -> tuple[float, float, list[float], list[float]]:
    """Draw one of the skies and its clouds for a UTC day, whose midnight is dark where the house stands."""
    draw = random.Random(f"{seed}/sky/{day}")
    brightest, depth = draw.choices(_SKIES, (3, 4, 2))[0]
    slow, fast = (
        [draw.random() for _ in range(_SECONDS_PER_DAY // step + 1)] for step in (_SLOW_SECONDS, _FAST_SECONDS)
    )
    return brightest, depth, slow, fast


def _between(points: list[float], position: float) -> float:
    """Return the value at a position between two neighbouring points."""
    index = int(position)
    share = position - index
    return points[index] * (1.0 - share) + points[index + 1] * share


def cellar_celsius(time: int) -> float:
    """Return the temperature where the battery stands."""
    return 16.0 - 4.0 * math.cos(math.tau * (time / _SECONDS_PER_DAY - 30.0) / 365.25)


def consumption_watts(parameters: HouseParameters, seed: int, time: int) -> float:
    """Return what the house draws at a Unix time."""
    # The restlessness of many small devices is a bell curve, or nearly.
    watts = parameters.base_load_watts + _NOISE_WATTS * sum(jitter(f"{seed}/noise/{time}"))
    if (time + 997 * seed) % _FRIDGE_PERIOD_SECONDS < _FRIDGE_ON_SECONDS:
        watts += _FRIDGE_WATTS
    today = datetime.fromtimestamp(time, battery_zone()).date()
    return watts + sum(burst.watts for burst in _bursts(parameters, seed, today) if burst.begin <= time < burst.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """A device that runs for a while."""

    begin: int
    """Unix time; the same for `end`, which is the first second without it."""
    end: int
    watts: float


@lru_cache(maxsize=8)
def _bursts(parameters: HouseParameters, seed: int, today: date) -> tuple[Burst, ...]:
    """Return what may run on a local day; what began the evening before may run on."""
    days = (today - timedelta(days=1), today)
    return tuple(burst for day in days for burst in day_plan(parameters, seed, day))


def day_plan(parameters: HouseParameters, seed: int, day: date) -> Iterator[Burst]:
    """Yield everything that is switched on during one local day."""
    draw = random.Random(f"{seed}/loads/{day.isoformat()}")
    midnight = _midnight(day)

    def burst(hour: float, minutes: float, watts: float) -> Burst:
        begin = midnight + round(hour * 3600)
        return Burst(begin=begin, end=begin + round(minutes * 60), watts=watts)

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


def _midnight(day: date) -> int:
    """Return the Unix time at which a local day begins."""
    return int(datetime(day.year, day.month, day.day, tzinfo=battery_zone()).timestamp())


def jitter(key: str) -> tuple[float, ...]:
    """Return six numbers from -1 to 1 that depend on the key only; far quicker than seeding a random.Random."""
    digest = blake2b(key.encode(), digest_size=12).digest()
    return tuple(number / 32_767.5 - 1.0 for number in struct.unpack("<6H", digest))
