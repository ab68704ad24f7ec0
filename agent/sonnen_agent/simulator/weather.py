"""Sun, clouds and temperature: functions of the seed and the time, and of nothing else."""

import math
import random

from sonnen_agent.simulator.parameters import HouseParameters

SECONDS_PER_DAY = 86_400
_SLOW_SECONDS = 900
_FAST_SECONDS = 60
_SKIES = ((0.97, 0.06), (0.96, 0.75), (0.45, 0.33))
"""Clear, mixed, overcast: the brightest the sky gets, and how much of that a cloud can take."""
_SMALLEST_WATTS = 8.0
"""Below this, a PV inverter does not start."""


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
        day, second = divmod(time, SECONDS_PER_DAY)
        if day != self._day:
            self._enter(day)
        hour = math.cos(math.tau * (second / SECONDS_PER_DAY + self._parameters.longitude_degrees / 360.0 - 0.5))
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
        return 16.0 - 4.0 * math.cos(math.tau * (time / SECONDS_PER_DAY - 30.0) / 365.25)

    def _enter(self, day: int) -> None:
        """Draw the clouds of one UTC day; UTC midnight is dark where the house stands."""
        draw = random.Random(f"{self._seed}/sky/{day}")
        self._day = day
        self._brightest, self._depth = draw.choices(_SKIES, (3, 4, 2))[0]
        self._slow = [draw.random() for _ in range(SECONDS_PER_DAY // _SLOW_SECONDS + 1)]
        self._fast = [draw.random() for _ in range(SECONDS_PER_DAY // _FAST_SECONDS + 1)]
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
