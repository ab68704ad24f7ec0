"""What the family uses: a function of the seed and the time, and of nothing else."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sonnen_agent.simulator.parameters import HouseParameters
from sonnen_agent.simulator.weather import SECONDS_PER_DAY

STEP_SECONDS = 5
"""The grid of simulated time; within a step every power stands still."""
_FRIDGE_WATTS = 95.0
_FRIDGE_PERIOD_SECONDS = 2700
_FRIDGE_ON_SECONDS = 960


def battery_zone() -> ZoneInfo:
    """Return the time zone in which the house lives and its battery shows the time."""
    return ZoneInfo("Europe/Berlin")


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
        day, second = divmod(time, SECONDS_PER_DAY)
        if day != self._noise_day:
            draw = random.Random(f"{self._seed}/noise/{day}")
            self._noise = [max(-40.0, min(40.0, draw.gauss(0.0, 7.0))) for _ in range(SECONDS_PER_DAY // STEP_SECONDS)]
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
