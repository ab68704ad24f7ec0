"""What the sun gives and what the family uses: functions of the seed and the time, and of nothing else."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sonnen_agent.simulator.parameters import STEP_SECONDS, HouseParameters, battery_zone

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


class Weather:
    """The sky above one house."""

    def __init__(self, parameters: HouseParameters, seed: int) -> None:
        self._parameters = parameters
        self._seed = seed
        latitude = math.radians(parameters.latitude_degrees)
        panel = latitude - math.radians(parameters.roof_tilt_degrees)
        self._latitude = (math.sin(latitude), math.cos(latitude))
        self._panel = (math.sin(panel), math.cos(panel))
        self._enter(0)

    def production_watts(self, time: int) -> float:
        """Return what the roof produces at a Unix time; exactly 0 in the dark."""
        day, second = divmod(time, _SECONDS_PER_DAY)
        if day != self._day:
            self._enter(day)
        hour = math.cos(math.tau * (second / _SECONDS_PER_DAY + self._parameters.longitude_degrees / 360.0 - 0.5))
        height = self._latitude[0] * self._sine + self._latitude[1] * self._cosine * hour
        if height <= 0.0:
            return 0.0
        facing = max(0.0, self._panel[0] * self._sine + self._panel[1] * self._cosine * hour)
        # Meinel's rule for the light that is left after its way through the air.
        direct = 1.353 * 0.7 ** ((1.0 / (height + 0.02)) ** 0.678)
        brightness = direct * facing + 0.09 * height
        watts = self._parameters.pv_peak_watts * 0.92 * brightness * self._clearness(second)
        return min(watts, self._parameters.pv_peak_watts) if watts >= _SMALLEST_WATTS else 0.0

    def cellar_celsius(self, time: int) -> float:
        """Return the temperature where the battery stands."""
        return 16.0 - 4.0 * math.cos(math.tau * (time / _SECONDS_PER_DAY - 30.0) / 365.25)

    def _enter(self, day: int) -> None:
        """Draw the clouds of one UTC day; UTC midnight is dark where the house stands."""
        draw = random.Random(f"{self._seed}/sky/{day}")
        self._day = day
        self._brightest, self._depth = draw.choices(_SKIES, (3, 4, 2))[0]
        self._slow = [draw.random() for _ in range(_SECONDS_PER_DAY // _SLOW_SECONDS + 1)]
        self._fast = [draw.random() for _ in range(_SECONDS_PER_DAY // _FAST_SECONDS + 1)]
        declination = math.radians(-23.44) * math.cos(math.tau * (day + 10.0) / 365.25)
        self._sine, self._cosine = math.sin(declination), math.cos(declination)

    def _clearness(self, second: int) -> float:
        """Return how much of the clear-sky light comes through, 0 to 1."""
        cover = 0.7 * _between(self._slow, second / _SLOW_SECONDS) + 0.3 * _between(self._fast, second / _FAST_SECONDS)
        return self._brightest - self._depth * min(1.0, cover * cover * 1.6)


def _between(points: list[float], position: float) -> float:
    """Return the value at a position between two neighbouring points."""
    index = int(position)
    share = position - index
    return points[index] * (1.0 - share) + points[index + 1] * share


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """A device that runs for a while."""

    begin: int
    """Unix time; the same for `end`, which is the first second without it."""
    end: int
    watts: float


class Loads:
    """The devices of one house."""

    def __init__(self, parameters: HouseParameters, seed: int) -> None:
        self._parameters = parameters
        self._seed = seed
        self._fridge_phase = random.Random(f"{seed}/fridge").randrange(_FRIDGE_PERIOD_SECONDS)
        self._bursts: tuple[Burst, ...] = ()
        self._today = range(0)
        self._noise: list[float] = []
        self._noise_day = -1

    def consumption_watts(self, time: int) -> float:
        """Return what the house draws at a Unix time."""
        if time not in self._today:
            self._enter(time)
        watts = self._parameters.base_load_watts + self._noise_watts(time)
        if (time + self._fridge_phase) % _FRIDGE_PERIOD_SECONDS < _FRIDGE_ON_SECONDS:
            watts += _FRIDGE_WATTS
        for burst in self._bursts:
            if burst.begin <= time < burst.end:
                watts += burst.watts
        return watts

    def _enter(self, time: int) -> None:
        """Plan the local day around a moment; what began the evening before may still run."""
        today = datetime.fromtimestamp(time, UTC).astimezone(battery_zone()).date()
        day = timedelta(days=1)
        self._today = range(_midnight(today), _midnight(today + day))
        days = (today - day, today)
        self._bursts = tuple(burst for day in days for burst in day_plan(self._parameters, self._seed, day))

    def _noise_watts(self, time: int) -> float:
        """Return the restlessness of many small devices."""
        day, second = divmod(time, _SECONDS_PER_DAY)
        if day != self._noise_day:
            draw = random.Random(f"{self._seed}/noise/{day}")
            self._noise = [max(-40.0, min(40.0, draw.gauss(0.0, 7.0))) for _ in range(_SECONDS_PER_DAY // STEP_SECONDS)]
            self._noise_day = day
        return self._noise[second // STEP_SECONDS]


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
